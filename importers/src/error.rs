//! Why a model could not be loaded.

use std::path::Path;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file cannot be read.
    Io,
    /// The file is not an ONNX model, or is damaged.
    Format,
    /// An operator, or an attribute of one, is not supported.
    Unsupported,
    /// The model's inputs are not one float tensor.
    Input,
    /// The input leaves sizes free that must be given.
    FreeSize,
    /// The model's outputs are not one score per class.
    Output,
    /// A weight is not a finite number, or is missing.
    Weights,
    /// The model cannot be run.
    Run,
}

/// Why a model could not be loaded: what was wrong, where, and what would mend it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct LoadError {
    kind: ErrorKind,
    place: String,
    message: String,
}

impl LoadError {
    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, place: "the model".into(), message: message.into() }
    }

    /// The same error, of the file `path`.
    pub(crate) fn of(mut self, path: &Path) -> Self {
        self.place = path.display().to_string();
        self
    }
}
