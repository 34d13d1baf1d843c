//! Matrix products: MatMul, Gemm, and Gemm fused with an activation.

use attriburn_kernels::frozen::{Convolution, Value as FrozenValue, Window};
use attriburn_kernels::product::multiply;
use burn::backend::DispatchTensor;

use super::activation::activation_by_name;
use super::arithmetic::{add, scaled};
use super::{Freezing, Linear, MICROSOFT, Operator, Run, Site, single_output};
use crate::room;
use crate::value::{Outcome, Value, broadcast, on_one_device};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Gemm", 1, (2, 3), gemm).linear(Linear::Singly).multiplies().frozen(frozen_gemm),
    Operator::new("MatMul", 1, (2, 2), |_| {
        single_output(|inputs| matmul(&inputs.value(0)?, &inputs.value(1)?))
    })
    .linear(Linear::Singly)
    .multiplies()
    .frozen(frozen_product),
    Operator::new("FusedGemm", 1, (2, 3), fused_gemm).domain(MICROSOFT).multiplies(),
];

/// Lowers the product of two values, or of a value and a constant matrix, into a segment.
fn frozen_product(ctx: &mut Freezing) -> Option<FrozenValue> {
    match *ctx.inputs {
        [Some(a), Some(b)] => ctx.builder.product(a, b),
        [Some(x), None] => linear(ctx, x, (1, true), None),
        [None, Some(x)] => {
            // A constant on the left: `A x = (x' A')'`.
            let rank = ctx.builder.shape(x).len();
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(rank.checked_sub(2).filter(|&at| at > 0)?, rank - 1);
            let permuted = ctx.builder.permute(x, &order)?;
            let product = linear(ctx, permuted, (0, false), None)?;
            ctx.builder.permute(product, &order)
        }
        _ => None,
    }
}

/// Lowers `A B + C` with constant `B` and `C` into a segment.
fn frozen_gemm(ctx: &mut Freezing) -> Option<FrozenValue> {
    let [Some(x), None, ..] = *ctx.inputs else { return None };
    let site = ctx.site;
    let is_plain = site.float("alpha", 1.0).ok()? == 1.0
        && site.float("beta", 1.0).ok()? == 1.0
        && !site.flag("transA", false).ok()?;
    let bias = match site.has(2) {
        true => {
            let (dims, bias) = (site.constant_dims(2)?, site.constant(2)?.floats().ok()?);
            let is_vector = dims.iter().rev().skip(1).all(|&size| size == 1);
            Some(is_vector.then_some(bias)?)
        }
        false => None,
    };
    let transpose = !site.flag("transB", false).ok()?;
    is_plain.then(|| linear(ctx, x, (1, transpose), bias))?
}

/// The largest weight matrix, in elements, that stays in the cache of a core while it computes one sample
/// after the other.
const MAX_CACHED_WEIGHTS: usize = 1 << 18;

/// Lowers the product of `x` with the constant matrix of input `index` as a pointwise convolution. The matrix
/// is `[inputs, outputs]` if `transpose` is set, else `[outputs, inputs]`. With one row per sample, a segment
/// would read the whole matrix again for every sample: a large matrix is better multiplied with all samples
/// at once, outside of a segment.
fn linear(
    ctx: &mut Freezing,
    x: FrozenValue,
    (index, transpose): (usize, bool),
    bias: Option<Vec<f32>>,
) -> Option<FrozenValue> {
    let dims = ctx.builder.shape(x);
    let (&inputs, rows) = dims.split_last()?;
    let &[first, second] = &ctx.site.constant_dims(index)?[..] else { return None };
    let (read, outputs) = if transpose { (first, second) } else { (second, first) };
    let one_pixel = rows.iter().product::<usize>() == ctx.builder.samples();
    if read != inputs || (one_pixel && first * second > MAX_CACHED_WEIGHTS) {
        return None;
    }
    let weights = ctx.site.weights(index, transpose)?;
    let window = Window::pixel();
    ctx.builder.linear(
        x,
        Convolution { weights, bias, outputs, groups: 1, window, exact: ctx.site.is_integer_sum() },
    )
}

