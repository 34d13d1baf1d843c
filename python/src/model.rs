//! Models.

use std::ops::ControlFlow;
use std::path::PathBuf;

use attriburn::{Domain, Explainer, Link, Model as _, Progress, Task};
use attriburn_metrics::Curve;
use attriburn_onnx::{Layout, Loader, OnnxModel, Quantization};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::array::Array;
use crate::choice::choice;
use crate::error;
use crate::input::{Input, domain, input};
use crate::map::Map;
use crate::plan::Plan;
use crate::prediction::Prediction;
use crate::process;
use crate::target::target;

/// A classifier from an ONNX file, on a device.
///
/// ``source`` is the path of the file, or its contents as bytes. Inputs have the shape ``[channels, height, width]``,
/// also if the file has its channels last.
///
/// ``device``: one of :func:`attriburn.devices`, or ``auto``. ``input_shape``: the shape of one input, where the file
/// leaves it free. ``output``: the name of the output, where the file has several. ``parameters``: keep the parameters
/// apart, which methods with noise on them need. ``quantization``: ``straight-through`` or ``ignore``. ``exact``: no
/// Winograd convolutions. ``batch`` and ``memory``: the number of gradients per batch and the bytes that it may take.
///
/// A model can be used by several threads; the interpreter is free during computations.
#[pyclass(frozen, module = "attriburn")]
pub struct Model {
    model: OnnxModel,
    batch: Option<usize>,
    memory: Option<u64>,
    device: String,
}

/// What a call says about the progress and whether it was interrupted.
struct Interrupt {
    error: std::cell::RefCell<Option<PyErr>>,
}

impl Interrupt {
    /// Whether a signal, such as Ctrl-C, has raised an exception in Python.
    fn check(&self, _: Progress) -> ControlFlow<()> {
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error.replace(Some(error));
                ControlFlow::Break(())
            }
        }
    }

    /// The exception for an error: that of a signal, if one ended the computation.
    fn raise(self, error: &attriburn::Error) -> PyErr {
        self.error.into_inner().unwrap_or_else(|| error::of_engine(error))
    }
}

impl Model {
    fn explainer(&self) -> Explainer<'_> {
        let explainer = Explainer::new(&self.model).batch(self.batch);
        self.memory.map_or(explainer, |bytes| explainer.memory(bytes))
    }

    /// The input that an argument stands for. An array needs a domain where the plan depends on it.
    fn input(
        &self,
        value: &Bound<'_, PyAny>,
        bounds: Option<&Bound<'_, PyAny>>,
        plan: Option<&Plan>,
    ) -> PyResult<attriburn::Input> {
        if let Ok(known) = value.cast::<Input>() {
            if bounds.is_some() {
                return Err(PyTypeError::new_err("an Input has a domain; leave domain out"));
            }
            return Ok(known.get().input.clone());
        }
        let domain = match bounds {
            Some(bounds) => domain(bounds)?,
            None if plan.is_some_and(Plan::needs_domain) => {
                return Err(PyValueError::new_err(
                    "this method depends on the range of valid values; give domain=(lower, upper) in the units of the array, or an attriburn.Input",
                ));
            }
            None => Domain::uniform(f32::MIN, f32::MAX),
        };
        input(value, domain)
    }

    /// Computes the maps of tasks without the interpreter.
    fn maps(
        &self,
        py: Python<'_>,
        inputs: &[attriburn::Input],
        targets: Vec<attriburn::Target>,
        Plan { plan, baseline_shape }: &Plan,
    ) -> PyResult<Vec<Map>> {
        process::check()?;
        let shape = self.model.input_shape();
        if let Some(found) = baseline_shape.as_ref().filter(|found| **found != shape) {
            return Err(PyValueError::new_err(format!(
                "the baseline has the shape {found:?}, but the model takes {shape:?}"
            )));
        }
        let outcome = py.detach(|| {
            let interrupt = Interrupt { error: std::cell::RefCell::new(None) };
            let computed = {
                let progress = |progress| interrupt.check(progress);
                let explainer = self.explainer().progress(&progress);
                let task = |(input, target)| explainer.task(input, target);
                let tasks: Result<Vec<Task>, attriburn::Error> =
                    inputs.iter().zip(targets).map(task).collect();
                tasks.and_then(|tasks| {
                    let predictions: Vec<_> =
                        tasks.iter().map(|task| task.prediction().clone()).collect();
                    let maps = explainer.explain_all(&tasks, plan)?;
                    let maps: Result<Vec<_>, _> = maps.into_iter().collect();
                    Ok(maps?.into_iter().zip(predictions).collect::<Vec<_>>())
                })
            };
            computed.map_err(|error| interrupt.raise(&error))
        });
        outcome?.into_iter().map(|(map, prediction)| Map::new(py, map, prediction)).collect()
    }

    fn curve(
        &self,
        py: Python<'_>,
        (input, fill): (attriburn::Input, Array),
        class: usize,
        map: &Bound<'_, PyAny>,
        steps: u32,
        curve: CurveOf,
    ) -> PyResult<f64> {
        let map = Array::read(map)?;
        let shape = input.shape().to_vec();
        let plane = [&[1], &shape[shape.len().saturating_sub(2)..]].concat();
        map.check("the map", &[&shape, &plane, &plane[1..]])?;
        fill.check("fill", &[&shape])?;
        let (map, fill) = (map.values, fill.values);
        let curve = py.detach(|| curve(&self.explainer(), &input, class, &map, &fill, steps));
        curve.map(|curve| curve.area()).map_err(error::of_argument)
    }
}

