//! Operators on quantized tensors. Each is rewritten to the float operator between DequantizeLinear and
//! QuantizeLinear. An integer matrix product becomes a float one, whose rounding error is below the
//! resolution of the quantized output. Weights are dequantized when the model is loaded.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::{ANY, MICROSOFT, Operator, Rewriting};
use crate::graph::{Attributes, Id};
use crate::room;
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::rewritten("QLinearConv", 10, (8, 9), |ctx| {
        let (x, weight) = (ctx.dequantize_input(0)?, ctx.dequantize_input_along(3, 0)?);
        let bias = match ctx.optional(8) {
            Some(bias) => {
                let scale = multiply_scales(ctx, ctx.input(1)?, ctx.input(4)?);
                Some(ctx.dequantize(bias, scale, None, 0))
            }
            None => None,
        };
        let attributes = ctx.attributes();
        let y = ctx.add_node("Conv", vec![Some(x), Some(weight), bias], attributes);
        ctx.quantize(y, 6)
    }),
    Operator::rewritten("QLinearMatMul", 10, (8, 8), |ctx| {
        let (a, b) = (ctx.dequantize_input_along(0, -2)?, ctx.dequantize_input_along(3, -1)?);
        let y = matmul(ctx, a, b);
        ctx.quantize(y, 6)
    }),
    Operator::rewritten("ConvInteger", 10, (2, 4), |ctx| {
        let x = ctx.shifted(ctx.input(0)?, ctx.optional(2), 1);
        let weight = ctx.shifted(ctx.input(1)?, ctx.optional(3), 0);
        let attributes = ctx.attributes();
        let y = ctx.add_node("Conv", vec![Some(x), Some(weight)], attributes);
        Ok(ctx.cast_to_int32(y))
    }),
    Operator::rewritten("MatMulInteger", 10, (2, 4), |ctx| {
        let a = ctx.shifted(ctx.input(0)?, ctx.optional(2), -2);
        let b = ctx.shifted(ctx.input(1)?, ctx.optional(3), -1);
        let y = matmul(ctx, a, b);
        Ok(ctx.cast_to_int32(y))
    }),
    Operator::rewritten("QLinearAdd", 1, (7, 8), binary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearMul", 1, (7, 8), binary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearSigmoid", 1, (4, 5), unary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearLeakyRelu", 1, (4, 5), unary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearAveragePool", 1, (4, 5), unary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearGlobalAveragePool", 1, (4, 5), unary_operator).domain(MICROSOFT),
    Operator::rewritten("QLinearSoftmax", 1, (4, 5), |ctx| {
        // The opset that defines the semantics of the softmax.
        let opset = ctx.int("opset", 13)?;
        let axis = ctx.int("axis", if opset < 13 { 1 } else { -1 })?;
        let x = ctx.dequantize_input(0)?;
        let attributes = Attributes::integers(&[("axis", axis)]);
        let y = ctx.add_node_in("", opset, "Softmax", vec![Some(x)], attributes);
        ctx.quantize(y, 3)
    })
    .domain(MICROSOFT),
    Operator::rewritten("QLinearConcat", 1, (5, ANY), |ctx| {
        let parts = (2..ctx.len()).step_by(3).map(|at| ctx.dequantize_input(at).map(Some));
        let parts = parts.collect::<Outcome<_>>()?;
        let attributes = ctx.attributes();
        let y = ctx.add_node("Concat", parts, attributes);
        ctx.quantize(y, 0)
    })
    .domain(MICROSOFT),
    Operator::rewritten("QLinearWhere", 1, (9, 9), |ctx| {
        let (yes, no) = (ctx.dequantize_input(1)?, ctx.dequantize_input(4)?);
        let inputs = vec![Some(ctx.input(0)?), Some(yes), Some(no)];
        let y = ctx.add_node("Where", inputs, Attributes::default());
        ctx.quantize(y, 7)
    })
    .domain(MICROSOFT),
    Operator::rewritten("QGemm", 1, (6, 9), qgemm).domain(MICROSOFT),
    Operator::rewritten("MatMulIntegerToFloat", 1, (4, 7), |ctx| {
        // Inputs: both factors, their scales, then their zero points.
        let (a, b) = (ctx.input(0)?, ctx.input(1)?);
        let a = ctx.dequantize(a, ctx.input(2)?, ctx.optional(4), -2);
        let b = ctx.dequantize(b, ctx.input(3)?, ctx.optional(5), -1);
        let y = matmul(ctx, a, b);
        Ok(add_bias(ctx, y, ctx.optional(6)))
    })
    .domain(MICROSOFT),
    Operator::rewritten("DynamicQuantizeMatMul", 1, (3, 5), |ctx| {
        let (a, b) = (ctx.input(0)?, ctx.input(1)?);
        let (levels, scale, zero) = ctx.quantize_dynamically(a);
        let a = ctx.dequantize(levels, scale, Some(zero), 1);
        let b = ctx.dequantize(b, ctx.input(2)?, ctx.optional(3), -1);
        let y = matmul(ctx, a, b);
        Ok(add_bias(ctx, y, ctx.optional(4)))
    })
    .domain(MICROSOFT),
    Operator::rewritten("MatMulNBits", 1, (3, 6), matmul_n_bits).domain(MICROSOFT),
];

