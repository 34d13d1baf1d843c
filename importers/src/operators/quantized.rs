//! Operators on integers that stand for floats. Each is short for the same on floats, behind
//! DequantizeLinear and in front of QuantizeLinear: a product of integers is one of floats, the sums of
//! which round below the last digit that matters. Weights are dequantized when the model is loaded.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::{ANY, MICROSOFT, Operator, Rewriting};
use crate::graph::{Attributes, Id};
use crate::room;
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::short("QLinearConv", 10, (8, 9), |own| {
        let (x, weight) = (own.of_input(0)?, own.of_input_along(3, 0)?);
        let bias = match own.optional(8) {
            Some(bias) => {
                let scale = product(own, own.input(1)?, own.input(4)?);
                Some(own.dequantize(bias, scale, None, 0))
            }
            None => None,
        };
        let attributes = own.attributes();
        let y = own.make("Conv", vec![Some(x), Some(weight), bias], attributes);
        own.quantize(y, 6)
    }),
    Operator::short("QLinearMatMul", 10, (8, 8), |own| {
        let (a, b) = (own.of_input_along(0, -2)?, own.of_input_along(3, -1)?);
        let y = matmul(own, a, b);
        own.quantize(y, 6)
    }),
    Operator::short("ConvInteger", 10, (2, 4), |own| {
        let x = own.shifted(own.input(0)?, own.optional(2), 1);
        let weight = own.shifted(own.input(1)?, own.optional(3), 0);
        let attributes = own.attributes();
        let y = own.make("Conv", vec![Some(x), Some(weight)], attributes);
        Ok(own.whole(y))
    }),
    Operator::short("MatMulInteger", 10, (2, 4), |own| {
        let a = own.shifted(own.input(0)?, own.optional(2), -2);
        let b = own.shifted(own.input(1)?, own.optional(3), -1);
        let y = matmul(own, a, b);
        Ok(own.whole(y))
    }),
    Operator::short("QLinearAdd", 1, (7, 8), of_two).domain(MICROSOFT),
    Operator::short("QLinearMul", 1, (7, 8), of_two).domain(MICROSOFT),
    Operator::short("QLinearSigmoid", 1, (4, 5), of_one).domain(MICROSOFT),
    Operator::short("QLinearLeakyRelu", 1, (4, 5), of_one).domain(MICROSOFT),
    Operator::short("QLinearAveragePool", 1, (4, 5), of_one).domain(MICROSOFT),
    Operator::short("QLinearGlobalAveragePool", 1, (4, 5), of_one).domain(MICROSOFT),
    Operator::short("QLinearSoftmax", 1, (4, 5), |own| {
        // The opset whose softmax it is.
        let opset = own.int("opset", 13)?;
        let axis = own.int("axis", if opset < 13 { 1 } else { -1 })?;
        let x = own.of_input(0)?;
        let attributes = Attributes::made(&[("axis", axis)]);
        let y = own.make_in("", opset, "Softmax", vec![Some(x)], attributes);
        own.quantize(y, 3)
    })
    .domain(MICROSOFT),
    Operator::short("QLinearConcat", 1, (5, ANY), |own| {
        let parts = (2..own.len()).step_by(3).map(|at| own.of_input(at).map(Some));
        let parts = parts.collect::<Outcome<_>>()?;
        let attributes = own.attributes();
        let y = own.make("Concat", parts, attributes);
        own.quantize(y, 0)
    })
    .domain(MICROSOFT),
    Operator::short("QLinearWhere", 1, (9, 9), |own| {
        let (yes, no) = (own.of_input(1)?, own.of_input(4)?);
        let inputs = vec![Some(own.input(0)?), Some(yes), Some(no)];
        let y = own.make("Where", inputs, Attributes::default());
        own.quantize(y, 7)
    })
    .domain(MICROSOFT),
    Operator::short("QGemm", 1, (6, 9), qgemm).domain(MICROSOFT),
    Operator::short("MatMulIntegerToFloat", 1, (4, 7), |own| {
        // The factors, their scales and then their zeros.
        let (a, b) = (own.input(0)?, own.input(1)?);
        let a = own.dequantize(a, own.input(2)?, own.optional(4), -2);
        let b = own.dequantize(b, own.input(3)?, own.optional(5), -1);
        let y = matmul(own, a, b);
        Ok(sum(own, y, own.optional(6)))
    })
    .domain(MICROSOFT),
    Operator::short("DynamicQuantizeMatMul", 1, (3, 5), |own| {
        let (a, b) = (own.input(0)?, own.input(1)?);
        let (levels, scale, zero) = own.dynamic(a);
        let a = own.dequantize(levels, scale, Some(zero), 1);
        let b = own.dequantize(b, own.input(2)?, own.optional(3), -1);
        let y = matmul(own, a, b);
        Ok(sum(own, y, own.optional(4)))
    })
    .domain(MICROSOFT),
    Operator::short("MatMulNBits", 1, (3, 6), matmul_n_bits).domain(MICROSOFT),
];

/// The same operator on floats.
fn of_floats(own: &Rewriting) -> &'static str {
    own.name().strip_prefix("QLinear").unwrap_or_default()
}

/// An operation on two tensors, each with its scale and zero.
fn of_two(own: &mut Rewriting) -> Outcome<Id> {
    let inputs = vec![Some(own.of_input(0)?), Some(own.of_input(3)?)];
    let y = own.make(of_floats(own), inputs, Attributes::default());
    own.quantize(y, 6)
}

