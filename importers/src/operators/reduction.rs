//! Reductions over axes.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use onnx_ir::Node;
use onnx_ir::reduce::{ReduceAxes, ReduceConfig};

use super::{Context, Operator, Run, Setting, axis, expect_node, one};
use crate::value::{Kind, Outcome, Value};

/// Reduces one axis to size 1.
type Reduce = fn(DispatchTensor, usize) -> DispatchTensor;

macro_rules! reduction {
    ($name:literal, $variant:ident, $reduce:expr, $int:expr) => {
        Operator {
            name: $name,
            compile: |node: &Node, _: &Context| {
                run(&expect_node!(node, $variant).config, $reduce, $int)
            },
        }
    };
}

pub const OPERATORS: &[Operator] = &[
    reduction!("ReduceMean", ReduceMean, mean, None),
    reduction!("ReduceSum", ReduceSum, sum, Some(Dispatch::int_sum_dim)),
    reduction!("ReduceProd", ReduceProd, product, Some(Dispatch::int_prod_dim)),
    reduction!("ReduceMax", ReduceMax, max, Some(Dispatch::int_max_dim)),
    reduction!("ReduceMin", ReduceMin, min, Some(Dispatch::int_min_dim)),
    reduction!("ReduceL1", ReduceL1, norm_1, None),
    reduction!("ReduceL2", ReduceL2, norm_2, None),
    reduction!("ReduceSumSquare", ReduceSumSquare, squares, None),
    reduction!("ReduceLogSum", ReduceLogSum, log_sum, None),
    reduction!("ReduceLogSumExp", ReduceLogSumExp, log_sum_exp, None),
];

const LAST: usize = 1;

fn mean(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_mean_dim(x, axis)
}

fn sum(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_sum_dim(x, axis)
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

fn squares(x: DispatchTensor, axis: usize) -> DispatchTensor {
    sum(Dispatch::float_mul(x.clone(), x), axis)
}

fn norm_2(x: DispatchTensor, axis: usize) -> DispatchTensor {
    Dispatch::float_sqrt(squares(x, axis))
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
/// logarithms are taken once.
fn run(config: &ReduceConfig, float: Reduce, int: Option<Reduce>) -> Outcome<Run> {
    let axes = match &config.axes {
        ReduceAxes::Static(axes) => Setting::Known(axes.iter().map(|&a| a as i64).collect()),
        ReduceAxes::Runtime(reference) => Setting::input(reference),
    };
    let (keep, noop) = (config.keepdims, config.noop_with_empty_axes);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let reduced = axes.read(inputs)?;
        let reduced: Vec<usize> = match reduced[..] {
            [] if noop => return Ok(x),
            [] => (0..dims.len()).collect(),
            _ => reduced.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?,
        };
        let kept: Vec<usize> = (0..dims.len()).filter(|a| !reduced.contains(a)).collect();
        let order: Vec<usize> = kept.iter().chain(&reduced).copied().collect();
        let rows: usize = kept.iter().map(|&a| dims[a]).product();
        let columns: usize = reduced.iter().map(|&a| dims[a]).product();
        if columns == 0 {
            return Err(format!("it reduces no elements of {dims:?}"));
        }
        let in_order = order.windows(2).all(|pair| pair[0] < pair[1]);
        let ordered = if in_order { x } else { x.permute(&order)? };
        let flat = ordered.reshape(&[rows, columns])?;
        let tensor = match (flat.kind(), int) {
            (Kind::Float, _) => float(flat.tensor(), LAST),
            (Kind::Int, Some(int)) => int(flat.tensor(), LAST),
            (kind, _) => return Err(format!("it is not defined for {kind:?}")),
        };
        let out: Vec<usize> = match keep {
            true => {
                (0..dims.len()).map(|a| if reduced.contains(&a) { 1 } else { dims[a] }).collect()
            }
            false => kept.iter().map(|&a| dims[a]).collect(),
        };
        Value::new(tensor).reshape(&out)
    })
}
