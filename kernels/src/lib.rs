//! Noise, estimators and frozen segments, which run where the gradients are computed.
//!
//! | operation | what it does | definition |
//! |---|---|---|
//! | [`noise`] | one input row, or the nodes of a path, to a batch of noisy rows | [`noise::reference`] |
//! | [`parameter`] | a parameter to a noisy copy of it, by the same kernel | [`noise::reference`] |
//! | [`estimator`] | a batch of gradients into a running mean and variance | [`estimator::reference`] |
//! | [`activation`] | a function of every number, with its own backward pass | [`Activation`] |
//! | [`convolution`] | a convolution, whose input gradient is what devices do best | [`convolution::reference`] |
//! | [`product`] | a product of matrices in float32, where devices would round | burn's on the CPU |
//! | [`frozen`] | a part of a network with constant weights, and its input gradient, on the CPU | [`frozen::reference`] |
//!
//! They are backend extensions of burn: `flex` runs them on all cores, every CubeCL device as a
//! device kernel. Beside each stands its plain reference, and tests compare the two number by
//! number.
//!
//! Random numbers are addressed, never drawn in sequence: see [`philox`].
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod activation;
pub mod convolution;
pub mod estimator;
pub mod frozen;
#[cfg(feature = "cubecl")]
mod launch;
pub mod mollifier;
pub mod noise;
pub mod parameter;
pub mod philox;
pub mod product;
#[cfg(feature = "ptx")]
pub mod ptx;
mod quantile;

pub use activation::Activation;
pub use mollifier::Mollifier;
pub use noise::{Batch, Boundary, Noise, Row, Width};
