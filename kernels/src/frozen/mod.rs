//! Frozen segments: subgraphs with constant weights that the CPU evaluates and differentiates with
//! respect to their input alone.
//!
//! Attribution computes the input gradient thousands of times and never changes the weights. Hence:
//!
//! - Weights are packed once, when the segment is built.
//! - Tensors are stored channels last (see `image`).
//! - Bias, residual addition and activation are fused into the epilogue of the preceding operation.
//! - For a piecewise linear activation the forward pass saves one byte per element: which of two
//!   slopes the derivative has.
//! - One core computes one sample, in buffers that are reused.
//!
//! [`Builder`] collects the operations, [`Segment`] plans and runs them, and [`frozen`] wraps a segment
//! as a differentiable operation of burn.

mod aligned;
mod arena;
mod build;
mod depthwise;
mod epilogue;
mod fma;
mod image;
mod image_ops;
mod joint_loop;
mod matmul;
mod op;
mod pack;
mod panel;
mod phase;
mod pixel_loop;
mod plan;
mod pool;
mod profile;
pub mod reference;
mod run;
mod segment;
mod softmax;
mod step;
mod strided_copy;
#[cfg(test)]
mod tests;
mod tile;
mod view;
mod window;
mod winograd;

pub use arena::Tapes;
pub use build::{Builder, Convolution, Normalization, Value, Weights};
pub use op::{FrozenBackend, frozen};
pub use profile::Timing;
pub use segment::Segment;
pub use tile::Level;
pub use window::Window;
