//! Activations: element-wise nonlinearities and softmax.

use attriburn_kernels::frozen::Activation as Frozen;
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, IntDType, Slice};

use super::{Inputs, Operator, Role, Run, Site, one, pointwise};
use crate::value::{Kind, Outcome, Value, binary};

type T = DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Relu", 1, (1, 1), |_| pointwise(Dispatch::relu))
        .frozen(|own| own.activate(Frozen::Relu)),
    Operator::new("Sigmoid", 1, (1, 1), |_| pointwise(Dispatch::sigmoid))
        .role(Role::Sigmoid)
        .frozen(|own| own.activate(Frozen::Sigmoid)),
    Operator::new("Tanh", 1, (1, 1), |_| pointwise(Dispatch::float_tanh)),
    Operator::new("Erf", 9, (1, 1), |_| pointwise(Dispatch::float_erf)),
    Operator::new("HardSwish", 14, (1, 1), |_| pointwise(hard_swish))
        .frozen(|own| own.activate(Frozen::HardSwish)),
    Operator::new("Softplus", 1, (1, 1), |_| pointwise(softplus)),
    Operator::new("Softsign", 1, (1, 1), |_| pointwise(softsign)),
    Operator::new("Mish", 18, (1, 1), |_| pointwise(mish)),
    Operator::new("LeakyRelu", 1, (1, 1), leaky_relu).frozen(|own| {
        let slope = own.site.float("alpha", 0.01).ok()? as f32;
        own.activate(Frozen::Leaky { slope })
    }),
    Operator::new("PRelu", 1, (2, 2), prelu),
    Operator::new("Elu", 1, (1, 1), elu),
    Operator::new("Selu", 1, (1, 1), selu),
    Operator::new("Shrink", 9, (1, 1), shrink),
    Operator::new("Celu", 12, (1, 1), celu),
    Operator::new("HardSigmoid", 1, (1, 1), hard_sigmoid).frozen(|own| {
        let alpha = own.site.float("alpha", 0.2).ok()? as f32;
        let beta = own.site.float("beta", 0.5).ok()? as f32;
        own.activate(Frozen::HardSigmoid { alpha, beta })
    }),
    Operator::new("ThresholdedRelu", 10, (1, 1), thresholded_relu),
    Operator::new("Swish", 24, (1, 1), swish),
    Operator::new("SwiGLU", 28, (2, 2), swiglu),
    Operator::new("Gelu", 20, (1, 1), gelu).frozen(|own| {
        let exact = own.site.text("approximate", "none").ok()? == "none";
        exact.then(|| own.activate(Frozen::Gelu))?
    }),
    Operator::new("Clip", 1, (1, 3), clip).settings(&[1, 2]).frozen(|own| {
        let site = own.site;
        let attributes = site.opset() < 11;
        let given = |name: &str, index: usize| match attributes {
            true => site.node.attributes.float(name).ok(),
            false if site.has(index) => site.number(index).map(Some),
            false => Some(None),
        };
        let (low, high) = (given("min", 1)?, given("max", 2)?);
        let (low, high) = (low.unwrap_or(f64::MIN) as f32, high.unwrap_or(f64::MAX) as f32);
        let ordered = (low <= high).then_some(Frozen::Clip { low, high });
        own.activate(ordered?)
    }),
    Operator::new("Softmax", 1, (1, 1), |site| along_axis(site, Dispatch::softmax))
        .role(Role::Softmax)
        .frozen(|own| {
            let default = if own.site.opset() < 13 { 1 } else { -1 };
            let axis = own.axis(own.site.int("axis", default).ok()?)?;
            (axis + 1 == own.dims()?.len()).then(|| own.builder.softmax(own.x()?))?
        }),
    Operator::new("LogSoftmax", 1, (1, 1), |site| along_axis(site, Dispatch::log_softmax))
        .role(Role::Softmax),
    Operator::new("Hardmax", 1, (1, 1), |site| along_axis(site, hardmax)).flat(),
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

/// An activation without a node.
pub type Activation = Box<dyn Fn(T) -> T + Send + Sync>;

