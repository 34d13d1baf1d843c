//! Matrix products with float32 accuracy on every device.
//!
//! The matrix units of NVIDIA's GPUs compute float32 products in TF32, whose significand has 11 bits instead
//! of 24. The gradient of a ReLU network is discontinuous where a preactivation changes its sign, so this
//! rounding changes an attribution map by several per cent. On such devices each factor is therefore split
//! into a part that TF32 represents exactly and a remainder,
//!
//! ```text
//! a = h + l,    a b = ha hb + (ha lb + la hb) + la lb
//! ```
//!
//! and the first three products are added; the last one is below `2^-20` of the result and is omitted
//! (Markidis et al. 2018; Ootomo and Yokota 2022). Convolutions are computed in the same way.

#[cfg(feature = "cubecl")]
pub(crate) mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;

pub use op::{ProductBackend, multiply, split};
