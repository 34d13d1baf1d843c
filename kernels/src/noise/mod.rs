//! The noise kernel: from one row, or from the nodes of a path, to a batch of noisy rows.
//!
//! Row `r` of the batch with address `a` is sample `j = (a.first + r) / k` of node
//! `i = (a.first + r) mod k`, `k` the number of nodes, and its element `e` is
//!
//! ```text
//! y = clip(x[i, e] + sigma(x[i, e]) * quantile(word))
//! word = philox(counter = (e mod q, j, a.node + i, a.stream), key = a.seed)[e / q]
//! q = ceil(features / 4)
//! ```
//!
//! so that the four words of a counter lie `q` elements apart, and neighbouring threads write
//! neighbouring elements. Here `quantile` belongs to a [`Mollifier`], `sigma` to a [`Width`] and
//! `clip` to a [`Boundary`]. So the noise of a sample depends on its address alone: never on how
//! the samples are cut into batches, on the thread or on the device, up to float rounding.

mod cpu;
#[cfg(feature = "cubecl")]
mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;
pub mod reference;

pub use op::{NoiseBackend, noise, noise_in, random_words};

use crate::mollifier::Mollifier;

/// How wide the noise is at each element, `sigma`. `lower` and `upper` are the bounds of the
/// element's channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// The same everywhere, in the model's units.
    Absolute(f32),
    /// `factor * (upper - lower)`: SmoothGrad, whose factor is called alpha.
    Relative(f32),
    /// `factor * reach`, `reach = min(|x - lower|, |x - upper|)`, and 0 where `x` lies on or
    /// outside the domain: AdaptGrad (arXiv 2410.07711, Eq. 12), whose factor is
    /// [`Mollifier::width_factor`].
    Adaptive(f32),
    /// `scale * x`: multiplicative noise, `x (1 + scale * draw)`, as NoiseGrad puts it on
    /// parameters (Bykov et al., AAAI 2022).
    Proportional(f32),
}

/// What happens to noisy values outside the domain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// They stay.
    #[default]
    Free,
    /// They are moved to the nearest bound. An input that lies outside the domain itself is
    /// moved as well.
    Clipped,
}

/// The noise: its distribution, width and boundary rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The distribution at unit scale.
    pub mollifier: Mollifier,
    /// The scale at each element.
    pub width: Width,
    /// What happens outside the domain.
    pub boundary: Boundary,
}

// Every stream that is not of samples, each listed here once, so that no two are the same.

/// The stream of the noise on parameters.
pub const PARAMETERS: u32 = u32::MAX;
/// The stream of the choice of nodes along a path.
pub const CHOICES: u32 = u32::MAX - 1;
/// The stream of the permutations of parameters.
pub const PERMUTATIONS: u32 = u32::MAX - 2;
/// The stream of the choice of pixels that a mask keeps.
pub const MASKS: u32 = u32::MAX - 3;
/// The streams of samples are below this number.
pub const RESERVED: u32 = u32::MAX - 15;

/// Which samples a batch holds, and of which random stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The key of the generator.
    pub seed: u64,
    /// The stream: one for each weight draw of a plan, below [`RESERVED`].
    pub stream: u32,
    /// The number of the first node, for streams that are shared by several paths.
    pub node: u32,
    /// The flat index of the batch's first row.
    pub first: u64,
    /// The number of rows in the batch.
    pub rows: usize,
}

/// The domain of a row: per channel its lower and upper bound, and how elements map to channels:
/// element `e` belongs to channel `(e / inner) mod channels`.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Per channel, the least value of the input.
    pub lower: Vec<f32>,
    /// Per channel, the greatest value of the input.
    pub upper: Vec<f32>,
    /// The number of consecutive elements of one channel: `height * width` for `[C, H, W]`.
    pub inner: usize,
}

impl Domain {
    /// The channel of element `e`.
    #[inline(always)]
    pub fn channel(&self, e: usize) -> usize {
        (e / self.inner) % self.lower.len()
    }
}