/// The activation that another operator names, with its parameters in ONNX's order.
pub fn of_name(name: &str, parameters: &[f32]) -> Outcome<Activation> {
    let two = |defaults: [f64; 2]| match parameters {
        [] => Ok(defaults),
        &[a] => Ok([a.into(), defaults[1]]),
        &[a, b] => Ok([a.into(), b.into()]),
        _ => Err(format!("its activation {name} does not take {} parameters", parameters.len())),
    };
    Ok(match name {
        "" => Box::new(|x| x),
        "Relu" => Box::new(Dispatch::relu),
        "Sigmoid" => Box::new(Dispatch::sigmoid),
        "Tanh" => Box::new(Dispatch::float_tanh),
        "LeakyRelu" => {
            let [alpha, _] = two([0.01, 0.0])?;
            Box::new(move |x| leaky(x, alpha))
        }
        "Clip" => {
            let [min, max] = two([f64::NEG_INFINITY, f64::INFINITY])?;
            Box::new(move |x| clamp(x, Some(min), Some(max)))
        }
        "HardSigmoid" => {
            let [alpha, beta] = two([0.2, 0.5])?;
            Box::new(move |x| ramp(x, alpha, beta))
        }
        other => return Err(format!("its activation {other:?} is not known")),
    })
}

/// `x` above 0, `alpha x` below.
fn leaky(x: T, alpha: f64) -> T {
    Dispatch::float_add(Dispatch::relu(x.clone()), scale(negative_part(x), alpha))
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
pub fn sigmoid_unit(x: T, alpha: f64) -> T {
    Dispatch::float_mul(x.clone(), Dispatch::sigmoid(scale(x, alpha)))
}

/// `x / 2 (1 + erf(x / sqrt(2)))`. burn's own is differentiated on GPUs as if it were the tanh
/// approximation.
pub fn gelu_exact(x: T) -> T {
    let erf = Dispatch::float_erf(scale(x.clone(), std::f64::consts::FRAC_1_SQRT_2));
    Dispatch::float_mul(scale(x, 0.5), shift(erf, 1.0))
}

/// The tanh approximation `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
pub fn gelu_tanh(x: T) -> T {
    let cube = Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x.clone());
    let inner = scale(
        Dispatch::float_add(x.clone(), scale(cube, 0.044_715)),
        (2.0 / std::f64::consts::PI).sqrt(),
    );
    Dispatch::float_mul(scale(x, 0.5), shift(Dispatch::float_tanh(inner), 1.0))
}

fn leaky_relu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 0.01)?;
    pointwise(move |x| leaky(x, alpha))
}

/// Before opset 7 several slopes were those of the channels.
fn prelu(site: &Site) -> Outcome<Run> {
    let per_channel = site.opset() < 7;
    one(move |inputs| {
        let (x, mut slopes) = (inputs.value(0)?, inputs.value(1)?);
        if let (true, &[channels]) = (per_channel, &slopes.dims()[..])
            && channels > 1
        {
            let trailing = x.rank().saturating_sub(2);
            slopes = slopes.reshape(&[vec![channels], vec![1; trailing]].concat())?;
        }
        let below = Value::new(negative_part(x.float()?)).reshape(&x.dims())?;
        let below = binary(&below, &slopes, Dispatch::float_mul, None)?;
        let above = Value::new(Dispatch::relu(x.float()?)).reshape(&x.dims())?;
        binary(&above, &below, Dispatch::float_add, None)
    })
}

fn elu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    pointwise(move |x| exponential_unit(x, alpha, 1.0))
}

/// The defaults before opset 6 had fewer digits.
fn selu(site: &Site) -> Outcome<Run> {
    let (alpha, gamma) = match site.opset() {
        ..6 => (1.6732, 1.0507),
        _ => (1.673_263_192_176_818_8, 1.050_700_902_938_842_8),
    };
    let (alpha, gamma) = (site.float("alpha", alpha)?, site.float("gamma", gamma)?);
    pointwise(move |x| scale(exponential_unit(x, alpha, 1.0), gamma))
}

fn celu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    pointwise(move |x| exponential_unit(x, alpha, alpha))
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, 0 between.
fn shrink(site: &Site) -> Outcome<Run> {
    let (bias, lambda) = (site.float("bias", 0.0)?, site.float("lambd", 0.5)?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, dtype) = (x.dims(), x.bool_dtype());
        let outside = |x: T, below: T| Dispatch::float_mask_fill(x, below, Scalar::Float(0.0));
        let own = x.float()?;
        let not_below =
            Dispatch::float_greater_equal_elem(own.clone(), Scalar::Float(-lambda), dtype);
        let not_above = Dispatch::float_lower_equal_elem(own.clone(), Scalar::Float(lambda), dtype);
        let low = outside(shift(own.clone(), bias), not_below);
        let high = outside(shift(own, -bias), not_above);
        Value::new(Dispatch::float_add(low, high)).reshape(&dims)
    })
}

