//! The estimator: running mean and variance of gradients, updated batch by batch.
//!
//! The state is a tensor `[4, features]`. Its rows are, per element, the mean of the samples so far, the sum
//! of squared deviations from the mean, and the low and the high part of the number of samples,
//! `low + 2^20 high`: a count in a single float32 would stop at 2^24. A batch updates the state row by row
//! with Welford's algorithm (Technometrics 4, 1962):
//!
//! ```text
//! n <- n + 1;  d = g - mean;  mean <- mean + d / n;  squares <- squares + d (g - mean)
//! ```
//!
//! A row that contains a value that is not finite is skipped completely and not counted. The update needs no
//! synchronization with the host.

/// The carry of the sample count, 2^20: when the low part reaches this value, it is reset and the high part
/// is incremented.
pub const CARRY: f32 = 1_048_576.0;

mod cpu;
#[cfg(feature = "cubecl")]
pub(crate) mod device;
mod op;
mod path_sums;
pub mod reference;
mod state;

pub use op::{Estimator, EstimatorBackend};
pub use path_sums::PathSums;
pub use state::State;