/// Returns the name of the corresponding float operator.
fn float_operator(ctx: &Rewriting) -> &'static str {
    ctx.name().strip_prefix("QLinear").unwrap_or_default()
}

/// Rewrites an operator on two quantized tensors.
fn binary_operator(ctx: &mut Rewriting) -> Outcome<Id> {
    let inputs = vec![Some(ctx.dequantize_input(0)?), Some(ctx.dequantize_input(3)?)];
    let y = ctx.add_node(float_operator(ctx), inputs, Attributes::default());
    ctx.quantize(y, 6)
}

/// Rewrites an operator on one quantized tensor.
fn unary_operator(ctx: &mut Rewriting) -> Outcome<Id> {
    if ctx.int("channels_last", 0)? != 0 {
        return Err("channels_last=1 is not supported".into());
    }
    let x = ctx.dequantize_input(0)?;
    let attributes = ctx.attributes();
    let y = ctx.add_node(float_operator(ctx), vec![Some(x)], attributes);
    ctx.quantize(y, 3)
}

/// Multiplies two scales; constants are folded.
fn multiply_scales(ctx: &mut Rewriting, a: Id, b: Id) -> Id {
    if let (Some(x), Some(y)) = (ctx.constant_floats(a), ctx.constant_floats(b))
        && let Ok(product) = binary(&x, &y, Dispatch::float_mul, None)
    {
        return ctx.add_constant(product);
    }
    ctx.add_node("Mul", vec![Some(a), Some(b)], Attributes::default())
}

fn matmul(ctx: &mut Rewriting, a: Id, b: Id) -> Id {
    ctx.add_node("MatMul", vec![Some(a), Some(b)], Attributes::default())
}

/// Adds a bias, if there is one.
fn add_bias(ctx: &mut Rewriting, x: Id, bias: Option<Id>) -> Id {
    match bias {
        Some(_) => ctx.add_node("Add", vec![Some(x), bias], Attributes::default()),
        None => x,
    }
}

/// `alpha A B + C`. `C` is int32 with the scale `alpha` times both input scales. The output is quantized only
/// if it has a scale.
fn qgemm(ctx: &mut Rewriting) -> Outcome<Id> {
    let alpha = ctx.float("alpha", 1.0)?;
    let transposed = ctx.int("transB", 0)? != 0;
    let (a, b) =
        (ctx.dequantize_input(0)?, ctx.dequantize_input_along(3, if transposed { 0 } else { 1 })?);
    let c = match ctx.optional(6) {
        Some(c) => {
            let alpha = ctx.add_constant(Value::number(alpha as f32));
            let scale = multiply_scales(ctx, ctx.input(1)?, ctx.input(4)?);
            let scale = multiply_scales(ctx, scale, alpha);
            Some(ctx.dequantize(c, scale, None, -1))
        }
        None => None,
    };
    let attributes = ctx.attributes();
    let y = ctx.add_node("Gemm", vec![Some(a), Some(b), c], attributes);
    if ctx.optional(7).is_some() { ctx.quantize(y, 7) } else { Ok(y) }
}

