//! Activations as operations on tensors with their own backward pass, which keeps the input alone.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchTensor, Flex, Scalar, TensorMetadata, backend_extension,
    get_or_init_device_settings,
};

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
    /// `x s`, with the sigmoid `s` of `alpha x`: `s + alpha x s (1 - s)`. SiLU for `alpha = 1`.
    Swish {
        /// What the sigmoid's argument is multiplied with.
        alpha: f32,
    },
    /// `1 / x`: `-1 / x^2`.
    Reciprocal,
    /// `sqrt(x)`: `1 / (2 sqrt(x))`.
    Root,
    /// `sqrt(x)` of a sum of squares: `1 / (2 sqrt(x))`, and 0 at 0, as PyTorch differentiates norms.
    Length,
    /// `t = tanh(x)`: `1 - t^2`.
    Tanh,
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
    /// Its approximation `x s`, with the sigmoid `s` of `2 u` and
    /// `u = sqrt(2 / pi) (x + 0.044715 x^3)`: `s + 2 x s (1 - s) u'`.
    GeluTanh,
    /// `unit (clip(q, low, high) - zero)` with `q = round(x / scale) + zero`, halves to the even number:
    /// with `unit = scale` what is left of `x` when it has been held as an integer, and with `unit = 1` that
    /// integer. The derivative is `unit / scale` where `q` is within the bounds, these included, else 0:
    /// straight through the rounding (Bengio et al. 2013).
    FakeQuantize {
        /// The distance of two levels.
        scale: f32,
        /// What a level counts afterwards.
        unit: f32,
        /// The level of 0.
        zero: f32,
        /// The lowest level.
        low: f32,
        /// The highest level.
        high: f32,
    },
}

/// `sqrt(2 / pi)`.
pub(crate) const ROOT: f32 = 0.797_884_6;
/// The factor of the cube in the approximation of GELU.
pub(crate) const CUBIC: f32 = 0.044_715;

/// Backends that run activations.
#[backend_extension(
    Autodiff,
    Cube: cfg(feature = "cubecl"),
    Flex,
    Fusion: cfg(feature = "fusion")
)]
pub trait ActivationBackend: Backend {
    /// The activation of every number; see [`activate`].
    #[fusion(default)]
    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        value::<Self>(x, activation)
    }

    /// The `gradient` with respect to `x`.
    #[fusion(default)]
    fn activation_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        derivative::<Self>(x, gradient, activation)
    }
}

impl ActivationBackend for Flex {}

#[cfg(feature = "cubecl")]
impl ActivationBackend for burn_cubecl::CubeBackend {}

/// The activation of every number of `x`, of any shape, on any device. It can be differentiated.
pub fn activate(x: DispatchTensor, activation: Activation) -> DispatchTensor {
    <Dispatch as ActivationBackend>::activated(x, activation)
}

fn scaled<B: Backend>(x: FloatTensor<B>, factor: f32) -> FloatTensor<B> {
    B::float_mul_scalar(x, factor.into())
}

fn shifted<B: Backend>(x: FloatTensor<B>, term: f32) -> FloatTensor<B> {
    B::float_add_scalar(x, term.into())
}

/// `alpha x + beta`.
fn line<B: Backend>(x: FloatTensor<B>, alpha: f32, beta: f32) -> FloatTensor<B> {
    shifted::<B>(scaled::<B>(x, alpha), beta)
}

fn clipped<B: Backend>(x: FloatTensor<B>, low: f32, high: f32) -> FloatTensor<B> {
    // A device's minimum and maximum may forget what is not a number.
    let x = filled::<B>(x.clone(), below::<B>(x, low), low);
    filled::<B>(x.clone(), above::<B>(x, high), high)
}

fn filled<B: Backend>(x: FloatTensor<B>, mask: BoolTensor<B>, value: f32) -> FloatTensor<B> {
    B::float_mask_fill(x, mask, value.into())
}

fn compared<B: Backend>(
    x: FloatTensor<B>,
    bound: f32,
    compare: fn(FloatTensor<B>, Scalar, burn::tensor::BoolDType) -> BoolTensor<B>,
) -> BoolTensor<B> {
    let dtype = get_or_init_device_settings::<B>(&x.device()).bool_dtype;
    compare(x, bound.into(), dtype)
}

fn below<B: Backend>(x: FloatTensor<B>, bound: f32) -> BoolTensor<B> {
    compared::<B>(x, bound, B::float_lower_elem)
}

fn above<B: Backend>(x: FloatTensor<B>, bound: f32) -> BoolTensor<B> {
    compared::<B>(x, bound, B::float_greater_elem)
}

