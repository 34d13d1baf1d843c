//! Activations: element-wise nonlinearities and softmax.

use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use onnx_ir::Node;
use onnx_ir::clip::ClipInput;
use onnx_ir::gelu::GeluApproximate;

use super::{Context, Inputs, Operator, Run, expect_node, one, pointwise};
use crate::value::{Kind, Outcome, Value, binary};

type T = DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Relu", compile: |_, _| pointwise(Dispatch::relu) },
    Operator { name: "Sigmoid", compile: |_, _| pointwise(Dispatch::sigmoid) },
    Operator { name: "Tanh", compile: |_, _| pointwise(Dispatch::float_tanh) },
    Operator { name: "Erf", compile: |_, _| pointwise(Dispatch::float_erf) },
    Operator { name: "HardSwish", compile: |_, _| pointwise(hard_swish) },
    Operator { name: "Softplus", compile: |_, _| pointwise(softplus) },
    Operator { name: "Softsign", compile: |_, _| pointwise(softsign) },
    Operator { name: "Mish", compile: |_, _| pointwise(mish) },
    Operator { name: "LeakyRelu", compile: leaky_relu },
    Operator { name: "PRelu", compile: prelu },
    Operator { name: "Elu", compile: elu },
    Operator { name: "Selu", compile: selu },
    Operator { name: "Celu", compile: celu },
    Operator { name: "HardSigmoid", compile: hard_sigmoid },
    Operator { name: "ThresholdedRelu", compile: thresholded_relu },
    Operator { name: "Swish", compile: swish },
    Operator { name: "Gelu", compile: gelu },
    Operator { name: "Clip", compile: clip },
    Operator { name: "Softmax", compile: softmax },
    Operator { name: "LogSoftmax", compile: log_softmax },
];

fn scale(x: T, factor: f64) -> T {
    Dispatch::float_mul_scalar(x, Scalar::Float(factor))
}

fn shift(x: T, term: f64) -> T {
    Dispatch::float_add_scalar(x, Scalar::Float(term))
}

/// `min(x, 0)`, whose derivative at 0 is 1 where that of relu is 0: together they make functions
/// that are smooth at 0 so.
fn negative_part(x: T) -> T {
    Dispatch::float_clamp_max(x, Scalar::Float(0.0))
}

/// `alpha (exp(x / width) - 1)` where `x < 0`, else `x`, without overflow for large `x`.
fn exponential_unit(x: T, alpha: f64, width: f64) -> T {
    let below = shift(Dispatch::float_exp(scale(negative_part(x.clone()), 1.0 / width)), -1.0);
    Dispatch::float_add(Dispatch::relu(x), scale(below, alpha))
}

/// `clip(alpha x + beta, 0, 1)`.
fn ramp(x: T, alpha: f64, beta: f64) -> T {
    clamp(shift(scale(x, alpha), beta), Some(0.0), Some(1.0))
}

/// `x` within the bounds that are given.
fn clamp(x: T, min: Option<f64>, max: Option<f64>) -> T {
    match (min.map(Scalar::Float), max.map(Scalar::Float)) {
        (Some(min), Some(max)) => Dispatch::float_clamp(x, min, max),
        (Some(min), None) => Dispatch::float_clamp_min(x, min),
        (None, Some(max)) => Dispatch::float_clamp_max(x, max),
        (None, None) => x,
    }
}

/// `x clip(x / 6 + 1/2, 0, 1)`.
fn hard_swish(x: T) -> T {
    Dispatch::float_mul(x.clone(), ramp(x, 1.0 / 6.0, 0.5))
}

/// `ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|))`.
fn softplus(x: T) -> T {
    let below = Dispatch::float_sub(negative_part(x.clone()), Dispatch::relu(x.clone()));
    let tail = Dispatch::float_exp(below);
    Dispatch::float_add(Dispatch::relu(x), Dispatch::float_log1p(tail))
}

/// `x / (1 + |x|)`.
fn softsign(x: T) -> T {
    Dispatch::float_div(x.clone(), shift(Dispatch::float_abs(x), 1.0))
}

/// `x tanh(softplus(x))`.
fn mish(x: T) -> T {
    Dispatch::float_mul(x.clone(), Dispatch::float_tanh(softplus(x)))
}

/// `x sigmoid(alpha x)`.
fn sigmoid_unit(x: T, alpha: f64) -> T {
    Dispatch::float_mul(x.clone(), Dispatch::sigmoid(scale(x, alpha)))
}

/// `x / 2 (1 + erf(x / sqrt(2)))`. burn's own is differentiated on GPUs as if it were the tanh
/// approximation.
fn gelu_exact(x: T) -> T {
    let erf = Dispatch::float_erf(scale(x.clone(), std::f64::consts::FRAC_1_SQRT_2));
    Dispatch::float_mul(scale(x, 0.5), shift(erf, 1.0))
}

