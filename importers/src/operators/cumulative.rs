//! Cumulative sums and products along an axis.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::{Inputs, Linear, Operator, Run, Site, axis, single_output};
use crate::value::{Kind, Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("CumProd", 26, (2, 2), cumulative_product).settings(&[1]),
    Operator::new("CumSum", 11, (2, 2), cumulative_sum).linear(Linear::Jointly).settings(&[1]),
];

/// CumSum along an axis; with `exclusive` each sum excludes its own element.
fn cumulative_sum(site: &Site) -> Outcome<Run> {
    let (exclusive, reverse) = (site.flag("exclusive", false)?, site.flag("reverse", false)?);
    single_output(move |inputs: &Inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let along = inputs.ints(1)?;
        let axis = axis(*along.first().ok_or("the axis is missing")?, dims.len())?;
        if x.kind() == Kind::Int {
            let sums = integer_sums(&x.ints()?, &dims, axis, exclusive, reverse);
            return Value::from_ints(sums).reshape(&dims)?.wrap_to(x.element());
        }
        let flip = |x| if reverse { Dispatch::float_flip(x, &[axis]) } else { x };
        let sums = flip(Dispatch::float_cumsum(flip(x.float()?), axis));
        let sums = if exclusive { Dispatch::float_sub(sums, x.float()?) } else { sums };
        Value::new(sums).reshape(&dims)
    })
}

/// Cumulative sums of integers along an axis.
fn integer_sums(
    values: &[i64],
    dims: &[usize],
    axis: usize,
    exclusive: bool,
    reverse: bool,
) -> Vec<i64> {
    let (length, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let mut sums = vec![0; values.len()];
    for row in 0..values.len() / length.max(1) {
        let mut sum = 0i64;
        for step in 0..length {
            let at = if reverse { length - 1 - step } else { step };
            let index = (row / inner * length + at) * inner + row % inner;
            let next = sum.wrapping_add(values[index]);
            sums[index] = if exclusive { sum } else { next };
            sum = next;
        }
    }
    sums
}

/// CumProd along an axis; with `exclusive` each product excludes its own element.
fn cumulative_product(site: &Site) -> Outcome<Run> {
    let (exclusive, reverse) = (site.flag("exclusive", false)?, site.flag("reverse", false)?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let along = inputs.value(1)?.into_int()?.ints()?;
        let axis = axis(*along.first().ok_or("the axis is missing")?, x.rank())?;
        let (length, dims) = (x.dims()[axis], x.dims());
        let element = x.element();
        let x = x.into_float();
        let part = |at: usize| x.clone().range(axis, at..at + 1);
        if length == 0 {
            return x.cast(element);
        }
        let order: Vec<usize> =
            if reverse { (0..length).rev().collect() } else { (0..length).collect() };
        let mut single = dims.clone();
        single[axis] = 1;
        let mut product = Value::filled(1.0, &single)?;
        let mut products = Vec::with_capacity(length);
        for at in order {
            let next = binary(&product, &part(at), Dispatch::float_mul, None)?;
            products.push(if exclusive { product } else { next.clone() });
            product = next;
        }
        if reverse {
            products.reverse();
        }
        Value::concat(&products, axis)?.cast(element)
    })
}
