//! The trial run of a model when it is loaded. The trial run finds the output shape, the memory per sample
//! and the sample layout of quantized values, and checks that the segments compute the same output as the
//! nodes.

use std::collections::HashMap;
use std::ops::Range;

use attriburn::Link;
use burn::tensor::{Device, Tensor, TensorData};

use super::layers::Layers;
use super::layouts::sample_layout;
use super::network::{Network, check_close, single_output};
use super::onnx_model::OnnxModel;
use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id};
use crate::passes::quantized;
use crate::passes::segments::Observed;
use crate::program::Program;
use crate::scores::Scores;
use crate::value::Value;

/// Returns the memory of a backward pass through nodes per row, in bytes: a float32 activation and a float32
/// gradient for each element of the values with these shapes.
fn bytes_per_row(shapes: &HashMap<Id, Vec<usize>>, rows: usize) -> u64 {
    let elements: usize = shapes.values().map(|dims| dims.iter().product::<usize>()).sum();
    8 * elements as u64 / rows as u64
}

/// The results of a trial run.
struct Trial {
    /// The shape of the output for `rows` rows.
    dims: Vec<usize>,
    rows: usize,
    bytes_per_sample: u64,
    /// The rows that were run node by node, from which the segments were built.
    node_rows: Range<usize>,
}

impl OnnxModel {
    /// Runs the model once on synthetic rows: finds the rule that reads scores from the output, measures the
    /// memory per sample, and builds and checks the segments. Also returns the rows from which the segments
    /// were built.
    pub(super) fn trial_run(
        mut self,
        graph: &Graph,
        link: Option<Link>,
    ) -> Result<(Self, Range<usize>), LoadError> {
        let trial = match self.batch {
            // Running nodes is slow, so this runs only one row node by node, and a batch with the same row in
            // segments.
            None if self.device == Device::flex() => match self.try_batch_in_segments(graph) {
                Ok(trial) => trial,
                Err(_) => self.try_rows(graph, 2)?,
            },
            None => self.try_rows(graph, 2)?,
            Some(batch) => self.try_rows(graph, batch)?,
        };
        let plane = match self.shape[..] {
            [_, height, width] if self.channels_last => Some([height, width]),
            _ => None,
        };
        let scores = Scores::of(&trial.dims, trial.rows, link, plane)?;
        self.scores = match &self.region {
            Some(region) => scores.within(region, &self.shape, &trial.dims)?,
            None => scores,
        };
        self.bytes_per_sample = trial.bytes_per_sample;
        if let Some(remark) = self.scores.remark(&trial.dims) {
            log::warn!("{remark}");
        }
        if let Some(batch) = self.batch {
            log::warn!(
                "the model fixes its batch size to {batch}, so only {batch} samples are run at a time, which is slow; export it with a free batch axis"
            );
        }
        let others = self.summary.other_floats();
        if !others.is_empty() {
            log::warn!("the model is stored in {} and computed in float32", others.join(", "));
        }
        Ok((self, trial.node_rows))
    }

    /// Runs `rows` rows node by node. If there are segments, also runs the same rows, and the last row alone,
    /// in segments. If the outputs differ, removes the segments.
    fn try_rows(&mut self, graph: &Graph, rows: usize) -> Result<Trial, LoadError> {
        let (output, mut observed) =
            self.run_nodes(&self.network.program, graph, 0..rows).map_err(|message| {
                LoadError::new(ErrorKind::Run, format!("the model does not run: {message}"))
            })?;
        self.layers = Layers::find(graph, &observed, &self.dims(rows));
        let segment_bytes =
            self.network.build_segments(graph, &self.device, &mut observed).bytes_per_sample;
        let check = |model: &Self| {
            check_close(&model.run_steps(0..rows)?, &output)?;
            let last = rows - 1..rows;
            match model.batch.is_none() && output.dims().first() == Some(&rows) {
                true => {
                    check_close(&model.run_steps(last.clone())?, &output.clone().range(0, last))
                }
                false => Ok(()),
            }
        };
        if !self.network.segments.is_empty()
            && let Err(reason) = check(self)
        {
            log::warn!(
                "the outputs of the CPU's segments and of single nodes differ ({reason}), so the model runs node by node, which is slower; please report this model"
            );
            self.remove_segments(graph)?;
        }
        let bytes_per_sample = bytes_per_row(&observed.shapes, rows) + segment_bytes;
        Ok(Trial { dims: output.dims(), rows, bytes_per_sample, node_rows: 0..rows })
    }

    /// Runs one row node by node, and then a batch that contains this row in segments. The output of the row
    /// must not depend on the other rows. The row is the last of two rows, or the middle of three rows if the
    /// batch axis may have moved inside a segment.
    ///
    /// # Errors
    ///
    /// When there are no segments, the outputs differ, or a run fails. The caller then falls back to
    /// [`try_rows`](Self::try_rows), which reports the cause.
    fn try_batch_in_segments(&mut self, graph: &Graph) -> Result<Trial, String> {
        let (output, mut observed) = self.run_nodes(&self.network.program, graph, 1..2)?;
        self.layers = Layers::find(graph, &observed, &self.dims(1));
        let info = self.network.build_segments(graph, &self.device, &mut observed);
        let rows = if info.batch_moves { 3 } else { 2 };
        let bytes_per_sample = info.bytes_per_sample + bytes_per_row(&observed.shapes, 1);
        if self.network.segments.is_empty() {
            return Err("there are no segments".into());
        }
        let check = |batch: Value| match batch.dims().first() {
            Some(&first) if first == rows => {
                check_close(&batch.clone().range(0, 1..2), &output).map(|()| batch)
            }
            _ => Err(format!("the shape {:?} for {rows} samples", batch.dims())),
        };
        match self.run_steps(0..rows).and_then(check) {
            Ok(batch) => Ok(Trial { dims: batch.dims(), rows, bytes_per_sample, node_rows: 1..2 }),
            Err(reason) => {
                self.remove_segments(graph).map_err(|error| error.to_string())?;
                Err(reason)
            }
        }
    }

