//! A loaded ONNX model and its loader.

mod cuts;
mod layers;
mod layouts;
mod load;
mod loader;
mod network;
mod onnx_model;
mod origin;
mod settings;
mod smoothdiff;
mod smoothed;
mod trial;

pub use crate::scores::Region;
pub use load::summary;
pub use loader::Loader;
pub use onnx_model::OnnxModel;
pub(crate) use settings::FixedInput;
pub use settings::{Layout, Quantization, Scaling};
