//! Loading a model: its settings, the checks of its inputs and outputs, and its compilation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use attriburn::{Link, Parameter};
use burn::tensor::{Device, Tensor, TensorData};

use super::onnx_model::OnnxModel;
use super::settings::{FixedInput, Layout, Quantization, Scaling};
use crate::error::{ErrorKind, LoadError};
use crate::file::{self, Element, File, Folder, Mapped};
use crate::graph::{self, Graph};
use crate::passes::{self, PromotedParameter, quantized};
use crate::program::{Program, panic_message};
use crate::room;
use crate::scores::{Region, Scores};
use crate::summary::{Summary, summarize};

/// The maximum number of elements of a sample: 1 GiB of float32.
const MAX_SAMPLE_ELEMENTS: usize = 1 << 28;

/// The settings of loading a model.
#[derive(Clone, Debug)]
pub struct Loader {
    device: Device,
    input_shape: Option<Vec<usize>>,
    output: Option<String>,
    parameters: bool,
    exact: bool,
    quantization: Quantization,
    layout: Layout,
    fixed: Vec<FixedInput>,
    region: Option<Region>,
}

impl Loader {
    /// Returns the default settings for loading to `device`.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone().without_autodiff(),
            input_shape: None,
            output: None,
            parameters: false,
            exact: false,
            quantization: Quantization::default(),
            layout: Layout::default(),
            fixed: Vec::new(),
            region: None,
        }
    }

    /// Fixes the model's input `name` to a constant value. All inputs but one must be fixed; the
    /// attribution concerns the remaining input. If the first axis of the input `name` is the free batch
    /// axis, the value belongs to one sample and is repeated for every sample. `values` are in row-major order
    /// of `shape`. A later value for the same input replaces an earlier one.
    #[must_use]
    pub fn fixed(mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Self {
        let fixed = FixedInput { name: name.into(), shape: shape.to_vec(), values };
        self.fixed.retain(|other| other.name != fixed.name);
        self.fixed.push(fixed);
        self
    }

    /// Averages the scores of an output with several positions over this region of the input image instead of
    /// over all positions.
    #[must_use]
    pub fn region(mut self, region: Option<Region>) -> Self {
        self.region = region;
        self
    }

    /// Sets the shape of a sample (the input's axes after the batch axis) if the file leaves axes free.
    #[must_use]
    pub fn input_shape(mut self, shape: Option<Vec<usize>>) -> Self {
        self.input_shape = shape;
        self
    }

    /// Selects the output to explain, by name. Required for a model with several outputs.
    #[must_use]
    pub fn output(mut self, name: Option<String>) -> Self {
        self.output = name;
        self
    }

    /// Exposes the parameters as [`Model::parameters`](attriburn::Model::parameters), under their names in
    /// the file, so that noise can be added to them and the model can be differentiated with respect to them.
    /// Parameters are the stored float tensors of more than one element, except the running statistics of
    /// batch normalization, exponents, and attention masks of minus infinity. Batch normalization is then not
    /// folded into the preceding convolution.
    #[must_use]
    pub fn parameters(mut self, parameters: bool) -> Self {
        self.parameters = parameters;
        self
    }

    /// Computes every convolution directly. By default, the CPU uses Winograd's algorithm for 3x3 kernels
    /// where it is faster: about twice as fast, with rounding errors about twice as large, around 1e-6 of the
    /// largest value.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Sets the layout of image inputs.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the treatment of rounding in a quantized model.
    #[must_use]
    pub fn quantization(mut self, quantization: Quantization) -> Self {
        self.quantization = quantization;
        self
    }

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
        file::open(path).and_then(|file| self.build(file)).map_err(|error| error.with_path(path))
    }

    /// Loads the model in `bytes`, which must contain all weights.
    ///
    /// # Errors
    ///
    /// See [`OnnxModel::load`].
    pub fn load_bytes(&self, bytes: &[u8]) -> Result<OnnxModel, LoadError> {
        let bytes = Mapped::in_memory(bytes);
        self.build(file::parse(&bytes, Folder::in_memory(bytes.clone()))?)
    }

    /// Loads a parsed file.
    fn build(&self, mut file: File) -> Result<OnnxModel, LoadError> {
        let mut summary = summarize(&mut file);
        let (fixed, left): (Vec<_>, Vec<_>) = std::mem::take(&mut summary.inputs)
            .into_iter()
            .partition(|input| self.fixed.iter().any(|other| other.name == input.name));
        summary.inputs = left;
        let inputs = || fixed.iter().chain(&summary.inputs);
        if let Some(unknown) =
            self.fixed.iter().find(|other| !inputs().any(|input| input.name == other.name))
        {
            let known: Vec<&str> = inputs().map(|input| input.name.as_str()).collect();
            let message = format!(
                "there is no input {:?} to fix; there are {}",
                unknown.name,
                known.join(", ")
            );
            return Err(LoadError::new(ErrorKind::Input, message));
        }
        summary.check()?;
        let mut graph = graph::build(&file.proto, &mut file.folder)?;
        for value in &self.fixed {
            if let Some(info) = fixed.iter().find(|info| info.name == value.name) {
                passes::fixed::fix(&mut graph, &summary.inputs[0], info, value)?;
            }
        }
        let limit = room::limit(file.folder.size());
        let files = file.folder.files();
        let compile = AssertUnwindSafe(|| self.compile(summary, graph, files));
        // Panics of single nodes become errors in `program::apply`; this catches all other panics of burn.
        room::with_limit(limit, || catch_unwind(compile)).unwrap_or_else(|panic| {
            Err(LoadError::new(ErrorKind::Run, panic_message(panic.as_ref())))
        })
    }

    /// Simplifies and compiles `graph`, and runs the model once.
    fn compile(
        &self,
        summary: Summary,
        mut graph: Graph,
        files: Vec<PathBuf>,
    ) -> Result<OnnxModel, LoadError> {
        let (batch, mut shape) = self.sample_shape(&summary)?;
        let channels_last = self.layout.transposes(&shape);
        if channels_last {
            shape.rotate_right(1);
            passes::layout::prepend_transpose(&mut graph);
        }
        let element = Element::named(&summary.inputs[0].element);
        let output = self.output_index(&summary)?;
        let scaling = passes::scaling::input_scaling(&graph, &shape);
        let scaling = scaling.map(|affine| Scaling { scale: affine.scale, shift: affine.shift });
        let passes::Outcome { parameters, link } =
            passes::run(&mut graph, output, self.parameters)?;
        // This must follow the passes: constant folding always rounds, so the weights are those of the
        // quantized model in either mode.
        graph.rounds = self.quantization == Quantization::StraightThrough;
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
        let program = Program::new(&graph, &self.device)?;
        if self.parameters && parameters.is_empty() {
            let message = "the model has no parameters to put noise on or to randomize: the file stores no float tensor with more than one element";
            return Err(LoadError::new(ErrorKind::Weights, message));
        }
        let parameters = parameters.into_iter().map(|promoted| self.upload(promoted)).collect();
        let mut model = OnnxModel {
            program,
            summary,
            device: self.device.clone(),
            shape,
            batch,
            parameters,
            scores: Scores::default(),
            bytes_per_sample: 0,
            element,
            segments: Vec::new(),
            quantized,
            quantization: self.quantization,
            channels_last,
            scaling,
            region: self.region.clone(),
            files,
        };
        model.find_sample_layouts(&mut graph)?;
        let (mut model, rows) = model.trial_run(&graph, link)?;
        if compares_unrounded {
            graph.rounds = true;
            model = model.with_rounding(&graph, rows)?;
        }
        // This must follow the trial run, which uses less memory without the transformed weights.
        if !self.exact {
            model.segments.iter().for_each(|segment| segment.use_winograd());
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

    /// Returns the batch size, if the file fixes it, and the shape of a sample.
    fn sample_shape(&self, summary: &Summary) -> Result<(Option<usize>, Vec<usize>), LoadError> {
        let input = &summary.inputs[0];
        let input_error = |message: String| Err(LoadError::new(ErrorKind::Input, message));
        let Some((batch, axes)) = input.shape.split_first() else {
            return input_error(format!("the input {input} has no batch axis"));
        };
        if axes.is_empty() {
            return input_error(format!("the input {input} has no axis after the batch axis"));
        }
        let has_valid_size = |shape: &[usize]| {
            let values = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
            values.is_some_and(|values| (1..=MAX_SAMPLE_ELEMENTS).contains(&values))
        };
        let known: Option<Vec<usize>> = axes.iter().map(|axis| axis.clone().ok()).collect();
        let fits = |given: &[usize]| {
            given.len() == axes.len()
                && given.iter().zip(axes).all(|(g, axis)| axis.as_ref().map_or(true, |a| a == g))
        };
        match (&self.input_shape, &known) {
            (Some(shape), _) | (None, Some(shape)) if !has_valid_size(shape) => {
                input_error(format!(
                    "a sample of {shape:?} has no elements, or more than {MAX_SAMPLE_ELEMENTS}"
                ))
            }
            (Some(given), _) if fits(given) => Ok((batch.clone().ok(), given.clone())),
            (Some(given), _) => {
                input_error(format!("the input shape {given:?} does not fit the input {input}"))
            }
            (None, Some(known)) => Ok((batch.clone().ok(), known.clone())),
            (None, None) => Err(LoadError::new(
                ErrorKind::FreeSize,
                format!(
                    "the input {input} leaves its size free; give the shape of a sample, for example 3,224,224"
                ),
            )),
        }
    }

    /// Returns the index of the output to explain.
    fn output_index(&self, summary: &Summary) -> Result<usize, LoadError> {
        let listed =
            || summary.outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let output_error = |message: String| Err(LoadError::new(ErrorKind::Output, message));
        match (&self.output, summary.outputs.len()) {
            (None, 1) => Ok(0),
            (None, count) => Err(LoadError::new(
                ErrorKind::SeveralOutputs,
                format!("the model has {count} outputs; name the one to explain: {}", listed()),
            )),
            (Some(name), _) => match summary.outputs.iter().position(|output| output.name == *name)
            {
                Some(index) => Ok(index),
                None => output_error(format!(
                    "there is no output {name:?}; the outputs are {}",
                    listed()
                )),
            },
        }
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
