//! A loaded model on a device.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use attriburn::{Activations, Layer, Link, Model, Parameter, Smoothed};
use attriburn_kernels::frozen::Segment;
use burn::tensor::{Device, Tensor};

use super::layers::Layers;
use super::loader::Loader;
use super::network::{Cuts, Network, single_output};
use super::origin::Origin;
use super::settings::{Quantization, Scaling};
use super::smoothed::SmoothedNetwork;
use crate::file::Element;
use crate::graph::{Id, Samples};
use crate::program::input_from_rows;
use crate::scores::{Region, Scores};
use crate::summary::Summary;
use crate::value::Value;

/// An ONNX model on a device.
pub struct OnnxModel {
    pub(super) network: Network,
    /// The layers at which class activation maps can be computed.
    pub(super) layers: Layers,
    /// The networks that are cut at a layer, and the layer that the model chooses.
    pub(super) cuts: Cuts,
    /// The network whose derivatives are averaged over samples, once used.
    pub(super) smoothed: OnceLock<SmoothedNetwork>,
    /// Where the model was loaded from, to compile it again.
    pub(super) origin: Origin,
    pub(super) loader: Loader,
    pub(super) summary: Summary,
    pub(super) device: Device,
    pub(super) shape: Vec<usize>,
    /// The batch size, if the file fixes it.
    pub(super) batch: Option<usize>,
    /// The parameters, if [`Loader::parameters`](super::Loader::parameters) requested them; they are the
    /// graph's other inputs.
    pub(super) parameters: Vec<Parameter>,
    pub(super) scores: Scores,
    /// The link function that the file ends in; the scores before it are explained.
    pub(super) ends_in: Option<Link>,
    pub(super) bytes_per_sample: u64,
    /// The element type of the input.
    pub(super) element: Element,
    /// The sample layouts of the values that are quantized by the range of each sample.
    pub(super) samples_in: HashMap<Id, Samples>,
    pub(super) quantized: bool,
    pub(super) quantization: Quantization,
    pub(super) channels_last: bool,
    pub(super) scaling: Option<Scaling>,
    pub(super) region: Option<Region>,
    /// The external weight files.
    pub(super) files: Vec<PathBuf>,
}

impl OnnxModel {
    /// Returns the summary of the file.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns the paths of the external weight files.
    pub fn weight_files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns the frozen segments of the model on the CPU, in execution order.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.network.segments
    }

    /// Returns the labels (operator and node name) of the nodes outside of segments.
    pub fn outside_segments(&self) -> Vec<&str> {
        self.network.program.labels()
    }

    /// Returns the treatment of rounding; `None` if the model is not quantized.
    pub fn quantization(&self) -> Option<Quantization> {
        self.quantized.then_some(self.quantization)
    }

    /// Whether inputs are transposed: the file expects `[height, width, channels]`, this model
    /// `[channels, height, width]`.
    pub fn is_transposed(&self) -> bool {
        self.channels_last
    }

    /// Returns the scaling of the input's channels by the model's first nodes, if there is any.
    pub fn scaling(&self) -> Option<&Scaling> {
        self.scaling.as_ref()
    }

    /// Returns the link function that the file ends in, if it does. The scores before it are explained.
    pub fn ends_in(&self) -> Option<Link> {
        self.ends_in
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.scores.classes
    }

    /// Returns `given` values of the parameters or, without any, the model's own.
    pub(super) fn parameters_or_own<'p>(
        &self,
        given: Option<&'p [Tensor<1>]>,
    ) -> Cow<'p, [Tensor<1>]> {
        let own = || self.parameters.iter().map(|parameter| parameter.values.clone()).collect();
        given.map_or_else(|| Cow::Owned(own()), Cow::Borrowed)
    }

    /// Returns the graph's inputs: the `rows` samples in `batch`, and the parameters.
    pub(super) fn inputs(
        &self,
        batch: Tensor<2>,
        rows: usize,
        parameters: &[Tensor<1>],
    ) -> Result<Vec<Value>, String> {
        if parameters.len() != self.parameters.len() {
            return Err(format!(
                "{} parameters were given, but the model has {}",
                parameters.len(),
                self.parameters.len()
            ));
        }
        let shaped = |(values, parameter): (&Tensor<1>, &Parameter)| {
            Value::new(values.clone().into_dispatch()).reshape(&parameter.shape)
        };
        let parameters = parameters.iter().zip(&self.parameters).map(shaped);
        let sample =
            input_from_rows(batch, &self.dims(rows)).map(|input| input.with_levels(self.element));
        std::iter::once(sample).chain(parameters).collect()
    }

    /// Returns the graph's inputs for a batch that is padded to the batch size of the file.
    pub(super) fn padded_inputs(
        &self,
        batch: Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<Vec<Value>, attriburn::Error> {
        let rows = batch.dims()[0];
        let padded_rows = self.batch.unwrap_or(rows);
        if rows > padded_rows {
            return Err(attriburn::Error::model(format!(
                "the model fixes its batch size to {padded_rows}, but {rows} samples were given"
            )));
        }
        let padded = if rows == padded_rows {
            batch
        } else {
            let filler = Tensor::zeros([padded_rows - rows, batch.dims()[1]], &batch.device());
            Tensor::cat(vec![batch, filler], 0)
        };
        self.inputs(padded, padded_rows, parameters).map_err(attriburn::Error::model)
    }

    /// Returns the scores of the first `rows` samples from the outputs of a run of a padded batch.
    pub(super) fn scores_of(
        &self,
        outputs: Result<Vec<Value>, String>,
        rows: usize,
    ) -> Result<Tensor<2>, attriburn::Error> {
        let padded_rows = self.batch.unwrap_or(rows);
        let scores = outputs
            .and_then(single_output)
            .and_then(|output| self.scores.read(output, padded_rows))
            .map_err(attriburn::Error::model)?;
        Ok(if padded_rows == rows { scores } else { scores.narrow(0, 0, rows) })
    }

    /// Returns the shape of a batch of `rows` samples.
    pub(super) fn dims(&self, rows: usize) -> Vec<usize> {
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

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, attriburn::Error> {
        self.forward_with(batch, &self.parameters_or_own(None))
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
    ) -> Result<Tensor<2>, attriburn::Error> {
        let rows = batch.dims()[0];
        let inputs = self.padded_inputs(batch, parameters)?;
        let outputs = self.network.program.run(inputs, |_, _| {});
        self.scores_of(outputs, rows)
    }

    fn layers(&self) -> &[Layer] {
        self.layers.listed()
    }

    fn layer(&self, name: Option<&str>) -> Result<Layer, attriburn::Error> {
        match name {
            Some(name) => self.layers.named(name).map(|known| known.layer.clone()),
            None => self.default_layer(),
        }
    }

    fn forward_from(
        &self,
        layer: &Layer,
        batch: Tensor<2>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Activations, attriburn::Error> {
        self.run_from(layer, batch, parameters)
    }

    fn forward_smoothed(
        &self,
        batches: &mut dyn Iterator<Item = Result<Tensor<2>, attriburn::Error>>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Smoothed, attriburn::Error> {
        self.run_smoothed(batches, parameters)
    }

    fn smoothed_bytes_per_sample(&self) -> Result<u64, attriburn::Error> {
        self.smoothed_bytes()
    }

    fn max_batch(&self) -> Option<usize> {
        self.batch
    }

    fn bytes_per_sample(&self) -> Option<u64> {
        Some(self.bytes_per_sample)
    }
}
