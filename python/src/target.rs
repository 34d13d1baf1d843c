//! Targets: which score a map explains.

use attriburn::Target as CoreTarget;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The score that a map explains.
///
/// Wherever a target is expected, ``None`` stands for the predicted class, a number for a class, and a pair ``(a, b)``
/// for the difference of two classes.
#[pyclass(frozen, module = "attriburn")]
#[derive(Clone)]
pub struct Target {
    target: CoreTarget,
    repr: String,
}

#[pymethods]
impl Target {
    /// The class with the largest score.
    #[staticmethod]
    fn predicted() -> Self {
        Self { target: CoreTarget::Predicted, repr: "Target.predicted()".into() }
    }

    /// The class ``index``.
    #[staticmethod]
    fn index(index: usize) -> Self {
        Self { target: CoreTarget::Index(index), repr: format!("Target.index({index})") }
    }

    /// The evidence against the class ``index``: its score with the opposite sign.
    #[staticmethod]
    fn against(index: usize) -> Self {
        Self { target: CoreTarget::Against(index), repr: format!("Target.against({index})") }
    }

    /// The difference of the scores of ``index`` and ``other``: why this class and not the other.
    #[staticmethod]
    fn difference(index: usize, other: usize) -> Self {
        let target = CoreTarget::Difference { class: index, other };
        Self { target, repr: format!("Target.difference({index}, {other})") }
    }

    /// The log-odds of a class, by default the predicted one, among the ``top`` classes with the largest scores.
    #[staticmethod]
    #[pyo3(signature = (index=None, top=2))]
    fn contrast(index: Option<usize>, top: usize) -> Self {
        let class = index.map_or("None".to_owned(), |index| index.to_string());
        let target = CoreTarget::Contrast { class: index, top };
        Self { target, repr: format!("Target.contrast({class}, top={top})") }
    }

    fn __repr__(&self) -> String {
        self.repr.clone()
    }
}

/// Returns the target that an argument stands for.
///
/// # Errors
///
/// When the argument is no target.
pub fn target(value: Option<&Bound<'_, PyAny>>) -> PyResult<CoreTarget> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(CoreTarget::Predicted);
    };
    if let Ok(target) = value.cast::<Target>() {
        return Ok(target.get().target.clone());
    }
    if let Ok((class, other)) = value.extract::<(usize, usize)>() {
        return Ok(CoreTarget::Difference { class, other });
    }
    // Numbers of NumPy and tensors with one element have `__index__`.
    if let Ok(class) = value.extract::<usize>() {
        return Ok(CoreTarget::Index(class));
    }
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "target is a class (an int), a pair of classes, an attriburn.Target, or None for the predicted class; not {} of type {kind}",
        value.repr()?
    )))
}
