//! The command `attriburn`.

use std::ffi::OsString;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Runs the command ``attriburn`` with these arguments, the first of which is its name. Returns the exit code.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| attriburn_cli::main(arguments))
}

/// The built-in model, EfficientNet-Lite0 trained on ImageNet, as the bytes of an ONNX file.
#[pyfunction]
pub fn example_model(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, attriburn_cli::MODEL)
}

/// The built-in picture, a photograph of a cat, as the bytes of a PNG file.
#[pyfunction]
pub fn example_picture(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, attriburn_cli::IMAGE)
}

/// The names of ImageNet's 1000 classes in their order.
#[pyfunction]
pub fn imagenet_labels() -> Vec<&'static str> {
    attriburn_cli::LABELS.lines().collect()
}