/// `A B` with a constant matrix `B` of 2, 4 or 8 bits, packed as `[N, blocks, bytes]` with the first value in
/// the lowest bits. Each block of a row has its own scale and zero point.
fn matmul_n_bits(ctx: &mut Rewriting) -> Outcome<Id> {
    let sizes = ["K", "N", "bits", "block_size"];
    let [inner, outputs, bits, block] = sizes.map(|name| ctx.int(name, 0));
    let (inner, outputs) = (super::size(inner?)?, super::size(outputs?)?);
    let (bits, block) = (super::size(bits?)?, super::size(block?)?);
    // The precision of the accumulation, which is always float32 here.
    ctx.int("accuracy_level", 0)?;
    room::check(&[inner, outputs])?;
    if inner == 0 || outputs == 0 {
        return Err(format!("K={inner} and N={outputs} must be positive"));
    }
    if !matches!(bits, 2 | 4 | 8) || block == 0 || block > 1 << 16 {
        return Err(format!("bits={bits} with block_size={block} is not supported"));
    }
    if ctx.optional(4).is_some() {
        return Err("the input g_idx (an order of the groups) is not supported".into());
    }
    let constant = |index: usize, what: &str| {
        ctx.constant(index).ok_or_else(|| format!("the {what} must be constant"))
    };
    let (packed, scales) = (constant(1, "weights")?.ints()?, constant(2, "scales")?.floats()?);
    let blocks = inner.div_ceil(block);
    let unpack = |packed: &[i64], row: usize, index: usize, rows: usize| {
        let byte = packed.get(row * rows + index * bits / 8).copied();
        byte.map(|byte| (byte >> (index * bits % 8)) & ((1 << bits) - 1))
    };
    let bytes = blocks * (block * bits).div_ceil(8);
    let zero_bytes = (blocks * bits).div_ceil(8);
    let zeros: Vec<f32> = match ctx.optional(3) {
        None => vec![(1 << (bits - 1)) as f32; outputs * blocks],
        Some(_) => {
            let zeros = constant(3, "zero points")?;
            match zeros.floats() {
                Ok(zeros) => zeros,
                Err(_) => {
                    let zeros = zeros.ints()?;
                    let all = (0..outputs * blocks)
                        .map(|group| unpack(&zeros, group / blocks, group % blocks, zero_bytes));
                    let all: Option<Vec<i64>> = all.collect();
                    let all = all.ok_or("there are too few zero points")?;
                    all.into_iter().map(|zero| zero as f32).collect()
                }
            }
        }
    };
    if [scales.len(), zeros.len()].iter().any(|&count| count != outputs * blocks)
        || packed.len() != outputs * bytes
    {
        return Err(format!(
            "the packed weights, scales or zero points do not match {outputs} rows of {inner} values"
        ));
    }
    let mut weights = vec![0.0; inner * outputs];
    for (row, row_weights) in weights.chunks_mut(inner).enumerate() {
        for (column, weight) in row_weights.iter_mut().enumerate() {
            let group = row * blocks + column / block;
            let level = unpack(&packed, row, column, bytes).unwrap_or_default();
            *weight = (level as f32 - zeros[group]) * scales[group];
        }
    }
    let weights = Value::from_floats(weights).reshape(&[outputs, inner])?.permute(&[1, 0])?;
    let weights = ctx.add_constant(weights);
    let a = ctx.input(0)?;
    let y = matmul(ctx, a, weights);
    Ok(add_bias(ctx, y, ctx.optional(5)))
}
