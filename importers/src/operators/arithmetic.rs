//! Arithmetic, element by element, with broadcasting.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use onnx_ir::{Argument, Node};

use super::{Context, Inputs, Operator, Run, expect_node, one, pointwise};
use crate::value::{Binary, Kind, Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Add", compile: |_, _| of_two(Dispatch::float_add, Dispatch::int_add) },
    Operator { name: "Sub", compile: |_, _| of_two(Dispatch::float_sub, Dispatch::int_sub) },
    Operator { name: "Mul", compile: |_, _| of_two(Dispatch::float_mul, Dispatch::int_mul) },
    Operator { name: "Div", compile: |_, _| one(div) },
    Operator { name: "Mod", compile: modulo },
    Operator { name: "Pow", compile: pow },
    Operator { name: "Neg", compile: |_, _| one(neg) },
    Operator { name: "Abs", compile: |_, _| one(abs) },
    Operator { name: "Sqrt", compile: |_, _| pointwise(Dispatch::float_sqrt) },
    Operator { name: "Exp", compile: |_, _| pointwise(Dispatch::float_exp) },
    Operator { name: "Log", compile: |_, _| pointwise(Dispatch::float_log) },
    Operator { name: "Reciprocal", compile: |_, _| pointwise(Dispatch::float_recip) },
    Operator { name: "Floor", compile: |_, _| pointwise(Dispatch::float_floor) },
    Operator { name: "Ceil", compile: |_, _| pointwise(Dispatch::float_ceil) },
    Operator { name: "Round", compile: |_, _| pointwise(Dispatch::float_round) },
    Operator { name: "Sign", compile: |_, _| pointwise(Dispatch::float_sign) },
    Operator { name: "Sin", compile: |_, _| pointwise(Dispatch::float_sin) },
    Operator { name: "Cos", compile: |_, _| pointwise(Dispatch::float_cos) },
    Operator { name: "Tan", compile: |_, _| pointwise(Dispatch::float_tan) },
    Operator { name: "Atan", compile: |_, _| pointwise(Dispatch::float_atan) },
    Operator { name: "Sinh", compile: |_, _| pointwise(Dispatch::float_sinh) },
    Operator { name: "Cosh", compile: |_, _| pointwise(Dispatch::float_cosh) },
    Operator { name: "Max", compile: |_, _| of_many(max) },
    Operator { name: "Min", compile: |_, _| of_many(min) },
    Operator { name: "Sum", compile: |_, _| of_many(add) },
    Operator { name: "Mean", compile: |_, _| one(mean) },
];

fn of_two(float: Binary, int: Binary) -> Outcome<Run> {
    one(move |inputs| binary(&inputs.value(0)?, &inputs.value(1)?, float, Some(int)))
}

fn of_many(combine: fn(&Value, &Value) -> Outcome<Value>) -> Outcome<Run> {
    one(move |inputs| {
        let mut values = inputs.all().into_iter();
        let first = values.next().ok_or("it has no inputs")?;
        values.try_fold(first, |sum, value| combine(&sum, &value))
    })
}

fn add(a: &Value, b: &Value) -> Outcome<Value> {
    binary(a, b, Dispatch::float_add, Some(Dispatch::int_add))
}

/// By choice, so that no rounding enters.
fn max(a: &Value, b: &Value) -> Outcome<Value> {
    chosen(a, b, Dispatch::float_greater_equal, Dispatch::int_greater_equal)
}

fn min(a: &Value, b: &Value) -> Outcome<Value> {
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
fn div(inputs: &Inputs) -> Outcome<Value> {
    let (a, b) = (inputs.value(0)?, inputs.value(1)?);
    if b.kind() == Kind::Int && b.ints()?.contains(&0) {
        return Err("it divides an integer by zero".into());
    }
    binary(&a, &b, Dispatch::float_div, Some(Dispatch::int_div))
}

fn modulo(node: &Node, _: &Context) -> Outcome<Run> {
    if expect_node!(node, Mod).config.fmod {
        return Err("fmod=1 is not supported".into());
    }
    one(|inputs| {
        let (a, b) = (inputs.value(0)?, inputs.value(1)?);
        if b.kind() == Kind::Int && b.ints()?.contains(&0) {
            return Err("it divides an integer by zero".into());
        }
        binary(&a, &b, Dispatch::float_remainder, Some(Dispatch::int_remainder))
    })
}

fn neg(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let tensor = match x.kind() {
        Kind::Int => Dispatch::int_neg(x.tensor()),
        _ => Dispatch::float_neg(x.float()?),
    };
    Value::new(tensor).reshape(&x.dims())
}

fn abs(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let tensor = match x.kind() {
        Kind::Int => Dispatch::int_abs(x.tensor()),
        _ => Dispatch::float_abs(x.float()?),
    };
    Value::new(tensor).reshape(&x.dims())
}

/// A constant scalar exponent is by far the usual case.
fn pow(node: &Node, _: &Context) -> Outcome<Run> {
    match expect_node!(node, Pow).inputs.get(1).and_then(constant_scalar) {
        Some(exponent) => one(move |inputs| {
            let x = inputs.value(0)?;
            let tensor = power(x.clone().into_float().float()?, exponent);
            let power = Value::new(tensor).reshape(&x.dims())?;
            match x.kind() {
                Kind::Int => power.into_int(),
                _ => Ok(power),
            }
        }),
        None => one(|inputs| {
            let exponent = inputs.value(1)?.into_float();
            binary(&inputs.value(0)?, &exponent, Dispatch::float_powf, None)
        }),
    }
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

/// The one number of a constant argument.
fn constant_scalar(argument: &Argument) -> Option<f64> {
    let values = argument.value()?.convert::<f64>().try_into_vec::<f64>().ok()?;
    match values[..] {
        [value] => Some(value),
        _ => None,
    }
}
