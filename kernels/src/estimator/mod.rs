//! The estimator: from batches of gradients to their running mean and variance.
//!
//! The state is a tensor `[4, features]` whose rows are, per element, the mean of the samples seen
//! so far, the sum of their squared deviations from it, and their number as `low + 2^20 high`: in
//! one float32 a count would stop at 2^24. A batch updates the state row by row as Welford does
//! (Technometrics 4, 1962):
//!
//! ```text
//! n <- n + 1;  d = g - mean;  mean <- mean + d / n;  squares <- squares + d (g - mean)
//! ```
//!
//! A row of a batch that holds a value which is not finite is left out whole, and not counted. The
//! host is never asked.

/// The low part of a count is below this number; the high part counts how often it was reached.
pub const CARRY: f32 = 1_048_576.0;

mod cpu;
#[cfg(feature = "cubecl")]
pub(crate) mod device;
mod op;
pub mod reference;

pub use op::{Estimator, EstimatorBackend};