/// `gradient` where `x` is within the bounds, these included, else 0.
fn within<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    low: f32,
    high: f32,
) -> FloatTensor<B> {
    let gradient = filled::<B>(gradient, below::<B>(x.clone(), low), 0.0);
    filled::<B>(gradient, above::<B>(x, high), 0.0)
}

/// `round(x / scale) + zero`.
fn level<B: Backend>(x: FloatTensor<B>, scale: f32, zero: f32) -> FloatTensor<B> {
    shifted::<B>(B::float_round(B::float_div_scalar(x, scale.into())), zero)
}

/// `(1 + erf(x / sqrt(2))) / 2`.
fn normal<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let erf = B::float_erf(scaled::<B>(x, std::f32::consts::FRAC_1_SQRT_2));
    line::<B>(erf, 0.5, 0.5)
}

/// `sigmoid(2 u)` of the approximation of GELU.
fn approximate<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x.clone());
    B::sigmoid(B::float_mul(x, line::<B>(square, 2.0 * ROOT * CUBIC, 2.0 * ROOT)))
}

/// `s (1 - s)`.
fn sigmoid_slope<B: Backend>(own: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(own.clone(), line::<B>(own, -1.0, 1.0))
}

/// `s + alpha x s (1 - s)`.
fn of_product<B: Backend>(x: FloatTensor<B>, own: FloatTensor<B>, alpha: f32) -> FloatTensor<B> {
    let rest = B::float_mul(scaled::<B>(x, alpha), sigmoid_slope::<B>(own.clone()));
    B::float_add(own, rest)
}

fn value<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => B::relu(x),
        Activation::Clip { low, high } => clipped::<B>(x, low, high),
        Activation::Leaky { slope } => {
            let positive = above::<B>(x.clone(), 0.0);
            B::float_mask_where(scaled::<B>(x.clone(), slope), positive, x)
        }
        Activation::Sigmoid => B::sigmoid(x),
        Activation::Swish { alpha } => B::float_mul(x.clone(), B::sigmoid(scaled::<B>(x, alpha))),
        Activation::Reciprocal => B::float_recip(x),
        Activation::Root | Activation::Length => B::float_sqrt(x),
        Activation::Tanh => B::float_tanh(x),
        Activation::GeluTanh => B::float_mul(x.clone(), approximate::<B>(x)),
        Activation::HardSigmoid { alpha, beta } => {
            clipped::<B>(line::<B>(x, alpha, beta), 0.0, 1.0)
        }
        Activation::HardSwish => {
            B::float_mul(x.clone(), clipped::<B>(line::<B>(x, 1.0 / 6.0, 0.5), 0.0, 1.0))
        }
        Activation::Gelu => B::float_mul(x.clone(), normal::<B>(x)),
        Activation::FakeQuantize { scale, unit, zero, low, high } => {
            let level = clipped::<B>(level::<B>(x, scale, zero), low, high);
            let level = shifted::<B>(level, -zero);
            if unit == 1.0 { level } else { scaled::<B>(level, unit) }
        }
    }
}

/// The gradient times the derivative, as [`Activation`] gives it.
fn derivative<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => gradient,
        Activation::Relu => {
            let positive = above::<B>(x, 0.0);
            filled::<B>(gradient, B::bool_not(positive), 0.0)
        }
        Activation::Clip { low, high } => within::<B>(x, gradient, low, high),
        Activation::Leaky { slope } => {
            let positive = above::<B>(x, 0.0);
            B::float_mask_where(scaled::<B>(gradient.clone(), slope), positive, gradient)
        }
        Activation::Sigmoid => B::float_mul(gradient, sigmoid_slope::<B>(B::sigmoid(x))),
        Activation::Swish { alpha } => {
            let own = B::sigmoid(scaled::<B>(x.clone(), alpha));
            B::float_mul(gradient, of_product::<B>(x, own, alpha))
        }
        Activation::Reciprocal => {
            let own = B::float_recip(x);
            B::float_mul(gradient, scaled::<B>(B::float_mul(own.clone(), own), -1.0))
        }
        Activation::Root => B::float_div(scaled::<B>(gradient, 0.5), B::float_sqrt(x)),
        Activation::Length => {
            let positive = above::<B>(x.clone(), 0.0);
            let own = B::float_div(scaled::<B>(gradient, 0.5), B::float_sqrt(x));
            filled::<B>(own, B::bool_not(positive), 0.0)
        }
        Activation::Tanh => {
            let own = B::float_tanh(x);
            let square = B::float_mul(own.clone(), own);
            B::float_mul(gradient, line::<B>(square, -1.0, 1.0))
        }
        Activation::GeluTanh => {
            let own = approximate::<B>(x.clone());
            let square = B::float_mul(x.clone(), x.clone());
            let slope = line::<B>(square, 6.0 * ROOT * CUBIC, 2.0 * ROOT);
            let rest = B::float_mul(sigmoid_slope::<B>(own.clone()), B::float_mul(x, slope));
            B::float_mul(gradient, B::float_add(own, rest))
        }
        Activation::HardSigmoid { alpha, beta } => {
            within::<B>(line::<B>(x, alpha, beta), scaled::<B>(gradient, alpha), 0.0, 1.0)
        }
        Activation::HardSwish => {
            let line = line::<B>(x.clone(), 1.0 / 6.0, 0.5);
            let ramp = clipped::<B>(line.clone(), 0.0, 1.0);
            let slope = within::<B>(line, scaled::<B>(x, 1.0 / 6.0), 0.0, 1.0);
            B::float_mul(gradient, B::float_add(ramp, slope))
        }
        Activation::Gelu => {
            const SCALE: f32 = 0.398_942_3;
            let square = B::float_mul(x.clone(), x.clone());
            let density = scaled::<B>(B::float_exp(scaled::<B>(square, -0.5)), SCALE);
            let slope = B::float_add(normal::<B>(x.clone()), B::float_mul(x, density));
            B::float_mul(gradient, slope)
        }
        Activation::FakeQuantize { scale, unit, zero, low, high } => {
            let gradient =
                if unit == scale { gradient } else { scaled::<B>(gradient, unit / scale) };
            within::<B>(level::<B>(x, scale, zero), gradient, low, high)
        }
    }
}

