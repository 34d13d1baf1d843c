//! A loaded model.

mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attriburn::npy::Array;
use attriburn::{Link, Model, ModelError, Parameter};
use attriburn_kernels::frozen::Segment;
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{ErrorKind, LoadError};
use crate::file::{self, Element, File, Folder, Mapped};
use crate::graph::{self, Graph};
use crate::passes::{self, Promoted, quantized};
use crate::program::{Program, as_input, panic_message};
use crate::room;
pub use crate::scores::Region;
use crate::scores::Scores;
use crate::summary::{Summary, summarize};
use crate::value::{Kind, Value};

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
    /// The type of the input's elements.
    element: Element,
    segments: Vec<Arc<Segment>>,
    quantized: bool,
    quantization: Quantization,
    channels_last: bool,
    scaling: Option<Scaling>,
    region: Option<Region>,
    /// The files beside the model that hold weights.
    files: Vec<PathBuf>,
}

/// The most values a sample may have: 1 GiB of float32.
const LARGEST_SAMPLE: usize = 1 << 28;

/// What becomes of the rounding in a quantized model, whose derivative is 0 almost everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantization {
    /// The scores are those of the quantized model. The gradient passes every rounding as if it were
    /// not there, where the level is within the range of its type, the bounds included, and is 0 beyond:
    /// the straight-through estimator (Bengio et al. 2013), with which such models are also trained.
    #[default]
    StraightThrough,
    /// Nothing that depends on the sample is rounded; it is only kept within the range of its type,
    /// the bounds included. The gradient is the exact one of that model, whose weights are the quantized
    /// model's.
    Ignore,
}

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct Loader {
    device: Device,
    input_shape: Option<Vec<usize>>,
    output: Option<String>,
    parameters: bool,
    exact: bool,
    quantization: Quantization,
    layout: Layout,
    fixed: Vec<(String, Array)>,
    region: Option<Region>,
}

/// `scale x + shift` with a number for each channel, from values `x` of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// What each channel is multiplied with.
    pub scale: Vec<f64>,
    /// What is added then.
    pub shift: Vec<f64>,
}

/// Where the channels of a model's pictures lie, and where the caller has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Inputs are as the file has them.
    #[default]
    AsStored,
    /// Inputs are `[channels, height, width]`. Where the file has `[height, width, channels]` with 1 or 3
    /// channels, and cannot be meant the other way round, they are transposed in front of the model.
    ChannelsFirst,
    /// The same for a file that has `[height, width, channels]` for certain.
    FromChannelsLast,
}

impl Layout {
    /// Whether samples of a file's `shape` are transposed.
    pub fn transposes(self, shape: &[usize]) -> bool {
        let may_be = |channels: usize| matches!(channels, 1 | 3);
        match (self, shape) {
            (Layout::AsStored, _) => false,
            (Layout::ChannelsFirst, &[first, _, last]) => may_be(last) && !may_be(first),
            (Layout::FromChannelsLast, shape) => shape.len() == 3,
            _ => false,
        }
    }
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

    /// What becomes of the rounding, where the model is quantized.
    pub fn quantization(&self) -> Option<Quantization> {
        self.quantized.then_some(self.quantization)
    }

    /// Whether the file takes `[height, width, channels]`, and the model here `[channels, height, width]`.
    pub fn is_transposed(&self) -> bool {
        self.channels_last
    }

