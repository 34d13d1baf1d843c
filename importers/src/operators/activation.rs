//! Activations: element-wise nonlinearities and softmax.

use attriburn_kernels::Activation as KernelActivation;
use attriburn_kernels::activation::activate;
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, IntDType, Slice};

use super::{
    ActivationOf, Freezing, Inputs, Operator, Role, Run, Site, elementwise, single_output,
};
use crate::value::{Kind, Outcome, Value, binary};

type T = DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    activation_operator("Relu", 1, |_| Ok(KernelActivation::Relu)),
    activation_operator("Sigmoid", 1, |_| Ok(KernelActivation::Sigmoid)).role(Role::Sigmoid),
    activation_operator("Tanh", 1, |_| Ok(KernelActivation::Tanh)),
    Operator::new("Erf", 9, (1, 1), |_| elementwise(Dispatch::float_erf)).elementwise(),
    activation_operator("HardSwish", 14, |_| Ok(KernelActivation::HardSwish)),
    Operator::new("Softplus", 1, (1, 1), |_| elementwise(softplus)).elementwise(),
    Operator::new("Softsign", 1, (1, 1), |_| elementwise(softsign)).elementwise(),
    Operator::new("Mish", 18, (1, 1), |_| elementwise(mish)).elementwise(),
    activation_operator("LeakyRelu", 1, |site| {
        Ok(KernelActivation::Leaky { slope: site.float("alpha", 0.01)? as f32 })
    }),
    Operator::new("PRelu", 1, (2, 2), prelu).elementwise(),
    Operator::new("Elu", 1, (1, 1), elu).elementwise(),
    Operator::new("Selu", 1, (1, 1), selu).elementwise(),
    Operator::new("Shrink", 9, (1, 1), shrink).elementwise(),
    Operator::new("Celu", 12, (1, 1), celu).elementwise(),
    activation_operator("HardSigmoid", 1, |site| {
        let (alpha, beta) = (site.float("alpha", 0.2)? as f32, site.float("beta", 0.5)? as f32);
        Ok(KernelActivation::HardSigmoid { alpha, beta })
    }),
    Operator::new("ThresholdedRelu", 10, (1, 1), thresholded_relu).elementwise(),
    activation_operator("Swish", 24, |site| {
        Ok(KernelActivation::Swish { alpha: site.float("alpha", 1.0)? as f32 })
    }),
    Operator::new("SwiGLU", 28, (2, 2), swiglu),
    activation_operator("Gelu", 20, gelu),
    Operator::new("Clip", 1, (1, 3), clip).elementwise().settings(&[1, 2]).frozen(|ctx| {
        let site = ctx.site;
        let attributes = site.opset() < 11;
        let bound_of = |name: &str, index: usize| match attributes {
            true => site.node.attributes.float(name).ok(),
            false if site.has(index) => site.constant_scalar(index).map(Some),
            false => Some(None),
        };
        let (low, high) = (bound_of("min", 1)?, bound_of("max", 2)?);
        let (low, high) = (low.unwrap_or(f64::MIN) as f32, high.unwrap_or(f64::MAX) as f32);
        let ordered = (low <= high).then_some(KernelActivation::Clip { low, high });
        ctx.activate(ordered?)
    }),
    Operator::new("Softmax", 1, (1, 1), |site| along_axis(site, Dispatch::softmax))
        .role(Role::Softmax)
        .frozen(|ctx| {
            let default = if ctx.site.opset() < 13 { 1 } else { -1 };
            let axis = ctx.axis(ctx.site.int("axis", default).ok()?)?;
            let last = ctx.dims()?.len() - 1;
            let batch = ctx.builder.may_be_batch(ctx.x()?, axis);
            if batch || (axis < last && ctx.site.opset() < 13) {
                return None;
            }
            let mut order: Vec<usize> = (0..=last).collect();
            order.swap(axis, last);
            let permuted = ctx.builder.permute(ctx.x()?, &order)?;
            let softmax = ctx.builder.softmax(permuted)?;
            ctx.builder.permute(softmax, &order)
        }),
    Operator::new("LogSoftmax", 1, (1, 1), |site| along_axis(site, Dispatch::log_softmax))
        .role(Role::Softmax),
    Operator::new("Hardmax", 1, (1, 1), |site| along_axis(site, hardmax)).non_differentiable(),
];

