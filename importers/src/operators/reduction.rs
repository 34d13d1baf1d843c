//! Reductions over axes.

use attriburn_kernels::Activation;
use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::IntDType;

use super::{Freezing, Operator, Role, Run, Site, axis, one, safe_sqrt};
use crate::file::Element;
use crate::value::{Kind, Outcome, Value};

/// Reduces one axis to size 1.
type Reduce = fn(DispatchTensor, usize) -> DispatchTensor;

const fn reduction(name: &'static str, compile: fn(&Site) -> Outcome<Run>) -> Operator {
    Operator::new(name, 1, (1, 2), compile).settings(&[1])
}

pub const OPERATORS: &[Operator] = &[
    reduction("ReduceMean", |site| run(site, 18, mean, Some(int_mean), None)).frozen(|own| {
        let mean = own.builder.mean(own.x()?, &own.axes(18)?)?;
        own.reshape_of(mean)
    }),
    reduction("ReduceSum", |site| run(site, 13, sum, Some(Dispatch::int_sum_dim), Some(0.0)))
        .role(Role::Sum)
        .frozen(|own| {
            let sum = own.builder.sum(own.x()?, &own.axes(13)?, 1.0)?;
            own.reshape_of(sum)
        }),
    reduction("ReduceProd", |site| run(site, 18, product, Some(Dispatch::int_prod_dim), Some(1.0))),
    reduction("ReduceMax", |site| {
        run(site, 18, max, Some(Dispatch::int_max_dim), Some(f32::NEG_INFINITY))
    })
    .role(Role::Largest),
    reduction("ReduceMin", |site| {
        run(site, 18, min, Some(Dispatch::int_min_dim), Some(f32::INFINITY))
    }),
    reduction("ReduceL1", |site| run(site, 18, norm_1, Some(int_norm_1), Some(0.0))),
    reduction("ReduceL2", |site| run(site, 18, norm_2, None, Some(0.0))).frozen(|own| {
        let squares = frozen_squares(own)?;
        own.builder.activate(squares, Activation::Length)
    }),
    reduction("ReduceSumSquare", |site| run(site, 18, squares, Some(int_squares), Some(0.0)))
        .frozen(frozen_squares),
    reduction("ReduceLogSum", |site| run(site, 18, log_sum, None, Some(f32::NEG_INFINITY))),
    reduction("ReduceLogSumExp", |site| run(site, 18, log_sum_exp, None, Some(f32::NEG_INFINITY))),
    Operator::new("ArgMax", 1, (1, 1), |site| place(site, Dispatch::float_argmax)).flat(),
    Operator::new("ArgMin", 1, (1, 1), |site| place(site, Dispatch::float_argmin)).flat(),
];

/// The sum of the squares of the first input.
fn frozen_squares(own: &mut Freezing) -> Option<FrozenValue> {
    let (x, axes) = (own.x()?, own.axes(18)?);
    let squares = own.builder.multiply(x, x)?;
    let sum = own.builder.sum(squares, &axes, 1.0)?;
    own.reshape_of(sum)
}

const LAST: usize = 1;

fn mean(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_mean_dim(x, axis)
}

fn sum(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_sum_dim(x, axis)
}

fn int_mean(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::int_mean_dim(x, axis)
}

/// By halves, so that the gradient is right where a factor is zero.
fn product(x: DispatchTensor, axis: usize) -> DispatchTensor {
    use burn::backend::TensorMetadata;
    use burn::tensor::Slice;
    let part = |from: usize, to: usize| {
        let mut slices = vec![Slice::from(..); x.shape().num_dims()];
        slices[axis] = Slice::from(from..to);
        Dispatch::float_slice(x.clone(), &slices)
    };
    match x.shape()[axis] {
        1 => x,
        size => Dispatch::float_mul(
            product(part(0, size / 2), axis),
            product(part(size / 2, size), axis),
        ),
    }
}

fn max(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_max_dim(x, axis)
}

fn min(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_min_dim(x, axis)
}

fn norm_1(x: DispatchTensor, axis: usize) -> DispatchTensor {
    sum(Dispatch::float_abs(x), axis)
}

fn int_norm_1(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::int_sum_dim(Dispatch::int_abs(x), axis)
}

fn squares(x: DispatchTensor, axis: usize) -> DispatchTensor {
    sum(Dispatch::float_mul(x.clone(), x), axis)
}

fn int_squares(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::int_sum_dim(Dispatch::int_mul(x.clone(), x), axis)
}

