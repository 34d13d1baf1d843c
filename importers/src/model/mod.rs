//! A loaded ONNX model and its loader.

mod loader;
mod onnx_model;
mod settings;
mod trial;

pub use crate::scores::Region;
pub use loader::{Loader, summary};
pub use onnx_model::OnnxModel;
pub(crate) use settings::FixedInput;
pub use settings::{Layout, Quantization, Scaling};
