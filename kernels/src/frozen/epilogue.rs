//! The epilogue: the operations on an accumulator before it is written. These are bias, scale, addition of
//! another image, activation, and saving the derivative for the backward pass.

use super::fma::fused;
use super::image::LANES;
use super::pixel_loop::{Cursor, PixelLoop};
use crate::Activation;
use crate::activation::{GELU_CUBIC, SQRT_2_OVER_PI};

/// The form in which the derivative of an activation is saved for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedDerivative {
    /// Not saved: the derivative is 1.
    Nothing,
    /// One byte per element, which selects one of two slopes.
    Bytes,
    /// The derivative as `f32`.
    Floats,
}

impl Activation {
    /// The form in which the derivative is saved.
    pub fn saved_derivative(self) -> SavedDerivative {
        match self {
            Self::Identity => SavedDerivative::Nothing,
            Self::Relu | Self::Clip { .. } | Self::Leaky { .. } | Self::FakeQuantize { .. } => {
                SavedDerivative::Bytes
            }
            _ => SavedDerivative::Floats,
        }
    }

    /// The derivative for a saved byte of 0 and of 1.
    pub fn slopes(self) -> [f32; 2] {
        match self {
            Self::Leaky { slope } => [slope, 1.0],
            Self::FakeQuantize { scale, unit, .. } => [0.0, unit / scale],
            _ => [0.0, 1.0],
        }
    }
}

/// Clamps `x` to the bounds; NaN stays NaN.
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

/// The cumulative distribution function and the density of the standard normal distribution at `x`, with an
/// error of 1e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
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
    // Beyond these bounds the result is 0 or infinity, or close enough.
    let x = clip(x, -87.0, 88.0);
    // Adding 1.5 2^23 leaves the nearest integer in the last bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    let shifted = fused::<FUSED>(x, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    // ln(2) in two parts (Cody and Waite), so that the difference is exact.
    let r = fused::<FUSED>(n, -0.693_359_4, x);
    let r = fused::<FUSED>(n, 2.121_944_4e-4, r);
    let mut sum = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = fused::<FUSED>(sum, r, factor);
    }
    sum * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

/// The buffers to which an epilogue writes.
pub struct Destinations<'a> {
    /// The output image.
    pub to: &'a mut [f32],
    /// The bytes that select a slope; empty if none are saved.
    pub bytes: &'a mut [u8],
    /// The derivatives; empty if none are saved.
    pub floats: &'a mut [f32],
}

/// The image that is added to an accumulator.
#[derive(Clone, Copy)]
pub enum Addend<'a> {
    /// Nothing.
    Nothing,
    /// The present content of the output.
    Output,
    /// Another image.
    Other(&'a [f32]),
}

/// The derivative by which a gradient is multiplied.
#[derive(Clone, Copy)]
pub enum Derivative<'a> {
    /// 1.
    One,
    /// The first slope where the byte is 0, else the second.
    Bytes(&'a [u8], [f32; 2]),
    /// The saved derivatives.
    Floats(&'a [f32]),
}

/// The operations on an accumulator, in the order of the fields; in the backward pass the derivative is
/// applied before the activation, which is then the identity.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// The bias of each channel, padded like the channels; empty if there is none.
    pub bias: &'a [f32],
    /// The scale of each channel, applied after the bias and padded like the channels; empty if there is
    /// none.
    pub scale: &'a [f32],
    /// The image that is added.
    pub addend: Addend<'a>,
    /// The activation (forward pass).
    pub activation: Activation,
    /// The derivative by which the sum is multiplied (backward pass).
    pub derivative: Derivative<'a>,
}

