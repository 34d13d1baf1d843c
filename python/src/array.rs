//! Arrays and tensors from Python.

use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Values in row-major order with their shape.
pub struct Array {
    pub values: Vec<f32>,
    pub shape: Vec<usize>,
}

impl Array {
    /// Reads an array of NumPy, or a tensor of PyTorch, JAX or another library with DLPack, from any device.
    ///
    /// # Errors
    ///
    /// When the value is no array of numbers.
    pub fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let numpy = py.import("numpy")?;
        let mut value = value.clone();
        if value.hasattr("detach")? && value.hasattr("cpu")? {
            // A tensor of PyTorch. DLPack knows no derivatives.
            value = value.call_method0("detach")?.call_method0("cpu")?.call_method0("float")?;
        }
        if value.hasattr("__dlpack__")? && !value.hasattr("__array_interface__")? {
            value = numpy.call_method1("from_dlpack", (value,))?;
        }
        let array =
            numpy.call_method1("ascontiguousarray", (&value, "float32")).map_err(|error| {
                let reason = error.value(py).to_string();
                PyTypeError::new_err(format!("this is no array of numbers: {reason}"))
            })?;
        // `ascontiguousarray` makes a scalar one-dimensional.
        let shape = numpy.call_method1("shape", (&value,))?.extract()?;
        let array = array.cast_into::<PyArrayDyn<f32>>()?;
        let values = array.readonly().as_slice()?.to_vec();
        debug_assert_eq!(values.len(), array.len());
        Ok(Self { values, shape })
    }
}

impl Array {
    /// Checks that the values are finite and the shape is one of `shapes`.
    ///
    /// # Errors
    ///
    /// When it is not; the message calls the array `name`.
    pub fn check(&self, name: &str, shapes: &[&[usize]]) -> PyResult<()> {
        if !shapes.contains(&&self.shape[..]) {
            let shapes: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
            return Err(PyValueError::new_err(format!(
                "{name} has the shape {:?}, but it must be {}",
                self.shape,
                shapes.join(" or ")
            )));
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                Err(PyValueError::new_err(format!("{name} is {} at index {at}", self.values[at])))
            }
        }
    }
}

/// Returns the values of an array.
pub fn floats(value: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    Array::read(value).map(|array| array.values)
}
