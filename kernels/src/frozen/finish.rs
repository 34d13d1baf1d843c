//! What happens to a sum before it is written: bias, addition, activation, and what is kept of it
//! for the backward pass.

use super::sweep::Place;
use super::tile::fused;

/// A function of one number. Beside each stands its derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`: 1 above 0, else 0.
    Relu,
    /// `x` within `low` and `high`: 1 there, the bounds included, else 0.
    Clip {
        /// The lower bound.
        low: f32,
        /// The upper bound.
        high: f32,
    },
    /// `x` above 0, `slope x` below.
    Leaky {
        /// The slope below 0.
        slope: f32,
    },
    /// `s = 1 / (1 + exp(-x))`: `s (1 - s)`.
    Sigmoid,
    /// `x s`, with the sigmoid `s`: `s + x s (1 - s)`.
    Silu,
    /// `r = clip(alpha x + beta, 0, 1)`: `alpha` within, else 0.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x r` with `r = clip(x / 6 + 1/2, 0, 1)`: `r + x / 6` within, else `r`.
    HardSwish,
    /// `x P(x)` with the normal distribution `P(x) = (1 + erf(x / sqrt(2))) / 2`: `P(x) + x p(x)` with
    /// its density `p`.
    Gelu,
}

/// What is kept of an activation for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: the derivative is 1.
    Nothing,
    /// A byte, 1 where the derivative is 1 and 0 where it is the slope.
    Bytes,
    /// The derivative.
    Floats,
}

impl Activation {
    /// What is kept of it.
    pub fn kept(self) -> Kept {
        match self {
            Self::Identity => Kept::Nothing,
            Self::Relu | Self::Clip { .. } | Self::Leaky { .. } => Kept::Bytes,
            _ => Kept::Floats,
        }
    }

    /// The derivative where the byte is 0.
    pub fn slope(self) -> f32 {
        match self {
            Self::Leaky { slope } => slope,
            _ => 0.0,
        }
    }
}

/// `x` within bounds; what is no number stays so.
#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exponential::<FUSED>(-x))
}

/// The standard normal distribution and its density at `x`, to 1e-7: Abramowitz and Stegun, Handbook
/// of Mathematical Functions, 7.1.26.
#[inline(always)]
fn normal<const FUSED: bool>(x: f32) -> (f32, f32) {
    let size = x.abs();
    let density = exponential::<FUSED>(-0.5 * size * size);
    let t = 1.0 / fused::<FUSED>(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, size, 1.0);
    let mut sum = 1.061_405_4;
    for factor in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        sum = fused::<FUSED>(sum, t, factor);
    }
    let above = 0.5 * sum * t * density;
    let below = if x > 0.0 { 1.0 - above } else { above };
    const SCALE: f32 = 0.398_942_3;
    (below, SCALE * density)
}

/// `exp(x)` to about one unit in the last place: `2^n exp(r)` with `|r| <= ln(2) / 2`, and the Taylor
/// polynomial of `exp(r)` up to the seventh power.
#[inline(always)]
fn exponential<const FUSED: bool>(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite, or near enough to it.
    let x = clip(x, -87.0, 88.0);
    // The sum's last bits are the nearest whole number.
    const SHIFT: f32 = 12_582_912.0;
    let shifted = fused::<FUSED>(x, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    // ln(2) in two parts, so that the difference is exact.
    let r = fused::<FUSED>(n, -0.693_359_4, x);
    let r = fused::<FUSED>(n, 2.121_944_4e-4, r);
    let mut sum = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = fused::<FUSED>(sum, r, factor);
    }
    sum * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

/// Where results go.
pub struct Outs<'a> {
    /// The picture.
    pub to: &'a mut [f32],
    /// Bytes that are kept; none where nothing is.
    pub bytes: &'a mut [u8],
    /// Derivatives that are kept; none where nothing is.
    pub floats: &'a mut [f32],
}

/// What is added to a sum.
#[derive(Clone, Copy)]
pub enum Added<'a> {
    /// Nothing.
    Nothing,
    /// What the output holds already.
    Own,
    /// Another picture.
    Other(&'a [f32]),
}

/// What a gradient is multiplied with.
#[derive(Clone, Copy)]
pub enum Derivative<'a> {
    /// 1.
    One,
    /// 1 where the byte is not 0, else the slope.
    Bytes(&'a [u8], f32),
    /// These.
    Floats(&'a [f32]),
}

/// What happens to a sum.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// A number per channel, filled up as the channels are; none where there is no bias.
    pub bias: &'a [f32],
    /// What is added.
    pub added: Added<'a>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Multiplied with it, in the backward pass.
    pub derivative: Derivative<'a>,
}

