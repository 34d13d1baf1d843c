//! Arithmetic, element by element, with broadcasting.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::activation::known;
use super::{ANY, Affine, Channels, Freezing, Inputs, Operator, Role, Run, Site, one, pointwise};
use crate::value::{Binary, Kind, Outcome, Value, binary, combined};
use attriburn_kernels::Activation;
use attriburn_kernels::frozen::Value as FrozenValue;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Add", 1, (2, 2), |site| of_two(site, Dispatch::float_add, Dispatch::int_add))
        .affine(sum_affine)
        .frozen(sum),
    Operator::new("Sub", 1, (2, 2), |site| of_two(site, Dispatch::float_sub, Dispatch::int_sub))
        .role(Role::Difference)
        .affine(difference_affine)
        .frozen(difference),
    Operator::new("Mul", 1, (2, 2), |site| of_two(site, Dispatch::float_mul, Dispatch::int_mul))
        .role(Role::Product)
        .affine(product_affine)
        .frozen(product),
    Operator::new("Div", 1, (2, 2), div)
        .role(Role::Quotient)
        .affine(quotient_affine)
        .frozen(quotient),
    Operator::new("Mod", 10, (2, 2), modulo),
    Operator::new("Pow", 1, (2, 2), pow).settings(&[1]).frozen(frozen_power),
    Operator::new("Neg", 1, (1, 1), |_| one(neg)).frozen(|own| own.builder.scale(own.x()?, -1.0)),
    Operator::new("Abs", 1, (1, 1), |_| one(abs)),
    known("Sqrt", 1, |_| Ok(Activation::Root)),
    Operator::new("Exp", 1, (1, 1), |_| pointwise(Dispatch::float_exp)).role(Role::Exponential),
    Operator::new("Log", 1, (1, 1), |_| pointwise(Dispatch::float_log)).role(Role::Logarithm),
    known("Reciprocal", 1, |_| Ok(Activation::Reciprocal)),
    Operator::new("Floor", 1, (1, 1), |_| pointwise(Dispatch::float_floor)).flat(),
    Operator::new("Ceil", 1, (1, 1), |_| pointwise(Dispatch::float_ceil)).flat(),
    Operator::new("Round", 11, (1, 1), |_| pointwise(Dispatch::float_round)).flat(),
    Operator::new("Sign", 9, (1, 1), |_| pointwise(Dispatch::float_sign)).flat(),
    Operator::new("Sin", 7, (1, 1), |_| pointwise(Dispatch::float_sin)),
    Operator::new("Cos", 7, (1, 1), |_| pointwise(Dispatch::float_cos)),
    Operator::new("Tan", 7, (1, 1), |_| pointwise(Dispatch::float_tan)),
    Operator::new("Atan", 7, (1, 1), |_| pointwise(Dispatch::float_atan)),
    Operator::new("Sinh", 9, (1, 1), |_| pointwise(Dispatch::float_sinh)),
    Operator::new("Cosh", 9, (1, 1), |_| pointwise(Dispatch::float_cosh)),
    Operator::new("Asin", 7, (1, 1), |_| pointwise(Dispatch::float_asin)),
    Operator::new("Acos", 7, (1, 1), |_| pointwise(Dispatch::float_acos)),
    Operator::new("Asinh", 9, (1, 1), |_| pointwise(Dispatch::float_asinh)),
    Operator::new("Acosh", 9, (1, 1), |_| pointwise(Dispatch::float_acosh)),
    Operator::new("Atanh", 9, (1, 1), |_| pointwise(Dispatch::float_atanh)),
    Operator::new("Max", 1, (1, ANY), |_| of_many(max)),
    Operator::new("Min", 1, (1, ANY), |_| of_many(min)),
    Operator::new("Sum", 1, (1, ANY), |_| of_many(add)),
    Operator::new("Mean", 1, (1, ANY), |_| one(mean)),
];

