//! A model is run once on some numbers when it is loaded: what it gives, what it takes up, how samples lie
//! in its values, and that its segments give what its nodes do.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use attriburn::Link;
use attriburn_kernels::frozen::{Segment, frozen};
use burn::tensor::{Device, Tensor, TensorData};

use super::{OnnxModel, only};
use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id, Samples};
use crate::operators::Inputs;
use crate::passes::segments::Seen;
use crate::passes::{quantized, segments};
use crate::program::{Joined, Program};
use crate::scores::Scores;
use crate::value::Value;

/// What a model gave for some rows is what it `should` be, but for rounding.
fn same(own: &Value, should: &Value) -> Result<(), String> {
    if own.dims() != should.dims() {
        return Err(format!("the shape {:?}, not {:?}", own.dims(), should.dims()));
    }
    let (own, should) = (own.floats()?, should.floats()?);
    let finite = should.iter().filter(|value| value.is_finite());
    let size = finite.fold(1e-6f32, |a, b| a.max(b.abs()));
    let differs = |(a, b): &(&f32, &f32)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (*a - *b).abs() > 2e-3 * size,
        _ => a.is_nan() != b.is_nan() || (!a.is_nan() && a != b),
    };
    match own.iter().zip(&should).find(differs) {
        Some((own, should)) => Err(format!("{own}, not {should}")),
        None => Ok(()),
    }
}

/// What the backward pass keeps of a row in nodes, and the gradients that it makes beside it: the bytes
/// of values of these shapes.
fn held(shapes: &HashMap<Id, Vec<usize>>, rows: usize) -> u64 {
    let numbers: usize = shapes.values().map(|dims| dims.iter().product::<usize>()).sum();
    8 * numbers as u64 / rows as u64
}

/// How samples lie in a value, of what it is for one sample and for this one behind another.
fn samples_in(own: &Value, both: &Value) -> Option<Samples> {
    let (one, two) = (own.dims(), both.dims());
    let mut axes = (0..one.len()).filter(|&axis| one.get(axis) != two.get(axis));
    let axis = axes.next().filter(|_| one.len() == two.len())?;
    let each = one[axis];
    if axes.next().is_some() || two[axis] != 2 * each {
        return None;
    }
    [false, true].into_iter().map(|interleaved| Samples { axis, each, interleaved }).find(
        |samples| {
            let numbers = samples.numbers(two[axis]).enumerate();
            let second = numbers.filter(|&(_, sample)| sample == 1).map(|(at, _)| at as i64);
            let second = both.clone().select(axis, second.collect());
            second.is_ok_and(|second| same(&second, own).is_ok())
        },
    )
}

/// What is known of the segments that were made.
struct Frozen {
    /// The bytes that they keep of a sample.
    kept: u64,
    /// Whether the batch may have left the first axis of one of their tensors.
    batch_moves: bool,
}

/// What a model gave when it was tried out.
struct Tried {
    /// The shape of its output, for so many rows.
    dims: Vec<usize>,
    rows: usize,
    bytes_per_sample: u64,
    /// The rows that were run in nodes, from which the segments were made.
    seen: Range<usize>,
}

impl OnnxModel {
    /// Runs the model once on some numbers: what it gives, what it takes up, that the batch is free, and
    /// that its segments give what its nodes do. Also the rows from which the segments were made.
    pub(super) fn tried_out(
        mut self,
        graph: &Graph,
        link: Option<Link>,
    ) -> Result<(Self, Range<usize>), LoadError> {
        let tried = match self.batch {
            // One row in nodes, the slow way, and in segments the same among others, on which it must not
            // depend.
            None if self.device == Device::flex() => match self.tried_in_segments(graph) {
                Ok(tried) => tried,
                Err(_) => self.tried(graph, 2)?,
            },
            None => self.tried(graph, 2)?,
            Some(batch) => self.tried(graph, batch)?,
        };
        let plane = match self.shape[..] {
            [_, height, width] if self.channels_last => Some([height, width]),
            _ => None,
        };
        let scores = Scores::of(&tried.dims, tried.rows, link, plane)?;
        self.scores = match &self.region {
            Some(region) => scores.within(region, &self.shape, &tried.dims)?,
            None => scores,
        };
        self.bytes_per_sample = tried.bytes_per_sample;
        if let Some(remark) = self.scores.remark(&tried.dims) {
            log::warn!("{remark}");
        }
        if let Some(batch) = self.batch {
            log::warn!(
                "the model fixes its batch to {batch}, so samples are run {batch} at a time, which is slow; export it with a free batch axis"
            );
        }
        let others = self.summary.other_floats();
        if !others.is_empty() {
            log::warn!("the model is stored in {} and computed in float32", others.join(", "));
        }
        Ok((self, tried.seen))
    }

