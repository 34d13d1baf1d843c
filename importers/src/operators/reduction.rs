//! Reductions over axes, ArgMax and ArgMin.

use attriburn_kernels::Activation;
use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use burn::tensor::IntDType;

use super::{Freezing, Linear, Operator, Role, Run, Site, axis, single_output};
use crate::file::Element;
use crate::value::{Kind, Outcome, Value};

/// A backend reduction of one axis to size 1.
type Reduce = fn(DispatchTensor, usize) -> DispatchTensor;

/// A reduction whose optional second input holds the axes.
const fn reduction(name: &'static str, compile: fn(&Site) -> Outcome<Run>) -> Operator {
    Operator::new(name, 1, (1, 2), compile).settings(&[1])
}

pub const OPERATORS: &[Operator] = &[
    reduction("ReduceMean", |site| reduce(site, 18, mean, Some(int_mean), None))
        .linear(Linear::Jointly)
        .frozen(|ctx| {
            let mean = ctx.builder.mean(ctx.x()?, &ctx.axes(18)?)?;
            ctx.reshape_to_output(mean)
        }),
    reduction("ReduceSum", |site| reduce(site, 13, sum, Some(Dispatch::int_sum_dim), Some(0.0)))
        .linear(Linear::Jointly)
        .role(Role::Sum)
        .frozen(|ctx| {
            let sum = ctx.builder.sum(ctx.x()?, &ctx.axes(13)?, 1.0)?;
            ctx.reshape_to_output(sum)
        }),
    reduction("ReduceProd", |site| {
        reduce(site, 18, product, Some(Dispatch::int_prod_dim), Some(1.0))
    }),
    reduction("ReduceMax", |site| {
        reduce(site, 18, max, Some(Dispatch::int_max_dim), Some(f32::NEG_INFINITY))
    })
    .role(Role::Largest),
    reduction("ReduceMin", |site| {
        reduce(site, 18, min, Some(Dispatch::int_min_dim), Some(f32::INFINITY))
    }),
    reduction("ReduceL1", |site| reduce(site, 18, norm_1, Some(int_norm_1), Some(0.0))),
    reduction("ReduceL2", |site| reduce(site, 18, norm_2, None, Some(0.0))).frozen(|ctx| {
        let squares = frozen_squares(ctx)?;
        ctx.builder.activate(squares, Activation::Length)
    }),
    reduction("ReduceSumSquare", |site| reduce(site, 18, squares, Some(int_squares), Some(0.0)))
        .frozen(frozen_squares),
    reduction("ReduceLogSum", |site| reduce(site, 18, log_sum, None, Some(f32::NEG_INFINITY))),
    reduction("ReduceLogSumExp", |site| {
        reduce(site, 18, log_sum_exp, None, Some(f32::NEG_INFINITY))
    }),
    Operator::new("ArgMax", 1, (1, 1), |site| arg_reduce(site, Dispatch::float_argmax))
        .non_differentiable(),
    Operator::new("ArgMin", 1, (1, 1), |site| arg_reduce(site, Dispatch::float_argmin))
        .non_differentiable(),
];

/// Lowers the sum of squares of the first input into a segment.
fn frozen_squares(ctx: &mut Freezing) -> Option<FrozenValue> {
    let (x, axes) = (ctx.x()?, ctx.axes(18)?);
    let squares = ctx.builder.multiply(x, x)?;
    let sum = ctx.builder.sum(squares, &axes, 1.0)?;
    ctx.reshape_to_output(sum)
}

/// The reduced axis of the flattened matrix `[kept, reduced]`.
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

/// The product along an axis, by recursive halving, so that the gradient is correct where a factor is zero.
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

