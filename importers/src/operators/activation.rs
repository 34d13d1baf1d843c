//! Activations: element-wise nonlinearities and softmax.

use attriburn_kernels::Activation as Known;
use attriburn_kernels::activation::activate;
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, IntDType, Slice};

use super::{ActivationOf, Freezing, Inputs, Operator, Role, Run, Site, one, pointwise};
use crate::value::{Kind, Outcome, Value, binary};

type T = DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    known("Relu", 1, |_| Ok(Known::Relu)),
    known("Sigmoid", 1, |_| Ok(Known::Sigmoid)).role(Role::Sigmoid),
    known("Tanh", 1, |_| Ok(Known::Tanh)),
    Operator::new("Erf", 9, (1, 1), |_| pointwise(Dispatch::float_erf)),
    known("HardSwish", 14, |_| Ok(Known::HardSwish)),
    Operator::new("Softplus", 1, (1, 1), |_| pointwise(softplus)),
    Operator::new("Softsign", 1, (1, 1), |_| pointwise(softsign)),
    Operator::new("Mish", 18, (1, 1), |_| pointwise(mish)),
    known("LeakyRelu", 1, |site| Ok(Known::Leaky { slope: site.float("alpha", 0.01)? as f32 })),
    Operator::new("PRelu", 1, (2, 2), prelu),
    Operator::new("Elu", 1, (1, 1), elu),
    Operator::new("Selu", 1, (1, 1), selu),
    Operator::new("Shrink", 9, (1, 1), shrink),
    Operator::new("Celu", 12, (1, 1), celu),
    known("HardSigmoid", 1, |site| {
        let (alpha, beta) = (site.float("alpha", 0.2)? as f32, site.float("beta", 0.5)? as f32);
        Ok(Known::HardSigmoid { alpha, beta })
    }),
    Operator::new("ThresholdedRelu", 10, (1, 1), thresholded_relu),
    known("Swish", 24, |site| Ok(Known::Swish { alpha: site.float("alpha", 1.0)? as f32 })),
    Operator::new("SwiGLU", 28, (2, 2), swiglu),
    known("Gelu", 20, gelu),
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
        let ordered = (low <= high).then_some(Known::Clip { low, high });
        own.activate(ordered?)
    }),
    Operator::new("Softmax", 1, (1, 1), |site| along_axis(site, Dispatch::softmax))
        .role(Role::Softmax)
        .frozen(|own| {
            let default = if own.site.opset() < 13 { 1 } else { -1 };
            let axis = own.axis(own.site.int("axis", default).ok()?)?;
            let last = own.dims()?.len() - 1;
            let batch = own.builder.may_be_batch(own.x()?, axis);
            if batch || (axis < last && own.site.opset() < 13) {
                return None;
            }
            let mut order: Vec<usize> = (0..=last).collect();
            order.swap(axis, last);
            let turned = own.builder.permute(own.x()?, &order)?;
            let made = own.builder.softmax(turned)?;
            own.builder.permute(made, &order)
        }),
    Operator::new("LogSoftmax", 1, (1, 1), |site| along_axis(site, Dispatch::log_softmax))
        .role(Role::Softmax),
    Operator::new("Hardmax", 1, (1, 1), |site| along_axis(site, hardmax)).flat(),
];

/// An operator that is an activation.
pub const fn known(name: &'static str, since: i64, of: ActivationOf) -> Operator {
    let compile = |site: &Site| {
        let activation = of_site(site)?;
        pointwise(move |x| activate(x, activation))
    };
    let freeze = |own: &mut Freezing| {
        let activation = of_site(own.site).ok()?;
        own.activate(activation)
    };
    Operator::new(name, since, (1, 1), compile).activation(of).frozen(freeze)
}

/// The activation that a node is.
fn of_site(site: &Site) -> Outcome<Known> {
    let of = site.node.operator.and_then(|operator| operator.activation);
    of.ok_or("it is no activation")?(site)
}

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

/// `x` within the bounds that are given.
fn clamp(x: T, min: Option<f64>, max: Option<f64>) -> T {
    if min.is_none() && max.is_none() {
        return x;
    }
    let bound = |given: Option<f64>, none: f32| given.map_or(none, |bound| bound as f32);
    let (low, high) = (bound(min, f32::NEG_INFINITY), bound(max, f32::INFINITY));
    activate(x, Known::Clip { low, high })
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
            Box::new(move |x| activate(x, Known::Leaky { slope: alpha as f32 }))
        }
        "Clip" => {
            let [min, max] = two([f64::NEG_INFINITY, f64::INFINITY])?;
            Box::new(move |x| clamp(x, Some(min), Some(max)))
        }
        "HardSigmoid" => {
            let [alpha, beta] = two([0.2, 0.5])?;
            let (alpha, beta) = (alpha as f32, beta as f32);
            Box::new(move |x| activate(x, Known::HardSigmoid { alpha, beta }))
        }
        other => return Err(format!("its activation {other:?} is not known")),
    })
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
    activate(x, Known::Swish { alpha: alpha as f32 })
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

fn gelu(site: &Site) -> Outcome<Known> {
    match site.text("approximate", "none")?.as_str() {
        "none" => Ok(Known::Gelu),
        "tanh" => Ok(Known::GeluTanh),
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
