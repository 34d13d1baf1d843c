//! Errors of the engine.

use std::fmt;

/// Why a map could not be made. The message says what was wrong, where, and what would mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// What an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of the plan is out of its range, or the model lacks what the plan asks for.
    Plan,
    /// The input, its shape or its domain.
    Input,
    /// The baseline of a path.
    Baseline,
    /// The layer of a class activation map: there is none, or none of its name.
    Layer,
    /// The target, a score function, or a probability of a model that has none.
    Target,
    /// The model's parameters: one does not exist, or a pattern of frozen parameters is wrong.
    Parameter,
    /// The model's output or all gradients are not finite.
    NotFinite,
    /// The output does not depend on the input, or on the parameter, through differentiable operations.
    NoGradient,
    /// The model failed.
    Model,
    /// The device cannot be used, or failed.
    Device,
    /// The device has no memory, even for a batch of one sample.
    OutOfMemory,
    /// The progress callback cancelled the computation.
    Cancelled,
}

/// An [`Error`] of a kind, with a formatted message.
macro_rules! error {
    ($kind:ident, $($message:tt)*) => {
        $crate::Error::new($crate::ErrorKind::$kind, format!($($message)*))
    };
}
pub(crate) use error;

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The error of a [`Model`](crate::Model) that failed.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    /// The error of a device or model that lacks memory: the engine tries again with a smaller batch.
    pub fn out_of_memory(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::OutOfMemory, message)
    }

    /// The error of a model that does not expose its parameters.
    pub fn no_parameters() -> Self {
        error!(
            Parameter,
            "the model does not expose its parameters; load it with them, or make it with ModuleModel::with_parameters"
        )
    }

    /// The error of a model that does not expose its layers.
    pub fn no_layers() -> Self {
        error!(
            Layer,
            "the model does not expose its layers, which a class activation map needs; load it from an ONNX file, or make it with ModuleModel::in_two_parts"
        )
    }

    /// The error of a model without a layer called `name`; `similar` are names of layers that it has.
    pub fn no_layer<'a>(name: &str, similar: impl Iterator<Item = &'a str>) -> Self {
        let similar: Vec<String> = similar.map(|name| format!("{name:?}")).collect();
        error!(
            Layer,
            "the model has no layer {name:?} with positions; similar names: {}",
            similar.join(", ")
        )
    }

    /// The error of a model that cannot average its derivatives over samples.
    pub fn not_smoothed() -> Self {
        error!(
            Plan,
            "SmoothDiff averages the Jacobians inside a model, which this model does not expose; load it from an ONNX file"
        )
    }

    /// What the error is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A `setting` that has this `value`, out of its `range`.
    pub(crate) fn setting(setting: &str, value: impl fmt::Display, range: &str) -> Self {
        error!(Plan, "{setting} is {value}, but it must be {range}")
    }

    /// A number of `values` that does not match a `shape`.
    pub(crate) fn values(values: usize, shape: &[usize]) -> Self {
        let expected = match shape {
            [] => "a sample of shape [] has no axis".to_owned(),
            shape => {
                let count = shape.iter().map(|&size| size as u128).product::<u128>();
                format!("its shape {shape:?} asks for {count}")
            }
        };
        error!(Input, "the input has {values} values, but {expected}")
    }

    /// A class that a model with `classes` classes does not have.
    pub(crate) fn no_class(index: usize, classes: usize) -> Self {
        let last = classes.saturating_sub(1);
        error!(
            Target,
            "the target {index} does not exist: the model has {classes} classes, 0 to {last}"
        )
    }

    /// A baseline that cannot be used, for this reason.
    pub(crate) fn baseline(reason: impl fmt::Display) -> Self {
        error!(Baseline, "the baseline {reason}")
    }

    /// The error of a model whose output does not depend on its input.
    pub(crate) fn no_gradient() -> Self {
        error!(NoGradient, "the model's output does not depend on its input, so it has no gradient")
    }
}

impl From<attriburn_backends::DeviceError> for Error {
    fn from(error: attriburn_backends::DeviceError) -> Self {
        Self::new(ErrorKind::Device, error.to_string())
    }
}
