//! SmoothDiff of a loaded model: batches of samples, then one tracked row.

use attriburn::{Error, ErrorKind, Smoothed};
use burn::tensor::Tensor;

use super::layouts::Layouts;
use super::onnx_model::OnnxModel;
use super::smoothed::{Batches, SmoothedNetwork};
use crate::error::{ErrorKind as LoadErrorKind, LoadError};
use crate::graph::Graph;
use crate::program::Program;

impl OnnxModel {
    /// Runs the model on untracked batches, with derivatives averaged over all their samples.
    pub(super) fn run_smoothed(
        &self,
        batches: &mut dyn Iterator<Item = Result<Tensor<2>, Error>>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Smoothed, Error> {
        let network = self.smoothed_network()?;
        let parameters = &*self.parameters_or_own(parameters);
        let (mut left, mut first) = (Batches::default(), None);
        for batch in batches {
            let batch = batch?;
            let rows = batch.dims()[0];
            first.get_or_insert_with(|| batch.clone().narrow(0, 0, 1));
            let inputs = self.inputs(batch, rows, parameters);
            inputs.and_then(|inputs| network.add(&mut left, rows, inputs)).map_err(Error::model)?;
        }
        let first = first.ok_or_else(|| Error::model("SmoothDiff needs at least one sample"))?;
        let point = first.autodiff().require_grad();
        let inputs = self.inputs(point.clone(), 1, parameters).map_err(Error::model)?;
        let rows = left.rows.clone();
        let outputs = network.outputs(left, inputs).map_err(Error::model)?;
        let logits = |(output, rows)| self.scores_of(Ok(vec![output]), rows);
        let logits = outputs.into_iter().zip(rows).map(logits).collect::<Result<Vec<_>, _>>()?;
        Ok(Smoothed { point, logits: Tensor::cat(logits, 0) })
    }

    /// Returns the memory that one sample leaves in [`run_smoothed`](Self::run_smoothed), in bytes.
    pub(super) fn smoothed_bytes(&self) -> Result<u64, Error> {
        self.smoothed_network().map(|network| network.layouts.bytes_per_sample)
    }

    /// Returns the smoothed network. It is compiled when it is first used.
    fn smoothed_network(&self) -> Result<&SmoothedNetwork, Error> {
        if let Some(network) = self.smoothed.get() {
            return Ok(network);
        }
        if let Some(batch) = self.batch {
            return Err(Error::new(
                ErrorKind::Plan,
                format!(
                    "SmoothDiff runs batches of samples and one row alone, but the model fixes its batch size to {batch}; export it with a free batch axis"
                ),
            ));
        }
        let network = self.compiled(|graph| self.smoothed_nodes(graph))?;
        Ok(self.smoothed.get_or_init(|| network))
    }

    /// Compiles `graph` and finds its nonlinear nodes.
    fn smoothed_nodes(&self, mut graph: Graph) -> Result<SmoothedNetwork, LoadError> {
        // Without rounding, the values of a sample are the same in every batch.
        let rounds = std::mem::replace(&mut graph.rounds, false);
        let mut program = Program::new(&graph, &self.device)?;
        let layouts = Layouts::find(&graph, &program, |rows| self.trial_inputs(rows))
            .map_err(|message| LoadError::new(LoadErrorKind::Unsupported, message))?;
        if rounds && self.quantized {
            graph.rounds = true;
            program = Program::new(&graph, &self.device)?;
        }
        Ok(SmoothedNetwork { program, layouts })
    }
}
