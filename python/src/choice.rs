//! Choices by name.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Returns the value of `argument` called `name`; an error lists the names.
pub fn choice<T: Copy>(argument: &str, name: &str, all: &[(T, &str)]) -> PyResult<T> {
    let found = all.iter().find(|(_, known)| *known == name);
    found.map(|(value, _)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
        PyValueError::new_err(format!("{argument}={name:?}: choose one of {}", names.join(", ")))
    })
}
