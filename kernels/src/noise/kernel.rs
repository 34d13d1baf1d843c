//! The noise kernel as a CubeCL device kernel.
#![allow(missing_docs)] // CubeCL's macros generate public items without documentation.

use cubecl::prelude::*;

use crate::launch::THREADS;
use crate::mollifier::Mollifier;
use crate::{philox, quantile};

/// The number of rows that a thread computes. If they have a common input, the thread reads the input and its
/// bounds only once.
pub const ROWS: u32 = 8;

/// The formula of the width; see [`Width`](crate::Width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    Absolute,
    Relative,
    Adaptive,
    Proportional,
}

/// The compile-time arguments of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    pub mollifier: Mollifier,
    pub rule: Rule,
    /// Whether noisy values are clipped to the domain.
    pub clipped: bool,
    /// Whether all rows have the same input and are not on paths, so that each thread reads the input only
    /// once.
    pub single: bool,
    /// Whether the rows are on paths.
    pub on_paths: bool,
    /// Whether the rows have noise.
    pub noisy: bool,
}

/// The scalar arguments of a launch.
#[derive(CubeLaunch, CubeType)]
pub struct Job {
    /// The number of elements of a row.
    features: u32,
    /// The number of rows.
    rows: u32,
    /// The index of the input of the first row.
    input: u32,
    /// The random stream.
    stream: u32,
    /// The first word of the generator's key.
    key0: u32,
    /// The second word of the generator's key.
    key1: u32,
    /// The number of channels of an input.
    channels: u32,
    /// The number of consecutive elements of a channel.
    inner: u32,
    /// The number in the formula of the width.
    factor: f32,
}

/// Computes the rows of a batch.
///
/// Each thread processes one counter for `ROWS` rows: four elements of each row, a quarter of a row apart.
/// The counters are along x of the grid, and along z if there are more cubes than a device allows in one
/// direction. The rows are along y.
///
/// | argument | layout |
/// |---|---|
/// | `inputs`, `baselines` | `[inputs, features]` |
/// | `bounds` | `[inputs, 2, channels]`: the lower, then the upper bounds |
/// | `table` | `[rows, 4]`: the input, the sample, the node, and the bits of the position |
/// | `rows` | `[rows, features]` |
#[cube(launch)]
pub fn noise_kernel(
    inputs: &[f32],
    baselines: &[f32],
    bounds: &[f32],
    table: &[u32],
    rows: &mut [f32],
    job: &Job,
    #[comptime] variant: Variant,
) {
    let quarter = job.features.div_ceil(4);
    let block = counter();
    if block >= quarter {
        terminate!();
    }
    let start = ABSOLUTE_POS_Y * ROWS;
    let end = u32::min(start + ROWS, job.rows);
    // Registers are scarce. For a single input, each thread keeps the values of its elements, with their widths
    // or, if noise is clipped, their bounds. Otherwise it keeps only the channels of the elements.
    let mut x = Array::<f32>::new(4usize);
    let mut sigma = Array::<f32>::new(4usize);
    let mut lower = Array::<f32>::new(4usize);
    let mut upper = Array::<f32>::new(4usize);
    let mut channels = Array::<u32>::new(4usize);
    #[unroll]
    for word in 0..4u32 {
        let e = block + word * quarter;
        if e < job.features {
            let i = word as usize;
            channels[i] = (e / job.inner) % job.channels;
            if variant.single {
                let first = 2u32 * job.channels * job.input + channels[i];
                x[i] = inputs[(job.input as usize) * (job.features as usize) + (e as usize)];
                lower[i] = bounds[first as usize];
                upper[i] = bounds[(first + job.channels) as usize];
                sigma[i] = width(x[i], lower[i], upper[i], job.factor, variant.rule);
            }
        }
    }
    for row in start..end {
        let entry = (row * 4u32) as usize;
        let words = if comptime!(variant.noisy) {
            let (sample, node) = (table[entry + 1], table[entry + 2]);
            philox_words(block, sample, node, job.stream, job.key0, job.key1)
        } else {
            Array::<u32>::new(4usize)
        };
        #[unroll]
        for word in 0..4u32 {
            let e = block + word * quarter;
            if e < job.features {
                let i = word as usize;
                let value = if comptime!(!variant.single) {
                    let input = table[entry];
                    let index = (input as usize) * (job.features as usize) + (e as usize);
                    let point = if comptime!(variant.on_paths) {
                        let baseline = baselines[index];
                        let position = f32::reinterpret(table[entry + 3]);
                        baseline + position * (inputs[index] - baseline)
                    } else {
                        inputs[index]
                    };
                    if comptime!(variant.noisy) {
                        let draw = draw(words[i], variant.mollifier);
                        let first = 2u32 * job.channels * input + channels[i];
                        let low = bounds[first as usize];
                        let high = bounds[(first + job.channels) as usize];
                        let value =
                            point + width(point, low, high, job.factor, variant.rule) * draw;
                        apply_boundary(value, low, high, variant.clipped)
                    } else {
                        point
                    }
                } else if comptime!(!variant.noisy) {
                    x[i]
                } else if variant.clipped {
                    let draw = draw(words[i], variant.mollifier);
                    let sigma = width(x[i], lower[i], upper[i], job.factor, variant.rule);
                    apply_boundary(x[i] + sigma * draw, lower[i], upper[i], true)
                } else {
                    x[i] + sigma[i] * draw(words[i], variant.mollifier)
                };
                rows[(row as usize) * (job.features as usize) + (e as usize)] = value;
            }
        }
    }
}