    /// How the model's first nodes scale the input's channels; none where they do not.
    pub fn scaling(&self) -> Option<&Scaling> {
        self.scaling.as_ref()
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
            quantization: Quantization::default(),
            layout: Layout::default(),
            fixed: Vec::new(),
            region: None,
        }
    }

    /// Gives another input of the model, called `name`, a value once and for all, so that one input is left,
    /// which is explained. Where its first axis is a free one of the batch, the value is one sample's, and the
    /// same for all. A value that was given before goes.
    #[must_use]
    pub fn fixed(mut self, name: impl Into<String>, value: Array) -> Self {
        let name = name.into();
        self.fixed.retain(|(own, _)| *own != name);
        self.fixed.push((name, value));
        self
    }

    /// Of an output with positions, takes the mean over this part of the input, not over all positions.
    #[must_use]
    pub fn region(mut self, region: Option<Region>) -> Self {
        self.region = region;
        self
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

    /// Where the channels of pictures lie.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// What becomes of the rounding in a quantized model.
    #[must_use]
    pub fn quantization(mut self, quantization: Quantization) -> Self {
        self.quantization = quantization;
        self
    }

    /// The model in the file `path`. A file of `n` bytes, with the weights beside it, takes no more than 4 GiB
    /// and `64 n` bytes of memory while it is loaded, whatever it asks for: the values that it computes then,
    /// to fold constants and to be tried out, may have 1 GiB and `16 n` bytes at any time. Usual files take
    /// two to four times their size.
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
        let bytes = Mapped::in_memory(bytes);
        self.build(file::parse(&bytes, Folder::none(bytes.clone()))?)
    }

    fn build(&self, mut file: File) -> Result<OnnxModel, LoadError> {
        let mut summary = summarize(&mut file);
        let (fixed, left): (Vec<_>, Vec<_>) = std::mem::take(&mut summary.inputs)
            .into_iter()
            .partition(|input| self.fixed.iter().any(|(name, _)| *name == input.name));
        summary.inputs = left;
        let inputs = || fixed.iter().chain(&summary.inputs);
        if let Some((name, _)) =
            self.fixed.iter().find(|(name, _)| !inputs().any(|input| input.name == *name))
        {
            let known: Vec<&str> = inputs().map(|input| input.name.as_str()).collect();
            let message =
                format!("there is no input {name:?} to fix; there are {}", known.join(", "));
            return Err(LoadError::new(ErrorKind::Input, message));
        }
        summary.check()?;
        let mut graph = graph::build(&file.proto, &mut file.folder)?;
        for (name, value) in &self.fixed {
            if let Some(info) = fixed.iter().find(|info| info.name == *name) {
                passes::fixed::fix(&mut graph, &summary.inputs[0], info, value)?;
            }
        }
        let most = room::of_file(file.folder.size());
        let files = file.folder.files();
        let attempt = AssertUnwindSafe(|| self.built(summary, graph, files));
        // Nodes tell of their own failures; this is what else burn does with what they made.
        room::within(most, || catch_unwind(attempt)).unwrap_or_else(|panic| {
            Err(LoadError::new(ErrorKind::Run, panic_message(panic.as_ref())))
        })
    }

    fn built(
        &self,
        summary: Summary,
        mut graph: Graph,
        files: Vec<PathBuf>,
    ) -> Result<OnnxModel, LoadError> {
        let (batch, mut shape) = self.shape(&summary)?;
        let channels_last = self.layout.transposes(&shape);
        if channels_last {
            shape.rotate_right(1);
            passes::layout::take_channels_first(&mut graph);
        }
        let element = Element::named(&summary.inputs[0].element);
        let output = self.output_index(&summary)?;
        let scaling = passes::scaling::of_input(&graph, &shape);
        let scaling = scaling.map(|own| Scaling { scale: own.scale, shift: own.shift });
        let passes::Outcome { parameters, link } =
            passes::run(&mut graph, output, self.parameters)?;
        // Only now: constant weights are those of the quantized model in any case.
        graph.rounds = self.quantization == Quantization::StraightThrough;
        match link {
            Some(Link::Softmax) => {
                log::warn!("the model ends in a softmax; its input, the logits, is explained");
            }
            Some(Link::Sigmoid) => {
                log::warn!("the model ends in a sigmoid; its input, the logits, is explained");
            }
            None => {}
        }
        let quantized = quantized::is_quantized(&graph);
        // Rounding makes jumps of the last digits that segments and nodes differ in, so that these are
        // compared without it.
        let compares_unrounded = quantized && graph.rounds && self.device == Device::flex();
        graph.rounds &= !compares_unrounded;
        let program = Program::new(&graph, &self.device)?;
        if self.parameters && parameters.is_empty() {
            let message = "the file stores no float tensors of several values: there are no parameters to put noise on or to randomize";
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
        model.find_samples(&mut graph)?;
        let (mut model, seen) = model.tried_out(&graph, link)?;
        if compares_unrounded {
            graph.rounds = true;
            model = model.rounded(&graph, seen)?;
        }
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
            (None, None) => Err(LoadError::new(
                ErrorKind::FreeSize,
                format!(
                    "the input {input} leaves its size free; give it with --input-shape, for example 3,224,224"
                ),
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
                "the model has {count} outputs; name the one to explain with --model-output: {}",
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
    let output = outputs.into_iter().next().ok_or("the graph has no output")?;
    Ok(match output.kind() {
        // The scores of a model that gives integers.
        Kind::Level => output.into_float(),
        _ => output,
    })
}

impl OnnxModel {
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
        let sample = as_input(batch, &self.dims(rows)).map(|own| own.with_levels(self.element));
        std::iter::once(sample).chain(parameters).collect()
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
