//! ONNX files as differentiable models, loaded at run time.
//!
//! [`OnnxModel::load`] maps a file, makes a graph of it, brings the graph into the form that is run,
//! compiles it to steps whose weights lie on the device, and runs these with burn's tensors of any
//! rank, so that the model can be differentiated. On the CPU, convolutional parts become frozen segments
//! ([`attriburn_kernels::frozen`]), each computed as one. The batch size is free. What cannot be honoured is
//! an error when the model is loaded, never a silently wrong number.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use attriburn::{Domain, Explainer, Input, Plan, Target};
//!
//! let device = attriburn::device("auto")?;
//! let model = attriburn_onnx::OnnxModel::load("classifier.onnx", &device)?;
//! let input = Input::new(vec![0.5; 3 * 224 * 224], &[3, 224, 224], Domain::uniform(0.0, 1.0))?;
//! let map = Explainer::new(&model).explain(&Plan::adaptgrad(), &input, Target::Predicted)?;
//! # Ok(())
//! # }
//! ```
//!
//! Models are computed in float32 whatever their own precision. Dropout does nothing, batch
//! normalization is in its inference form, and is folded into a convolution in front of it.
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
