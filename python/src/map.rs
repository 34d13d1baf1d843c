//! Maps.

use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::prediction::Prediction;

/// An attribution map of one input, its standard error and its cost.
#[pyclass(frozen, module = "attriburn")]
pub struct Map {
    /// float32, in the shape of the input without the batch axis, or ``[1, height, width]`` for a class activation map.
    #[pyo3(get)]
    values: Py<PyArrayDyn<f32>>,
    /// The Monte Carlo standard error of each value, float32 in the same shape: 0 without noise, NaN for a single sample
    /// and for squares and variances.
    #[pyo3(get)]
    standard_error: Py<PyArrayDyn<f32>>,
    /// The prediction for the clean input.
    #[pyo3(get)]
    prediction: Py<Prediction>,
    /// What is known besides the arrays.
    facts: Facts,
}

/// The numbers of an attribution.
struct Facts {
    class_index: Option<usize>,
    layer: Option<String>,
    relative_standard_error: Option<f64>,
    completeness_gap: Option<f64>,
    gradients: u64,
    samples: u64,
    left_out: u64,
    batch: usize,
    seconds: f64,
}

impl Map {
    /// The map for Python. The arrays take over the memory of the attribution.
    pub fn new(
        py: Python<'_>,
        map: attriburn::Attribution,
        prediction: attriburn::Prediction,
    ) -> PyResult<Self> {
        let facts = Facts {
            class_index: map.score.class(),
            layer: map.layer.as_ref().map(|layer| layer.name.clone()),
            relative_standard_error: map.relative_standard_error(),
            completeness_gap: map.completeness_gap,
            gradients: map.gradients,
            samples: map.samples,
            left_out: map.left_out,
            batch: map.batch,
            seconds: map.seconds,
        };
        let array = |values: Vec<f32>| {
            PyArray1::from_vec(py, values).reshape(map.shape.clone()).map(Bound::unbind)
        };
        Ok(Self {
            values: array(map.values)?,
            standard_error: array(map.standard_error)?,
            prediction: Py::new(py, Prediction::new(prediction))?,
            facts,
        })
    }
}

#[pymethods]
impl Map {
    /// The class that is explained; of a difference, the first one.
    #[getter]
    fn class_index(&self) -> Option<usize> {
        self.facts.class_index
    }

    /// The name of the layer of a class activation map.
    #[getter]
    fn layer(&self) -> Option<&str> {
        self.facts.layer.as_deref()
    }

    /// The norm of the standard error divided by that of the map: the share of noise in the map. ``None`` for a single
    /// sample or a map of zeros.
    #[getter]
    fn relative_standard_error(&self) -> Option<f64> {
        self.facts.relative_standard_error
    }

    /// How far the sum of Integrated Gradients is from the difference of the scores at the input and at the baseline.
    #[getter]
    fn completeness_gap(&self) -> Option<f64> {
        self.facts.completeness_gap
    }

    /// The number of gradients that were computed.
    #[getter]
    fn gradients(&self) -> u64 {
        self.facts.gradients
    }

    /// The number of samples in the mean.
    #[getter]
    fn samples(&self) -> u64 {
        self.facts.samples
    }

    /// The number of samples that were left out because their gradient was not finite.
    #[getter]
    fn left_out(&self) -> u64 {
        self.facts.left_out
    }

    /// The number of gradients per batch.
    #[getter]
    fn batch(&self) -> usize {
        self.facts.batch
    }

    /// The seconds that the map took after the prediction.
    #[getter]
    fn seconds(&self) -> f64 {
        self.facts.seconds
    }

    /// The map as an array, so that ``numpy.asarray(map)`` works.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.values.bind(py).clone().into_any();
        match (dtype, copy) {
            (Some(dtype), _) => array.call_method1("astype", (dtype,)),
            (None, Some(true)) => array.call_method0("copy"),
            (None, _) => Ok(array),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let class =
            self.facts.class_index.map_or(String::new(), |class| format!(", class_index={class}"));
        let error = self
            .facts
            .relative_standard_error
            .map_or(String::new(), |error| format!(", relative_standard_error={error:.3}"));
        let shape = self.values.bind(py).shape();
        format!("Map(shape={shape:?}{class}, gradients={}{error})", self.facts.gradients)
    }
}