fn norm_2(x: DispatchTensor, axis: usize) -> DispatchTensor {
    safe_sqrt(squares(x, axis))
}

fn log_sum(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_log(sum(x, axis))
}

/// Shifted by the largest value, so that nothing overflows.
fn log_sum_exp(x: DispatchTensor, axis: usize) -> DispatchTensor {
    let largest = max(Dispatch::float_detach(x.clone()), axis);
    let shifted = Dispatch::float_exp(Dispatch::float_sub(x, largest.clone()));
    Dispatch::float_add(log_sum(shifted, axis), largest)
}

/// All reduced axes are brought together at the end and reduced as one, so that norms and
/// logarithms are taken once. The axes are an input from the opset `since` on; of no elements the
/// result is `empty`, where there is one.
fn run(
    site: &Site,
    since: i64,
    float: Reduce,
    int: Option<Reduce>,
    empty: Option<f32>,
) -> Outcome<Run> {
    let axes = site.integers("axes", since, 1)?;
    let keep = site.flag("keepdims", true)?;
    let noop = site.opset() >= since && site.flag("noop_with_empty_axes", false)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, element) = (x.dims(), x.element());
        // The largest and smallest of booleans, which count as 0 and 1.
        let is_extreme = int.is_some() && empty.is_some_and(f32::is_infinite);
        let x = if is_extreme && x.kind() == Kind::Bool { x.into_int()? } else { x };
        let reduced = axes.as_ref().map_or(Ok(Vec::new()), |axes| axes.read(inputs))?;
        let reduced: Vec<usize> = match reduced[..] {
            [] if noop => return x.cast(element),
            [] => (0..dims.len()).collect(),
            _ => reduced.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?,
        };
        let kept: Vec<usize> = (0..dims.len()).filter(|a| !reduced.contains(a)).collect();
        let order: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
        if order.len() != dims.len() {
            return Err(format!("its axes {reduced:?} are not distinct"));
        }
        let rows: usize = kept.iter().map(|&a| dims[a]).product();
        let columns: usize = reduced.iter().map(|&a| dims[a]).product();
        let out: Vec<usize> = match keep {
            true => {
                (0..dims.len()).map(|a| if reduced.contains(&a) { 1 } else { dims[a] }).collect()
            }
            false => kept.iter().map(|&a| dims[a]).collect(),
        };
        if columns == 0 {
            let of_none = match (element, empty) {
                (Element::FLOAT, Some(empty)) => Value::from_floats(vec![empty; rows]),
                (Element::BOOL, Some(empty)) => Value::from_bools(vec![empty > 0.0; rows]),
                _ => return Err(format!("it reduces no elements of {dims:?}")),
            };
            return of_none.reshape(&out);
        }
        let in_order = order.windows(2).all(|pair| pair[0] < pair[1]);
        let ordered = if in_order { x } else { x.permute(&order)? };
        let flat = ordered.reshape(&[rows, columns])?;
        let tensor = match (flat.kind(), int) {
            (Kind::Float, _) => float(flat.tensor(), LAST),
            (Kind::Int, Some(int)) => int(flat.tensor(), LAST),
            (kind, _) => return Err(format!("it is not defined for {kind:?}")),
        };
        Value::new(tensor).reshape(&out)?.cast(element)
    })
}

/// Where the largest or smallest lies along an axis; the first of several, or the last.
fn place(
    site: &Site,
    place: fn(DispatchTensor, usize, IntDType) -> DispatchTensor,
) -> Outcome<Run> {
    let (along, keep) = (site.int("axis", 0)?, site.flag("keepdims", true)?);
    let last = site.opset() >= 12 && site.flag("select_last_index", false)?;
    one(move |inputs| {
        let x = inputs.value(0)?.into_float();
        let mut dims = x.dims();
        let axis = axis(along, dims.len())?;
        let mut host = x.to_host()?.float()?;
        if last {
            host = Dispatch::float_flip(host, &[axis]);
        }
        let mut indices = Value::new(place(host, axis, IntDType::I64));
        if last {
            let (shape, end) = (indices.dims(), dims[axis] as i64 - 1);
            let counted = indices.ints()?.into_iter().map(|index| end - index).collect();
            indices = Value::from_ints(counted).reshape(&shape)?;
        }
        dims[axis] = 1;
        if !keep {
            dims.remove(axis);
        }
        indices.reshape(&dims)
    })
}
