//! Matrix products.

use attriburn_kernels::frozen::{Convolution, Value as FrozenValue, Window};
use attriburn_kernels::product::multiply;
use burn::backend::DispatchTensor;

use super::arithmetic::{add, scaled};
use super::{Freezing, Operator, Run, Site, one};
use crate::room;
use crate::value::{Outcome, Value, broadcast, together};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Gemm", 1, (2, 3), gemm).multiplies().frozen(frozen_gemm),
    Operator::new("MatMul", 1, (2, 2), |_| {
        one(|inputs| product(&inputs.value(0)?, &inputs.value(1)?))
    })
    .multiplies()
    .frozen(frozen_product),
];

/// A product of two parts of a segment, or of one with a constant matrix.
fn frozen_product(own: &mut Freezing) -> Option<FrozenValue> {
    match *own.inputs {
        [Some(a), Some(b)] => own.builder.product(a, b),
        [Some(x), None] => linear(own, x, (1, true), None),
        [None, Some(x)] => {
            // Turned around.
            let rank = own.builder.shape(x).len();
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(rank.checked_sub(2).filter(|&at| at > 0)?, rank - 1);
            let turned = own.builder.permute(x, &order)?;
            let made = linear(own, turned, (0, false), None)?;
            own.builder.permute(made, &order)
        }
        _ => None,
    }
}

/// `A B + C` with constant `B` and `C`.
fn frozen_gemm(own: &mut Freezing) -> Option<FrozenValue> {
    let [Some(x), None, ..] = *own.inputs else { return None };
    let site = own.site;
    let plain = site.float("alpha", 1.0).ok()? == 1.0
        && site.float("beta", 1.0).ok()? == 1.0
        && !site.flag("transA", false).ok()?;
    let bias = match site.has(2) {
        true => {
            let (dims, bias) = (site.constant_dims(2)?, site.constant(2)?.floats().ok()?);
            let alike = dims.iter().rev().skip(1).all(|&size| size == 1);
            Some(alike.then_some(bias)?)
        }
        false => None,
    };
    let turns = !site.flag("transB", false).ok()?;
    plain.then(|| linear(own, x, (1, turns), bias))?
}

/// Weights that stay near a core while it computes one sample after the other.
const NEAR: usize = 1 << 18;

/// A product with the constant matrix that input `index` is, `[inputs, outputs]` where it `turns`, else
/// the other way round, as a convolution of one pixel. A single pixel would read all of the weights for
/// every sample: where they are many, all samples are better multiplied at once.
fn linear(
    own: &mut Freezing,
    x: FrozenValue,
    (index, turns): (usize, bool),
    bias: Option<Vec<f32>>,
) -> Option<FrozenValue> {
    let dims = own.builder.shape(x);
    let (&inputs, rows) = dims.split_last()?;
    let &[first, second] = &own.site.constant_dims(index)?[..] else { return None };
    let (read, outputs) = if turns { (first, second) } else { (second, first) };
    let one_pixel = rows.iter().product::<usize>() == own.builder.samples();
    if read != inputs || (one_pixel && first * second > NEAR) {
        return None;
    }
    let weights = own.site.weights(index, turns)?;
    let window = Window::pixel();
    own.builder.linear(
        x,
        Convolution { weights, bias, outputs, groups: 1, window, exact: own.site.is_whole() },
    )
}

/// `alpha A' B' + beta C`.
fn gemm(site: &Site) -> Outcome<Run> {
    let (alpha, beta) = (site.float("alpha", 1.0)?, site.float("beta", 1.0)?);
    let (turns_a, turns_b) = (site.flag("transA", false)?, site.flag("transB", false)?);
    if site.opset() < 7 {
        // C broadcasts as it does later; before, it had to be said.
        site.ignore(&["broadcast"]);
    }
    one(move |inputs| {
        let a = turned(inputs.value(0)?, turns_a)?;
        let b = turned(inputs.value(1)?, turns_b)?;
        if a.rank() != 2 || b.rank() != 2 {
            return Err(format!("it takes two matrices, not {:?} and {:?}", a.dims(), b.dims()));
        }
        let mut sum = scaled(&product(&a, &b)?, alpha)?;
        let dims = sum.dims();
        if let Some(c) = inputs.optional(2) {
            sum = add(&sum, &scaled(&c, beta)?)?;
        }
        if sum.dims() != dims {
            return Err(format!("its C does not broadcast to {dims:?}"));
        }
        Ok(sum)
    })
}

/// The last two axes in the other order, where that is asked for.
pub fn turned(x: Value, turns: bool) -> Outcome<Value> {
    let rank = x.rank();
    if !turns || rank < 2 {
        return Ok(x);
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    x.permute(&order)
}

/// The product of the last two axes, the others broadcast; vectors count as matrices of one row on
/// the left and of one column on the right.
pub fn product(a: &Value, b: &Value) -> Outcome<Value> {
    let (left, right) = (a.dims(), b.dims());
    if left.is_empty() || right.is_empty() {
        return Err("it does not take scalars".into());
    }
    let a_dims = if left.len() == 1 { vec![1, left[0]] } else { left.clone() };
    let b_dims = if right.len() == 1 { vec![right[0], 1] } else { right.clone() };
    let (a_lead, a_matrix) = a_dims.split_at(a_dims.len() - 2);
    let (b_lead, b_matrix) = b_dims.split_at(b_dims.len() - 2);
    if a_matrix[1] != b_matrix[0] {
        return Err(format!("{left:?} and {right:?} have no product"));
    }
    let lead = broadcast(a_lead, b_lead)?;
    let mut dims = [&lead[..], &[a_matrix[0], b_matrix[1]]].concat();
    room::check(&dims)?;
    let pair = together(vec![a.clone().reshape(&a_dims)?, b.clone().reshape(&b_dims)?])?;
    let [a, b] = &pair[..] else {
        return Err("it takes two inputs".into());
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

/// One matrix for every row of every batch: a single product of two matrices.
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