    /// Finds the sample layout of each dynamically quantized value by comparing the values of one sample and
    /// of two samples. A model with a batch size of 1 needs no layouts.
    pub(super) fn find_sample_layouts(&mut self, graph: &mut Graph) -> Result<(), LoadError> {
        let ids = quantized::dynamically_quantized(graph);
        if let (Some(node), true) = (quantized::dynamic_in_subgraph(graph), self.batch != Some(1)) {
            let message = format!(
                "{}: a subgraph quantizes with one scale for all samples of a batch; export the model with a batch size of 1",
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
                "the model quantizes a batch of {batch} samples with one scale, so the samples depend on each other; export it with a batch size of 1 or a free batch axis"
            )));
        }
        // Without rounding the scales cancel out, so the values of a sample are the same in every batch.
        let rounds = std::mem::replace(&mut graph.rounds, false);
        let program = Program::new(graph, &self.device)?;
        graph.rounds = rounds;
        let values = |rows: Range<usize>| {
            let mut found: HashMap<Id, Value> = HashMap::new();
            let inputs = self.trial_inputs(rows)?;
            found.insert(graph.inputs[0], inputs[0].clone());
            let observe = |node: usize, values: &[Value]| {
                for (id, value) in graph.nodes[node].outputs.iter().zip(values) {
                    if let Some(id) = id.filter(|id| ids.contains(id)) {
                        found.insert(id, value.clone());
                    }
                }
            };
            program.run(inputs, observe).map(|_| found)
        };
        let run_error = |message: String| {
            LoadError::new(ErrorKind::Run, format!("the model does not run: {message}"))
        };
        let (single, pair) = (values(1..2).map_err(run_error)?, values(0..2).map_err(run_error)?);
        for &id in &ids {
            let both = single.get(&id).zip(pair.get(&id));
            let layout = both.and_then(|(single, pair)| sample_layout(single, pair));
            let samples = layout.ok_or_else(|| {
                unsupported(format!(
                    "{:?} is quantized with one scale for all samples of a batch, and the layout of the samples in it is unknown; export the model with a batch size of 1",
                    graph.values[id.0].name
                ))
            })?;
            graph.samples_in.insert(id, samples);
        }
        self.network.program = Program::new(graph, &self.device)?;
        Ok(())
    }

    /// Recompiles the model with rounding, which the trial run omitted, and rebuilds its segments.
    pub(super) fn with_rounding(
        mut self,
        graph: &Graph,
        rows: Range<usize>,
    ) -> Result<Self, LoadError> {
        let has_segments = !self.network.segments.is_empty();
        self.remove_segments(graph)?;
        if has_segments {
            let (_, mut observed) =
                self.run_nodes(&self.network.program, graph, rows).map_err(|message| {
                    LoadError::new(ErrorKind::Run, format!("the model does not run: {message}"))
                })?;
            self.network.build_segments(graph, &self.device, &mut observed);
        }
        Ok(self)
    }

    /// Runs the trial rows `rows` with a `program` of single nodes; returns the output and the observed values.
    pub(super) fn run_nodes(
        &self,
        program: &Program,
        graph: &Graph,
        rows: Range<usize>,
    ) -> Result<(Value, Observed), String> {
        let mut observed = Observed::new(graph, self.dims(rows.len()));
        let observe = |node: usize, values: &[Value]| observed.record(&graph.nodes[node], values);
        let outputs = program.run(self.trial_inputs(rows)?, observe)?;
        Ok((single_output(outputs)?, observed))
    }

    /// Runs the trial rows `rows` with the current program, including segments; returns the output.
    pub(super) fn run_steps(&self, rows: Range<usize>) -> Result<Value, String> {
        self.network.program.run(self.trial_inputs(rows)?, |_, _| {}).and_then(single_output)
    }

    /// Returns the synthetic trial rows `rows` and the parameters. The same row has the same values in every
    /// range.
    pub(super) fn trial_inputs(&self, rows: Range<usize>) -> Result<Vec<Value>, String> {
        let features: usize = self.shape.iter().product();
        let all = rows.start * features..rows.end * features;
        let element = |at: usize| match (at as f32 * 0.37).sin() {
            value if self.element.is_float() => value,
            // Integers in the range of pixel values.
            value => (127.5 * (1.0 + value)).round(),
        };
        let values = all.map(element).collect();
        let data = TensorData::new::<f32, _>(values, [rows.len(), features]);
        let batch = Tensor::<2>::from_data(data, &self.device);
        self.inputs(batch, rows.len(), &self.parameters_or_own(None))
    }

    /// Removes the segments and compiles the program from single nodes.
    fn remove_segments(&mut self, graph: &Graph) -> Result<(), LoadError> {
        self.network = Network::of_nodes(graph, &self.device)?;
        Ok(())
    }
}
