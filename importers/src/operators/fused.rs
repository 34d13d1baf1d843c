//! Fused operators that ONNX Runtime's graph optimizer inserts.

use attriburn_kernels::Activation;
use attriburn_kernels::activation::activate;
use burn::backend::Dispatch;

use super::activation::activation_operator;
use super::arithmetic::{add, scaled};
use super::linear::{matmul, maybe_transpose};
use super::{Linear, MICROSOFT, Operator, Run, Site, single_output};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    activation_operator("Gelu", 1, |_| Ok(Activation::Gelu)).domain(MICROSOFT),
    activation_operator("QuickGelu", 1, |site| {
        Ok(Activation::Swish { alpha: site.float("alpha", 1.702)? as f32 })
    })
    .domain(MICROSOFT),
    Operator::new("BiasGelu", 1, (2, 2), |_| {
        single_output(|inputs| {
            let sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
            Value::new(activate(sum.float()?, Activation::Gelu)).reshape(&sum.dims())
        })
    })
    .domain(MICROSOFT),
    Operator::new("FastGelu", 1, (1, 2), |_| {
        single_output(|inputs| {
            let x = inputs.value(0)?;
            let sum = match inputs.optional(1) {
                Some(bias) => add(&x, &bias)?,
                None => x,
            };
            Value::new(activate(sum.float()?, Activation::GeluTanh)).reshape(&sum.dims())
        })
    })
    .domain(MICROSOFT),
    Operator::new("SkipLayerNormalization", 1, (3, 5), skip_layer_norm)
        .domain(MICROSOFT)
        .outputs(4),
    Operator::new("FusedMatMul", 1, (2, 2), fused_matmul)
        .linear(Linear::Singly)
        .domain(MICROSOFT)
        .multiplies(),
];

/// Layer normalization of `x + skip + bias` over the last axis. The last output is the sum; outputs 1 and 2
/// serve only training.
fn skip_layer_norm(site: &Site) -> Outcome<Run> {
    use burn::backend::ops::ModuleOps;
    let epsilon = site.float("epsilon", 1e-5)?;
    let reads = |output: usize| site.node.outputs.get(output).is_some_and(Option::is_some);
    if reads(1) || reads(2) {
        return Err(
            "outputs 1 and 2 (mean and inverse standard deviation) are not supported".into()
        );
    }
    Ok(Box::new(move |inputs| {
        let mut sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
        if let Some(bias) = inputs.optional(4) {
            sum = add(&sum, &bias)?;
        }
        let (gamma, beta) = (inputs.float(2)?, inputs.optional_float(3)?);
        let normal = Value::new(Dispatch::layer_norm(sum.float()?, gamma, beta, epsilon));
        // Placeholders: nothing reads outputs 1 and 2.
        Ok(vec![normal.clone(), normal.clone(), normal, sum])
    }))
}

/// `alpha A' B'`. `transBatchA` and `transBatchB` move the first axis behind the other batch axes; `transA`
/// and `transB` then transpose the last two axes.
fn fused_matmul(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    let (transpose_a, transpose_b) = (site.flag("transA", false)?, site.flag("transB", false)?);
    let (moves_a, moves_b) = (site.flag("transBatchA", false)?, site.flag("transBatchB", false)?);
    single_output(move |inputs| {
        let a = maybe_transpose(maybe_move_batch(inputs.value(0)?, moves_a)?, transpose_a)?;
        let b = maybe_transpose(maybe_move_batch(inputs.value(1)?, moves_b)?, transpose_b)?;
        scaled(&matmul(&a, &b)?, alpha)
    })
}

/// Moves the first axis to the position before the last axis, if `moves` is set.
fn maybe_move_batch(x: Value, moves: bool) -> Outcome<Value> {
    let rank = x.rank();
    if !moves || rank < 3 {
        return Ok(x);
    }
    let order: Vec<usize> = (1..rank - 1).chain([0, rank - 1]).collect();
    x.permute(&order)
}