    /// Tries out `rows` rows in nodes, and in segments, if there are any, the same and the last one alone.
    /// Where these differ, the model goes without segments.
    fn tried(&mut self, graph: &Graph, rows: usize) -> Result<Tried, LoadError> {
        let (output, mut seen) = self.by_nodes(graph, 0..rows).map_err(|message| {
            LoadError::new(ErrorKind::Run, format!("it does not run: {message}"))
        })?;
        let kept = self.freeze(graph, &mut seen).kept;
        let agrees = |own: &Self| {
            same(&own.by_steps(0..rows)?, &output)?;
            let last = rows - 1..rows;
            match own.batch.is_none() && output.dims().first() == Some(&rows) {
                true => same(&own.by_steps(last.clone())?, &output.clone().range(0, last)),
                false => Ok(()),
            }
        };
        if !self.segments.is_empty()
            && let Err(reason) = agrees(self)
        {
            log::warn!(
                "the CPU's segments do not give what the nodes give ({reason}), so each node is run by itself, which is slower; please report this model"
            );
            self.thaw(graph)?;
        }
        let bytes_per_sample = held(&seen.shapes, rows) + kept;
        Ok(Tried { dims: output.dims(), rows, bytes_per_sample, seen: 0..rows })
    }

    /// Tries out one row in nodes, the slow way, and in segments the same behind another one, on which it
    /// must not depend; and in front of a third, where it is not sure which axis is the batch.
    ///
    /// # Errors
    ///
    /// Where there are no segments, or they differ, or anything fails: several rows in nodes say more.
    fn tried_in_segments(&mut self, graph: &Graph) -> Result<Tried, String> {
        let (output, mut seen) = self.by_nodes(graph, 1..2)?;
        let (kept, rows) = match self.freeze(graph, &mut seen) {
            Frozen { kept, batch_moves: true } => (kept, 3),
            Frozen { kept, batch_moves: false } => (kept, 2),
        };
        let bytes_per_sample = kept + held(&seen.shapes, 1);
        if self.segments.is_empty() {
            return Err("there are no segments".into());
        }
        let between = |own: Value| match own.dims().first() {
            Some(&first) if first == rows => {
                same(&own.clone().range(0, 1..2), &output).map(|()| own)
            }
            _ => Err(format!("the shape {:?} for {rows} samples", own.dims())),
        };
        match self.by_steps(0..rows).and_then(between) {
            Ok(own) => Ok(Tried { dims: own.dims(), rows, bytes_per_sample, seen: 1..2 }),
            Err(reason) => {
                self.thaw(graph).map_err(|error| error.to_string())?;
                Err(reason)
            }
        }
    }

    /// Finds how samples lie in what is quantized by sample, by the sizes that follow the batch's. A model
    /// of one sample at a time is quantized as a whole.
    pub(super) fn find_samples(&mut self, graph: &mut Graph) -> Result<(), LoadError> {
        let ids = quantized::dynamic(graph);
        if let (Some(node), true) = (quantized::dynamic_inside(graph), self.batch != Some(1)) {
            let message = format!(
                "{}: what is quantized inside it has one scale for all samples of a batch; export the model with a batch of 1",
                node.label()
            );
            return Err(LoadError::new(ErrorKind::Unsupported, message));
        }
        if ids.is_empty() || self.batch == Some(1) {
            return Ok(());
        }
        let unsupported = |message: String| LoadError::new(ErrorKind::Unsupported, message);
        if let Some(batch) = self.batch {
            return Err(unsupported(format!(
                "the model quantizes a batch of {batch} samples with one scale, so that each depends on the others; export it with a batch of 1 or a free batch axis"
            )));
        }
        // Without rounding the scales cancel out, and a sample's values are the same in every batch.
        let rounds = std::mem::replace(&mut graph.rounds, false);
        let program = Program::new(graph, &self.device)?;
        graph.rounds = rounds;
        let values = |rows: Range<usize>| {
            let mut found: HashMap<Id, Value> = HashMap::new();
            let probe = self.probe(rows)?;
            found.insert(graph.inputs[0], probe[0].clone());
            let see = |node: usize, values: &[Value]| {
                for (id, value) in graph.nodes[node].outputs.iter().zip(values) {
                    if let Some(id) = id.filter(|id| ids.contains(id)) {
                        found.insert(id, value.clone());
                    }
                }
            };
            program.run(probe, see).map(|_| found)
        };
        let wrong =
            |message: String| LoadError::new(ErrorKind::Run, format!("it does not run: {message}"));
        let (own, both) = (values(1..2).map_err(wrong)?, values(0..2).map_err(wrong)?);
        for &id in &ids {
            let pair = own.get(&id).zip(both.get(&id));
            let samples = pair.and_then(|(own, both)| samples_in(own, both)).ok_or_else(|| {
                unsupported(format!(
                    "{:?} is quantized with one scale for all samples of a batch, and it is not known which of it is which sample's; export the model with a batch of 1",
                    graph.values[id.0].name
                ))
            })?;
            graph.samples_in.insert(id, samples);
        }
        self.program = Program::new(graph, &self.device)?;
        Ok(())
    }

