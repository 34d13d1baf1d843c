//! What happens to a sum before it is written: bias, addition, activation, and what is kept of it
//! for the backward pass.

use super::sweep::Place;

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

    /// The value and the derivative at `x`.
    #[inline(always)]
    pub fn at<const FUSED: bool>(self, x: f32) -> (f32, f32) {
        let one = |inside: bool| if inside { 1.0 } else { 0.0 };
        match self {
            Self::Identity => (x, 1.0),
            Self::Relu => (clip(x, 0.0, f32::INFINITY), one(x > 0.0)),
            Self::Clip { low, high } => (clip(x, low, high), one(x >= low && x <= high)),
            Self::Leaky { slope } => {
                if x > 0.0 {
                    (x, 1.0)
                } else {
                    (slope * x, slope)
                }
            }
            Self::Sigmoid => {
                let s = sigmoid::<FUSED>(x);
                (s, s * (1.0 - s))
            }
            Self::Silu => {
                let s = sigmoid::<FUSED>(x);
                (x * s, s + x * s * (1.0 - s))
            }
            Self::HardSigmoid { alpha, beta } => {
                let line = alpha * x + beta;
                (clip(line, 0.0, 1.0), alpha * one((0.0..=1.0).contains(&line)))
            }
            Self::HardSwish => {
                let line = x / 6.0 + 0.5;
                let r = clip(line, 0.0, 1.0);
                (x * r, r + one((0.0..=1.0).contains(&line)) * x / 6.0)
            }
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

/// `exp(x)` to about one unit in the last place: `2^n exp(r)` with `|r| <= ln(2) / 2`, and the Taylor
/// polynomial of `exp(r)` up to the seventh power.
#[inline(always)]
fn exponential<const FUSED: bool>(x: f32) -> f32 {
    use super::tile::fused;
    // Beyond these the result is 0 or infinite, or near enough to it.
    let x = x.clamp(-87.0, 88.0);
    // Rounds to the nearest whole number.
    const SHIFT: f32 = 12_582_912.0;
    let n = fused::<FUSED>(x, std::f32::consts::LOG2_E, SHIFT) - SHIFT;
    // ln(2) in two parts, so that the difference is exact.
    let r = fused::<FUSED>(n, -0.693_359_4, x);
    let r = fused::<FUSED>(n, 2.121_944_4e-4, r);
    let mut sum = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = fused::<FUSED>(sum, r, factor);
    }
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    sum * power
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
        let (to, _) = outs.to[place.to + channel..].split_at_mut(W);
        if !self.bias.is_empty() {
            let bias = &self.bias[channel..][..W];
            for lane in 0..W {
                sums[lane] += bias[lane];
            }
        }
        match self.added {
            Added::Nothing => {}
            Added::Own => {
                for lane in 0..W {
                    sums[lane] += to[lane];
                }
            }
            Added::Other(other) => {
                let other = &other[place.add + channel..][..W];
                for lane in 0..W {
                    sums[lane] += other[lane];
                }
            }
        }
        let record = place.record + channel;
        match self.derivative {
            Derivative::One => {}
            Derivative::Bytes(bytes, slope) => {
                let bytes = &bytes[record..][..W];
                for lane in 0..W {
                    sums[lane] *= if bytes[lane] == 0 { slope } else { 1.0 };
                }
            }
            Derivative::Floats(floats) => {
                let floats = &floats[record..][..W];
                for lane in 0..W {
                    sums[lane] *= floats[lane];
                }
            }
        }
        self.activate::<W, FUSED>(sums, record, outs.bytes, outs.floats);
        to.copy_from_slice(sums);
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
        match self.activation {
            Activation::Identity => {}
            activation @ Activation::Relu => keep_bytes(activation, sums, record, bytes),
            activation @ Activation::Clip { .. } => keep_bytes(activation, sums, record, bytes),
            activation @ Activation::Leaky { .. } => keep_bytes(activation, sums, record, bytes),
            activation => {
                let mut derivatives = [0f32; W];
                for lane in 0..W {
                    (sums[lane], derivatives[lane]) = activation.at::<FUSED>(sums[lane]);
                }
                if !floats.is_empty() {
                    floats[record..][..W].copy_from_slice(&derivatives);
                }
            }
        }
    }
}

#[inline(always)]
fn keep_bytes<const W: usize>(
    activation: Activation,
    sums: &mut [f32; W],
    record: usize,
    bytes: &mut [u8],
) {
    if !bytes.is_empty() {
        let bytes = &mut bytes[record..][..W];
        for lane in 0..W {
            bytes[lane] = match activation {
                Activation::Relu | Activation::Leaky { .. } => u8::from(sums[lane] > 0.0),
                Activation::Clip { low, high } => u8::from(sums[lane] >= low && sums[lane] <= high),
                _ => 1,
            };
        }
    }
    for sum in sums {
        *sum = match activation {
            Activation::Relu => clip(*sum, 0.0, f32::INFINITY),
            Activation::Leaky { slope } => {
                if *sum > 0.0 {
                    *sum
                } else {
                    slope * *sum
                }
            }
            Activation::Clip { low, high } => clip(*sum, low, high),
            _ => *sum,
        };
    }
}
