//! Binary operations with broadcasting.

use burn::backend::Dispatch;
use burn::backend::tensor::FloatTensor;

use super::conversion::on_one_device;
use super::shape::{broadcast, type_mismatch};
use super::tensor::{Kind, Value};
use crate::error::Outcome;

/// A backend operation on two tensors of the same kind.
pub type Binary = fn(FloatTensor<Dispatch>, FloatTensor<Dispatch>) -> FloatTensor<Dispatch>;

/// Applies `float` or `int` to `a` and `b` with broadcasting; integers wrap around.
pub fn binary(a: &Value, b: &Value, float: Binary, int: Option<Binary>) -> Outcome<Value> {
    binary_owned(a.clone(), b.clone(), float, int)
}

/// Like [`binary`], but consumes both operands, so that their buffers can be reused.
pub fn binary_owned(a: Value, b: Value, float: Binary, int: Option<Binary>) -> Outcome<Value> {
    let (a, b, dims) = align_for_broadcast(a, b)?;
    let element = a.element();
    let tensor = match (a.kind(), int) {
        (Kind::Float, _) => float(a.tensor, b.tensor),
        (Kind::Int, Some(int)) => int(a.tensor, b.tensor),
        (Kind::Level, _) => {
            let name = element.name();
            return Err(format!("arithmetic on {name} that depend on the input is not supported"));
        }
        (kind, _) => return Err(format!("the operator is not defined for {kind:?} tensors")),
    };
    Value::new(tensor).reshape(&dims)?.wrap_to(element)
}

/// Moves `a` and `b` to one device, checks that their types agree, pads their shapes with leading axes to
/// the same rank, and returns both with the shape to which they broadcast.
pub fn align_for_broadcast(a: Value, b: Value) -> Outcome<(Value, Value, Vec<usize>)> {
    let dims = broadcast(&a.dims(), &b.dims())?;
    if a.element() != b.element() {
        return Err(type_mismatch(&a, &b));
    }
    let rank = dims.len().max(1);
    let pad = |value: Value| {
        let value_dims = value.dims();
        value.reshape(&[vec![1; rank - value_dims.len()], value_dims].concat())
    };
    let mut pair = on_one_device(vec![pad(a)?, pad(b)?])?;
    let (b, a) = (pair.pop(), pair.pop());
    match (a, b) {
        (Some(a), Some(b)) => Ok((a, b, dims)),
        _ => Err("expected two inputs".into()),
    }
}