/// The square root with derivative 0 at 0, as in PyTorch's norms.
pub fn safe_sqrt(x: DispatchTensor) -> DispatchTensor {
    let dtype = Value::new(x.clone()).bool_dtype();
    let zero = Dispatch::float_equal_elem(x.clone(), Scalar::Float(0.0), dtype);
    let root = Dispatch::float_sqrt(Dispatch::float_mask_fill(x, zero.clone(), Scalar::Float(1.0)));
    Dispatch::float_mask_fill(root, zero, Scalar::Float(0.0))
}

fn log_sum(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_log(sum(x, axis))
}

/// `ln(sum(exp(x)))`, shifted by the maximum to avoid overflow.
fn log_sum_exp(x: DispatchTensor, axis: usize) -> DispatchTensor {
    let largest = max(Dispatch::float_detach(x.clone()), axis);
    let shifted = Dispatch::float_exp(Dispatch::float_sub(x, largest.clone()));
    Dispatch::float_add(log_sum(shifted, axis), largest)
}

/// Compiles a reduction. All reduced axes are permuted to the end and reduced as one, so that roots and
/// logarithms are applied once. The axes are an input from opset `since` on. `empty` is the result for zero
/// elements, if it is defined.
fn reduce(
    site: &Site,
    since: i64,
    float: Reduce,
    int: Option<Reduce>,
    empty: Option<f32>,
) -> Outcome<Run> {
    let axes = site.integers("axes", since, 1)?;
    let keep = site.flag("keepdims", true)?;
    let is_noop = site.opset() >= since && site.flag("noop_with_empty_axes", false)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, element) = (x.dims(), x.element());
        // Maximum and minimum of booleans are computed on 0 and 1.
        let is_extreme = int.is_some() && empty.is_some_and(f32::is_infinite);
        let x = if is_extreme && x.kind() == Kind::Bool { x.into_int()? } else { x };
        let reduced = axes.as_ref().map_or(Ok(Vec::new()), |axes| axes.read(inputs))?;
        let reduced: Vec<usize> = match reduced[..] {
            [] if is_noop => return x.cast(element),
            [] => (0..dims.len()).collect(),
            _ => reduced.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?,
        };
        let kept: Vec<usize> = (0..dims.len()).filter(|a| !reduced.contains(a)).collect();
        let order: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
        if order.len() != dims.len() {
            return Err(format!("the axes {reduced:?} are not distinct"));
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
            let result = match (element, empty) {
                (Element::FLOAT, Some(empty)) => Value::from_floats(vec![empty; rows]),
                (Element::BOOL, Some(empty)) => Value::from_bools(vec![empty > 0.0; rows]),
                _ => {
                    return Err(format!(
                        "the reduction over zero elements of {dims:?} is undefined"
                    ));
                }
            };
            return result.reshape(&out);
        }
        let in_order = order.windows(2).all(|pair| pair[0] < pair[1]);
        let ordered = if in_order { x } else { x.permute(&order)? };
        let flat = ordered.reshape(&[rows, columns])?;
        let tensor = match (flat.kind(), int) {
            (Kind::Float, _) => float(flat.tensor(), LAST),
            (Kind::Int, Some(int)) => int(flat.tensor(), LAST),
            (kind, _) => return Err(format!("the reduction is not defined for {kind:?} tensors")),
        };
        Value::new(tensor).reshape(&out)?.cast(element)
    })
}

/// Compiles ArgMax or ArgMin: the index of the first or last extremum along an axis.
fn arg_reduce(
    site: &Site,
    index_of: fn(DispatchTensor, usize, IntDType) -> DispatchTensor,
) -> Outcome<Run> {
    let (along, keep) = (site.int("axis", 0)?, site.flag("keepdims", true)?);
    let last = site.opset() >= 12 && site.flag("select_last_index", false)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?.into_float();
        let mut dims = x.dims();
        let axis = axis(along, dims.len())?;
        let mut host = x.to_host()?.float()?;
        if last {
            host = Dispatch::float_flip(host, &[axis]);
        }
        let mut indices = Value::new(index_of(host, axis, IntDType::I64));
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