/// The tanh approximation `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
fn gelu_tanh(x: T) -> T {
    let cube = Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x.clone());
    let inner = scale(
        Dispatch::float_add(x.clone(), scale(cube, 0.044_715)),
        (2.0 / std::f64::consts::PI).sqrt(),
    );
    Dispatch::float_mul(scale(x, 0.5), shift(Dispatch::float_tanh(inner), 1.0))
}

fn leaky_relu(node: &Node, _: &Context) -> Outcome<Run> {
    let alpha = expect_node!(node, LeakyRelu).config.alpha;
    pointwise(move |x| {
        Dispatch::float_add(Dispatch::relu(x.clone()), scale(negative_part(x), alpha))
    })
}

fn prelu(_: &Node, _: &Context) -> Outcome<Run> {
    one(|inputs| {
        let x = inputs.value(0)?;
        let below = Value::new(negative_part(x.float()?)).reshape(&x.dims())?;
        let below = binary(&below, &inputs.value(1)?, Dispatch::float_mul, None)?;
        let above = Value::new(Dispatch::relu(x.float()?)).reshape(&x.dims())?;
        binary(&above, &below, Dispatch::float_add, None)
    })
}

fn elu(node: &Node, _: &Context) -> Outcome<Run> {
    let alpha = expect_node!(node, Elu).config.alpha;
    pointwise(move |x| exponential_unit(x, alpha, 1.0))
}

fn selu(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, Selu).config;
    let (alpha, gamma) = (config.alpha, config.gamma);
    pointwise(move |x| scale(exponential_unit(x, alpha, 1.0), gamma))
}

fn celu(node: &Node, _: &Context) -> Outcome<Run> {
    let alpha = expect_node!(node, Celu).config.alpha;
    pointwise(move |x| exponential_unit(x, alpha, alpha))
}

fn hard_sigmoid(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, HardSigmoid).config;
    let (alpha, beta) = (config.alpha, config.beta);
    pointwise(move |x| ramp(x, alpha, beta))
}

fn thresholded_relu(node: &Node, _: &Context) -> Outcome<Run> {
    let alpha = expect_node!(node, ThresholdedRelu).config.alpha;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let below =
            Dispatch::float_lower_equal_elem(x.float()?, Scalar::Float(alpha), x.bool_dtype());
        let kept = Dispatch::float_mask_fill(x.float()?, below, Scalar::Float(0.0));
        Value::new(kept).reshape(&x.dims())
    })
}

fn swish(node: &Node, _: &Context) -> Outcome<Run> {
    let alpha = expect_node!(node, Swish).config.alpha;
    pointwise(move |x| sigmoid_unit(x, alpha))
}

fn gelu(node: &Node, _: &Context) -> Outcome<Run> {
    match expect_node!(node, Gelu).config.approximate {
        GeluApproximate::Exact => pointwise(gelu_exact),
        GeluApproximate::Tanh => pointwise(gelu_tanh),
    }
}

fn clip(node: &Node, _: &Context) -> Outcome<Run> {
    let config = expect_node!(node, Clip).config.clone();
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (min, max) = (bound(&config.min, inputs)?, bound(&config.max, inputs)?);
        if x.kind() == Kind::Int {
            let low = min.map_or(i64::MIN, |min| min as i64);
            let high = max.map_or(i64::MAX, |max| max as i64);
            let clipped = x.ints()?.into_iter().map(|v| v.max(low).min(high)).collect();
            return Value::from_ints(clipped).reshape(&x.dims());
        }
        Value::new(clamp(x.float()?, min, max)).reshape(&x.dims())
    })
}

fn bound(bound: &Option<ClipInput>, inputs: &Inputs) -> Outcome<Option<f64>> {
    match bound {
        None => Ok(None),
        Some(ClipInput::Static(value)) => Ok(Some(*value)),
        Some(ClipInput::Runtime(reference)) => {
            let floats = inputs.value(reference.input_index)?.into_float().floats()?;
            Ok(floats.first().map(|&value| f64::from(value)))
        }
    }
}

fn softmax(node: &Node, context: &Context) -> Outcome<Run> {
    along_axis(expect_node!(node, Softmax).config.axis, context, Dispatch::softmax)
}

fn log_softmax(node: &Node, context: &Context) -> Outcome<Run> {
    along_axis(expect_node!(node, LogSoftmax).config.axis, context, Dispatch::log_softmax)
}

/// Before opset 13 the axes from `axis` on counted as one.
fn along_axis(axis: usize, context: &Context, softmax: fn(T, usize) -> T) -> Outcome<Run> {
    let flattens = context.opset < 13;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        if !flattens || axis + 1 == dims.len() {
            return Value::new(softmax(x.float()?, axis)).reshape(&dims);
        }
        let rows = dims[..axis].iter().product();
        let columns = dims[axis..].iter().product();
        let flat = x.reshape(&[rows, columns])?;
        Value::new(softmax(flat.float()?, 1)).reshape(&dims)
    })
}