/// `alpha A' B' + beta C`.
fn gemm(site: &Site) -> Outcome<Run> {
    let (alpha, beta) = (site.float("alpha", 1.0)?, site.float("beta", 1.0)?);
    let (transpose_a, transpose_b) = (site.flag("transA", false)?, site.flag("transB", false)?);
    if site.opset() < 7 {
        // C is always broadcast as from opset 7 on.
        site.ignore(&["broadcast"]);
    }
    single_output(move |inputs| {
        let a = maybe_transpose(inputs.value(0)?, transpose_a)?;
        let b = maybe_transpose(inputs.value(1)?, transpose_b)?;
        if a.rank() != 2 || b.rank() != 2 {
            return Err(format!("expected two matrices, got {:?} and {:?}", a.dims(), b.dims()));
        }
        let mut sum = scaled(&matmul(&a, &b)?, alpha)?;
        let dims = sum.dims();
        if let Some(c) = inputs.optional(2) {
            sum = add(&sum, &scaled(&c, beta)?)?;
        }
        if sum.dims() != dims {
            return Err(format!("C does not broadcast to {dims:?}"));
        }
        Ok(sum)
    })
}

/// Gemm followed by the activation of the attribute `activation`, with up to three parameters.
fn fused_gemm(site: &Site) -> Outcome<Run> {
    let gemm = gemm(site)?;
    let mut parameters: Vec<f32> = Vec::new();
    for name in ["activation_alpha", "activation_beta", "activation_gamma"] {
        parameters.extend(site.node.attributes.float(name)?.map(|value| value as f32));
    }
    let activate = activation_by_name(&site.text("activation", "")?, &parameters)?;
    single_output(move |inputs| {
        let sum = gemm(inputs)?.into_iter().next().ok_or("the product has no output")?;
        Ok(Value::new(activate(sum.float()?)))
    })
}

/// Transposes the last two axes if `transpose` is set.
pub fn maybe_transpose(x: Value, transpose: bool) -> Outcome<Value> {
    let rank = x.rank();
    if !transpose || rank < 2 {
        return Ok(x);
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    x.permute(&order)
}

/// The matrix product over the last two axes, with broadcast batch axes. A vector is a single row on the left
/// and a single column on the right.
pub fn matmul(a: &Value, b: &Value) -> Outcome<Value> {
    let (left, right) = (a.dims(), b.dims());
    if left.is_empty() || right.is_empty() {
        return Err("scalar operands are not supported".into());
    }
    let a_dims = if left.len() == 1 { vec![1, left[0]] } else { left.clone() };
    let b_dims = if right.len() == 1 { vec![right[0], 1] } else { right.clone() };
    let (a_lead, a_matrix) = a_dims.split_at(a_dims.len() - 2);
    let (b_lead, b_matrix) = b_dims.split_at(b_dims.len() - 2);
    if a_matrix[1] != b_matrix[0] {
        return Err(format!("the inner sizes of {left:?} and {right:?} differ"));
    }
    let lead = broadcast(a_lead, b_lead)?;
    let mut dims = [&lead[..], &[a_matrix[0], b_matrix[1]]].concat();
    room::check(&dims)?;
    let pair = on_one_device(vec![a.clone().reshape(&a_dims)?, b.clone().reshape(&b_dims)?])?;
    let [a, b] = &pair[..] else {
        return Err("expected two inputs".into());
    };
    let tensor = if b_lead.iter().all(|&size| size == 1) && !lead.is_empty() {
        rows_times_matrix(a, b, a_matrix[1], b_matrix)?
    } else {
        let a = a.clone().expand(&[&lead[..], a_matrix].concat())?;
        let b = b.clone().expand(&[&lead[..], b_matrix].concat())?;
        multiply(a.float()?, b.float()?)
    };
    if right.len() == 1 {
        dims.pop();
    }
    if left.len() == 1 {
        dims.remove(dims.len() - 1 - usize::from(right.len() > 1));
    }
    Value::new(tensor).reshape(&dims)
}

/// Multiplies all rows of all batches with one matrix, as a single product of two matrices.
fn rows_times_matrix(
    a: &Value,
    b: &Value,
    inner: usize,
    b_matrix: &[usize],
) -> Outcome<DispatchTensor> {
    let rows = a.dims().iter().product::<usize>() / inner.max(1);
    let rows = a.clone().reshape(&[rows, inner])?;
    let matrix = b.clone().reshape(b_matrix)?;
    Ok(multiply(rows.float()?, matrix.float()?))
}
