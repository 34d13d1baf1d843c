//! Comparisons, boolean operations and choice.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::BoolDType;

use super::{Operator, Run, one};
use crate::value::{Binary, Kind, Outcome, Value, aligned};

/// A comparison of two tensors.
pub type Comparison = fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor;

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Equal", compile: |_, _| equal() },
    Operator {
        name: "Greater",
        compile: |_, _| comparison(Dispatch::float_greater, Dispatch::int_greater),
    },
    Operator {
        name: "GreaterOrEqual",
        compile: |_, _| comparison(Dispatch::float_greater_equal, Dispatch::int_greater_equal),
    },
    Operator {
        name: "Less",
        compile: |_, _| comparison(Dispatch::float_lower, Dispatch::int_lower),
    },
    Operator {
        name: "LessOrEqual",
        compile: |_, _| comparison(Dispatch::float_lower_equal, Dispatch::int_lower_equal),
    },
    Operator { name: "And", compile: |_, _| boolean(Dispatch::bool_and) },
    Operator { name: "Or", compile: |_, _| boolean(Dispatch::bool_or) },
    Operator { name: "Xor", compile: |_, _| boolean(Dispatch::bool_xor) },
    Operator { name: "Not", compile: |_, _| not() },
    Operator { name: "Where", compile: |_, _| choice() },
];

fn comparison(float: Comparison, int: Comparison) -> Outcome<Run> {
    one(move |inputs| compare(&inputs.value(0)?, &inputs.value(1)?, float, int))
}

/// Where `a` compares with `b`.
pub fn compare(a: &Value, b: &Value, float: Comparison, int: Comparison) -> Outcome<Value> {
    let (a, b, dims) = same_shape(a, b)?;
    let dtype = a.bool_dtype();
    let tensor = match a.kind() {
        Kind::Float => float(a.tensor(), b.tensor(), dtype),
        Kind::Int => int(a.tensor(), b.tensor(), dtype),
        Kind::Bool => return Err("it does not compare booleans".into()),
    };
    Value::new(tensor).reshape(&dims)
}

fn equal() -> Outcome<Run> {
    one(|inputs| {
        let (a, b) = (inputs.value(0)?, inputs.value(1)?);
        if a.kind() != Kind::Bool {
            return compare(&a, &b, Dispatch::float_equal, Dispatch::int_equal);
        }
        let (a, b, dims) = same_shape(&a, &b)?;
        Value::new(Dispatch::bool_equal(a.tensor(), b.tensor())).reshape(&dims)
    })
}

fn boolean(operation: Binary) -> Outcome<Run> {
    one(move |inputs| {
        let (a, b, dims) = same_shape(&inputs.value(0)?, &inputs.value(1)?)?;
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

fn choice() -> Outcome<Run> {
    one(|inputs| inputs.value(0)?.choose(inputs.value(1)?, inputs.value(2)?))
}

/// `a` and `b` stretched to the shape they broadcast to.
fn same_shape(a: &Value, b: &Value) -> Outcome<(Value, Value, Vec<usize>)> {
    let (a, b, dims) = aligned(a, b)?;
    let held = if dims.is_empty() { vec![1] } else { dims.clone() };
    Ok((a.expand(&held)?, b.expand(&held)?, dims))
}