impl Epilogue<'_> {
    /// Applies the epilogue to the accumulators of `N` pixels and `W` channels from `channel` on, and writes
    /// them. `W` is a multiple of [`LANES`]. Each operation is selected once for the whole tile.
    #[inline(always)]
    pub fn apply<const N: usize, const W: usize, const FUSED: bool>(
        &self,
        sums: &mut [[f32; W]; N],
        offsets: &PixelOffsets<N>,
        channel: usize,
        destinations: &mut Destinations,
    ) {
        if !self.bias.is_empty() {
            combine(sums, &[channel; N], self.bias, |sum, bias| sum + bias);
        }
        if !self.scale.is_empty() {
            combine(sums, &[channel; N], self.scale, |sum, scale| sum * scale);
        }
        let with_channel = |offsets: [usize; N]| offsets.map(|at| at + channel);
        match self.addend {
            Addend::Nothing => {}
            Addend::Output => {
                combine(sums, &with_channel(offsets.to), destinations.to, |sum, old| sum + old)
            }
            Addend::Other(other) => {
                combine(sums, &with_channel(offsets.addend), other, |sum, other| sum + other);
            }
        }
        let records = with_channel(offsets.record);
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
        self.activate::<N, W, FUSED>(sums, &records, destinations.bytes, destinations.floats);
        for (sums, to) in sums.iter().zip(&offsets.to) {
            *lanes_mut(destinations.to, to + channel) = *sums;
        }
    }

    /// Applies the activation to `sums` and saves its derivative.
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
                apply_and_save_mask(
                    sums,
                    records,
                    bytes,
                    |x| clip(x, 0.0, f32::INFINITY),
                    |x| x > 0.0,
                );
            }
            Activation::Clip { low, high } => {
                let inside = |x| (x >= low) & (x <= high);
                apply_and_save_mask(sums, records, bytes, |x| clip(x, low, high), inside);
            }
            Activation::Leaky { slope } => {
                let function = |x| if x > 0.0 { x } else { slope * x };
                apply_and_save_mask(sums, records, bytes, function, |x| x > 0.0);
            }
            Activation::FakeQuantize { scale, unit, zero, low, high } => {
                let level = |x: f32| (x / scale).round_ties_even() + zero;
                let function = |x| (clip(level(x), low, high) - zero) * unit;
                let inside = |x| {
                    let level = level(x);
                    (level >= low) & (level <= high)
                };
                apply_and_save_mask(sums, records, bytes, function, inside);
            }
            Activation::Sigmoid => apply_and_save_derivative(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(x);
                (s, s * (1.0 - s))
            }),
            Activation::Swish { alpha } => apply_and_save_derivative(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(alpha * x);
                (x * s, s + alpha * x * s * (1.0 - s))
            }),
            Activation::Reciprocal => apply_and_save_derivative(sums, records, floats, |x| {
                let reciprocal = 1.0 / x;
                (reciprocal, -reciprocal * reciprocal)
            }),
            Activation::Root => apply_and_save_derivative(sums, records, floats, |x| {
                let root = x.sqrt();
                (root, 0.5 / root)
            }),
            Activation::Length => apply_and_save_derivative(sums, records, floats, |x| {
                let root = x.sqrt();
                (root, if x == 0.0 { 0.0 } else { 0.5 / root })
            }),
            Activation::Tanh => apply_and_save_derivative(sums, records, floats, |x| {
                let t = 2.0 * sigmoid::<FUSED>(2.0 * x) - 1.0;
                (t, 1.0 - t * t)
            }),
            Activation::GeluTanh => apply_and_save_derivative(sums, records, floats, |x| {
                let s = sigmoid::<FUSED>(2.0 * SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x));
                let slope = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
                (x * s, s + x * s * (1.0 - s) * slope)
            }),
            Activation::HardSigmoid { alpha, beta } => {
                apply_and_save_derivative(sums, records, floats, |x| {
                    let line = alpha * x + beta;
                    (clip(line, 0.0, 1.0), alpha * one((0.0..=1.0).contains(&line)))
                })
            }
            Activation::HardSwish => apply_and_save_derivative(sums, records, floats, |x| {
                let line = x / 6.0 + 0.5;
                let r = clip(line, 0.0, 1.0);
                (x * r, r + one((0.0..=1.0).contains(&line)) * x / 6.0)
            }),
            Activation::Gelu => apply_and_save_derivative(sums, records, floats, |x| {
                let (below, density) = normal::<FUSED>(x);
                (x * below, below + x * density)
            }),
        }
    }
}

/// The offsets of `N` pixels in the output, in the added image and in the record.
pub struct PixelOffsets<const N: usize> {
    to: [usize; N],
    addend: [usize; N],
    record: [usize; N],
}

impl<const N: usize> PixelOffsets<N> {
    /// Returns the offsets of the next `N` pixels of a loop, starting at `at`, and their input offsets.
    /// Advances `at` by `N` pixels.
    #[inline(always)]
    pub fn next(pixel_loop: &PixelLoop, at: &mut Cursor) -> (Self, [usize; N]) {
        let mut offsets = Self { to: [0; N], addend: [0; N], record: [0; N] };
        let mut from = [0; N];
        for (pixel, from) in from.iter_mut().enumerate() {
            (offsets.to[pixel], offsets.addend[pixel]) = (at.to, at.addend);
            (offsets.record[pixel], *from) = (at.record, at.from);
            pixel_loop.advance(at);
        }
        (offsets, from)
    }
}

/// The `W` elements of `values` from `first` on.
#[inline(always)]
pub fn lanes<T, const W: usize>(values: &[T], first: usize) -> &[T; W] {
    values[first..].first_chunk().expect("a full vector of lanes")
}

/// The `W` elements of `values` from `first` on, mutable.
#[inline(always)]
pub fn lanes_mut<T, const W: usize>(values: &mut [T], first: usize) -> &mut [T; W] {
    values[first..].first_chunk_mut().expect("a full vector of lanes")
}

/// Combines the accumulators of every pixel with the elements of `values` from `first` on, one register at a
/// time: the compiler splits wider rows into many small pieces.
#[inline(always)]
fn combine<T: Copy, const N: usize, const W: usize>(
    sums: &mut [[f32; W]; N],
    first: &[usize; N],
    values: &[T],
    function: impl Fn(f32, T) -> f32,
) {
    for (sums, first) in sums.iter_mut().zip(first) {
        for (part, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let operand: [T; LANES] = *lanes(values, first + part * LANES);
            let mut to = *sums;
            for lane in 0..LANES {
                to[lane] = function(to[lane], operand[lane]);
            }
            *sums = to;
        }
    }
}

/// Applies `function`, and saves a byte per element that says whether a gradient passes.
#[inline(always)]
fn apply_and_save_mask<const N: usize, const W: usize>(
    sums: &mut [[f32; W]; N],
    records: &[usize; N],
    bytes: &mut [u8],
    function: impl Fn(f32) -> f32,
    passes: impl Fn(f32) -> bool,
) {
    if !bytes.is_empty() {
        for (sums, record) in sums.iter().zip(records) {
            for (part, sums) in sums.as_chunks::<LANES>().0.iter().enumerate() {
                let mut mask = [0u8; LANES];
                for lane in 0..LANES {
                    mask[lane] = u8::from(passes(sums[lane]));
                }
                *lanes_mut(bytes, record + part * LANES) = mask;
            }
        }
    }
    sums.as_flattened_mut().iter_mut().for_each(|sum| *sum = function(*sum));
}

/// Applies `function`, which returns the value and the derivative, and saves the derivative.
#[inline(always)]
fn apply_and_save_derivative<const N: usize, const W: usize>(
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
