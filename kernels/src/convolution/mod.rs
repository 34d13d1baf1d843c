//! Convolutions over two axes whose input gradient is computed as devices do it best.
//!
//! ```text
//! y[n][o][i][j] = sum over c, u, v of  w[o][c][u][v] x[n][c][s i + d u - p][s j + d v - p]
//! ```
//!
//! with strides `s`, dilations `d` and padding `p` for each axis, the channels `c` of the group of `o`.
//! The gradient with respect to `x` is a convolution as well, for which devices have fast kernels:
//!
//! | convolution | its input gradient |
//! |---|---|
//! | of stride 1 | one convolution of the gradient with the weights turned around |
//! | of stride `s`, one group, no dilation | `s` by `s` convolutions with every `s`-th weight, whose results lie between each other |
//! | any other | a kernel of its own |
//!
//! burn differentiates with respect to the input by a kernel that it finds by trying out several, each
//! of which takes seconds to compile. With respect to the weights nothing is differentiated here.

#[cfg(feature = "cubecl")]
mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;
pub mod reference;

pub use op::{ConvolutionBackend, convolve};