/// An operator that computes an element-wise activation.
pub const fn activation_operator(name: &'static str, since: i64, of: ActivationOf) -> Operator {
    let compile = |site: &Site| {
        let activation = activation_of_node(site)?;
        elementwise(move |x| activate(x, activation))
    };
    let freeze = |ctx: &mut Freezing| {
        let activation = activation_of_node(ctx.site).ok()?;
        ctx.activate(activation)
    };
    Operator::new(name, since, (1, 1), compile).elementwise().activation(of).frozen(freeze)
}

/// Returns the activation that a node computes.
fn activation_of_node(site: &Site) -> Outcome<KernelActivation> {
    site.activation.ok_or("the operator is not an element-wise activation")?(site)
}

fn scale(x: T, factor: f64) -> T {
    Dispatch::float_mul_scalar(x, Scalar::Float(factor))
}

fn shift(x: T, term: f64) -> T {
    Dispatch::float_add_scalar(x, Scalar::Float(term))
}

/// `min(x, 0)`. Its derivative at 0 is 1 and that of relu is 0, so that a function composed of both has the
/// right derivative at 0.
fn negative_part(x: T) -> T {
    Dispatch::float_clamp_max(x, Scalar::Float(0.0))
}

/// `alpha (exp(x / width) - 1)` for `x < 0` and `x` otherwise, without overflow for large `x`.
fn exponential_unit(x: T, alpha: f64, width: f64) -> T {
    let below = shift(Dispatch::float_exp(scale(negative_part(x.clone()), 1.0 / width)), -1.0);
    Dispatch::float_add(Dispatch::relu(x), scale(below, alpha))
}

/// Clips `x` to the optional bounds.
fn clamp(x: T, min: Option<f64>, max: Option<f64>) -> T {
    if min.is_none() && max.is_none() {
        return x;
    }
    let bound = |optional: Option<f64>, none: f32| optional.map_or(none, |bound| bound as f32);
    let (low, high) = (bound(min, f32::NEG_INFINITY), bound(max, f32::INFINITY));
    activate(x, KernelActivation::Clip { low, high })
}

/// An activation as a function of a tensor, for operators with a fused activation.
pub type Activation = Box<dyn Fn(T) -> T + Send + Sync>;

