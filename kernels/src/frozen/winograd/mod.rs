//! Convolutions with 3 by 3 kernels by Winograd's algorithm F(4x4, 3x3), with a quarter of the
//! multiplications. Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
//!
//! A tile of 4 by 4 outputs reads 6 by 6 inputs `d`. The inputs are transformed, `V = B' d B`, and so are the
//! weights `g`, `U = G g G'`. At each of the 36 positions a matrix product over the channels, `M = V U`, is
//! computed, and the outputs are transformed back, `Y = A' M A`.
//!
//! The matrices depend on the points at which polynomials are evaluated. With the usual points 0, ±1, ±2
//! and infinity, rounding errors are four to five times those of direct convolution; with 5/8 and 3/2 in
//! place of 1 and 2, they are twice as large. Barabasz, Anderson, Soodhalter and Gregg, Error Analysis and
//! Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2020, explain this.

mod convolve;
mod product;
mod transform;
mod weights;

pub use convolve::convolve;
pub use weights::Winograd;
