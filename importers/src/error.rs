//! The error of loading a model, and the result of computing a node.

use std::path::Path;

/// A result whose error is a message; the caller adds the name of the node.
pub type Outcome<T> = Result<T, String>;

/// The kind of a [`LoadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file cannot be read.
    Io,
    /// The file is not a valid ONNX model.
    Format,
    /// An operator or an attribute of an operator is not supported.
    Unsupported,
    /// The model's inputs are not a single numeric tensor, or a given input value or shape does not fit.
    Input,
    /// The model has several inputs, of which all but one must be fixed.
    SeveralInputs,
    /// The model has several outputs, of which one must be named.
    SeveralOutputs,
    /// The file leaves the size of an input axis free, and the caller gave no input shape.
    FreeSize,
    /// The model has no output that can be read as one score per class.
    Output,
    /// A weight is missing, unreadable or not finite.
    Weights,
    /// Running the model failed.
    Run,
}

/// The reason why a model could not be loaded: the file, the place in the model, and a remedy where one is
/// known.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct LoadError {
    kind: ErrorKind,
    place: String,
    message: String,
}

impl LoadError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, place: "the model".into(), message: message.into() }
    }

    /// Returns the error with the file `path` as its place.
    pub(crate) fn with_path(mut self, path: &Path) -> Self {
        self.place = path.display().to_string();
        self
    }
}