    /// The model with the rounding that was left out while it was tried out.
    pub(super) fn rounded(mut self, graph: &Graph, rows: Range<usize>) -> Result<Self, LoadError> {
        let joins = !self.segments.is_empty();
        self.thaw(graph)?;
        if joins {
            let (_, mut seen) = self.by_nodes(graph, rows).map_err(|message| {
                LoadError::new(ErrorKind::Run, format!("it does not run: {message}"))
            })?;
            self.freeze(graph, &mut seen);
        }
        Ok(self)
    }

    /// The output of these of the rows that are tried out, node by node, and what all values were.
    fn by_nodes(&self, graph: &Graph, rows: Range<usize>) -> Result<(Value, Seen), String> {
        let mut seen = Seen::new(graph, self.dims(rows.len()));
        let see = |node: usize, values: &[Value]| seen.see(&graph.nodes[node], values);
        let outputs = self.program.run(self.probe(rows)?, see)?;
        Ok((only(outputs)?, seen))
    }

    /// The output of these of the rows that are tried out, as they are run from now on.
    fn by_steps(&self, rows: Range<usize>) -> Result<Value, String> {
        self.program.run(self.probe(rows)?, |_, _| {}).and_then(only)
    }

    /// Rows to try out.
    fn probe(&self, rows: Range<usize>) -> Result<Vec<Value>, String> {
        let features: usize = self.shape.iter().product();
        let all = rows.start * features..rows.end * features;
        let number = |at: usize| match (at as f32 * 0.37).sin() {
            value if self.element.is_float() => value,
            // Over the range of a picture's values.
            value => (127.5 * (1.0 + value)).round(),
        };
        let numbers = all.map(number).collect();
        let data = TensorData::new::<f32, _>(numbers, [rows.len(), features]);
        let own: Vec<_> = self.parameters.iter().map(|own| own.values.clone()).collect();
        self.inputs(Tensor::<2>::from_data(data, &self.device), rows.len(), &own)
    }

    /// Goes back to nodes.
    fn thaw(&mut self, graph: &Graph) -> Result<(), LoadError> {
        self.segments.clear();
        self.program = Program::new(graph, &self.device)?;
        Ok(())
    }

    /// Makes segments of what the CPU computes as one. The values inside them are no longer among those
    /// that were `seen`.
    fn freeze(&mut self, graph: &Graph, seen: &mut Seen) -> Frozen {
        let mut made = Frozen { kept: 0, batch_moves: false };
        if self.device != Device::flex() {
            return made;
        }
        let mut joined = Vec::new();
        let mut unpacked = Vec::new();
        for found in segments::find(graph, seen) {
            let (last, inner) = match found.nodes.split_last() {
                Some((&last, inner)) => (last, inner),
                None => continue,
            };
            for id in inner.iter().flat_map(|&node| graph.nodes[node].outputs.iter().flatten()) {
                seen.shapes.remove(id);
            }
            let packed = Arc::new(OnceLock::<Arc<Segment>>::new());
            let own = Arc::clone(&packed);
            let run = move |inputs: &Inputs| {
                let segment = own.get().ok_or("its segment is not packed")?;
                if inputs.value(0)?.dims().get(1..) != Some(segment.input()) {
                    return Err("a sample's shape depends on the size of the batch".into());
                }
                Ok(vec![Value::new(frozen(inputs.float(0)?, segment))])
            };
            let label = format!("the nodes up to {}", graph.nodes[last].label());
            joined.push(Joined {
                nodes: found.nodes,
                input: found.input,
                label,
                run: Box::new(run),
            });
            made.batch_moves |= found.builder.batch_moves();
            unpacked.push((packed, found.builder, found.output));
        }
        // First the weights as they were are let go.
        self.program.join(joined);
        for (packed, builder, output) in unpacked {
            let segment = Arc::new(Segment::new(builder, output));
            self.segments.push(Arc::clone(&segment));
            let _ = packed.set(segment);
        }
        made.kept = self.segments.iter().map(|segment| segment.bytes_per_sample() as u64).sum();
        made
    }
}
