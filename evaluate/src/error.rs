//! The errors of evaluations.

use std::fmt;

/// Why an evaluation could not be set up, run or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of a plan is out of range.
    Plan,
    /// A sweep has a value that is invalid for its setting, or a setting that no method uses.
    Sweep,
    /// The folder already holds results, and resuming was not requested.
    ResultsExist,
    /// The results in the folder belong to an evaluation with other settings.
    OtherEvaluation,
    /// Another process is writing the results.
    Busy,
    /// The results were changed by something else, or their settings are missing.
    Damaged,
    /// A file could not be read or written.
    Io,
    /// A table or plot could not be created.
    Output,
    /// The evaluation was cancelled.
    Cancelled,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns an error of a table or plot that could not be created.
    pub(crate) fn output(reason: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Output, reason.to_string())
    }
}

impl From<attriburn::Error> for Error {
    fn from(error: attriburn::Error) -> Self {
        let kind = match error.kind() {
            attriburn::ErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Plan,
        };
        Self::new(kind, error.to_string())
    }
}
