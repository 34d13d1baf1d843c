//! Products of matrices in float32 on every device.
//!
//! The matrix units of NVIDIA's GPUs take TF32 in place of float32: numbers of 11 significant bits
//! instead of 24. The gradient of a rectified network jumps where a sum changes its sign, so that what is
//! rounded so coarsely moves a map by several per cent. There each factor is taken apart into a part that
//! TF32 holds exactly and the rest,
//!
//! ```text
//! a = h + l,    a b = ha hb + (ha lb + la hb) + la lb
//! ```
//!
//! and the first three products are summed up; the last one is below `2^-20` of the whole (Markidis et al.
//! 2018; Ootomo and Yokota 2022). Convolutions are computed in the same way.

#[cfg(feature = "cubecl")]
pub(crate) mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;

pub use op::{ProductBackend, multiply, split};
