//! Frozen segments: runs of operations with constant weights, for the gradient with respect to the
//! input alone, on the CPU.
//!
//! In attribution the weights never change, and the gradient is wanted thousands of times. So they
//! are packed once, activations lie with their channels side by side, sums and activations are part
//! of the convolution in front of them, and of an activation only a byte is kept that says whether
//! it passes a gradient. Every sample is computed by one core, in buffers that are used again.
//!
//! [`Builder`] takes the operations, [`Segment`] plans and runs them, and [`frozen`] makes one of
//! burn's differentiable operations of it.

mod aligned;
mod arrange;
mod build;
mod depthwise;
mod finish;
mod image;
mod op;
mod pack;
mod plan;
mod plane;
mod pool;
mod product;
mod profile;
pub mod reference;
mod run;
mod segment;
mod softmax;
mod sweep;
#[cfg(test)]
mod tests;
mod tile;
mod view;
mod winograd;

pub use build::{Builder, Convolution, Normalization, Value, Weights};
pub use op::{FrozenBackend, frozen};
pub use pack::Window;
pub use profile::Timing;
pub use run::Tapes;
pub use segment::Segment;
pub use tile::Level;
