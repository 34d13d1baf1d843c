//! The noise kernel: from a few inputs, or points on the paths to them, to a batch of noisy rows in one launch.
//!
//! Each [`Row`] of a [`Batch`] says of which input `i` it is, at which position `a` on the path from the baseline
//! `b[i]` to `x[i]` it lies, and the sample `j` and node `k` that its noise is drawn for. Its element `e` is
//!
//! ```text
//! p = b[i, e] + a (x[i, e] - b[i, e])        without baselines p = x[i, e]
//! y = clip(p + sigma(p) * quantile(word))    without noise y = p
//! word = philox(counter = (e mod q, j, k, stream), key = seed)[e / q]
//! q = ceil(features / 4)
//! ```
//!
//! so that the four words of a counter lie `q` elements apart, and neighbouring threads write
//! neighbouring elements. Here `quantile` belongs to a [`Mollifier`], `sigma` to a [`Width`] and
//! `clip` to a [`Boundary`]. So the noise of a sample depends on its address alone: never on how
//! the samples are cut into batches, on the thread or on the device, up to float rounding. No point of a path is
//! stored: memory depends neither on the nodes nor on the samples.

mod cpu;
#[cfg(feature = "cubecl")]
mod device;
#[cfg(feature = "cubecl")]
pub(crate) mod kernel;
mod op;
pub mod reference;

pub use op::{NoiseBackend, Points, noise, random_words};

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

/// Where a row lies, and which noise it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The input's number among those of the batch.
    pub input: usize,
    /// The position on the path: 0 is the baseline, 1 the input. Without baselines it is not read.
    pub position: f64,
    /// The sample's number.
    pub sample: u32,
    /// The node's number.
    pub node: u32,
}

impl Row {
    /// The sample of this number of the first input.
    pub fn sample(sample: u32) -> Self {
        Self { input: 0, position: 1.0, sample, node: 0 }
    }
}

/// The rows that are drawn together, and of which random stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The key of the generator.
    pub seed: u64,
    /// The stream: one for each weight draw of a plan, below [`RESERVED`].
    pub stream: u32,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Batch {
    /// So many samples of one input, from `first` on.
    pub fn samples(seed: u64, stream: u32, first: u32, count: usize) -> Self {
        let rows = (first..).take(count).map(Row::sample).collect();
        Self { seed, stream, rows }
    }
}

/// The domains of the inputs: for each of them per channel its lower and upper bound. Element `e` belongs to
/// channel `(e / inner) mod channels`.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Input by input and in it channel by channel, the least value.
    pub lower: Vec<f32>,
    /// Likewise, the greatest value.
    pub upper: Vec<f32>,
    /// The number of channels of an input.
    pub channels: usize,
    /// The number of consecutive elements of one channel: `height * width` for `[C, H, W]`.
    pub inner: usize,
}

impl Domain {
    /// The domain of one input with these bounds of its channels.
    pub fn new(lower: Vec<f32>, upper: Vec<f32>, inner: usize) -> Self {
        let channels = lower.len();
        Self { lower, upper, channels, inner }
    }

    /// The domains of several inputs, each of one input; one with a single pair of bounds has it in all channels.
    pub fn joined(all: &[Domain]) -> Self {
        let channels = all.iter().map(|own| own.channels).max().unwrap_or(1);
        let inner = all.iter().find(|own| own.channels == channels).map_or(1, |own| own.inner);
        let each = |bounds: fn(&Domain) -> &[f32]| {
            let of = |own| {
                let bounds = bounds(own);
                bounds.iter().cycle().take(channels.max(bounds.len())).copied().collect::<Vec<_>>()
            };
            all.iter().flat_map(of).collect()
        };
        Self { lower: each(|own| &own.lower), upper: each(|own| &own.upper), channels, inner }
    }

    /// The channel of element `e`.
    #[inline(always)]
    pub fn channel(&self, e: usize) -> usize {
        (e / self.inner) % self.channels
    }

    /// The bounds of element `e` of an input.
    #[inline(always)]
    pub fn bounds(&self, input: usize, e: usize) -> (f32, f32) {
        let at = input * self.channels + self.channel(e);
        (self.lower[at], self.upper[at])
    }
}
