//! Errors of pictures and arrays.

use std::fmt;
use std::path::Path;

/// An error while a picture or array is read, preprocessed, rendered or written. The message names the file
/// (`the data` for bytes in memory) and says how to fix the problem.
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
    /// The file could not be opened, read or written.
    Io,
    /// The file format is not supported, or is not the expected format.
    Format,
    /// The data is truncated or corrupt.
    Damaged,
    /// The picture is too small or too large, or decoding needs too much memory.
    Size,
    /// The number of values does not match the shape.
    Shape,
    /// The preprocessing is invalid, or does not fit the model or the picture.
    Preprocess,
    /// A number is out of the range of float32.
    Range,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The category of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// An error for a file that cannot be read.
    pub(crate) fn unreadable(path: &Path, source: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("cannot read {}: {source}", path.display()))
    }

    /// An error for a picture file with corrupt data.
    pub(crate) fn damaged(name: &str, format: &str, problem: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Damaged,
            format!(
                "{name} is a damaged {format} file: {problem}; copy, download or export it again"
            ),
        )
    }

    /// An error for a preprocessing that is invalid or does not fit.
    pub(crate) fn preprocess(problem: impl fmt::Display) -> Self {
        let message = format!("the preprocessing cannot be used: {problem}");
        Self::new(ErrorKind::Preprocess, message)
    }

    /// An error for a number of values that does not match the height and width of `subject`.
    pub(crate) fn count(
        subject: &str,
        (height, width): (usize, usize),
        expected: usize,
        given: usize,
    ) -> Self {
        Self::new(
            ErrorKind::Shape,
            format!(
                "{subject} of height {height} and width {width} needs {expected} values, but {given} were given"
            ),
        )
    }
}
