//! The formulas of the activation functions and of their derivatives.

use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, Scalar, TensorMetadata, get_or_init_device_settings};

use super::function::{Activation, GELU_CUBIC, SQRT_2_OVER_PI};

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
    // The minimum and maximum of a device may drop NaN.
    let x = filled::<B>(x.clone(), below::<B>(x, low), low);
    filled::<B>(x.clone(), above::<B>(x, high), high)
}

fn filled<B: Backend>(x: FloatTensor<B>, mask: BoolTensor<B>, value: f32) -> FloatTensor<B> {
    B::float_mask_fill(x, mask, value.into())
}

fn compare_with<B: Backend>(
    x: FloatTensor<B>,
    bound: f32,
    compare: fn(FloatTensor<B>, Scalar, burn::tensor::BoolDType) -> BoolTensor<B>,
) -> BoolTensor<B> {
    let dtype = get_or_init_device_settings::<B>(&x.device()).bool_dtype;
    compare(x, bound.into(), dtype)
}

fn below<B: Backend>(x: FloatTensor<B>, bound: f32) -> BoolTensor<B> {
    compare_with::<B>(x, bound, B::float_lower_elem)
}

fn above<B: Backend>(x: FloatTensor<B>, bound: f32) -> BoolTensor<B> {
    compare_with::<B>(x, bound, B::float_greater_elem)
}

/// `gradient` where `x` lies between the bounds inclusive, else 0.
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

/// `sigmoid(2 u)` of the tanh approximation of GELU.
fn approximate<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x.clone());
    B::sigmoid(B::float_mul(
        x,
        line::<B>(square, 2.0 * SQRT_2_OVER_PI * GELU_CUBIC, 2.0 * SQRT_2_OVER_PI),
    ))
}

/// `s (1 - s)`.
fn sigmoid_slope<B: Backend>(s: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(s.clone(), line::<B>(s, -1.0, 1.0))
}

/// `s + alpha x s (1 - s)`.
fn swish_slope<B: Backend>(x: FloatTensor<B>, s: FloatTensor<B>, alpha: f32) -> FloatTensor<B> {
    let rest = B::float_mul(scaled::<B>(x, alpha), sigmoid_slope::<B>(s.clone()));
    B::float_add(s, rest)
}

/// The activation of every element.
pub fn value<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
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

/// The gradient times the derivative that [`Activation`] documents.
pub fn derivative<B: Backend>(
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
            let s = B::sigmoid(scaled::<B>(x.clone(), alpha));
            B::float_mul(gradient, swish_slope::<B>(x, s, alpha))
        }
        Activation::Reciprocal => {
            let reciprocal = B::float_recip(x);
            B::float_mul(gradient, scaled::<B>(B::float_mul(reciprocal.clone(), reciprocal), -1.0))
        }
        Activation::Root => B::float_div(scaled::<B>(gradient, 0.5), B::float_sqrt(x)),
        Activation::Length => {
            let positive = above::<B>(x.clone(), 0.0);
            let scaled_gradient = B::float_div(scaled::<B>(gradient, 0.5), B::float_sqrt(x));
            filled::<B>(scaled_gradient, B::bool_not(positive), 0.0)
        }
        Activation::Tanh => {
            let t = B::float_tanh(x);
            let square = B::float_mul(t.clone(), t);
            B::float_mul(gradient, line::<B>(square, -1.0, 1.0))
        }
        Activation::GeluTanh => {
            let s = approximate::<B>(x.clone());
            let square = B::float_mul(x.clone(), x.clone());
            let slope = line::<B>(square, 6.0 * SQRT_2_OVER_PI * GELU_CUBIC, 2.0 * SQRT_2_OVER_PI);
            let rest = B::float_mul(sigmoid_slope::<B>(s.clone()), B::float_mul(x, slope));
            B::float_mul(gradient, B::float_add(s, rest))
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
