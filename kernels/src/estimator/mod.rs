//! The estimator: from batches of gradients to their running mean and variance.
//!
//! The state is a tensor `[3, features]` whose rows are, per element, the mean of the samples seen
//! so far, the sum of their squared deviations from it, and their number. A batch updates it row
//! by row as Welford does (Technometrics 4, 1962):
//!
//! ```text
//! n <- n + 1;  d = g - mean;  mean <- mean + d / n;  squares <- squares + d (g - mean)
//! ```
//!
//! A row of a batch that holds a value which is not finite is left out whole, and not counted. The
//! host is never asked.

mod cpu;
#[cfg(feature = "cubecl")]
pub(crate) mod device;
mod op;
pub mod reference;

pub use op::{Estimator, EstimatorBackend};