/// Returns the activation that an attribute of a fused or recurrent operator names, with its parameters in
/// ONNX's order.
pub fn activation_by_name(name: &str, parameters: &[f32]) -> Outcome<Activation> {
    let two = |defaults: [f64; 2]| match parameters {
        [] => Ok(defaults),
        &[a] => Ok([a.into(), defaults[1]]),
        &[a, b] => Ok([a.into(), b.into()]),
        _ => Err(format!("activation {name} does not take {} parameters", parameters.len())),
    };
    Ok(match name {
        "" => Box::new(|x| x),
        "Relu" => Box::new(Dispatch::relu),
        "Sigmoid" => Box::new(Dispatch::sigmoid),
        "Tanh" => Box::new(Dispatch::float_tanh),
        "LeakyRelu" => {
            let [alpha, _] = two([0.01, 0.0])?;
            Box::new(move |x| activate(x, KernelActivation::Leaky { slope: alpha as f32 }))
        }
        "Clip" => {
            let [min, max] = two([f64::NEG_INFINITY, f64::INFINITY])?;
            Box::new(move |x| clamp(x, Some(min), Some(max)))
        }
        "HardSigmoid" => {
            let [alpha, beta] = two([0.2, 0.5])?;
            let (alpha, beta) = (alpha as f32, beta as f32);
            Box::new(move |x| activate(x, KernelActivation::HardSigmoid { alpha, beta }))
        }
        other => return Err(format!("activation {other:?} is not supported")),
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
pub fn swish(x: T, alpha: f64) -> T {
    activate(x, KernelActivation::Swish { alpha: alpha as f32 })
}

/// `max(x, 0) + slope min(x, 0)`. Before opset 7 a vector of slopes is per channel.
fn prelu(site: &Site) -> Outcome<Run> {
    let per_channel = site.opset() < 7;
    single_output(move |inputs| {
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
    elementwise(move |x| exponential_unit(x, alpha, 1.0))
}

/// `gamma alpha (exp(x) - 1)` for `x < 0` and `gamma x` otherwise. Before opset 6 the defaults had fewer
/// digits.
fn selu(site: &Site) -> Outcome<Run> {
    let (alpha, gamma) = match site.opset() {
        ..6 => (1.6732, 1.0507),
        _ => (1.673_263_192_176_818_8, 1.050_700_902_938_842_8),
    };
    let (alpha, gamma) = (site.float("alpha", alpha)?, site.float("gamma", gamma)?);
    elementwise(move |x| scale(exponential_unit(x, alpha, 1.0), gamma))
}

fn celu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    elementwise(move |x| exponential_unit(x, alpha, alpha))
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, and 0 in between.
fn shrink(site: &Site) -> Outcome<Run> {
    let (bias, lambda) = (site.float("bias", 0.0)?, site.float("lambd", 0.5)?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, dtype) = (x.dims(), x.bool_dtype());
        let outside = |x: T, below: T| Dispatch::float_mask_fill(x, below, Scalar::Float(0.0));
        let values = x.float()?;
        let not_below =
            Dispatch::float_greater_equal_elem(values.clone(), Scalar::Float(-lambda), dtype);
        let not_above =
            Dispatch::float_lower_equal_elem(values.clone(), Scalar::Float(lambda), dtype);
        let low = outside(shift(values.clone(), bias), not_below);
        let high = outside(shift(values, -bias), not_above);
        Value::new(Dispatch::float_add(low, high)).reshape(&dims)
    })
}

fn thresholded_relu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    single_output(move |inputs| {
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
    single_output(move |inputs| {
        let (a, b) = (inputs.value(0)?, inputs.value(1)?);
        if a.dims() != b.dims() {
            return Err(format!("the input shapes {:?} and {:?} differ", a.dims(), b.dims()));
        }
        let gate = Value::new(swish(a.float()?, alpha)).reshape(&a.dims())?;
        binary(&gate, &b, Dispatch::float_mul, None)
    })
}

fn gelu(site: &Site) -> Outcome<KernelActivation> {
    match site.text("approximate", "none")?.as_str() {
        "none" => Ok(KernelActivation::Gelu),
        "tanh" => Ok(KernelActivation::GeluTanh),
        other => Err(format!("approximate={other:?} is not supported")),
    }
}

/// Clips to optional bounds, which are attributes before opset 11 and inputs from then on.
fn clip(site: &Site) -> Outcome<Run> {
    let attributes = match site.opset() {
        ..11 => (site.node.attributes.float("min")?, site.node.attributes.float("max")?),
        _ => (None, None),
    };
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        if x.kind() == Kind::Int {
            let low = bound(inputs, 1, Value::ints)?.unwrap_or(i64::MIN);
            let high = bound(inputs, 2, Value::ints)?.unwrap_or(i64::MAX);
            let clipped = x.ints()?.into_iter().map(|value| value.max(low).min(high)).collect();
            return Value::from_ints(clipped).reshape(&x.dims())?.wrap_to(x.element());
        }
        let bound_of = |attribute: Option<f64>, index: usize| match attribute {
            Some(value) => Ok(Some(value)),
            None => Ok::<_, String>(bound(inputs, index, Value::floats)?.map(f64::from)),
        };
        let (min, max) = (bound_of(attributes.0, 1)?, bound_of(attributes.1, 2)?);
        // If the bounds are in the wrong order, the upper bound wins.
        let min = min.map(|min| min.min(max.unwrap_or(f64::INFINITY)));
        Value::new(clamp(x.float()?, min, max)).reshape(&x.dims())
    })
}

/// Returns the bound in input `index`, if it is present.
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
        ref values => Err(format!("a bound must have one element, not {}", values.len())),
    }
}

/// 1 at the first maximum along `axis` and 0 elsewhere; blocks the gradient.
fn hardmax(x: T, axis: usize) -> T {
    let x = Dispatch::float_detach(x);
    let indices = Dispatch::float_argmax(x.clone(), axis, IntDType::I64);
    let zeros = Dispatch::float_mul_scalar(x, Scalar::Float(0.0));
    let ones = shift(Dispatch::float_slice(zeros.clone(), &first_along(&zeros, axis)), 1.0);
    Dispatch::float_scatter(axis, zeros, indices, ones, IndexingUpdateOp::Add)
}

/// Slices that select the first element along `axis`.
fn first_along(x: &T, axis: usize) -> Vec<Slice> {
    let mut slices = vec![Slice::from(..); x.shape().num_dims()];
    slices[axis] = Slice::from(0..1);
    slices
}

/// Compiles a softmax-like function along `axis`. Before opset 13 all axes from `axis` on are flattened into
/// one.
fn along_axis(site: &Site, function: fn(T, usize) -> T) -> Outcome<Run> {
    let flattens = site.opset() < 13;
    let along = site.int("axis", if flattens { 1 } else { -1 })?;
    single_output(move |inputs| {
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
