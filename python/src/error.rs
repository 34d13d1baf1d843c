//! Errors as Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyMemoryError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    attriburn,
    Error,
    PyException,
    "A model that cannot be loaded or run, or a map that cannot be computed. The message says what was wrong, where, \
     and what would mend it."
);

/// Returns the exception for an error of the engine: `ValueError` for an argument, `MemoryError`, and [`Error`] for what
/// a model or a device did.
pub fn of_engine(error: &attriburn::Error) -> PyErr {
    use attriburn::ErrorKind::{
        Baseline, Cancelled, Input, Layer, OutOfMemory, Parameter, Plan, Target,
    };
    let message = error.to_string();
    match error.kind() {
        Baseline | Input | Layer | Parameter | Plan | Target => PyValueError::new_err(message),
        OutOfMemory => PyMemoryError::new_err(message),
        Cancelled => PyKeyboardInterrupt::new_err(message),
        _ => Error::new_err(message),
    }
}

/// Returns the exception for an error of a model's file.
pub fn of_loading(error: &attriburn_onnx::LoadError) -> PyErr {
    Error::new_err(error.to_string())
}

/// Returns the exception for an argument that cannot be used.
pub fn of_argument(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}
