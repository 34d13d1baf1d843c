//! What happens to a sum before it is written: bias, addition, activation, and what is kept of it
//! for the backward pass.

use super::image::LANES;
use super::sweep::{Place, Sweep};
use super::tile::fused;
use crate::Activation;
use crate::activation::{CUBIC, ROOT};

/// What is kept of an activation for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: the derivative is 1.
    Nothing,
    /// A byte: which of two slopes the derivative is.
    Bytes,
    /// The derivative.
    Floats,
}

impl Activation {
    /// What is kept of it.
    pub fn kept(self) -> Kept {
        match self {
            Self::Identity => Kept::Nothing,
            Self::Relu | Self::Clip { .. } | Self::Leaky { .. } | Self::FakeQuantize { .. } => {
                Kept::Bytes
            }
            _ => Kept::Floats,
        }
    }

    /// The derivative where the byte is 0 and where it is 1.
    pub fn slopes(self) -> [f32; 2] {
        match self {
            Self::Leaky { slope } => [slope, 1.0],
            Self::FakeQuantize { scale, unit, .. } => [0.0, unit / scale],
            _ => [0.0, 1.0],
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
pub fn exponential<const FUSED: bool>(x: f32) -> f32 {
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
    /// The first slope where the byte is 0, else the second.
    Bytes(&'a [u8], [f32; 2]),
    /// These.
    Floats(&'a [f32]),
}

/// What happens to a sum.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// A number per channel, filled up as the channels are; none where there is no bias.
    pub bias: &'a [f32],
    /// What the sum is multiplied with then, a number per channel; none where there is no scale.
    pub scale: &'a [f32],
    /// What is added.
    pub added: Added<'a>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Multiplied with it, in the backward pass.
    pub derivative: Derivative<'a>,
}

impl Finish<'_> {
    /// Finishes and writes the sums of `N` pixels and `W` channels from `channel` on, a whole number of
    /// lanes. What is to be done is asked once, and done for all of them.
    #[inline(always)]
    pub fn apply<const N: usize, const W: usize, const FUSED: bool>(
        &self,
        sums: &mut [[f32; W]; N],
        places: &Places<N>,
        channel: usize,
        outs: &mut Outs,
    ) {
        if !self.bias.is_empty() {
            combine(sums, &[channel; N], self.bias, |sum, bias| sum + bias);
        }
        if !self.scale.is_empty() {
            combine(sums, &[channel; N], self.scale, |sum, scale| sum * scale);
        }
        let behind = |places: [usize; N]| places.map(|at| at + channel);
        match self.added {
            Added::Nothing => {}
            Added::Own => combine(sums, &behind(places.to), outs.to, |sum, own| sum + own),
            Added::Other(other) => {
                combine(sums, &behind(places.add), other, |sum, other| sum + other);
            }
        }
        let records = behind(places.record);
        match self.derivative {
            Derivative::One => {}
            Derivative::Bytes(bytes, [off, on]) => {
                let passes = |sum, byte| sum * if byte == 0u8 { off } else { on };
                combine(sums, &records, bytes, passes);
            }
            Derivative::Floats(floats) => {
                combine(sums, &records, floats, |sum, derivative| sum * derivative);
            }
        }
        self.activate::<N, W, FUSED>(sums, &records, outs.bytes, outs.floats);
        for (sums, to) in sums.iter().zip(&places.to) {
            *lanes_mut(outs.to, to + channel) = *sums;
        }
    }

    /// The activation of `sums`; what the backward pass reads of it is kept.
    #[inline(always)]
    fn activate<const N: usize, const W: usize, const FUSED: bool>(
        &self,
        sums: &mut [[f32; W]; N],
        records: &[usize; N],
        bytes: &mut [u8],
        floats: &mut [f32],
    ) {
        let one = |inside: bool| if inside { 1.0 } else { 0.0 };
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => {
                passes(sums, records, bytes, |x| clip(x, 0.0, f32::INFINITY), |x| x > 0.0);
            }
            Activation::Clip { low, high } => {
                let inside = |x| (x >= low) & (x <= high);
                passes(sums, records, bytes, |x| clip(x, low, high), inside);
            }
            Activation::Leaky { slope } => {
                let function = |x| if x > 0.0 { x } else { slope * x };
                passes(sums, records, bytes, function, |x| x > 0.0);
            }
            Activation::FakeQuantize { scale, unit, zero, low, high } => {
                let level = |x: f32| (x / scale).round_ties_even() + zero;
                let function = |x| (clip(level(x), low, high) - zero) * unit;
                let inside = |x| {
                    let level = level(x);
                    (level >= low) & (level <= high)
                };
                passes(sums, records, bytes, function, inside);
            }
            Activation::Sigmoid => derives(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(x);
                (s, s * (1.0 - s))
            }),
            Activation::Swish { alpha } => derives(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(alpha * x);
                (x * s, s + alpha * x * s * (1.0 - s))
            }),
            Activation::Reciprocal => derives(sums, records, floats, |x| {
                let own = 1.0 / x;
                (own, -own * own)
            }),
            Activation::Root => derives(sums, records, floats, |x| {
                let own = x.sqrt();
                (own, 0.5 / own)
            }),
            Activation::Length => derives(sums, records, floats, |x| {
                let own = x.sqrt();
                (own, if x == 0.0 { 0.0 } else { 0.5 / own })
            }),
            Activation::Tanh => derives(sums, records, floats, |x| {
                let t = 2.0 * sigmoid::<FUSED>(2.0 * x) - 1.0;
                (t, 1.0 - t * t)
            }),
            Activation::GeluTanh => derives(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(2.0 * ROOT * (x + CUBIC * x * x * x));
                let slope = 2.0 * ROOT * (1.0 + 3.0 * CUBIC * x * x);
                (x * s, s + x * s * (1.0 - s) * slope)
            }),
            Activation::HardSigmoid { alpha, beta } => derives(sums, records, floats, |x| {
                let line = alpha * x + beta;
                (clip(line, 0.0, 1.0), alpha * one((0.0..=1.0).contains(&line)))
            }),
            Activation::HardSwish => derives(sums, records, floats, |x| {
                let line = x / 6.0 + 0.5;
                let r = clip(line, 0.0, 1.0);
                (x * r, r + one((0.0..=1.0).contains(&line)) * x / 6.0)
            }),
            Activation::Gelu => derives(sums, records, floats, |x| {
                let (below, density) = normal::<FUSED>(x);
                (x * below, below + x * density)
            }),
        }
    }
}

