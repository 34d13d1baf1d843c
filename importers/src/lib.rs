//! Loads ONNX files at run time as differentiable models.
//!
//! [`OnnxModel::load`] memory-maps the file, builds a graph, simplifies the graph, and compiles the graph to
//! a list of steps with the weights on the device. The steps compute with burn tensors of dynamic rank, so
//! the model can be differentiated. On the CPU, convolutional subgraphs become frozen segments
//! ([`attriburn_kernels::frozen`]); each segment runs as one step. The batch size is chosen at run time,
//! unless the file fixes the batch size. Loading a model that uses an unsupported feature is an error; such
//! a model never computes silently wrong numbers.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use attriburn::{Domain, Input, Plan};
//!
//! let device = attriburn::device("auto")?;
//! let model = attriburn_onnx::OnnxModel::load("classifier.onnx", &device)?;
//! let input = Input::new(vec![0.5; 3 * 224 * 224], &[3, 224, 224], Domain::uniform(0.0, 1.0))?;
//! let map = attriburn::explain(&model, &input, &Plan::adaptgrad())?;
//! # Ok(())
//! # }
//! ```
//!
//! Models are computed in float32, whatever the precision of the file. Dropout is the identity. Batch
//! normalization runs in inference mode and is folded into the preceding convolution.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod error;
mod evaluator;
mod file;
mod graph;
mod model;
mod operators;
mod passes;
mod program;
mod room;
mod scores;
#[cfg(test)]
mod sketch;
mod summary;
mod value;

pub use error::{ErrorKind, LoadError};
pub use evaluator::{HostTensor, evaluate};
pub use model::{Layout, Loader, OnnxModel, Quantization, Region, Scaling, summary};
pub use operators::{Name as OperatorName, names as operators};
pub use summary::{Summary, ValueInfo};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