fn of_two(site: &Site, float: Binary, int: Binary) -> Outcome<Run> {
    let second = second(site)?;
    one(move |inputs| {
        let second = second(inputs)?;
        combined(inputs.take(0)?, second, float, Some(int))
    })
}

/// Reads the second input of an operator that broadcasts. Before opset 7 it did so only where it
/// was told to, beginning at an axis of the first input.
pub fn second(site: &Site) -> Outcome<impl Fn(&Inputs) -> Outcome<Value> + Send + Sync + use<>> {
    let from = match site.opset() {
        ..7 if site.flag("broadcast", false)? => site.node.attributes.int("axis")?,
        ..7 => {
            site.ignore(&["axis"]);
            None
        }
        _ => None,
    };
    Ok(move |inputs: &Inputs| {
        let b = inputs.take(1)?;
        let Some(from) = from else { return Ok(b) };
        let rank = inputs.value(0)?.rank();
        let (own, from) = (b.dims(), super::axis(from, rank)?);
        let trailing = rank.checked_sub(from + own.len());
        let trailing =
            trailing.ok_or_else(|| format!("{own:?} does not fit behind axis {from}"))?;
        b.reshape(&[own, vec![1; trailing]].concat())
    })
}

/// The sum of two parts of a segment, or of one and a constant.
fn sum(own: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = own.both() {
        return own.builder.add(a, b);
    }
    let (x, _, values, dims) = own.with_constant()?;
    own.builder.add_constant(x, &values, &dims)
}

fn difference(own: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = own.both() {
        let b = own.builder.scale(b, -1.0)?;
        return own.builder.add(a, b);
    }
    let (x, data, mut values, dims) = own.with_constant()?;
    if data == 0 {
        values.iter_mut().for_each(|value| *value = -*value);
        return own.builder.add_constant(x, &values, &dims);
    }
    let x = own.builder.scale(x, -1.0)?;
    own.builder.add_constant(x, &values, &dims)
}

fn product(own: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = own.both() {
        return own.builder.multiply(a, b);
    }
    let (x, _, values, dims) = own.with_constant()?;
    own.builder.multiply_constant(x, &values, &dims)
}

fn quotient(own: &mut Freezing) -> Option<FrozenValue> {
    if let Some([a, b]) = own.both() {
        let b = own.builder.activate(b, Activation::Reciprocal)?;
        return own.builder.multiply(a, b);
    }
    let (mut x, data, mut values, dims) = own.with_constant()?;
    match data {
        0 => values.iter_mut().for_each(|value| *value = 1.0 / *value),
        _ => x = own.builder.activate(x, Activation::Reciprocal)?,
    }
    let finite = values.iter().all(|value| value.is_finite());
    finite.then(|| own.builder.multiply_constant(x, &values, &dims))?
}

/// Squares, square roots and reciprocals.
fn frozen_power(own: &mut Freezing) -> Option<FrozenValue> {
    let x = own.x()?;
    let exponent = own.site.number(1)?;
    if exponent == 2.0 {
        return own.builder.multiply(x, x);
    }
    let activation = match exponent {
        0.5 => Activation::Root,
        -1.0 => Activation::Reciprocal,
        1.0 => Activation::Identity,
        _ => return None,
    };
    own.builder.activate(x, activation)
}