/// Where the sums of some pixels go, and what is read for them.
pub struct Places<const N: usize> {
    to: [usize; N],
    add: [usize; N],
    record: [usize; N],
}

impl<const N: usize> Places<N> {
    /// The next pixels of a sweep from `at` on, which moves on, and where those read.
    #[inline(always)]
    pub fn next(sweep: &Sweep, at: &mut Place) -> (Self, [usize; N]) {
        let mut places = Self { to: [0; N], add: [0; N], record: [0; N] };
        let mut from = [0; N];
        for (pixel, from) in from.iter_mut().enumerate() {
            (places.to[pixel], places.add[pixel]) = (at.to, at.add);
            (places.record[pixel], *from) = (at.record, at.from);
            sweep.step(at);
        }
        (places, from)
    }
}

/// `W` numbers of `values` from `first` on.
#[inline(always)]
pub fn lanes<T, const W: usize>(values: &[T], first: usize) -> &[T; W] {
    values[first..].first_chunk().expect("whole lanes")
}

/// The same, to be written.
#[inline(always)]
pub fn lanes_mut<T, const W: usize>(values: &mut [T], first: usize) -> &mut [T; W] {
    values[first..].first_chunk_mut().expect("whole lanes")
}

/// Combines the sums of every pixel with the numbers of `values` from `first` on. One register after
/// the other: of wider rows the compiler makes many small pieces.
#[inline(always)]
fn combine<T: Copy, const N: usize, const W: usize>(
    sums: &mut [[f32; W]; N],
    first: &[usize; N],
    values: &[T],
    function: impl Fn(f32, T) -> f32,
) {
    for (sums, first) in sums.iter_mut().zip(first) {
        for (part, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let own: [T; LANES] = *lanes(values, first + part * LANES);
            let mut to = *sums;
            for lane in 0..LANES {
                to[lane] = function(to[lane], own[lane]);
            }
            *sums = to;
        }
    }
}

/// Applies `function`; a byte is kept that says whether a gradient passes.
#[inline(always)]
fn passes<const N: usize, const W: usize>(
    sums: &mut [[f32; W]; N],
    records: &[usize; N],
    bytes: &mut [u8],
    function: impl Fn(f32) -> f32,
    passes: impl Fn(f32) -> bool,
) {
    if !bytes.is_empty() {
        for (sums, record) in sums.iter().zip(records) {
            for (part, sums) in sums.as_chunks::<LANES>().0.iter().enumerate() {
                let mut kept = [0u8; LANES];
                for lane in 0..LANES {
                    kept[lane] = u8::from(passes(sums[lane]));
                }
                *lanes_mut(bytes, record + part * LANES) = kept;
            }
        }
    }
    sums.as_flattened_mut().iter_mut().for_each(|sum| *sum = function(*sum));
}

/// Applies `function`, whose derivative is kept.
#[inline(always)]
fn derives<const N: usize, const W: usize>(
    sums: &mut [[f32; W]; N],
    records: &[usize; N],
    floats: &mut [f32],
    function: impl Fn(f32) -> (f32, f32),
) {
    for (sums, record) in sums.iter_mut().zip(records) {
        for (part, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let (mut to, mut derivatives) = (*sums, *sums);
            for lane in 0..LANES {
                (to[lane], derivatives[lane]) = function(to[lane]);
            }
            *sums = to;
            if !floats.is_empty() {
                *lanes_mut(floats, record + part * LANES) = derivatives;
            }
        }
    }
}