/// Returns the counter of this thread.
#[cube]
fn counter() -> u32 {
    (CUBE_POS_Z * CUBE_COUNT_X + CUBE_POS_X) * THREADS + UNIT_POS_X
}

/// Returns the width of the noise at a value `x` with these bounds.
#[cube]
fn width(x: f32, lower: f32, upper: f32, factor: f32, #[comptime] rule: Rule) -> f32 {
    match rule {
        Rule::Absolute => factor,
        Rule::Relative => factor * (upper - lower),
        Rule::Adaptive => factor * f32::max(f32::min(x - lower, upper - x), 0.0f32),
        Rule::Proportional => factor * x,
    }
}

/// Applies the boundary rule.
#[cube]
fn apply_boundary(value: f32, lower: f32, upper: f32, #[comptime] clipped: bool) -> f32 {
    if clipped { f32::clamp(value, lower, upper) } else { value }
}

/// Returns the four words of a counter by Philox4x32-10; see [`crate::philox`].
#[cube]
fn philox_words(
    block: u32,
    sample: u32,
    node: u32,
    stream: u32,
    key0: u32,
    key1: u32,
) -> Array<u32> {
    let mut c0 = block;
    let mut c1 = sample;
    let mut c2 = node;
    let mut c3 = stream;
    let mut k0 = key0;
    let mut k1 = key1;
    #[unroll]
    for _ in 0..philox::ROUNDS {
        let high0 = u32::mul_hi(c0, philox::MULTIPLIER_0);
        let low0 = c0 * philox::MULTIPLIER_0;
        let high1 = u32::mul_hi(c2, philox::MULTIPLIER_1);
        let low1 = c2 * philox::MULTIPLIER_1;
        c0 = high1 ^ c1 ^ k0;
        c2 = high0 ^ c3 ^ k1;
        c1 = low1;
        c3 = low0;
        k0 += philox::WEYL_0;
        k1 += philox::WEYL_1;
    }
    let mut words = Array::<u32>::new(4usize);
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
    words
}

/// Returns the draw of a word at unit scale; see [`crate::quantile`].
#[cube]
fn draw(word: u32, #[comptime] mollifier: Mollifier) -> f32 {
    let m = word & 0x7FFF_FFFFu32;
    let p = (f32::cast_from(m) + 0.5f32) * comptime!(quantile::UNIT as f32);
    let x = (f32::cast_from(0x7FFF_FFFFu32 - m) + 0.5f32) * comptime!(2.0 * quantile::UNIT as f32);
    let magnitude = match mollifier {
        Mollifier::Gaussian => normal(p, x),
        Mollifier::Poisson => cauchy(p, x),
        Mollifier::Hyperbolic => 0.5f32 * ln((1.0f32 - p) / p),
        Mollifier::Sigmoid => ln((1.0f32 - p) / p),
        Mollifier::Rect => x,
        Mollifier::Laplace => -ln(2.0f32 * p),
    };
    if word >= 0x8000_0000u32 { -magnitude } else { magnitude }
}

/// Returns the natural logarithm of `v` in `[2^-32, 2^33]`, by the same formula as [`crate::quantile`]. The
/// built-in logarithms of the devices differ, and CUDA's requires a library of the CUDA toolkit.
#[cube]
fn ln(v: f32) -> f32 {
    // Splits `v` into a power of two, whose exponent is biased by 64, and a mantissa in `[sqrt(1/2),
    // sqrt(2))`.
    let bits = u32::reinterpret(v) + 0x2000_0000u32;
    let biased = (bits - 0x3F35_04F3u32) >> 23u32;
    let mantissa = f32::reinterpret(bits - (biased << 23u32));
    let s = (mantissa - 1.0f32) / (mantissa + 1.0f32);
    let q = s * s;
    let series = 1.0f32
        + q * (comptime!(1.0f32 / 3.0)
            + q * (comptime!(1.0f32 / 5.0)
                + q * (comptime!(1.0f32 / 7.0) + q * comptime!(1.0f32 / 9.0))));
    (f32::cast_from(biased) - 64.0f32) * comptime!(std::f32::consts::LN_2) + 2.0f32 * s * series
}

/// Returns the magnitude of the normal quantile, for the tail probability `p` and `x = 1 - 2p`.
#[cube]
fn normal(p: f32, x: f32) -> f32 {
    let w = -ln(4.0f32 * p * (1.0f32 - p));
    let mut ratio = 0.0f32;
    if w < comptime!(quantile::TAIL_STARTS as f32) {
        let t = w * (1.0f32 / 3.0f32) - 1.0f32;
        #[unroll]
        for i in 0..12usize {
            ratio = ratio * t + comptime!(quantile::CENTRE[11 - i] as f32);
        }
    } else {
        let t = (f32::sqrt(w) - comptime!(quantile::TAIL_CENTRE as f32))
            * comptime!((1.0 / quantile::TAIL_HALF_WIDTH) as f32);
        #[unroll]
        for i in 0..12usize {
            ratio = ratio * t + comptime!(quantile::TAIL[11 - i] as f32);
        }
    }
    x * ratio
}

/// Returns the magnitude of the Cauchy quantile, for the tail probability `p` and `x = 1 - 2p`.
#[cube]
fn cauchy(p: f32, x: f32) -> f32 {
    let y = f32::min(2.0f32 * p, x);
    let t = 8.0f32 * y * y - 1.0f32;
    let mut ratio = 0.0f32;
    #[unroll]
    for i in 0..7usize {
        ratio = ratio * t + comptime!(quantile::TANGENT[6 - i] as f32);
    }
    let tangent = y * ratio;
    if p < 0.25f32 { 1.0f32 / tangent } else { tangent }
}