/// An operation on one tensor.
fn of_one(own: &mut Rewriting) -> Outcome<Id> {
    if own.int("channels_last", 0)? != 0 {
        return Err("its channels lie last, which is not supported".into());
    }
    let x = own.of_input(0)?;
    let attributes = own.attributes();
    let y = own.make(of_floats(own), vec![Some(x)], attributes);
    own.quantize(y, 3)
}

/// The product of two scales, at once where both are known.
fn product(own: &mut Rewriting, a: Id, b: Id) -> Id {
    if let (Some(x), Some(y)) = (own.numbers(a), own.numbers(b))
        && let Ok(product) = binary(&x, &y, Dispatch::float_mul, None)
    {
        return own.hold(product);
    }
    own.make("Mul", vec![Some(a), Some(b)], Attributes::default())
}

fn matmul(own: &mut Rewriting, a: Id, b: Id) -> Id {
    own.make("MatMul", vec![Some(a), Some(b)], Attributes::default())
}

/// `x + bias`, where there is one.
fn sum(own: &mut Rewriting, x: Id, bias: Option<Id>) -> Id {
    match bias {
        Some(_) => own.make("Add", vec![Some(x), bias], Attributes::default()),
        None => x,
    }
}

/// `A B`, the sum with `C` in units of `alpha` times both scales, and either quantized or not.
fn qgemm(own: &mut Rewriting) -> Outcome<Id> {
    let alpha = own.float("alpha", 1.0)?;
    let turned = own.int("transB", 0)? != 0;
    let (a, b) = (own.of_input(0)?, own.of_input_along(3, if turned { 0 } else { 1 })?);
    let c = match own.optional(6) {
        Some(c) => {
            let alpha = own.hold(Value::number(alpha as f32));
            let scale = product(own, own.input(1)?, own.input(4)?);
            let scale = product(own, scale, alpha);
            Some(own.dequantize(c, scale, None, -1))
        }
        None => None,
    };
    let attributes = own.attributes();
    let y = own.make("Gemm", vec![Some(a), Some(b), c], attributes);
    if own.optional(7).is_some() { own.quantize(y, 7) } else { Ok(y) }
}

/// `A B` with a constant `B` of few bits: `[N, blocks, bytes]`, each block of a row with its scale and
/// zero, the first number in the lowest bits.
fn matmul_n_bits(own: &mut Rewriting) -> Outcome<Id> {
    let sizes = ["K", "N", "bits", "block_size"];
    let [inner, outputs, bits, block] = sizes.map(|name| own.int(name, 0));
    let (inner, outputs) = (super::size(inner?)?, super::size(outputs?)?);
    let (bits, block) = (super::size(bits?)?, super::size(block?)?);
    // How exactly the sums are to be made.
    own.int("accuracy_level", 0)?;
    room::check(&[inner, outputs])?;
    if inner == 0 || outputs == 0 {
        return Err(format!("a matrix of {inner} by {outputs} numbers is none"));
    }
    if !matches!(bits, 2 | 4 | 8) || block == 0 || block > 1 << 16 {
        return Err(format!("blocks of {block} numbers of {bits} bits are not supported"));
    }
    if own.optional(4).is_some() {
        return Err("an order of its groups (g_idx) is not supported".into());
    }
    let constant = |index: usize, what: &str| {
        own.constant(index).ok_or_else(|| format!("its {what} are not constant"))
    };
    let (packed, scales) = (constant(1, "weights")?.ints()?, constant(2, "scales")?.floats()?);
    let blocks = inner.div_ceil(block);
    let at = |packed: &[i64], row: usize, place: usize, rows: usize| {
        let byte = packed.get(row * rows + place * bits / 8).copied();
        byte.map(|byte| (byte >> (place * bits % 8)) & ((1 << bits) - 1))
    };
    let bytes = blocks * (block * bits).div_ceil(8);
    let zero_bytes = (blocks * bits).div_ceil(8);
    let zeros: Vec<f32> = match own.optional(3) {
        None => vec![(1 << (bits - 1)) as f32; outputs * blocks],
        Some(_) => {
            let zeros = constant(3, "zeros")?;
            match zeros.floats() {
                Ok(zeros) => zeros,
                Err(_) => {
                    let zeros = zeros.ints()?;
                    let all = (0..outputs * blocks)
                        .map(|own| at(&zeros, own / blocks, own % blocks, zero_bytes));
                    let all: Option<Vec<i64>> = all.collect();
                    let all = all.ok_or("it has too few zeros")?;
                    all.into_iter().map(|zero| zero as f32).collect()
                }
            }
        }
    };
    if [scales.len(), zeros.len()].iter().any(|&count| count != outputs * blocks)
        || packed.len() != outputs * bytes
    {
        return Err(format!("its weights are not those of {outputs} rows of {inner} numbers"));
    }
    let mut weights = vec![0.0; inner * outputs];
    for (row, own) in weights.chunks_mut(inner).enumerate() {
        for (column, weight) in own.iter_mut().enumerate() {
            let group = row * blocks + column / block;
            let level = at(&packed, row, column, bytes).unwrap_or_default();
            *weight = (level as f32 - zeros[group]) * scales[group];
        }
    }
    let weights = Value::from_floats(weights).reshape(&[outputs, inner])?.permute(&[1, 0])?;
    let weights = own.hold(weights);
    let a = own.input(0)?;
    let y = matmul(own, a, weights);
    Ok(sum(own, y, own.optional(5)))
}
