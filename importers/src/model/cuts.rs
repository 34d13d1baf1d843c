//! Networks that are cut at a layer: the activations of the layer are computed without gradients, and what
//! follows is differentiated with respect to them.

use std::sync::{Arc, PoisonError};

use attriburn::{Activations, Error, Layer};
use burn::tensor::Tensor;

use super::layers::{KnownLayer, no_layers};
use super::network::{Network, check_close, single_output};
use super::onnx_model::OnnxModel;
use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Id};
use crate::program::Program;
use crate::value::Value;

/// The share of the positions that must have a gradient at the layer that the model chooses. The output of the
/// last block of a transformer that reads only its class token has none.
const MIN_COVERAGE: f64 = 0.1;

impl OnnxModel {
    /// Runs the model on an untracked batch and returns the activations of `layer`, tracked, with the scores
    /// that follow from them.
    pub(super) fn run_from(
        &self,
        layer: &Layer,
        batch: Tensor<2>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Activations, Error> {
        let known = self.layers.named(&layer.name)?;
        let rows = batch.dims()[0];
        let inputs = self.padded_inputs(batch, &self.parameters_or_own(parameters))?;
        match self.network.program.computes(known.id) {
            true => self.activations(&self.network.program, known, inputs, rows),
            false => self.activations(&self.cut_network(known)?.program, known, inputs, rows),
        }
    }

    /// Runs a program and returns the activations of `known` and the scores of the first `rows` samples.
    fn activations(
        &self,
        program: &Program,
        known: &KnownLayer,
        inputs: Vec<Value>,
        rows: usize,
    ) -> Result<Activations, Error> {
        let mut leaf = None;
        let outputs = program.run_replacing(inputs, known.id, |value| {
            let values = known.arrangement.activations(&value, rows)?;
            let values = values.autodiff().require_grad();
            leaf = Some(values.clone());
            known.arrangement.replace(&value, values)
        });
        let logits = self.scores_of(outputs, rows)?;
        let values = leaf.ok_or_else(|| Error::model("the layer was not computed"))?;
        Ok(Activations { values, logits })
    }

    /// Returns the network whose segments end at the layer. It is compiled when it is first used.
    fn cut_network(&self, known: &KnownLayer) -> Result<Arc<Network>, Error> {
        let mut networks = self.cuts.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = networks.get(&known.id) {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(self.compiled(|graph| self.cut(graph, known.id))?);
        networks.insert(known.id, Arc::clone(&network));
        Ok(network)
    }

    /// Reads the model's graph again and compiles it with `compile`.
    pub(super) fn compiled<T>(
        &self,
        compile: impl FnOnce(Graph) -> Result<T, LoadError>,
    ) -> Result<T, Error> {
        let compiled = self.loader.with_graph(&self.origin, |mut graph| {
            graph.samples_in.clone_from(&self.samples_in);
            compile(graph)
        });
        compiled
            .map_err(|error| Error::model(format!("the model cannot be compiled again: {error}")))
    }

    /// Compiles `graph` with segments that end at the value `id`.
    fn cut(&self, mut graph: Graph, id: Id) -> Result<Network, LoadError> {
        // A segment ends where other nodes, or the outputs of the graph, read a value.
        graph.outputs.push(id);
        // As when the model is loaded, segments are compared with nodes without rounding.
        let rounds = graph.rounds;
        graph.rounds &= !self.quantized;
        let (network, expected) = self.in_segments(&graph)?;
        let inputs = self.trial_inputs(0..self.cut_rows()).map_err(run_error)?;
        let outputs = network.program.run(inputs, |_, _| {});
        let agrees = outputs.and_then(single_output).and_then(|o| check_close(&o, &expected));
        graph.rounds = rounds;
        let network = match agrees {
            Ok(()) if self.quantized && rounds => self.in_segments(&graph)?.0,
            Ok(()) => network,
            Err(reason) => {
                log::warn!(
                    "the outputs of the CPU's segments and of single nodes differ behind the layer ({reason}), so class activation maps are computed node by node, which is slower; please report this model"
                );
                Network::of_nodes(&graph, &self.device)?
            }
        };
        if !self.loader.exact {
            network.use_winograd();
        }
        Ok(network)
    }

    /// Compiles `graph` in segments. Returns also the output of its single nodes for the trial rows.
    fn in_segments(&self, graph: &Graph) -> Result<(Network, Value), LoadError> {
        let mut network = Network::of_nodes(graph, &self.device)?;
        let rows = 0..self.cut_rows();
        let (output, mut observed) =
            self.run_nodes(&network.program, graph, rows).map_err(run_error)?;
        network.build_segments(graph, &self.device, &mut observed);
        Ok((network, output))
    }

    /// The number of trial rows with which a cut network is checked.
    fn cut_rows(&self) -> usize {
        self.batch.unwrap_or(2)
    }

    /// Returns the last listed layer at which a synthetic sample has gradients at a tenth of the positions or
    /// more; if there is none, the one with gradients at the most positions.
    pub(super) fn default_layer(&self) -> Result<Layer, Error> {
        let choose = || {
            let layer = match self.network.segments.is_empty() {
                true => self.choose_layer(&self.network.program),
                false => self.compiled(|graph| {
                    let network = Network::of_nodes(&graph, &self.device)?;
                    Ok(self.choose_layer(&network.program))
                })?,
            }?;
            log::info!(
                "class activation maps are computed at the layer {:?}, {} channels of {} x {} positions",
                layer.name,
                layer.channels,
                layer.height,
                layer.width
            );
            Ok(layer)
        };
        self.cuts.default.get_or_init(choose).clone()
    }

    /// Chooses the layer by running a program of single nodes.
    fn choose_layer(&self, program: &Program) -> Result<Layer, Error> {
        let mut best: Option<(f64, &KnownLayer)> = None;
        for known in self.layers.candidates() {
            // A layer whose activations cannot be read is not chosen.
            let Ok(coverage) = self.coverage(program, known) else { continue };
            if best.is_none_or(|(most, _)| coverage > most) {
                best = Some((coverage, known));
            }
            if coverage >= MIN_COVERAGE {
                return Ok(known.layer.clone());
            }
        }
        match best {
            Some((coverage, known)) if coverage > 0.0 => Ok(known.layer.clone()),
            _ => Err(no_layers()),
        }
    }

    /// Returns the share of the positions of a layer at which the gradient of a synthetic sample's largest
    /// score is not 0.
    fn coverage(&self, program: &Program, known: &KnownLayer) -> Result<f64, Error> {
        let rows = self.batch.unwrap_or(1);
        let inputs = self.trial_inputs(0..rows).map_err(Error::model)?;
        let Activations { values, logits } = self.activations(program, known, inputs, 1)?;
        let score = logits.max();
        if !score.is_tracked() {
            return Ok(0.0);
        }
        let Some(gradient) = values.grad(&score.backward()) else { return Ok(0.0) };
        let largest: Tensor<3> = gradient.abs().max_dim(1);
        let largest = Value::new(largest.into_dispatch()).floats().map_err(Error::model)?;
        let covered = largest.iter().filter(|value| **value != 0.0).count();
        Ok(covered as f64 / largest.len() as f64)
    }
}

fn run_error(message: String) -> LoadError {
    LoadError::new(ErrorKind::Run, message)
}