/// The constants of a node of two inputs, per channel of the input `data`.
fn per_channel(site: &Site, data: usize, channels: Channels) -> Option<Vec<f64>> {
    if site.opset() < 7 {
        return None;
    }
    let constant = site.constant(1 - data)?;
    let (dims, values) = (constant.dims(), constant.floats().ok()?);
    let Channels { rank, axis, count: channels } = channels;
    // The axis of the channels, counted from the end as broadcasting does.
    let own = dims.len().checked_sub(rank - axis);
    let fits = dims.len() <= rank
        && dims
            .iter()
            .enumerate()
            .all(|(axis, &size)| size == 1 || (Some(axis) == own && size == channels));
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

fn of_many(combine: fn(&Value, &Value) -> Outcome<Value>) -> Outcome<Run> {
    one(move |inputs| {
        let mut values = inputs.all().into_iter();
        let first = values.next().ok_or("it has no inputs")?;
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

/// `factor x` of floats.
pub fn scaled(x: &Value, factor: f64) -> Outcome<Value> {
    if factor == 1.0 {
        return Ok(x.clone());
    }
    Value::new(Dispatch::float_mul_scalar(x.float()?, Scalar::Float(factor))).reshape(&x.dims())
}

/// The larger of `a` and `b`, broadcast: by choice, so that no rounding enters.
pub fn max(a: &Value, b: &Value) -> Outcome<Value> {
    chosen(a, b, Dispatch::float_greater_equal, Dispatch::int_greater_equal)
}

/// The smaller of `a` and `b`, broadcast.
pub fn min(a: &Value, b: &Value) -> Outcome<Value> {
    chosen(a, b, Dispatch::float_lower_equal, Dispatch::int_lower_equal)
}

/// `a` where it compares with `b`, else `b`.
fn chosen(
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
    let first = values.next().ok_or("it has no inputs")?;
    let sum = values.try_fold(first, |sum, value| add(&sum, &value))?;
    let dims = sum.dims();
    Value::new(Dispatch::float_div_scalar(sum.float()?, Scalar::Float(count))).reshape(&dims)
}

/// Integers divide towards zero; a zero divisor is an error.
fn div(site: &Site) -> Outcome<Run> {
    let second = second(site)?;
    one(move |inputs| {
        let b = divisor(second(inputs)?)?;
        binary(&inputs.value(0)?, &b, Dispatch::float_div, Some(Dispatch::int_div))
    })
}

fn divisor(value: Value) -> Outcome<Value> {
    if value.kind() == Kind::Int && value.ints()?.contains(&0) {
        return Err("it divides an integer by zero".into());
    }
    Ok(value)
}

/// The remainder has the sign of the divisor, and with `fmod` that of the dividend.
fn modulo(site: &Site) -> Outcome<Run> {
    let truncates = site.flag("fmod", false)?;
    one(move |inputs| {
        let (a, b) = (inputs.value(0)?, divisor(inputs.value(1)?)?);
        if !truncates {
            return binary(&a, &b, Dispatch::float_remainder, Some(Dispatch::int_remainder));
        }
        // a - b trunc(a / b): integers divide towards zero.
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
    Value::new(tensor).reshape(&x.dims())?.wrapped(x.element())
}

fn abs(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let tensor = match x.kind() {
        Kind::Int => Dispatch::int_abs(x.tensor()),
        _ => Dispatch::float_abs(x.float()?),
    };
    Value::new(tensor).reshape(&x.dims())?.wrapped(x.element())
}

/// A constant scalar exponent is by far the usual case.
fn pow(site: &Site) -> Outcome<Run> {
    let second = second(site)?;
    match site.number(1) {
        Some(exponent) => one(move |inputs| {
            let x = inputs.value(0)?;
            if x.kind() == Kind::Int {
                return integer_power(&x, &second(inputs)?);
            }
            // The exponent's shape may add axes.
            let dims = crate::value::broadcast(&x.dims(), &inputs.value(1)?.dims())?;
            Value::new(power(x.float()?, exponent)).reshape(&dims)
        }),
        None => one(move |inputs| {
            let (x, exponent) = (inputs.value(0)?, second(inputs)?);
            if x.kind() == Kind::Int {
                return integer_power(&x, &exponent);
            }
            binary(&x, &exponent.into_float(), Dispatch::float_powf, None)
        }),
    }
}

/// An integer to a power is an integer.
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
    let powers = powers.ok_or("a power of integers is too large")?;
    Value::from_ints(powers).reshape(&dims)?.wrapped(x.element())
}

/// Small powers by multiplication and roots by their own operation: exact at zero and below.
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
