//! Inputs: values with their domain.

use attriburn::Domain;
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::array::Array;
use crate::error;

/// One input of a model with its domain, the range of valid values.
///
/// ``values`` is an array in the shape of the model's input without the batch axis. ``domain`` is a pair ``(lower,
/// upper)`` of numbers, or of sequences with one number per channel, in the units of the values.
#[pyclass(frozen, module = "attriburn")]
pub struct Input {
    pub input: attriburn::Input,
}

#[pymethods]
impl Input {
    #[new]
    fn new(values: &Bound<'_, PyAny>, domain: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { input: input(values, self::domain(domain)?)? })
    }

    /// The values, float32.
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        PyArray1::from_slice(py, self.input.values()).reshape(self.input.shape())
    }

    /// The shape without the batch axis.
    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.input.shape().to_vec()
    }

    /// The lower and upper bounds of the domain: one number each, or one per channel.
    #[getter]
    fn domain(&self) -> (Vec<f32>, Vec<f32>) {
        let domain = self.input.domain();
        (domain.lower.clone(), domain.upper.clone())
    }

    fn __repr__(&self) -> String {
        let domain = self.input.domain();
        format!(
            "Input(shape={:?}, domain=({:?}, {:?}))",
            self.input.shape(),
            domain.lower,
            domain.upper
        )
    }
}

/// Returns the input with the values of an array.
pub fn input(values: &Bound<'_, PyAny>, domain: Domain) -> PyResult<attriburn::Input> {
    let Array { values, shape } = Array::read(values)?;
    attriburn::Input::new(values, &shape, domain).map_err(|error| error::of_engine(&error))
}

/// Returns the domain with these bounds.
pub fn domain(bounds: &Bound<'_, PyAny>) -> PyResult<Domain> {
    let wrong = || {
        PyTypeError::new_err(
            "domain is a pair (lower, upper) of numbers, or of sequences with one number per channel",
        )
    };
    if bounds.len().ok() != Some(2) {
        return Err(wrong());
    }
    let (lower, upper) = (bounds.get_item(0)?, bounds.get_item(1)?);
    let numbers = |bound: &Bound<'_, PyAny>| match bound.extract::<f32>() {
        Ok(number) => Ok(vec![number]),
        Err(_) => bound.extract::<Vec<f32>>().map_err(|_| wrong()),
    };
    Ok(Domain::per_channel(numbers(&lower)?, numbers(&upper)?))
}
