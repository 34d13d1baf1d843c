//! Element-wise arithmetic with broadcasting.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::activation::activation_operator;
use super::broadcast::second_input;
use super::{
    ANY, Affine, Channels, Freezing, Inputs, Linear, Operator, Role, Run, Site, elementwise,
    single_output,
};
use crate::value::{Binary, Kind, Outcome, Value, binary, binary_owned};
use attriburn_kernels::Activation;
use attriburn_kernels::frozen::Value as FrozenValue;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Add", 1, (2, 2), |site| {
        binary_operator(site, Dispatch::float_add, Dispatch::int_add)
    })
    .linear(Linear::Jointly)
    .affine(sum_affine)
    .frozen(frozen_sum),
    Operator::new("Sub", 1, (2, 2), |site| {
        binary_operator(site, Dispatch::float_sub, Dispatch::int_sub)
    })
    .linear(Linear::Jointly)
    .role(Role::Difference)
    .affine(difference_affine)
    .frozen(frozen_difference),
    Operator::new("Mul", 1, (2, 2), |site| {
        binary_operator(site, Dispatch::float_mul, Dispatch::int_mul)
    })
    .linear(Linear::Singly)
    .role(Role::Product)
    .affine(product_affine)
    .frozen(frozen_product),
    Operator::new("Div", 1, (2, 2), div)
        .linear(Linear::First)
        .role(Role::Quotient)
        .affine(quotient_affine)
        .frozen(frozen_quotient),
    Operator::new("Mod", 10, (2, 2), modulo),
    Operator::new("Pow", 1, (2, 2), pow).elementwise().settings(&[1]).frozen(frozen_power),
    Operator::new("Neg", 1, (1, 1), |_| single_output(neg))
        .linear(Linear::Jointly)
        .frozen(|ctx| ctx.builder.scale(ctx.x()?, -1.0)),
    Operator::new("Abs", 1, (1, 1), |_| single_output(abs)).elementwise(),
    activation_operator("Sqrt", 1, |_| Ok(Activation::Root)),
    Operator::new("Exp", 1, (1, 1), |_| elementwise(Dispatch::float_exp))
        .elementwise()
        .role(Role::Exponential),
    Operator::new("Log", 1, (1, 1), |_| elementwise(Dispatch::float_log))
        .elementwise()
        .role(Role::Logarithm),
    activation_operator("Reciprocal", 1, |_| Ok(Activation::Reciprocal)),
    Operator::new("Floor", 1, (1, 1), |_| elementwise(Dispatch::float_floor))
        .elementwise()
        .non_differentiable(),
    Operator::new("Ceil", 1, (1, 1), |_| elementwise(Dispatch::float_ceil))
        .elementwise()
        .non_differentiable(),
    Operator::new("Round", 11, (1, 1), |_| elementwise(Dispatch::float_round))
        .elementwise()
        .non_differentiable(),
    Operator::new("Sign", 9, (1, 1), |_| elementwise(Dispatch::float_sign))
        .elementwise()
        .non_differentiable(),
    Operator::new("Sin", 7, (1, 1), |_| elementwise(Dispatch::float_sin)).elementwise(),
    Operator::new("Cos", 7, (1, 1), |_| elementwise(Dispatch::float_cos)).elementwise(),
    Operator::new("Tan", 7, (1, 1), |_| elementwise(Dispatch::float_tan)).elementwise(),
    Operator::new("Atan", 7, (1, 1), |_| elementwise(Dispatch::float_atan)).elementwise(),
    Operator::new("Sinh", 9, (1, 1), |_| elementwise(Dispatch::float_sinh)).elementwise(),
    Operator::new("Cosh", 9, (1, 1), |_| elementwise(Dispatch::float_cosh)).elementwise(),
    Operator::new("Asin", 7, (1, 1), |_| elementwise(Dispatch::float_asin)).elementwise(),
    Operator::new("Acos", 7, (1, 1), |_| elementwise(Dispatch::float_acos)).elementwise(),
    Operator::new("Asinh", 9, (1, 1), |_| elementwise(Dispatch::float_asinh)).elementwise(),
    Operator::new("Acosh", 9, (1, 1), |_| elementwise(Dispatch::float_acosh)).elementwise(),
    Operator::new("Atanh", 9, (1, 1), |_| elementwise(Dispatch::float_atanh)).elementwise(),
    Operator::new("Max", 1, (1, ANY), |_| variadic(max)),
    Operator::new("Min", 1, (1, ANY), |_| variadic(min)),
    Operator::new("Sum", 1, (1, ANY), |_| variadic(add)).linear(Linear::Jointly),
    Operator::new("Mean", 1, (1, ANY), |_| single_output(mean)).linear(Linear::Jointly),
];

