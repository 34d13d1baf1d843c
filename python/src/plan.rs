//! Plans: every method as a value.

use attriburn_evaluate::{Method, Setting};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::array::Array;
use crate::choice::choice;
use crate::error;
use crate::settings::settings;

/// An attribution method with its settings: where gradients are sampled, and how the map follows from them.
///
/// Make one with :func:`attriburn.plan` or one of the functions named after methods, such as
/// :func:`attriburn.adaptgrad`. A plan is immutable and can be pickled.
#[pyclass(frozen, eq, module = "attriburn")]
#[derive(Clone, PartialEq)]
pub struct Plan {
    pub plan: attriburn::Plan,
    /// The shape of the array that is the baseline; its values are flat.
    pub baseline_shape: Option<Vec<usize>>,
}

#[pymethods]
impl Plan {
    /// The plan that :meth:`to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let plan: attriburn::Plan = serde_json::from_str(text)
            .map_err(|error| PyValueError::new_err(format!("this is no plan: {error}")))?;
        plan.check().map_err(|error| error::of_engine(&error))?;
        Ok(Self { plan, baseline_shape: None })
    }

    /// The same plan, which differentiates the ``logit`` or the ``probability``.
    fn with_score(&self, score: &str) -> PyResult<Self> {
        let output = choice("score", score, &attriburn::Output::ALL)?;
        Ok(Self { plan: self.plan.clone().output(output), ..self.clone() })
    }

    /// What is differentiated: ``logit`` or ``probability``.
    #[getter]
    fn score(&self) -> &'static str {
        let is_own = |(output, _): &&(attriburn::Output, &str)| *output == self.plan.output;
        attriburn::Output::ALL.iter().find(is_own).map_or("", |(_, name)| name)
    }

    /// All settings as JSON, as manifests have them.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.plan).map_err(error::of_argument)
    }

    /// The number of gradients of a map; an upper bound for a plan that may stop before.
    #[getter]
    fn gradients(&self) -> u64 {
        self.plan.gradients()
    }

    /// Whether the method puts noise on the model's parameters. The model must then be loaded with
    /// ``parameters=True``.
    #[getter]
    fn needs_parameters(&self) -> bool {
        self.plan.weights.is_some()
    }

    /// Whether maps depend on the domain of the input, the range of valid values.
    #[getter]
    pub fn needs_domain(&self) -> bool {
        use attriburn::{Baseline, Boundary, WidthRule};
        let by_noise = self.plan.sampler.is_some_and(|sampler| {
            sampler.boundary == Boundary::Clipped
                || !matches!(sampler.width, WidthRule::Absolute { .. })
        });
        let by_path = self
            .plan
            .path
            .as_ref()
            .is_some_and(|path| matches!(path.baseline, Baseline::Black | Baseline::White));
        by_noise || by_path
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("Plan.from_json({:?})", self.to_json()?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((py.get_type::<Self>().getattr("from_json")?, (self.to_json()?,)))
    }
}

/// The plan of a method by name, with these settings; the names are those of :func:`attriburn.methods`.
#[pyfunction]
#[pyo3(signature = (method, /, **settings))]
pub fn plan(method: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Plan> {
    let known = Method::named(method).ok_or_else(|| {
        PyValueError::new_err(format!(
            "there is no method {method:?}; attriburn.methods() lists all"
        ))
    })?;
    let Some(keywords) = settings else {
        return made(&known, &attriburn_evaluate::Settings::default());
    };
    let mut plan = made(&known, &self::settings(keywords)?)?;
    if let Some(baseline) = keywords.get_item("baseline")?.filter(|value| !value.is_none()) {
        plan.baseline_shape = Some(Array::read(&baseline)?.shape);
    }
    for (name, value) in keywords {
        let name = name.cast_into::<PyString>()?.to_string();
        // The output concerns every method.
        let setting = Setting::named(&name.replace('_', "-"));
        if !value.is_none() && setting.is_some_and(|setting| !setting.is_used(&plan.plan)) {
            return Err(PyValueError::new_err(format!(
                "{method} does not use the setting {name:?}"
            )));
        }
    }
    Ok(plan)
}

fn made(method: &Method, settings: &attriburn_evaluate::Settings) -> PyResult<Plan> {
    let plan = method.plan(settings).map_err(|error| error::of_engine(&error))?;
    plan.check().map_err(|error| error::of_engine(&error))?;
    Ok(Plan { plan, baseline_shape: None })
}

/// The names of all methods, each with a sentence that describes it.
#[pyfunction]
pub fn methods() -> Vec<(String, String)> {
    Method::all().iter().map(|method| (method.name(), method.summary())).collect()
}
