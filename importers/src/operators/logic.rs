//! Comparisons, boolean operations and Where.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::BoolDType;

use super::broadcast::second_input;
use super::{Operator, Run, Site, single_output};
use crate::value::{Binary, Kind, Outcome, Value, align_for_broadcast};

/// A backend comparison of two tensors.
pub type Comparison = fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Equal", 1, (2, 2), equal).non_differentiable(),
    Operator::new("Greater", 1, (2, 2), |site| {
        comparison(site, Dispatch::float_greater, Dispatch::int_greater)
    })
    .non_differentiable(),
    Operator::new("GreaterOrEqual", 12, (2, 2), |site| {
        comparison(site, Dispatch::float_greater_equal, Dispatch::int_greater_equal)
    })
    .non_differentiable(),
    Operator::new("Less", 1, (2, 2), |site| {
        comparison(site, Dispatch::float_lower, Dispatch::int_lower)
    })
    .non_differentiable(),
    Operator::new("LessOrEqual", 12, (2, 2), |site| {
        comparison(site, Dispatch::float_lower_equal, Dispatch::int_lower_equal)
    })
    .non_differentiable(),
    Operator::new("And", 1, (2, 2), |site| boolean(site, Dispatch::bool_and)).non_differentiable(),
    Operator::new("Or", 1, (2, 2), |site| boolean(site, Dispatch::bool_or)).non_differentiable(),
    Operator::new("Xor", 1, (2, 2), |site| boolean(site, Dispatch::bool_xor)).non_differentiable(),
    Operator::new("Not", 1, (1, 1), |_| not()).non_differentiable(),
    Operator::new("IsNaN", 9, (1, 1), |_| {
        single_output(|inputs| {
            let x = inputs.value(0)?;
            Value::new(Dispatch::float_is_nan(x.float()?, x.bool_dtype())).reshape(&x.dims())
        })
    })
    .non_differentiable(),
    Operator::new("IsInf", 10, (1, 1), is_infinite).non_differentiable(),
    Operator::new("Where", 9, (3, 3), |_| where_operator()),
];

fn comparison(site: &Site, float: Comparison, int: Comparison) -> Outcome<Run> {
    let second = second_input(site)?;
    single_output(move |inputs| compare(&inputs.value(0)?, &second(inputs)?, float, int))
}

/// Compares `a` with `b` element by element, with broadcasting.
pub fn compare(a: &Value, b: &Value, float: Comparison, int: Comparison) -> Outcome<Value> {
    let (a, b, dims) = same_shape(a, b)?;
    let dtype = a.bool_dtype();
    let tensor = match a.kind() {
        Kind::Float | Kind::Level => float(a.tensor(), b.tensor(), dtype),
        Kind::Int => int(a.tensor(), b.tensor(), dtype),
        Kind::Bool => return Err("booleans cannot be ordered".into()),
    };
    Value::new(tensor).reshape(&dims)
}

fn equal(site: &Site) -> Outcome<Run> {
    let second = second_input(site)?;
    single_output(move |inputs| {
        let (a, b) = (inputs.value(0)?, second(inputs)?);
        if a.kind() != Kind::Bool {
            return compare(&a, &b, Dispatch::float_equal, Dispatch::int_equal);
        }
        let (a, b, dims) = same_shape(&a, &b)?;
        Value::new(Dispatch::bool_equal(a.tensor(), b.tensor())).reshape(&dims)
    })
}

fn boolean(site: &Site, operation: Binary) -> Outcome<Run> {
    let second = second_input(site)?;
    single_output(move |inputs| {
        let (a, b, dims) = same_shape(&inputs.value(0)?, &second(inputs)?)?;
        match a.kind() {
            Kind::Bool => Value::new(operation(a.tensor(), b.tensor())).reshape(&dims),
            kind => Err(format!("expected boolean tensors, got {kind:?}")),
        }
    })
}

fn not() -> Outcome<Run> {
    single_output(|inputs| {
        let x = inputs.value(0)?.into_bool();
        Value::new(Dispatch::bool_not(x.tensor())).reshape(&x.dims())
    })
}

/// Whether each element is infinite; the attributes select the signs to detect.
fn is_infinite(site: &Site) -> Outcome<Run> {
    use burn::backend::Scalar;
    let (detect_negative, detect_positive) =
        (site.flag("detect_negative", true)?, site.flag("detect_positive", true)?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dtype = x.bool_dtype();
        let equals = |detect: bool, value: f64| {
            let value = if detect { value } else { f64::NAN };
            Ok::<_, String>(Dispatch::float_equal_elem(x.float()?, Scalar::Float(value), dtype))
        };
        let either = Dispatch::bool_or(
            equals(detect_negative, f64::NEG_INFINITY)?,
            equals(detect_positive, f64::INFINITY)?,
        );
        Value::new(either).reshape(&x.dims())
    })
}

fn where_operator() -> Outcome<Run> {
    single_output(|inputs| inputs.value(0)?.choose(inputs.value(1)?, inputs.value(2)?))
}

/// Expands `a` and `b` to the shape to which they broadcast.
fn same_shape(a: &Value, b: &Value) -> Outcome<(Value, Value, Vec<usize>)> {
    let (a, b, dims) = align_for_broadcast(a.clone(), b.clone())?;
    let target = if dims.is_empty() { vec![1] } else { dims.clone() };
    Ok((a.expand(&target)?, b.expand(&target)?, dims))
}
