//! The activation functions.

/// An activation function. The documentation of each variant gives the function and, after the colon, its
/// derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`: 1.
    Identity,
    /// `max(x, 0)`: 1 above 0, else 0.
    Relu,
    /// `clip(x, low, high)`: 1 from `low` to `high` inclusive, else 0.
    Clip {
        /// The lower bound.
        low: f32,
        /// The upper bound.
        high: f32,
    },
    /// `x` above 0, else `slope x`: 1 above 0, else `slope`.
    Leaky {
        /// The slope below 0.
        slope: f32,
    },
    /// `s = 1 / (1 + exp(-x))`: `s (1 - s)`.
    Sigmoid,
    /// `x s`, with the sigmoid `s` of `alpha x`: `s + alpha x s (1 - s)`. SiLU for `alpha = 1`.
    Swish {
        /// The factor of the argument of the sigmoid.
        alpha: f32,
    },
    /// `1 / x`: `-1 / x^2`.
    Reciprocal,
    /// `sqrt(x)`: `1 / (2 sqrt(x))`.
    Root,
    /// `sqrt(x)` of a sum of squares: `1 / (2 sqrt(x))`, and 0 at 0, like the derivative of a norm in
    /// PyTorch.
    Length,
    /// `t = tanh(x)`: `1 - t^2`.
    Tanh,
    /// `r = clip(alpha x + beta, 0, 1)`: `alpha` between the bounds, else 0.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x r` with `r = clip(x / 6 + 1/2, 0, 1)`: `r + x / 6` between the bounds, else `r`.
    HardSwish,
    /// `x P(x)` with the normal distribution `P(x) = (1 + erf(x / sqrt(2))) / 2`: `P(x) + x p(x)` with
    /// its density `p`.
    Gelu,
    /// The tanh approximation of GELU, `x s`, with the sigmoid `s` of `2 u` and
    /// `u = sqrt(2 / pi) (x + 0.044715 x^3)`: `s + 2 x s (1 - s) u'`.
    GeluTanh,
    /// `unit (clip(q, low, high) - zero)` with `q = round(x / scale) + zero`, ties to even. With
    /// `unit = scale` this quantizes and dequantizes `x`; with `unit = 1` it returns the quantized integer.
    /// The derivative is that of the straight-through estimator (Bengio et al. 2013): `unit / scale` where
    /// `q` lies between the bounds inclusive, else 0.
    FakeQuantize {
        /// The quantization scale: the distance between two levels.
        scale: f32,
        /// The value of one level in the result.
        unit: f32,
        /// The zero point: the level of 0.
        zero: f32,
        /// The lowest level.
        low: f32,
        /// The highest level.
        high: f32,
    },
}

/// `sqrt(2 / pi)`.
pub(crate) const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// The factor of the cubic term in the tanh approximation of GELU.
pub(crate) const GELU_CUBIC: f32 = 0.044_715;
