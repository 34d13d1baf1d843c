//! A loaded model.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use attriburn::{Link, Model, ModelError, Parameter};
use attriburn_kernels::frozen::{Segment, frozen};
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{ErrorKind, LoadError};
use crate::file::{self, File, Mapped};
use crate::graph::{self, Graph, Id};
use crate::operators::Inputs;
use crate::passes::segments::Seen;
use crate::passes::{self, Promoted, segments};
use crate::program::{Joined, Program, as_input};
use crate::scores::Scores;
use crate::summary::{Summary, summarize};
use crate::value::Value;

/// An ONNX model on a device.
pub struct OnnxModel {
    program: Program,
    summary: Summary,
    device: Device,
    shape: Vec<usize>,
    /// The batch size that the file fixes.
    batch: Option<usize>,
    /// The parameters where they were asked for, which are the graph's other inputs.
    parameters: Vec<Parameter>,
    scores: Scores,
    bytes_per_sample: u64,
    segments: Vec<Arc<Segment>>,
    /// The files beside the model that hold weights.
    files: Vec<PathBuf>,
}

/// The most values a sample may have: 1 GiB of float32.
const LARGEST_SAMPLE: usize = 1 << 28;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct Loader {
    device: Device,
    input_shape: Option<Vec<usize>>,
    output: Option<String>,
    parameters: bool,
    exact: bool,
}

impl OnnxModel {
    /// The model in the file `path`, on `device`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the file cannot be read, is no ONNX model, has an operator that is not
    /// supported, does not take one float tensor, or cannot be run.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, LoadError> {
        Loader::new(device).load(path)
    }

    /// What the file contains.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The paths of the files beside the model from which weights were read.
    pub fn weight_files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The parts of the model that the CPU computes as one, in order.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// What the model does outside of these parts: operators and nodes.
    pub fn outside_segments(&self) -> Vec<&str> {
        self.program.labels()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.scores.classes
    }
}

impl Loader {
    /// Loads to `device`.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone().without_autodiff(),
            input_shape: None,
            output: None,
            parameters: false,
            exact: false,
        }
    }

    /// Fixes the input's axes after the batch axis, where the file leaves them free.
    #[must_use]
    pub fn input_shape(mut self, shape: Option<Vec<usize>>) -> Self {
        self.input_shape = shape;
        self
    }

    /// Explains the output of this name instead of the only one.
    #[must_use]
    pub fn output(mut self, name: Option<String>) -> Self {
        self.output = name;
        self
    }

    /// Keeps the parameters apart under their names in the file, so that noise can be put on them
    /// and the model differentiated with respect to them: [`Model::parameters`]. They are the
    /// stored float tensors of more than one value, but for the running statistics of batch
    /// normalization, which then is not folded into the convolution in front of it, for exponents
    /// and for attention masks of minus infinity.
    #[must_use]
    pub fn parameters(mut self, parameters: bool) -> Self {
        self.parameters = parameters;
        self
    }

    /// Computes every convolution by its definition. Otherwise the CPU takes Winograd's algorithm for
    /// kernels of 3 by 3 where that is faster: twice as fast, with rounding errors about twice as large,
    /// around 1e-6 of the largest value.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// The model in the file `path`.
    ///
    /// # Errors
    ///
    /// See [`OnnxModel::load`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<OnnxModel, LoadError> {
        let path = path.as_ref();
        file::open(path).and_then(|file| self.build(file)).map_err(|error| error.of(path))
    }

    /// The model in `bytes`, whose weights must be inside them.
    ///
    /// # Errors
    ///
    /// See [`OnnxModel::load`].
    pub fn load_bytes(&self, bytes: &[u8]) -> Result<OnnxModel, LoadError> {
        self.build(file::parse(&Mapped::in_memory(bytes), None)?)
    }

    fn build(&self, mut file: File) -> Result<OnnxModel, LoadError> {
        let summary = summarize(&mut file);
        summary.check()?;
        let (batch, shape) = self.shape(&summary)?;
        let output = self.output_index(&summary)?;
        let mut graph = graph::build(&file.proto, &mut file.folder)?;
        let passes::Outcome { parameters, link } =
            passes::run(&mut graph, output, self.parameters)?;
        match link {
            Some(Link::Softmax) => {
                log::warn!("the model ends in a softmax; its input, the logits, is explained");
            }
            Some(Link::Sigmoid) => {
                log::warn!("the model ends in a sigmoid; its input, the logits, is explained");
            }
            None => {}
        }
        let program = Program::new(&graph, &self.device)?;
        if self.parameters && parameters.is_empty() {
            let message = "the file stores no float tensors of several values: there are no parameters to put noise on or to randomize";
            return Err(LoadError::new(ErrorKind::Weights, message));
        }
        let parameters = parameters.into_iter().map(|promoted| self.upload(promoted)).collect();
        let model = OnnxModel {
            program,
            summary,
            device: self.device.clone(),
            shape,
            batch,
            parameters,
            scores: Scores::default(),
            bytes_per_sample: 0,
            segments: Vec::new(),
            files: file.folder.files(),
        };
        let model = model.tried_out(&graph, link)?;
        // Only now: to try it out takes less memory without the transformed weights.
        if !self.exact {
            model.segments.iter().for_each(|segment| segment.use_winograd());
        }
        Ok(model)
    }

    fn upload(&self, promoted: Promoted) -> Parameter {
        let Promoted { name, shape, values, layer } = promoted;
        let count = values.len();
        let values = Tensor::from_data(TensorData::new(values, [count]), &self.device);
        Parameter { name, shape, values, layer }
    }

    /// The batch size that the file fixes, and the shape of a sample.
    fn shape(&self, summary: &Summary) -> Result<(Option<usize>, Vec<usize>), LoadError> {
        let input = &summary.inputs[0];
        let wrong = |message: String| Err(LoadError::new(ErrorKind::Input, message));
        let Some((batch, axes)) = input.shape.split_first() else {
            return wrong(format!("the input {input} has no batch axis"));
        };
        if axes.is_empty() {
            return wrong(format!("the input {input} has no axis after the batch axis"));
        }
        let sane = |shape: &[usize]| {
            let values = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
            values.is_some_and(|values| (1..=LARGEST_SAMPLE).contains(&values))
        };
        let known: Option<Vec<usize>> = axes.iter().map(|axis| axis.clone().ok()).collect();
        let fits = |given: &[usize]| {
            given.len() == axes.len()
                && given.iter().zip(axes).all(|(g, axis)| axis.as_ref().map_or(true, |a| a == g))
        };
        match (&self.input_shape, &known) {
            (Some(shape), _) | (None, Some(shape)) if !sane(shape) => {
                wrong(format!("a sample of {shape:?} has no values, or more than {LARGEST_SAMPLE}"))
            }
            (Some(given), _) if fits(given) => Ok((batch.clone().ok(), given.clone())),
            (Some(given), _) => {
                wrong(format!("the input {input} does not take samples of {given:?}"))
            }
            (None, Some(known)) => Ok((batch.clone().ok(), known.clone())),
            (None, None) => wrong(format!(
                "the input {input} leaves its size free; give it with --input-shape, for example 3,224,224"
            )),
        }
    }

    fn output_index(&self, summary: &Summary) -> Result<usize, LoadError> {
        let listed =
            || summary.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let wrong = |message: String| Err(LoadError::new(ErrorKind::Output, message));
        match (&self.output, summary.outputs.len()) {
            (None, 1) => Ok(0),
            (None, count) => wrong(format!(
                "the model has {count} outputs; name the one to explain with --output-name: {}",
                listed()
            )),
            (Some(name), _) => match summary.outputs.iter().position(|output| output.name == *name)
            {
                Some(index) => Ok(index),
                None => wrong(format!("there is no output {name:?}; there are {}", listed())),
            },
        }
    }
}

