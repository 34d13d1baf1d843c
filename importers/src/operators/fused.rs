//! Operators that ONNX Runtime's optimizer makes of several others.

use burn::backend::Dispatch;

use super::activation::{gelu_exact, gelu_tanh, sigmoid_unit};
use super::arithmetic::{add, scaled};
use super::linear::{product, turned};
use super::{MICROSOFT, Operator, Run, Site, one, pointwise};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Gelu", 1, (1, 1), |_| pointwise(gelu_exact)).domain(MICROSOFT),
    Operator::new("QuickGelu", 1, (1, 1), quick_gelu).domain(MICROSOFT),
    Operator::new("BiasGelu", 1, (2, 2), |_| {
        one(|inputs| {
            let sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
            Value::new(gelu_exact(sum.float()?)).reshape(&sum.dims())
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
            Value::new(gelu_tanh(sum.float()?)).reshape(&sum.dims())
        })
    })
    .domain(MICROSOFT),
    Operator::new("SkipLayerNormalization", 1, (3, 5), skip_layer_norm).domain(MICROSOFT),
    Operator::new("FusedMatMul", 1, (2, 2), fused_matmul).domain(MICROSOFT).multiplies(),
];

/// `x sigmoid(alpha x)`.
fn quick_gelu(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.702)?;
    pointwise(move |x| sigmoid_unit(x, alpha))
}

/// The layer normalization of `x + skip + bias` over the last axis.
fn skip_layer_norm(site: &Site) -> Outcome<Run> {
    use burn::backend::ops::ModuleOps;
    let epsilon = site.float("epsilon", 1e-5)?;
    one(move |inputs| {
        let mut sum = add(&inputs.value(0)?, &inputs.value(1)?)?;
        if let Some(bias) = inputs.optional(4) {
            sum = add(&sum, &bias)?;
        }
        let (gamma, beta) = (inputs.float(2)?, inputs.optional_float(3)?);
        Ok(Value::new(Dispatch::layer_norm(sum.float()?, gamma, beta, epsilon)))
    })
}

/// `alpha A' B'`, the last two axes turned where that is asked for.
fn fused_matmul(site: &Site) -> Outcome<Run> {
    let alpha = site.float("alpha", 1.0)?;
    let (turns_a, turns_b) = (site.flag("transA", false)?, site.flag("transB", false)?);
    if site.flag("transBatchA", false)? || site.flag("transBatchB", false)? {
        return Err("transBatchA=1 and transBatchB=1 are not supported".into());
    }
    one(move |inputs| {
        let a = turned(inputs.value(0)?, turns_a)?;
        let b = turned(inputs.value(1)?, turns_b)?;
        scaled(&product(&a, &b)?, alpha)
    })
}
