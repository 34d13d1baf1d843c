//! Operators that ONNX Runtime's optimizer makes of several others.

use attriburn_kernels::Activation;
use attriburn_kernels::activation::activate;
use burn::backend::Dispatch;

use super::activation::known;
use super::arithmetic::{add, scaled};
use super::linear::{product, turned};
use super::{MICROSOFT, Operator, Run, Site, one};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    known("Gelu", 1, |_| Ok(Activation::Gelu)).domain(MICROSOFT),
    known("QuickGelu", 1, |site| {
        Ok(Activation::Swish { alpha: site.float("alpha", 1.702)? as f32 })
    })
    .domain(MICROSOFT),
    Operator::new("BiasGelu", 1, (2, 2), |_| {
        one(|inputs| {
            let sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
            Value::new(activate(sum.float()?, Activation::Gelu)).reshape(&sum.dims())
        })
    })
    .domain(MICROSOFT),
    Operator::new("FastGelu", 1, (1, 2), |_| {
        one(|inputs| {
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
    Operator::new("FusedMatMul", 1, (2, 2), fused_matmul).domain(MICROSOFT).multiplies(),
];

/// The layer normalization of `x + skip + bias` over the last axis; the last output is the sum, and
/// the two between are for training alone.
fn skip_layer_norm(site: &Site) -> Outcome<Run> {
    use burn::backend::ops::ModuleOps;
    let epsilon = site.float("epsilon", 1e-5)?;
    let reads = |output: usize| site.node.outputs.get(output).is_some_and(Option::is_some);
    if reads(1) || reads(2) {
        return Err("its outputs 1 and 2, mean and deviation, are not supported".into());
    }
    Ok(Box::new(move |inputs| {
        let mut sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
        if let Some(bias) = inputs.optional(4) {
            sum = add(&sum, &bias)?;
        }
        let (gamma, beta) = (inputs.float(2)?, inputs.optional_float(3)?);
        let normal = Value::new(Dispatch::layer_norm(sum.float()?, gamma, beta, epsilon));
        // Nothing reads the second and the third.
        Ok(vec![normal.clone(), normal.clone(), normal, sum])
    }))
}

/// `alpha A' B'`: where that is asked for, the first axis moved behind the other batch axes, and then
/// the last two turned.
fn fused_matmul(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    let (turns_a, turns_b) = (site.flag("transA", false)?, site.flag("transB", false)?);
    let (moves_a, moves_b) = (site.flag("transBatchA", false)?, site.flag("transBatchB", false)?);
    one(move |inputs| {
        let a = turned(moved(inputs.value(0)?, moves_a)?, turns_a)?;
        let b = turned(moved(inputs.value(1)?, moves_b)?, turns_b)?;
        scaled(&product(&a, &b)?, alpha)
    })
}

/// The first axis in front of the last.
fn moved(x: Value, moves: bool) -> Outcome<Value> {
    let rank = x.rank();
    if !moves || rank < 3 {
        return Ok(x);
    }
    let order: Vec<usize> = (1..rank - 1).chain([0, rank - 1]).collect();
    x.permute(&order)
}
