//! The settings of loading a model, the checks of its inputs and outputs, and its simplified graph.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;

use super::origin::Origin;
use super::settings::{FixedInput, Layout, Quantization, Scaling};
use crate::error::{ErrorKind, LoadError};
use crate::file::File;
use crate::graph::{self, Graph};
use crate::passes;
use crate::program::panic_message;
use crate::room;
use crate::scores::Region;
use crate::summary::{Summary, summarize};

/// The maximum number of elements of a sample: 1 GiB of float32.
const MAX_SAMPLE_ELEMENTS: usize = 1 << 28;

/// The settings of loading a model.
#[derive(Clone, Debug)]
pub struct Loader {
    pub(super) device: Device,
    input_shape: Option<Vec<usize>>,
    output: Option<String>,
    pub(super) parameters: bool,
    pub(super) exact: bool,
    pub(super) quantization: Quantization,
    layout: Layout,
    fixed: Vec<FixedInput>,
    pub(super) region: Option<Region>,
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

    /// Reads and simplifies the graph of `origin` again, as the model was loaded from it, and calls `use_it`
    /// within the limits of loading.
    pub(super) fn with_graph<T>(
        &self,
        origin: &Origin,
        use_it: impl FnOnce(Graph) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let mut file = origin.open()?;
        let (summary, mut graph) = self.read(&mut file)?;
        within_limits(&file, || {
            self.simplify(&summary, &mut graph)?;
            use_it(graph)
        })
    }

    /// Returns the summary and the graph of a parsed file, with the fixed inputs as constants.
    pub(super) fn read(&self, file: &mut File) -> Result<(Summary, Graph), LoadError> {
        let mut summary = summarize(file);
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
        Ok((summary, graph))
    }

    /// Simplifies `graph`, whose file has this `summary`.
    pub(super) fn simplify(
        &self,
        summary: &Summary,
        graph: &mut Graph,
    ) -> Result<Simplified, LoadError> {
        let (batch, mut shape) = self.sample_shape(summary)?;
        let channels_last = self.layout.transposes(&shape);
        if channels_last {
            shape.rotate_right(1);
            passes::layout::prepend_transpose(graph);
        }
        let output = self.output_index(summary)?;
        let scaling = passes::scaling::input_scaling(graph, &shape);
        let scaling = scaling.map(|affine| Scaling { scale: affine.scale, shift: affine.shift });
        let outcome = passes::run(graph, output, self.parameters)?;
        // This must follow the passes: constant folding always rounds, so the weights are those of the
        // quantized model in either mode.
        graph.rounds = self.quantization == Quantization::StraightThrough;
        Ok(Simplified { batch, shape, channels_last, scaling, outcome })
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

/// The properties of a simplified graph.
pub struct Simplified {
    pub batch: Option<usize>,
    pub shape: Vec<usize>,
    pub channels_last: bool,
    pub scaling: Option<Scaling>,
    pub outcome: passes::Outcome,
}

/// Calls `run` with the memory limit of a model in `file`, and turns a panic of burn into an error.
pub fn within_limits<T>(
    file: &File,
    run: impl FnOnce() -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let limit = room::limit(file.folder.size());
    // Panics of single nodes become errors in `program::apply`; this catches all other panics of burn.
    room::with_limit(limit, || catch_unwind(AssertUnwindSafe(run)))
        .unwrap_or_else(|panic| Err(LoadError::new(ErrorKind::Run, panic_message(panic.as_ref()))))
}
