//! Errors of the metrics.

use std::fmt;

/// An error in the computation of a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The category of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of the metric is out of range.
    Setting,
    /// A map, gradient or fill does not have the size of the input, or the input is not an image.
    Size,
    /// The map has the same score at every pixel, so the pixels have no order.
    NoOrder,
    /// The model's scores are not the logits of a softmax, so the model has no probabilities.
    NoProbability,
    /// The information in an image cannot be measured.
    Information,
    /// The model or the computation of a map failed.
    Model,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The category of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// An error for a `setting` whose `value` is out of `range`.
    pub(crate) fn setting(setting: &str, value: impl fmt::Display, range: &str) -> Self {
        let message = format!("{setting} is {value}, but it must be {range}");
        Self::new(ErrorKind::Setting, message)
    }

    /// An error for a number of values that does not match the `shape` of the input.
    pub(crate) fn size(values: usize, shape: &[usize]) -> Self {
        let expected: usize = shape.iter().product();
        Self::new(
            ErrorKind::Size,
            format!("there are {values} values, but the shape {shape:?} needs {expected}"),
        )
    }

    /// An error for a map whose pixels have no order.
    pub(crate) fn no_order() -> Self {
        Self::new(
            ErrorKind::NoOrder,
            "the map has the same score at every pixel, so the pixels have no order",
        )
    }

    /// An error for a model without probabilities.
    pub(crate) fn no_probability() -> Self {
        Self::new(
            ErrorKind::NoProbability,
            "the model has no probability: its scores are not the logits of a single softmax",
        )
    }
}

impl From<attriburn::Error> for Error {
    fn from(error: attriburn::Error) -> Self {
        Self::new(ErrorKind::Model, error.to_string())
    }
}