impl Finish<'_> {
    /// Finishes and writes the sums of `W` channels from `channel` on.
    #[inline(always)]
    pub fn apply<const W: usize, const FUSED: bool>(
        &self,
        sums: &mut [f32; W],
        place: &Place,
        channel: usize,
        outs: &mut Outs,
    ) {
        let to = lanes_mut::<f32, W>(outs.to, place.to + channel);
        if !self.bias.is_empty() {
            add(sums, lanes(self.bias, channel));
        }
        match self.added {
            Added::Nothing => {}
            Added::Own => add(sums, to),
            Added::Other(other) => add(sums, lanes(other, place.add + channel)),
        }
        let record = place.record + channel;
        match self.derivative {
            Derivative::One => {}
            Derivative::Bytes(bytes, slope) => {
                let bytes: &[u8; W] = lanes(bytes, record);
                for lane in 0..W {
                    sums[lane] *= if bytes[lane] == 0 { slope } else { 1.0 };
                }
            }
            Derivative::Floats(floats) => {
                let floats: &[f32; W] = lanes(floats, record);
                for lane in 0..W {
                    sums[lane] *= floats[lane];
                }
            }
        }
        self.activate::<W, FUSED>(sums, record, outs.bytes, outs.floats);
        *to = *sums;
    }

    /// The activation of `sums`, and what is kept of it.
    #[inline(always)]
    fn activate<const W: usize, const FUSED: bool>(
        &self,
        sums: &mut [f32; W],
        record: usize,
        bytes: &mut [u8],
        floats: &mut [f32],
    ) {
        let one = |inside: bool| if inside { 1.0 } else { 0.0 };
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => {
                passes(sums, bytes, record, |x| (clip(x, 0.0, f32::INFINITY), x > 0.0));
            }
            Activation::Clip { low, high } => {
                passes(sums, bytes, record, |x| (clip(x, low, high), (x >= low) & (x <= high)));
            }
            Activation::Leaky { slope } => {
                passes(sums, bytes, record, |x| (if x > 0.0 { x } else { slope * x }, x > 0.0));
            }
            Activation::Sigmoid => derives(sums, floats, record, |x| {
                let s = sigmoid::<FUSED>(x);
                (s, s * (1.0 - s))
            }),
            Activation::Silu => derives(sums, floats, record, |x| {
                let s = sigmoid::<FUSED>(x);
                (x * s, s + x * s * (1.0 - s))
            }),
            Activation::HardSigmoid { alpha, beta } => derives(sums, floats, record, |x| {
                let line = alpha * x + beta;
                (clip(line, 0.0, 1.0), alpha * one((0.0..=1.0).contains(&line)))
            }),
            Activation::HardSwish => derives(sums, floats, record, |x| {
                let line = x / 6.0 + 0.5;
                let r = clip(line, 0.0, 1.0);
                (x * r, r + one((0.0..=1.0).contains(&line)) * x / 6.0)
            }),
            Activation::Gelu => derives(sums, floats, record, |x| {
                let (below, density) = normal::<FUSED>(x);
                (x * below, below + x * density)
            }),
        }
    }
}

/// `W` numbers of `values` from `first` on.
#[inline(always)]
pub fn lanes<T, const W: usize>(values: &[T], first: usize) -> &[T; W] {
    values[first..].first_chunk().expect("whole lanes")
}

#[inline(always)]
fn lanes_mut<T, const W: usize>(values: &mut [T], first: usize) -> &mut [T; W] {
    values[first..].first_chunk_mut().expect("whole lanes")
}

#[inline(always)]
fn add<const W: usize>(sums: &mut [f32; W], more: &[f32; W]) {
    for lane in 0..W {
        sums[lane] += more[lane];
    }
}

/// Applies `function`, and keeps whether a gradient passes it.
#[inline(always)]
fn passes<const W: usize>(
    sums: &mut [f32; W],
    bytes: &mut [u8],
    record: usize,
    function: impl Fn(f32) -> (f32, bool),
) {
    if !bytes.is_empty() {
        let bytes: &mut [u8; W] = lanes_mut(bytes, record);
        for lane in 0..W {
            bytes[lane] = u8::from(function(sums[lane]).1);
        }
    }
    for sum in sums {
        *sum = function(*sum).0;
    }
}

/// Applies `function`, and keeps its derivative.
#[inline(always)]
fn derives<const W: usize>(
    sums: &mut [f32; W],
    floats: &mut [f32],
    record: usize,
    function: impl Fn(f32) -> (f32, f32),
) {
    let mut derivatives = [0f32; W];
    for lane in 0..W {
        (sums[lane], derivatives[lane]) = function(sums[lane]);
    }
    if !floats.is_empty() {
        *lanes_mut(floats, record) = derivatives;
    }
}
