//! What can go wrong while a map is made.

use crate::model::ModelError;

/// Why a map could not be made. Messages say what was wrong and what would mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting of a plan is out of its range.
    #[error("{setting} is {value}, but it must be {range}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The value it had.
        value: String,
        /// The values it may have.
        range: &'static str,
    },
    /// The input does not have the shape the model takes.
    #[error(
        "the input's shape is {found:?}, but the model takes {expected:?} (without the batch axis)"
    )]
    Shape {
        /// The input's shape.
        found: Vec<usize>,
        /// The model's input shape.
        expected: Vec<usize>,
    },
    /// The number of values does not match the shape.
    #[error("the input has {values} values, but {}", asked(shape))]
    Values {
        /// How many values there are.
        values: usize,
        /// The shape that was given.
        shape: Vec<usize>,
    },
    /// The input holds a value that is not a finite number.
    #[error("the input's value {index} is {value}; every value must be finite")]
    NotFinite {
        /// The flat index of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The domain does not fit the input.
    #[error("the domain {reason}")]
    Domain {
        /// What is wrong with it.
        reason: String,
    },
    /// A path cannot start where it should.
    #[error("the baseline {0}")]
    Baseline(String),
    /// A picture was asked for.
    #[error("a picture has the shape [1 or 3, height, width], but the input has {shape:?}")]
    NoPicture {
        /// The input's shape.
        shape: Vec<usize>,
    },
    /// The target class does not exist.
    #[error("the target {index} does not exist: the model has {classes} classes, 0 to {}", classes - 1)]
    Target {
        /// The index asked for.
        index: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A class is compared with itself, or with none.
    #[error("the target compares nothing: {0}")]
    Contrast(String),
    /// A score function cannot be used.
    #[error("the score function {name:?} {reason}; it must map outputs [n, classes] to scores [n]")]
    ScoreFunction {
        /// The function's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No sample had a finite gradient.
    #[error(
        "none of the {samples} samples has a finite gradient (on a path: at each of its nodes): the model overflows on this input; check the preprocessing and the model's weights"
    )]
    NoFiniteGradient {
        /// How many samples were drawn.
        samples: u64,
    },
    /// Too few samples had a finite gradient for a variance.
    #[error(
        "only {kept} of the {samples} samples has a finite gradient, too few for a variance; check the preprocessing and the model's weights"
    )]
    TooFewFinite {
        /// How many had one.
        kept: u64,
        /// How many samples were drawn.
        samples: u64,
    },
    /// The clean prediction is not finite.
    #[error(
        "the model's output for this input is not finite (class {class} is {value}); check the preprocessing and the model's weights"
    )]
    NoFinitePrediction {
        /// The first such class.
        class: usize,
        /// Its value.
        value: f32,
    },
    /// The probability was asked of a model that has none.
    #[error(
        "the model has no probability to explain: it gives {classes} scores per sample that are no logits of one softmax; explain the logit"
    )]
    NoProbability {
        /// The number of scores.
        classes: usize,
    },
    /// Noise or derivatives of parameters were asked of a model that does not keep them apart.
    #[error(
        "the model does not keep its parameters apart; load it with Loader::parameters(true), or make it with ModuleModel::with_parameters"
    )]
    NoParameters,
    /// The model has no parameter of this name.
    #[error("the model has no parameter {name:?}")]
    NoParameter {
        /// The name asked for.
        name: String,
    },
    /// The output does not depend on a parameter.
    #[error(
        "the model's output does not depend on the parameter {name:?}, so it has no derivative"
    )]
    NoParameterGradient {
        /// The parameter's name.
        name: String,
    },
    /// A pattern of parameters that stay as they are cannot be honoured.
    #[error("the pattern {pattern:?} of frozen parameters {reason}")]
    Freeze {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The output does not depend on the input through differentiable operations.
    #[error("the model's output does not depend on its input, so it has no gradient")]
    NoGradient,
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] attriburn_backends::DeviceError),
    /// The device has no memory for what a batch of one sample takes.
    #[error(
        "the device has no memory for the smallest batch: {0}; free some, or use another device"
    )]
    OutOfMemory(String),
    /// A map does not say which pixel comes first.
    #[error("the map has the same score at every pixel, so that they have no order")]
    NoOrder,
    /// The information in a picture cannot be measured.
    #[error("the picture's information cannot be measured: {0}")]
    Information(String),
    /// The device failed while it ran.
    #[error("the device failed: {0}")]
    Execution(String),
}

/// What a shape asks for.
fn asked(shape: &[usize]) -> String {
    match shape {
        [] => "a sample of shape [] has no axis".to_owned(),
        shape => format!("its shape {shape:?} asks for {}", shape.iter().product::<usize>()),
    }
}
