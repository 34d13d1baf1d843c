//! Attribution for image classifiers: which parts of the input the decision depends on.
//!
//! Every method is a value of one [`Plan`]: a weighted mean of gradients at sampled points,
//!
//! ```text
//! map(x) = readout( sum_i w_i dF_c(x_i; theta_i) / dx )
//! ```
//!
//! | part | decides | where |
//! |---|---|---|
//! | path | the nodes between a baseline and the input | [`Path`] |
//! | sampler | the noise on the input and the number of samples | [`Sampler`] |
//! | weights | the noise on the parameters | [`WeightNoise`] |
//! | readout | how the map follows from the mean gradient | [`Readout`] |
//! | class activation map | the layer inside the model that takes the place of the input | [`Cam`] |
//! | engine | batches, the running mean and its standard error | [`Explainer`] |
//!
//! A classifier is anything that implements [`Model`]: an ONNX file loaded by `attriburn-onnx`, or a
//! burn module through [`ModuleModel`].
//!
//! ```
//! use attriburn::{Domain, Explainer, Input, ModuleModel, Plan};
//! use burn::tensor::Tensor;
//!
//! let device = attriburn::device("cpu")?;
//! let model = ModuleModel::<2>::new(&[4], &device, |x: Tensor<2>| x.powi_scalar(2));
//! let input = Input::new(vec![0.1, 0.2, 0.3, 0.4], &[4], Domain::uniform(0.0, 1.0))?;
//! let map = attriburn::explain(&model, &input, &Plan::adaptgrad())?;
//! assert!(map.values[3] > 0.0);
//! // Another class, and batches of 8.
//! let map = Explainer::new(&model).batch(8).explain(&input, 2, &Plan::adaptgrad())?;
//! # Ok::<(), attriburn::Error>(())
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod attribution;
mod cam;
mod engine;
mod enlarge;
mod error;
mod input;
mod model;
mod module;
mod path;
mod plan;
mod prediction;
mod quadrature;
mod sampler;
mod scale;
mod score;
mod setters;
mod target;

pub use attriburn_backends::{
    DeviceError, DeviceErrorKind, describe, device, devices, disable_fusion, set_threads, threads,
};
pub use attriburn_kernels::{AdaptiveRule, Boundary, Domain, Mollifier, WidthRule};
pub use attribution::Attribution;
pub use cam::{Cam, CamRule};
pub use engine::{Explainer, ParameterGradient, Progress, Task, check_parameters, layer_of};
pub use enlarge::enlarge;
pub use error::{Error, ErrorKind};
pub use input::Input;
pub use model::{Activations, Layer, Link, Model, Parameter, Smoothed};
pub use module::ModuleModel;
pub use path::{Baseline, Path, Weighting};
pub use plan::{Estimate, Output, Plan, Readout, Sizes};
pub use prediction::Prediction;
pub use quadrature::Quadrature;
pub use sampler::{Sampler, WeightNoise};
pub use scale::{Scale, quantile};
pub use score::Score;
pub use target::{ScoreFunction, Target};

/// The map of `input` for the class that `model` predicts, under `plan`.
///
/// Use an [`Explainer`] for another target, several maps, a batch size or progress.
///
/// # Errors
///
/// See [`Explainer::explain`].
pub fn explain(model: &dyn Model, input: &Input, plan: &Plan) -> Result<Attribution, Error> {
    Explainer::new(model).explain(input, Target::Predicted, plan)
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