fn hard_sigmoid(site: &Site) -> Outcome<Run> {
    let (alpha, beta) = (site.float("alpha", 0.2)?, site.float("beta", 0.5)?);
    pointwise(move |x| ramp(x, alpha, beta))
}

fn thresholded_relu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let below =
            Dispatch::float_lower_equal_elem(x.float()?, Scalar::Float(alpha), x.bool_dtype());
        let kept = Dispatch::float_mask_fill(x.float()?, below, Scalar::Float(0.0));
        Value::new(kept).reshape(&x.dims())
    })
}

fn swish(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    pointwise(move |x| sigmoid_unit(x, alpha))
}

/// `b a sigmoid(alpha a)`.
fn swiglu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    one(move |inputs| {
        let (a, b) = (inputs.value(0)?, inputs.value(1)?);
        if a.dims() != b.dims() {
            return Err(format!("its inputs {:?} and {:?} differ", a.dims(), b.dims()));
        }
        let gate = Value::new(sigmoid_unit(a.float()?, alpha)).reshape(&a.dims())?;
        binary(&gate, &b, Dispatch::float_mul, None)
    })
}

fn gelu(site: &Site) -> Outcome<Run> {
    match site.text("approximate", "none")?.as_str() {
        "none" => pointwise(gelu_exact),
        "tanh" => pointwise(gelu_tanh),
        other => Err(format!("its approximation {other:?} is not known")),
    }
}

/// The bounds were attributes before opset 11.
fn clip(site: &Site) -> Outcome<Run> {
    let attributes = match site.opset() {
        ..11 => (site.node.attributes.float("min")?, site.node.attributes.float("max")?),
        _ => (None, None),
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        if x.kind() == Kind::Int {
            let low = bound(inputs, 1, Value::ints)?.unwrap_or(i64::MIN);
            let high = bound(inputs, 2, Value::ints)?.unwrap_or(i64::MAX);
            let clipped = x.ints()?.into_iter().map(|value| value.max(low).min(high)).collect();
            return Value::from_ints(clipped).reshape(&x.dims())?.wrapped(x.element());
        }
        let given = |attribute: Option<f64>, index: usize| match attribute {
            Some(value) => Ok(Some(value)),
            None => Ok::<_, String>(bound(inputs, index, Value::floats)?.map(f64::from)),
        };
        let (min, max) = (given(attributes.0, 1)?, given(attributes.1, 2)?);
        // The upper bound is applied last.
        let min = min.map(|min| min.min(max.unwrap_or(f64::INFINITY)));
        Value::new(clamp(x.float()?, min, max)).reshape(&x.dims())
    })
}

/// The bound that input `index` is, where it is given.
fn bound<N: Copy>(
    inputs: &Inputs,
    index: usize,
    read: fn(&Value) -> Outcome<Vec<N>>,
) -> Outcome<Option<N>> {
    let Some(bound) = inputs.optional(index) else {
        return Ok(None);
    };
    match read(&bound)?[..] {
        [value] => Ok(Some(value)),
        ref values => Err(format!("its bound has {} values, but it takes one", values.len())),
    }
}

/// 1 at the first of the largest along `axis`, else 0; without a gradient.
fn hardmax(x: T, axis: usize) -> T {
    let x = Dispatch::float_detach(x);
    let indices = Dispatch::float_argmax(x.clone(), axis, IntDType::I64);
    let zeros = Dispatch::float_mul_scalar(x, Scalar::Float(0.0));
    let ones = shift(Dispatch::float_slice(zeros.clone(), &first_along(&zeros, axis)), 1.0);
    Dispatch::float_scatter(axis, zeros, indices, ones, IndexingUpdateOp::Add)
}

/// The first element along `axis`.
fn first_along(x: &T, axis: usize) -> Vec<Slice> {
    let mut slices = vec![Slice::from(..); x.shape().num_dims()];
    slices[axis] = Slice::from(0..1);
    slices
}

/// Before opset 13 the axes from `axis` on counted as one.
fn along_axis(site: &Site, function: fn(T, usize) -> T) -> Outcome<Run> {
    let flattens = site.opset() < 13;
    let along = site.int("axis", if flattens { 1 } else { -1 })?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let axis = super::axis(along, dims.len())?;
        if !flattens || axis + 1 == dims.len() {
            return Value::new(function(x.float()?, axis)).reshape(&dims);
        }
        let rows = dims[..axis].iter().product();
        let columns = dims[axis..].iter().product();
        let flat = x.reshape(&[rows, columns])?;
        Value::new(function(flat.float()?, 1)).reshape(&dims)
    })
}
