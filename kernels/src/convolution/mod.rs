//! Two-dimensional convolutions whose input gradient is computed by the fast kernels of the device.
//!
//! ```text
//! y[n][o][i][j] = sum over c, u, v of  w[o][c][u][v] x[n][c][s i + d u - p][s j + d v - p]
//! ```
//!
//! with stride `s`, dilation `d` and padding `p` of each axis; `c` runs over the channels of the group of
//! `o`. The gradient with respect to `x` is computed by convolutions as well, for which devices have fast
//! kernels:
//!
//! | convolution | its input gradient |
//! |---|---|
//! | stride 1 | one convolution of the gradient with the flipped weights |
//! | stride `s`, one group, no dilation | `s` by `s` convolutions with every `s`-th weight, interleaved |
//! | any other | a dedicated device kernel |
//!
//! burn computes this gradient with a kernel that it selects by autotuning over several candidates, each of
//! which takes seconds to compile. The gradient with respect to the weights is not computed.

#[cfg(feature = "cubecl")]
mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;
pub mod reference;

pub use op::{ConvolutionBackend, convolve};
