//! Predictions.

use numpy::PyArray1;
use pyo3::prelude::*;

/// The scores of a model for one input.
#[pyclass(frozen, module = "attriburn")]
pub struct Prediction {
    prediction: attriburn::Prediction,
}

impl Prediction {
    pub fn new(prediction: attriburn::Prediction) -> Self {
        Self { prediction }
    }
}

#[pymethods]
impl Prediction {
    /// The scores before the softmax or sigmoid, float32 ``[classes]``.
    #[getter]
    fn logits<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, self.prediction.logits())
    }

    /// The probability of each class, float64 ``[classes]``; ``None`` if the scores are no logits.
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f64>>> {
        let classes = 0..self.prediction.logits().len();
        let probabilities: Option<Vec<f64>> =
            classes.map(|class| self.prediction.probability(class)).collect();
        probabilities.map(|values| PyArray1::from_vec(py, values))
    }

    /// The class with the largest score.
    #[getter]
    fn class_index(&self) -> usize {
        self.prediction.class()
    }

    /// The probability of the class ``index``; ``None`` if the scores are no logits.
    fn probability(&self, index: usize) -> Option<f64> {
        (index < self.prediction.logits().len())
            .then(|| self.prediction.probability(index))
            .flatten()
    }

    /// The ``count`` classes with the largest scores, in their order.
    #[pyo3(signature = (count=5))]
    fn top(&self, count: usize) -> Vec<usize> {
        self.prediction.ranking().into_iter().take(count).collect()
    }

    fn __repr__(&self) -> String {
        let class = self.prediction.class();
        match self.prediction.probability(class) {
            Some(probability) => {
                format!("Prediction(class_index={class}, probability={probability:.4})")
            }
            None => {
                format!(
                    "Prediction(class_index={class}, score={})",
                    self.prediction.logits()[class]
                )
            }
        }
    }
}
