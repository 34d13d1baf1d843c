//! Loading a model: its graph is compiled and run once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use attriburn::{Link, Parameter};
use burn::tensor::{Device, Tensor, TensorData};

use super::layers::Layers;
use super::loader::{Loader, Simplified, within_limits};
use super::network::{Cuts, Network};
use super::onnx_model::OnnxModel;
use super::origin::Origin;
use crate::error::{ErrorKind, LoadError};
use crate::file::{self, Element, Mapped};
use crate::graph::Graph;
use crate::passes::{self, PromotedParameter, quantized};
use crate::scores::Scores;
use crate::summary::{Summary, summarize};

impl Loader {
    /// Loads the model in the file `path`. Loading a file of `n` bytes, including external weights, uses at
    /// most 4 GiB + `64 n` bytes of memory, whatever the file contains. The values computed during loading,
    /// by constant folding and by the trial run, are limited to 1 GiB + `16 n` bytes at any time. Loading a
    /// typical file uses two to four times its size.
    ///
    /// # Errors
    ///
    /// See [`OnnxModel::load`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<OnnxModel, LoadError> {
        let path = path.as_ref();
        let origin = Origin::file(path);
        self.build(origin).map_err(|error| error.with_path(path))
    }

    /// Loads the model in `bytes`, which must contain all weights.
    ///
    /// # Errors
    ///
    /// See [`OnnxModel::load`].
    pub fn load_bytes(&self, bytes: &[u8]) -> Result<OnnxModel, LoadError> {
        self.build(Origin::Memory(Mapped::in_memory(bytes)))
    }

    /// Loads a model.
    fn build(&self, origin: Origin) -> Result<OnnxModel, LoadError> {
        let mut file = origin.open()?;
        let (summary, graph) = self.read(&mut file)?;
        let files = file.folder.files();
        within_limits(&file, || self.compile(origin, summary, graph, files))
    }

    /// Simplifies and compiles `graph`, and runs the model once.
    fn compile(
        &self,
        origin: Origin,
        summary: Summary,
        mut graph: Graph,
        files: Vec<PathBuf>,
    ) -> Result<OnnxModel, LoadError> {
        let Simplified { batch, shape, channels_last, scaling, outcome } =
            self.simplify(&summary, &mut graph)?;
        let passes::Outcome { parameters, link } = outcome;
        let element = Element::named(&summary.inputs[0].element);
        match link {
            Some(Link::Softmax) => {
                log::warn!("the model ends in a softmax; the logits before it are explained");
            }
            Some(Link::Sigmoid) => {
                log::warn!("the model ends in a sigmoid; the logits before it are explained");
            }
            None => {}
        }
        let quantized = quantized::is_quantized(&graph);
        // Segments and nodes differ in the last digits, and rounding turns such a difference into a whole
        // level. They are therefore compared without rounding.
        let compares_unrounded = quantized && graph.rounds && self.device == Device::flex();
        graph.rounds &= !compares_unrounded;
        let network = Network::of_nodes(&graph, &self.device)?;
        if self.parameters && parameters.is_empty() {
            let message = "the model has no parameters to put noise on or to randomize: the file stores no float tensor with more than one element";
            return Err(LoadError::new(ErrorKind::Weights, message));
        }
        let parameters = parameters.into_iter().map(|promoted| self.upload(promoted)).collect();
        let mut model = OnnxModel {
            network,
            layers: Layers::default(),
            cuts: Cuts::default(),
            smoothed: OnceLock::new(),
            origin,
            loader: self.clone(),
            summary,
            device: self.device.clone(),
            shape,
            batch,
            parameters,
            scores: Scores::default(),
            ends_in: link,
            bytes_per_sample: 0,
            element,
            samples_in: HashMap::new(),
            quantized,
            quantization: self.quantization,
            channels_last,
            scaling,
            region: self.region.clone(),
            files,
        };
        model.find_sample_layouts(&mut graph)?;
        model.samples_in = graph.samples_in.clone();
        let (mut model, rows) = model.trial_run(&graph, link)?;
        if compares_unrounded {
            graph.rounds = true;
            model = model.with_rounding(&graph, rows)?;
        }
        // This must follow the trial run, which uses less memory without the transformed weights.
        if !self.exact {
            model.network.use_winograd();
        }
        Ok(model)
    }

    /// Uploads a parameter to the device.
    fn upload(&self, promoted: PromotedParameter) -> Parameter {
        let PromotedParameter { name, shape, values, layer } = promoted;
        let count = values.len();
        let values = Tensor::from_data(TensorData::new(values, [count]), &self.device);
        Parameter { name, shape, values, layer }
    }
}

impl OnnxModel {
    /// Loads the model in the file `path` to `device`, with default settings.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not an ONNX model, or uses an unsupported operator; when the model
    /// does not have exactly one numeric input; and when the model cannot be run.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, LoadError> {
        Loader::new(device).load(path)
    }
}

/// Summarizes the model in the file `path`, whether or not it can be loaded.
///
/// # Errors
///
/// When the file cannot be read or is not an ONNX model.
pub fn summary(path: impl AsRef<Path>) -> Result<Summary, LoadError> {
    let path = path.as_ref();
    file::open(path).map(|mut file| summarize(&mut file)).map_err(|error| error.with_path(path))
}
