//! Noise, gradient estimators and network segments with constant weights, on the device that computes the
//! gradients.
//!
//! | operation | description | definition |
//! |---|---|---|
//! | [`noise`] | a batch of noisy rows, from inputs or from the nodes of a path | [`noise::reference`] |
//! | [`parameter`] | a noisy copy of a parameter, by the noise kernel | [`noise::reference`] |
//! | [`estimator`] | a running mean and variance of batches of gradients | [`estimator::reference`] |
//! | [`activation`] | an elementwise activation with its own backward pass | [`Activation`] |
//! | [`convolution`] | a convolution with an input gradient computed by fast device kernels | [`convolution::reference`] |
//! | [`product`] | a matrix product with float32 accuracy on every device | burn's product on the CPU |
//! | [`frozen`] | a segment of a network with constant weights, and its input gradient, on the CPU | [`frozen::reference`] |
//!
//! The operations are backend extensions of burn: the `flex` backend runs them on all cores, and every CubeCL
//! device runs them as device kernels. Each operation has a plain reference, and tests compare every value
//! with it.
//!
//! Random numbers have addresses instead of an order: see [`philox`].
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod activation;
pub mod convolution;
/// The device kernels, for the tool that compiles them without a GPU. Not part of the API.
#[cfg(feature = "cubecl")]
#[doc(hidden)]
pub mod device_kernels;
mod domain;
pub mod estimator;
pub mod frozen;
#[cfg(feature = "cubecl")]
mod launch;
pub mod mollifier;
pub mod noise;
pub mod parameter;
pub mod philox;
pub mod product;
mod quantile;
pub mod streams;
mod width;

pub use activation::Activation;
pub use domain::Domain;
pub use mollifier::Mollifier;
pub use noise::{Batch, Boundary, Noise, Row};
pub use width::{AdaptiveRule, Width, WidthRule};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