/// Whether an argument is a list, or an array or tensor with an axis.
fn is_list(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let axes = || value.getattr("ndim").and_then(|axes| axes.extract::<usize>());
    Ok(value.is_instance_of::<PyList>() || axes().is_ok_and(|axes| axes > 0))
}

/// A function that computes an insertion or deletion curve.
type CurveOf = fn(
    &Explainer,
    &attriburn::Input,
    usize,
    &[f32],
    &[f32],
    u32,
) -> Result<Curve, attriburn_metrics::Error>;

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (source, *, device="auto", input_shape=None, output=None, parameters=false, quantization="straight-through", exact=false, batch=None, memory=None))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword in Python")]
    fn new(
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        device: &str,
        input_shape: Option<Vec<usize>>,
        output: Option<String>,
        parameters: bool,
        quantization: &str,
        exact: bool,
        batch: Option<usize>,
        memory: Option<u64>,
    ) -> PyResult<Self> {
        let quantizations =
            [(Quantization::StraightThrough, "straight-through"), (Quantization::Ignore, "ignore")];
        let quantization = choice("quantization", quantization, &quantizations)?;
        if batch == Some(0) {
            return Err(PyValueError::new_err("batch is 0, but it must be at least 1"));
        }
        process::start()?;
        let opened = attriburn::device(device).map_err(error::of_argument)?;
        let loader = Loader::new(&opened)
            .layout(Layout::ChannelsFirst)
            .input_shape(input_shape)
            .output(output)
            .parameters(parameters)
            .quantization(quantization)
            .exact(exact);
        let model = match source.cast::<PyBytes>() {
            Ok(bytes) => {
                let bytes = bytes.as_bytes();
                py.detach(|| loader.load_bytes(bytes))
            }
            Err(_) => {
                let path: PathBuf = source.extract().map_err(|_| {
                    PyTypeError::new_err(
                        "source is the path of an ONNX file, or its contents as bytes",
                    )
                })?;
                py.detach(|| loader.load(&path))
            }
        };
        let model = model.map_err(|error| error::of_loading(&error))?;
        let device = attriburn::describe(&opened).to_string();
        Ok(Self { model, batch, memory, device })
    }

    /// Explains one input.
    ///
    /// ``x``: an array in the shape of the input without the batch axis, or an :class:`attriburn.Input`. ``target``: the
    /// class, a pair of classes, an :class:`attriburn.Target`, or ``None`` for the predicted class. ``plan``: the method;
    /// AdaptGrad if it is left out. ``domain``: the range of valid values of an array.
    #[pyo3(signature = (x, target=None, plan=None, *, domain=None))]
    fn explain(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        target: Option<&Bound<'_, PyAny>>,
        plan: Option<&Plan>,
        domain: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Map> {
        let default = Plan { plan: attriburn::Plan::adaptgrad(), baseline_shape: None };
        let plan = plan.unwrap_or(&default);
        let input = self.input(x, domain, Some(plan))?;
        let target = self::target(target)?;
        let mut maps = self.maps(py, std::slice::from_ref(&input), vec![target], plan)?;
        Ok(maps.remove(0))
    }

    /// Explains several inputs, whose gradients share batches. ``targets``: one for each input, or one target for all.
    #[pyo3(signature = (xs, targets=None, plan=None, *, domain=None))]
    fn explain_all(
        &self,
        py: Python<'_>,
        xs: &Bound<'_, PyAny>,
        targets: Option<&Bound<'_, PyAny>>,
        plan: Option<&Plan>,
        domain: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Map>> {
        let default = Plan { plan: attriburn::Plan::adaptgrad(), baseline_shape: None };
        let plan = plan.unwrap_or(&default);
        let inputs: Vec<attriburn::Input> =
            xs.try_iter()?.map(|x| self.input(&x?, domain, Some(plan))).collect::<PyResult<_>>()?;
        let targets: Vec<attriburn::Target> = match targets {
            // A pair is a target, and not two of them.
            Some(pair) if pair.is_instance_of::<PyTuple>() && inputs.len() == 2 => {
                return Err(PyValueError::new_err(
                    "two targets for two inputs are a list; the difference of two classes is attriburn.Target.difference(a, b)",
                ));
            }
            Some(several) if is_list(several)? => {
                several.try_iter()?.map(|one| target(Some(&one?))).collect::<PyResult<_>>()?
            }
            one => vec![target(one)?; inputs.len()],
        };
        if targets.len() != inputs.len() {
            return Err(PyValueError::new_err(format!(
                "there are {} inputs and {} targets; give one target for each input, or one for all",
                inputs.len(),
                targets.len()
            )));
        }
        self.maps(py, &inputs, targets, plan)
    }

    /// The scores of one input.
    fn predict(&self, py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<Prediction> {
        process::check()?;
        let input = self.input(x, None, None)?;
        let prediction = py.detach(|| self.explainer().predict(&input));
        prediction.map(Prediction::new).map_err(|error| error::of_engine(&error))
    }

    /// The area under the probability of ``class_index`` as pixels replace those of ``fill``, those of highest score
    /// first. A good map has a large area.
    #[pyo3(signature = (x, class_index, map, fill, *, steps=20))]
    fn insertion(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        class_index: usize,
        map: &Bound<'_, PyAny>,
        fill: &Bound<'_, PyAny>,
        steps: u32,
    ) -> PyResult<f64> {
        let input = (self.input(x, None, None)?, Array::read(fill)?);
        self.curve(py, input, class_index, map, steps, attriburn_metrics::insertion)
    }

    /// The area under the probability of ``class_index`` as pixels are replaced by those of ``fill``, those of highest
    /// score first. A good map has a small area.
    #[pyo3(signature = (x, class_index, map, fill, *, steps=20))]
    fn deletion(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        class_index: usize,
        map: &Bound<'_, PyAny>,
        fill: &Bound<'_, PyAny>,
        steps: u32,
    ) -> PyResult<f64> {
        let input = (self.input(x, None, None)?, Array::read(fill)?);
        self.curve(py, input, class_index, map, steps, attriburn_metrics::deletion)
    }

    /// The shape of one input, without the batch axis.
    #[getter]
    fn input_shape(&self) -> Vec<usize> {
        self.model.input_shape().to_vec()
    }

    /// The number of classes.
    #[getter]
    fn classes(&self) -> usize {
        self.model.classes()
    }

    /// What the file ends in: ``softmax``, ``sigmoid``, or ``None`` if its outputs are the scores themselves. The scores
    /// before it are explained; a plan with ``score="probability"`` explains the outputs.
    #[getter]
    fn link(&self) -> Option<&'static str> {
        self.model.ends_in().map(|link| match link {
            Link::Softmax => "softmax",
            Link::Sigmoid => "sigmoid",
        })
    }

    /// The device.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    /// The names of the layers at which class activation maps are common.
    #[getter]
    fn layers(&self) -> Vec<String> {
        self.model.layers().iter().map(|layer| layer.name.clone()).collect()
    }

    fn __repr__(&self) -> String {
        let (shape, classes) = (self.model.input_shape(), self.model.classes());
        format!("Model(input_shape={shape:?}, classes={classes}, device={:?})", self.device)
    }
}

/// The devices: the name, the name of the hardware, and what keeps it from use, if anything does.
#[pyfunction]
pub fn devices() -> Vec<(String, String, Option<String>)> {
    let of_device = |device: attriburn_backends::DeviceInfo| {
        let reason = match device.status {
            attriburn_backends::Status::Unusable(reason) => Some(reason),
            _ => None,
        };
        (device.name, device.hardware, reason)
    };
    attriburn::devices().into_iter().map(of_device).collect()
}

/// Sets the number of threads on the CPU. It can be set once, before the first model is loaded.
#[pyfunction]
pub fn set_threads(count: usize) -> PyResult<()> {
    attriburn::set_threads(count).map_err(error::of_argument)
}
