//! The engine: cuts a plan's samples into batches, computes their gradients and accumulates the maps.
//!
//! ```text
//! tasks -> nodes (positions) -> points with noise -> gradients -> accumulator -> moments -> maps
//! ```

mod accumulator;
mod derivatives;
mod explainer;
mod layer;
mod maps;
mod moments;
mod nodes;
mod parameters;
mod predict;
mod readback;
mod reading;
mod run;
mod task;

pub use derivatives::ParameterGradient;
pub use explainer::{Explainer, Progress};
pub use layer::layer_of;
pub use parameters::check_parameters;
pub(crate) use readback::read;
pub use task::Task;
