//! The noise kernel: computes a batch of noisy rows in one launch, from a few inputs or from points on the
//! paths to them.
//!
//! Each [`Row`] of a [`Batch`] has an input `i`, a position `a` on the path from the baseline `b[i]` to the
//! input `x[i]`, and the sample `j` and the node `k` of its noise. The element `e` of the row is
//!
//! ```text
//! p = b[i, e] + a (x[i, e] - b[i, e])        without baselines: p = x[i, e]
//! y = clip(p + sigma(p) * quantile(word))    without noise: y = p
//! word = philox(counter = (e mod q, j, k, stream), key = seed)[e / q]
//! q = ceil(features / 4)
//! ```
//!
//! Here `quantile` is the quantile of a [`Mollifier`], `sigma` a [`Width`] and `clip` a [`Boundary`]. The
//! elements of the four words of a counter are `q` apart, so that neighbouring threads write neighbouring
//! elements.
//!
//! The noise of a sample depends only on its address: the seed, the stream, the sample, the node and the
//! element. Up to float rounding, it does not depend on the partition into batches, the thread or the device.
//! The points of a path are never stored, so the memory for a batch does not depend on the number of nodes or
//! samples of the plan.

mod bounds;
mod cpu;
#[cfg(feature = "cubecl")]
mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;
pub mod reference;
mod row_kind;

pub use op::{NoiseBackend, Points, noise};

use crate::mollifier::Mollifier;
use crate::width::Width;

/// The treatment of noisy values outside the domain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// The values stay outside the domain.
    #[default]
    Free,
    /// The values are clipped to the nearest bound, even if the input itself lies outside the domain.
    Clipped,
}

/// The noise: its distribution, width and boundary rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The distribution at unit scale.
    pub mollifier: Mollifier,
    /// The width at each element.
    pub width: Width,
    /// The treatment of values outside the domain.
    pub boundary: Boundary,
}

/// The point of a row, and the address of its noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The index of the input.
    pub input: usize,
    /// The position on the path: 0 is the baseline, 1 the input. Without baselines the position is ignored.
    pub position: f64,
    /// The index of the sample.
    pub sample: u32,
    /// The index of the node of the path.
    pub node: u32,
}

impl Row {
    /// Returns the row of a sample of the first input, without a path.
    pub fn sample(sample: u32) -> Self {
        Self { input: 0, position: 1.0, sample, node: 0 }
    }
}

/// The rows that are computed together, and the random stream of their noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The key of the generator.
    pub seed: u64,
    /// The random stream. For noise on the input, the index of the draw of the parameters, which is below
    /// [`RESERVED`](crate::streams::RESERVED).
    pub stream: u32,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Batch {
    /// Returns `count` samples of one input, from the index `first` on.
    pub fn samples(seed: u64, stream: u32, first: u32, count: usize) -> Self {
        let rows = (first..).take(count).map(Row::sample).collect();
        Self { seed, stream, rows }
    }
}