/// What the file `path` contains, whether it can be explained or not.
///
/// # Errors
///
/// When the file cannot be read or is no ONNX model.
pub fn summary(path: impl AsRef<Path>) -> Result<Summary, LoadError> {
    let path = path.as_ref();
    file::open(path).map(|mut file| summarize(&mut file)).map_err(|error| error.of(path))
}

/// The one output that a model is explained at.
fn only(outputs: Vec<Value>) -> Result<Value, String> {
    outputs.into_iter().next().ok_or_else(|| "the graph has no output".to_owned())
}

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
}

impl OnnxModel {
    /// Runs the model once on some numbers: what it gives, what it takes up, that the batch is free, and
    /// that its segments give what its nodes do.
    fn tried_out(mut self, graph: &Graph, link: Option<Link>) -> Result<Self, LoadError> {
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
        self.scores = Scores::of(&tried.dims, tried.rows, link)?;
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
        Ok(self)
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
        Ok(Tried { dims: output.dims(), rows, bytes_per_sample: held(&seen.shapes, rows) + kept })
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
            Ok(own) => Ok(Tried { dims: own.dims(), rows, bytes_per_sample }),
            Err(reason) => {
                self.thaw(graph).map_err(|error| error.to_string())?;
                Err(reason)
            }
        }
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
        let numbers = all.map(|at| (at as f32 * 0.37).sin()).collect();
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

    /// The graph's inputs for `rows` samples in `batch`.
    fn inputs(
        &self,
        batch: Tensor<2>,
        rows: usize,
        parameters: &[Tensor<1>],
    ) -> Result<Vec<Value>, String> {
        if parameters.len() != self.parameters.len() {
            return Err(format!(
                "{} parameters were given, the model has {}",
                parameters.len(),
                self.parameters.len()
            ));
        }
        let shaped = |(values, own): (&Tensor<1>, &Parameter)| {
            Value::new(values.clone().into_dispatch()).reshape(&own.shape)
        };
        let parameters = parameters.iter().zip(&self.parameters).map(shaped);
        std::iter::once(as_input(batch, &self.dims(rows))).chain(parameters).collect()
    }

    fn dims(&self, rows: usize) -> Vec<usize> {
        [&[rows], &self.shape[..]].concat()
    }
}

impl Model for OnnxModel {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, ModelError> {
        let own: Vec<_> = self.parameters.iter().map(|own| own.values.clone()).collect();
        self.forward_with(batch, &own)
    }

    fn link(&self) -> Option<Link> {
        self.scores.link
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn forward_with(
        &self,
        batch: Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<Tensor<2>, ModelError> {
        let rows = batch.dims()[0];
        let held = self.batch.unwrap_or(rows);
        if rows > held {
            return Err(ModelError::new(format!(
                "the model takes {held} samples at a time, not {rows}"
            )));
        }
        let padded = if rows == held {
            batch
        } else {
            let filler = Tensor::zeros([held - rows, batch.dims()[1]], &batch.device());
            Tensor::cat(vec![batch, filler], 0)
        };
        let scores = self
            .inputs(padded, held, parameters)
            .and_then(|inputs| self.program.run(inputs, |_, _| {}))
            .and_then(only)
            .and_then(|output| self.scores.read(output, held))
            .map_err(ModelError::new)?;
        Ok(if held == rows { scores } else { scores.narrow(0, 0, rows) })
    }

    fn max_batch(&self) -> Option<usize> {
        self.batch
    }

    fn bytes_per_sample(&self) -> Option<u64> {
        Some(self.bytes_per_sample)
    }
}