fn binary_operator(site: &Site, float: Binary, int: Binary) -> Outcome<Run> {
    let second = second_input(site)?;
    single_output(move |inputs| {
        let second = second(inputs)?;
        binary_owned(inputs.take(0)?, second, float, Some(int))
    })
}

/// Lowers the sum of two values, or of a value and a constant, into a segment.
fn frozen_sum(ctx: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = ctx.both_in_segment() {
        return ctx.builder.add(a, b);
    }
    let (x, _, values, dims) = ctx.input_and_constant()?;
    ctx.builder.add_constant(x, &values, &dims)
}

fn frozen_difference(ctx: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = ctx.both_in_segment() {
        let b = ctx.builder.scale(b, -1.0)?;
        return ctx.builder.add(a, b);
    }
    let (x, data, mut values, dims) = ctx.input_and_constant()?;
    if data == 0 {
        values.iter_mut().for_each(|value| *value = -*value);
        return ctx.builder.add_constant(x, &values, &dims);
    }
    let x = ctx.builder.scale(x, -1.0)?;
    ctx.builder.add_constant(x, &values, &dims)
}

fn frozen_product(ctx: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = ctx.both_in_segment() {
        return ctx.builder.multiply(a, b);
    }
    let (x, _, values, dims) = ctx.input_and_constant()?;
    ctx.builder.multiply_constant(x, &values, &dims)
}

fn frozen_quotient(ctx: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = ctx.both_in_segment() {
        let b = ctx.builder.activate(b, Activation::Reciprocal)?;
        return ctx.builder.multiply(a, b);
    }
    let (mut x, data, mut values, dims) = ctx.input_and_constant()?;
    match data {
        0 => values.iter_mut().for_each(|value| *value = 1.0 / *value),
        _ => x = ctx.builder.activate(x, Activation::Reciprocal)?,
    }
    let finite = values.iter().all(|value| value.is_finite());
    finite.then(|| ctx.builder.multiply_constant(x, &values, &dims))?
}

/// Lowers squares, square roots and reciprocals into a segment.
fn frozen_power(ctx: &mut Freezing) -> Option<FrozenValue> {
    let x = ctx.x()?;
    let exponent = ctx.site.constant_scalar(1)?;
    if exponent == 2.0 {
        return ctx.builder.multiply(x, x);
    }
    let activation = match exponent {
        0.5 => Activation::Root,
        -1.0 => Activation::Reciprocal,
        1.0 => Activation::Identity,
        _ => return None,
    };
    ctx.builder.activate(x, activation)
}

/// Returns the constant operand of a binary node, one value per channel of the input number `data`.
fn per_channel(site: &Site, data: usize, channels: Channels) -> Option<Vec<f64>> {
    if site.opset() < 7 {
        return None;
    }
    let constant = site.constant(1 - data)?;
    let (dims, values) = (constant.dims(), constant.floats().ok()?);
    let Channels { rank, axis, count: channels } = channels;
    // The channel axis of the constant: broadcasting aligns axes at the end.
    let channel_axis = dims.len().checked_sub(rank - axis);
    let fits = dims.len() <= rank
        && dims
            .iter()
            .enumerate()
            .all(|(axis, &size)| size == 1 || (Some(axis) == channel_axis && size == channels));
    let value = |c: usize| f64::from(values[if values.len() == 1 { 0 } else { c }]);
    (fits && !values.is_empty()).then(|| (0..channels).map(value).collect())
}

fn sum_affine(site: &Site, data: usize, channels: Channels) -> Option<Affine> {
    let shift = per_channel(site, data, channels)?;
    Some(Affine { scale: vec![1.0; channels.count], shift })
}

