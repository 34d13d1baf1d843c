//! Comparisons, boolean operations and choice.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::BoolDType;

use super::arithmetic::second;
use super::{Operator, Run, Site, one};
use crate::value::{Binary, Kind, Outcome, Value, aligned};

/// A comparison of two tensors.
pub type Comparison = fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Equal", 1, (2, 2), equal).flat(),
    Operator::new("Greater", 1, (2, 2), |site| {
        comparison(site, Dispatch::float_greater, Dispatch::int_greater)
    })
    .flat(),
    Operator::new("GreaterOrEqual", 12, (2, 2), |site| {
        comparison(site, Dispatch::float_greater_equal, Dispatch::int_greater_equal)
    })
    .flat(),
    Operator::new("Less", 1, (2, 2), |site| {
        comparison(site, Dispatch::float_lower, Dispatch::int_lower)
    })
    .flat(),
    Operator::new("LessOrEqual", 12, (2, 2), |site| {
        comparison(site, Dispatch::float_lower_equal, Dispatch::int_lower_equal)
    })
    .flat(),
    Operator::new("And", 1, (2, 2), |site| boolean(site, Dispatch::bool_and)).flat(),
    Operator::new("Or", 1, (2, 2), |site| boolean(site, Dispatch::bool_or)).flat(),
    Operator::new("Xor", 1, (2, 2), |site| boolean(site, Dispatch::bool_xor)).flat(),
    Operator::new("Not", 1, (1, 1), |_| not()).flat(),
    Operator::new("IsNaN", 9, (1, 1), |_| {
        one(|inputs| {
            let x = inputs.value(0)?;
            Value::new(Dispatch::float_is_nan(x.float()?, x.bool_dtype())).reshape(&x.dims())
        })
    })
    .flat(),
    Operator::new("IsInf", 10, (1, 1), is_infinite).flat(),
    Operator::new("Where", 9, (3, 3), |_| choice()),
];

fn comparison(site: &Site, float: Comparison, int: Comparison) -> Outcome<Run> {
    let second = second(site)?;
    one(move |inputs| compare(&inputs.value(0)?, &second(inputs)?, float, int))
}

/// Where `a` compares with `b`.
pub fn compare(a: &Value, b: &Value, float: Comparison, int: Comparison) -> Outcome<Value> {
    let (a, b, dims) = same_shape(a, b)?;
    let dtype = a.bool_dtype();
    let tensor = match a.kind() {
        Kind::Float | Kind::Level => float(a.tensor(), b.tensor(), dtype),
        Kind::Int => int(a.tensor(), b.tensor(), dtype),
        Kind::Bool => return Err("it does not compare booleans".into()),
    };
    Value::new(tensor).reshape(&dims)
}

fn equal(site: &Site) -> Outcome<Run> {
    let second = second(site)?;
    one(move |inputs| {
        let (a, b) = (inputs.value(0)?, second(inputs)?);
        if a.kind() != Kind::Bool {
            return compare(&a, &b, Dispatch::float_equal, Dispatch::int_equal);
        }
        let (a, b, dims) = same_shape(&a, &b)?;
        Value::new(Dispatch::bool_equal(a.tensor(), b.tensor())).reshape(&dims)
    })
}

fn boolean(site: &Site, operation: Binary) -> Outcome<Run> {
    let second = second(site)?;
    one(move |inputs| {
        let (a, b, dims) = same_shape(&inputs.value(0)?, &second(inputs)?)?;
        match a.kind() {
            Kind::Bool => Value::new(operation(a.tensor(), b.tensor())).reshape(&dims),
            kind => Err(format!("it takes booleans, not {kind:?}")),
        }
    })
}

fn not() -> Outcome<Run> {
    one(|inputs| {
        let x = inputs.value(0)?.into_bool();
        Value::new(Dispatch::bool_not(x.tensor())).reshape(&x.dims())
    })
}

/// Whether an element is infinite, with the signs that are asked for.
fn is_infinite(site: &Site) -> Outcome<Run> {
    use burn::backend::Scalar;
    let (below, above) = (site.flag("detect_negative", true)?, site.flag("detect_positive", true)?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dtype = x.bool_dtype();
        let is = |wanted: bool, value: f64| {
            let value = if wanted { value } else { f64::NAN };
            Ok::<_, String>(Dispatch::float_equal_elem(x.float()?, Scalar::Float(value), dtype))
        };
        let either = Dispatch::bool_or(is(below, f64::NEG_INFINITY)?, is(above, f64::INFINITY)?);
        Value::new(either).reshape(&x.dims())
    })
}

fn choice() -> Outcome<Run> {
    one(|inputs| inputs.value(0)?.choose(inputs.value(1)?, inputs.value(2)?))
}

/// `a` and `b` stretched to the shape they broadcast to.
fn same_shape(a: &Value, b: &Value) -> Outcome<(Value, Value, Vec<usize>)> {
    let (a, b, dims) = aligned(a.clone(), b.clone())?;
    let held = if dims.is_empty() { vec![1] } else { dims.clone() };
    Ok((a.expand(&held)?, b.expand(&held)?, dims))
}