#[derive(Debug)]
struct Activated;

impl<B: ActivationBackend> Backward<B, 1> for Activated {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, activation) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            B::activation_gradient(x, gradient, activation)
        });
    }
}

impl<B: ActivationBackend, C: CheckpointStrategy> ActivationBackend for Autodiff<B, C> {
    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        match Activated.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((x.clone(), activation), B::activated(x, activation))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activated(x, activation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::frozen::reference;

    fn fake_quantize(scale: f32, unit: f32, zero: f32, bits: i32) -> Activation {
        let high = 2f32.powi(bits - 1);
        Activation::FakeQuantize { scale, unit, zero, low: -high, high: high - 1.0 }
    }

    /// Values and derivatives against those of the reference, at numbers that include every bend.
    #[test]
    fn are_those_of_the_reference() {
        let numbers: Vec<f32> =
            (-80..=80).map(|at| at as f32 / 8.0).chain([-3.0, 3.0, 6.0, -0.5, 100.0]).collect();
        let all = [
            Activation::Identity,
            Activation::Relu,
            Activation::Clip { low: -0.5, high: 6.0 },
            Activation::Leaky { slope: 0.1 },
            Activation::Sigmoid,
            Activation::Swish { alpha: 1.0 },
            Activation::Swish { alpha: 1.702 },
            Activation::Tanh,
            Activation::GeluTanh,
            Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
            Activation::HardSwish,
            Activation::Gelu,
            Activation::Reciprocal,
            Activation::Root,
            Activation::Length,
            // Halves between levels, and numbers at the bounds and beyond them.
            fake_quantize(0.25, 0.25, 3.0, 4),
            fake_quantize(0.0625, 0.0625, 0.0, 8),
            fake_quantize(0.25, 1.0, -3.0, 8),
        ];
        let device = Device::flex().autodiff();
        for activation in all {
            let x = Tensor::<1>::from_floats(&numbers[..], &device).require_grad();
            let y = Tensor::<1>::from_dispatch(activate(x.clone().into_dispatch(), activation));
            let factors = Tensor::<1>::from_floats(&numbers[..], &device).mul_scalar(0.3);
            let gradients = (y.clone() * factors).sum().backward();
            let gradient = x.grad(&gradients).expect("a gradient");
            let read = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().expect("floats");
            let (values, slopes) = (read(y.inner()), read(gradient));
            for ((x, value), slope) in numbers.iter().zip(values).zip(slopes) {
                let of_positive = matches!(activation, Activation::Reciprocal | Activation::Root);
                if (of_positive && *x <= 0.0) || (activation == Activation::Length && *x < 0.0) {
                    continue;
                }
                let (expected, derivative) = reference::at(activation, f64::from(*x));
                let close = |a: f32, b: f64| (f64::from(a) - b).abs() <= 3e-6 * (1.0 + b.abs());
                assert!(close(value, expected), "{activation:?} at {x}: {value} {expected}");
                let expected = derivative * f64::from(*x) * 0.3;
                assert!(close(slope, expected), "{activation:?} at {x}: {slope} {expected}");
            }
        }
    }
}