fn difference_affine(site: &Site, data: usize, channels: Channels) -> Option<Affine> {
    let constant = per_channel(site, data, channels)?;
    Some(match data {
        0 => Affine {
            scale: vec![1.0; channels.count],
            shift: constant.into_iter().map(|value| -value).collect(),
        },
        _ => Affine { scale: vec![-1.0; channels.count], shift: constant },
    })
}

fn product_affine(site: &Site, data: usize, channels: Channels) -> Option<Affine> {
    let scale = per_channel(site, data, channels)?;
    Some(Affine { scale, shift: vec![0.0; channels.count] })
}

fn quotient_affine(site: &Site, data: usize, channels: Channels) -> Option<Affine> {
    let divisors = per_channel(site, data, channels)?;
    let scale: Vec<f64> = divisors.into_iter().map(|value| 1.0 / value).collect();
    let finite = data == 0 && scale.iter().all(|value| value.is_finite());
    finite.then(|| Affine { scale, shift: vec![0.0; channels.count] })
}

fn variadic(combine: fn(&Value, &Value) -> Outcome<Value>) -> Outcome<Run> {
    single_output(move |inputs| {
        let mut values = inputs.all().into_iter();
        let first = values.next().ok_or("the node has no inputs")?;
        values.try_fold(first, |sum, value| combine(&sum, &value))
    })
}

/// `a + b`, broadcast.
pub fn add(a: &Value, b: &Value) -> Outcome<Value> {
    binary(a, b, Dispatch::float_add, Some(Dispatch::int_add))
}

/// `a - b`, broadcast.
pub fn subtract(a: &Value, b: &Value) -> Outcome<Value> {
    binary(a, b, Dispatch::float_sub, Some(Dispatch::int_sub))
}

/// `a b`, broadcast.
pub fn multiply(a: &Value, b: &Value) -> Outcome<Value> {
    binary(a, b, Dispatch::float_mul, Some(Dispatch::int_mul))
}

/// `factor x`, for a float `x`.
pub fn scaled(x: &Value, factor: f64) -> Outcome<Value> {
    if factor == 1.0 {
        return Ok(x.clone());
    }
    Value::new(Dispatch::float_mul_scalar(x.float()?, Scalar::Float(factor))).reshape(&x.dims())
}

/// The element-wise maximum of `a` and `b`, broadcast. Selects one of the operands, so that nothing is
/// rounded.
pub fn max(a: &Value, b: &Value) -> Outcome<Value> {
    select_by(a, b, Dispatch::float_greater_equal, Dispatch::int_greater_equal)
}

/// The element-wise minimum of `a` and `b`, broadcast.
pub fn min(a: &Value, b: &Value) -> Outcome<Value> {
    select_by(a, b, Dispatch::float_lower_equal, Dispatch::int_lower_equal)
}

/// Selects `a` where the comparison of `a` with `b` holds, and `b` elsewhere.
fn select_by(
    a: &Value,
    b: &Value,
    float: super::logic::Comparison,
    int: super::logic::Comparison,
) -> Outcome<Value> {
    super::logic::compare(a, b, float, int)?.choose(a.clone(), b.clone())
}

fn mean(inputs: &Inputs) -> Outcome<Value> {
    let values = inputs.all();
    let count = values.len() as f64;
    let mut values = values.into_iter();
    let first = values.next().ok_or("the node has no inputs")?;
    let sum = values.try_fold(first, |sum, value| add(&sum, &value))?;
    let dims = sum.dims();
    Value::new(Dispatch::float_div_scalar(sum.float()?, Scalar::Float(count))).reshape(&dims)
}

/// Division; integer quotients are truncated towards zero, and an integer divisor 0 is an error.
fn div(site: &Site) -> Outcome<Run> {
    let second = second_input(site)?;
    single_output(move |inputs| {
        let b = divisor(second(inputs)?)?;
        binary(&inputs.value(0)?, &b, Dispatch::float_div, Some(Dispatch::int_div))
    })
}

