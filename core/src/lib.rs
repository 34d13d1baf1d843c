//! Attribution for image classifiers: which parts of the input decided.
//!
//! Every method is a value of one [`Plan`]: a weighted mean of gradients at sampled points,
//!
//! ```text
//! map(x) = readout( sum_i w_i dF_c(x_i; theta_i) / dx )
//! ```
//!
//! | part | what it decides | where |
//! |---|---|---|
//! | path | where along a path to the input, if not the input itself | [`Path`] |
//! | sampler | the noise added to each input | [`Sampler`] |
//! | weights | the noise put on the parameters | [`WeightNoise`] |
//! | readout | what becomes of the mean | [`Readout`] |
//! | engine | batches, the running mean and its standard error | [`Explainer`] |
//!
//! A classifier is anything that implements [`Model`]: an ONNX file loaded by `attriburn-onnx`, or a
//! burn module through [`ModuleModel`].
//!
//! ```
//! use burn::tensor::Tensor;
//! use attriburn::{Domain, Explainer, Input, ModuleModel, Plan, Target};
//!
//! # fn main() -> Result<(), attriburn::Error> {
//! let device = attriburn::device("cpu")?;
//! let model = ModuleModel::<2>::new(&[4], &device, |x: Tensor<2>| x.powi_scalar(2));
//! let input = Input::new(vec![0.1, 0.2, 0.3, 0.4], &[4], Domain::uniform(0.0, 1.0))?;
//! let map = Explainer::new(&model).explain(&Plan::adaptgrad(), &input, Target::Index(2))?;
//! assert!(map.values[2] > 0.0);
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod attribution;
mod engine;
mod error;
mod input;
mod method;
#[cfg(feature = "metrics")]
pub mod metrics;
mod model;
pub mod npy;
mod path;
#[cfg(feature = "picture")]
pub mod picture;
mod plan;
#[cfg(feature = "picture")]
mod quantile;
mod target;

pub use attriburn_backends::{
    DeviceError, describe, device, devices, disable_fusion, set_threads, threads,
};
pub use attriburn_kernels::{Boundary, Mollifier};
pub use attribution::Attribution;
pub use engine::{Explainer, ParameterGradient, Progress, Task, check_parameters};
pub use error::Error;
pub use input::{Domain, Input};
pub use method::{Method, Settings};
pub use model::{Link, Model, ModelError, ModuleModel, Parameter};
pub use path::{Baseline, Path, Quadrature};
pub use plan::{
    AdaptiveRule, Estimate, Output, Plan, Readout, Sampler, Sizes, WeightNoise, WidthRule,
};
pub use target::{Prediction, Score, ScoreFunction, Target};