fn divisor(value: Value) -> Outcome<Value> {
    if value.kind() == Kind::Int && value.ints()?.contains(&0) {
        return Err("integer division by zero".into());
    }
    Ok(value)
}

/// The remainder. Its sign is that of the divisor, or that of the dividend with `fmod=1`.
fn modulo(site: &Site) -> Outcome<Run> {
    let truncates = site.flag("fmod", false)?;
    single_output(move |inputs| {
        let (a, b) = (inputs.value(0)?, divisor(inputs.value(1)?)?);
        if !truncates {
            return binary(&a, &b, Dispatch::float_remainder, Some(Dispatch::int_remainder));
        }
        // a - b trunc(a / b); integer division truncates already.
        let quotient = binary(&a, &b, Dispatch::float_div, Some(Dispatch::int_div))?;
        let whole = match quotient.kind() {
            Kind::Float => {
                let dims = quotient.dims();
                Value::new(Dispatch::float_trunc(quotient.float()?)).reshape(&dims)?
            }
            _ => quotient,
        };
        let part = binary(&whole, &b, Dispatch::float_mul, Some(Dispatch::int_mul))?;
        binary(&a, &part, Dispatch::float_sub, Some(Dispatch::int_sub))
    })
}

fn neg(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let tensor = match x.kind() {
        Kind::Int => Dispatch::int_neg(x.tensor()),
        _ => Dispatch::float_neg(x.float()?),
    };
    Value::new(tensor).reshape(&x.dims())?.wrap_to(x.element())
}

fn abs(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let tensor = match x.kind() {
        Kind::Int => Dispatch::int_abs(x.tensor()),
        _ => Dispatch::float_abs(x.float()?),
    };
    Value::new(tensor).reshape(&x.dims())?.wrap_to(x.element())
}

/// Power, with a special case for a constant scalar exponent, which most models have.
fn pow(site: &Site) -> Outcome<Run> {
    let second = second_input(site)?;
    match site.constant_scalar(1) {
        Some(exponent) => single_output(move |inputs| {
            let x = inputs.value(0)?;
            if x.kind() == Kind::Int {
                return integer_power(&x, &second(inputs)?);
            }
            // The exponent may have a higher rank than the base.
            let dims = crate::value::broadcast(&x.dims(), &inputs.value(1)?.dims())?;
            Value::new(power(x.float()?, exponent)).reshape(&dims)
        }),
        None => single_output(move |inputs| {
            let (x, exponent) = (inputs.value(0)?, second(inputs)?);
            if x.kind() == Kind::Int {
                return integer_power(&x, &exponent);
            }
            binary(&x, &exponent.into_float(), Dispatch::float_powf, None)
        }),
    }
}

/// The power of an integer base, which is an integer.
fn integer_power(x: &Value, exponent: &Value) -> Outcome<Value> {
    let dims = crate::value::broadcast(&x.dims(), &exponent.dims())?;
    let bases = x.clone().expand(&dims)?.ints()?;
    let exponents = exponent.clone().into_float().expand(&dims)?.floats()?;
    let powers = bases.iter().zip(exponents).map(|(&base, exponent)| {
        match (exponent.fract() == 0.0 && exponent >= 0.0, exponent as u32) {
            (true, exponent) => base.checked_pow(exponent),
            _ => Some((base as f64).powf(f64::from(exponent)) as i64),
        }
    });
    let powers: Option<Vec<i64>> = powers.collect();
    let powers = powers.ok_or("an integer power exceeds the int64 range")?;
    Value::from_ints(powers).reshape(&dims)?.wrap_to(x.element())
}

/// `x^exponent`. Small integer powers are products and roots have their own operation, which is exact at zero
/// and for negative bases.
fn power(x: DispatchTensor, exponent: f64) -> DispatchTensor {
    if exponent == 1.0 {
        x
    } else if exponent == 2.0 {
        Dispatch::float_mul(x.clone(), x)
    } else if exponent == 3.0 {
        Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x)
    } else if exponent == 0.5 {
        Dispatch::float_sqrt(x)
    } else if exponent == -1.0 {
        Dispatch::float_recip(x)
    } else {
        Dispatch::float_powf_scalar(x, Scalar::Float(exponent))
    }
}
