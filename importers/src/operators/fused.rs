//! Operators that ONNX Runtime's optimizer and newer opsets make of several others.

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::BoolDType;

use super::activation::{gelu_exact, gelu_tanh, sigmoid_unit};
use super::linear::product;
use super::{MICROSOFT, Operator, Run, Site, axis, one, pointwise, size};
use crate::value::{Kind, Outcome, Value, binary};

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
    Operator::new("RotaryEmbedding", 23, (3, 4), rotary).settings(&[3]),
    Operator::new("Attention", 23, (3, 7), attention).outputs(4).settings(&[6]),
];

fn add(a: &Value, b: &Value) -> Outcome<Value> {
    binary(a, b, Dispatch::float_add, None)
}

fn scaled(x: &Value, factor: f64) -> Outcome<Value> {
    Value::new(Dispatch::float_mul_scalar(x.float()?, Scalar::Float(factor))).reshape(&x.dims())
}

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

fn turned(x: Value, turns: bool) -> Outcome<Value> {
    let rank = x.rank();
    if !turns || rank < 2 {
        return Ok(x);
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    x.permute(&order)
}

/// `[n, length, heads * width]` as `[n, heads, length, width]`; four axes are so already.
fn heads(x: Value, heads: Option<usize>) -> Outcome<Value> {
    match (&x.dims()[..], heads) {
        ([_, _, _, _], _) => Ok(x),
        (&[n, length, width], Some(heads)) if heads > 0 && width.is_multiple_of(heads) => {
            x.reshape(&[n, length, heads, width / heads])?.permute(&[0, 2, 1, 3])
        }
        _ => Err(format!("{:?} does not split in {heads:?} heads", x.dims())),
    }
}

/// `[n, heads, length, width]` as `[n, length, heads * width]`.
fn joined(x: Value) -> Outcome<Value> {
    let turned = x.permute(&[0, 2, 1, 3])?;
    let dims = turned.dims();
    turned.reshape(&[dims[0], dims[1], dims[2] * dims[3]])
}

/// `softmax(scale Q K' + mask) V`, with the keys and values of the past in front of these. The other
/// outputs are all keys, all values and the products at a stage that an attribute chooses.
fn attention(site: &Site) -> Outcome<Run> {
    let number = |name: &str| -> Outcome<Option<usize>> {
        site.node.attributes.int(name)?.map(size).transpose()
    };
    let (q_heads, kv_heads) = (number("q_num_heads")?, number("kv_num_heads")?);
    let scale = site.node.attributes.float("scale")?;
    let causal = site.flag("is_causal", false)?;
    let softcap = site.float("softcap", 0.0)?;
    let stage = site.int("qk_matmul_output_mode", 0)?;
    // The precision of the softmax, which here is always float32.
    site.ignore(&["softmax_precision"]);
    if site.has(6) && causal {
        return Err("is_causal=1 with nonpad_kv_seqlen is not supported".into());
    }
    Ok(Box::new(move |inputs| {
        let flat = inputs.value(0)?.rank() == 3;
        let q = heads(inputs.value(0)?, q_heads)?;
        let k = behind(inputs.optional(4), heads(inputs.value(1)?, kv_heads)?)?;
        let v = behind(inputs.optional(5), heads(inputs.value(2)?, kv_heads)?)?;
        let past = inputs.optional(4).map_or(0, |past| past.dims()[2]);
        let (width, length, keys) = (q.dims()[3], q.dims()[2], k.dims()[2]);
        let scale = scale.unwrap_or(1.0 / (width as f64).sqrt());
        let all_keys = repeated(k.clone(), q.dims()[1])?;
        let products = scaled(&product(&q, &all_keys.permute(&[0, 1, 3, 2])?)?, scale)?;
        let capped = match softcap > 0.0 {
            true => {
                let bent = Dispatch::float_tanh(scaled(&products, 1.0 / softcap)?.float()?);
                scaled(&Value::new(bent), softcap)?
            }
            false => products.clone(),
        };
        let mut scores = capped.clone();
        if causal {
            let ahead = (0..length).flat_map(|row| {
                let last = row + past;
                (0..keys).map(move |column| if column > last { f32::NEG_INFINITY } else { 0.0 })
            });
            scores = add(&scores, &Value::from_floats(ahead.collect()).reshape(&[length, keys])?)?;
        }
        if let Some(lengths) = inputs.optional(6) {
            let lengths = lengths.ints()?;
            let beyond = lengths.iter().flat_map(|&length| {
                (0..keys as i64).map(move |at| if at >= length { f32::NEG_INFINITY } else { 0.0 })
            });
            let beyond = Value::from_floats(beyond.collect());
            scores = add(&scores, &beyond.reshape(&[lengths.len(), 1, 1, keys])?)?;
        }
        if let Some(mask) = inputs.optional(3) {
            scores = masked(scores, mask, keys)?;
        }
        let weights = Value::new(masked_softmax(scores.float()?, scores.bool_dtype()));
        let mixed = product(&weights, &repeated(v.clone(), q.dims()[1])?)?;
        let mixed = if flat { joined(mixed)? } else { mixed };
        let seen = match stage {
            0 => products,
            1 => capped,
            2 => scores,
            _ => weights,
        };
        Ok(vec![mixed, k, v, seen])
    }))
}

/// `x` behind what is remembered of the past, along the positions.
fn behind(past: Option<Value>, x: Value) -> Outcome<Value> {
    match past {
        Some(past) => Value::concat(&[past, x], 2),
        None => Ok(x),
    }
}

/// The scores with a mask of what is seen, or of terms. A mask of fewer keys hides the others.
fn masked(scores: Value, mask: Value, keys: usize) -> Outcome<Value> {
    let is_choice = mask.kind() == Kind::Bool;
    let missing = keys - mask.dims().last().copied().unwrap_or(1).min(keys);
    let mask = match missing {
        0 => mask,
        _ if mask.dims().last() == Some(&1) => mask,
        missing => {
            let mut dims = mask.dims();
            let last = dims.len() - 1;
            dims[last] = missing;
            let hidden = match is_choice {
                true => Value::from_bools(vec![false]),
                false => Value::from_floats(vec![f32::NEG_INFINITY]),
            };
            Value::concat(&[mask, hidden.reshape(&[])?.expand(&dims)?], last)?
        }
    };
    match is_choice {
        true => {
            let nothing = Value::from_floats(vec![f32::NEG_INFINITY]).reshape(&[])?;
            mask.choose(scores, nothing)
        }
        false => add(&scores, &mask),
    }
}

/// The softmax over the last of four axes; rows that are masked as a whole are zeros.
fn masked_softmax(scores: DispatchTensor, dtype: BoolDType) -> DispatchTensor {
    let largest = Dispatch::float_max_dim(Dispatch::float_detach(scores.clone()), 3);
    let masked = Dispatch::float_equal_elem(largest, Scalar::Float(f64::NEG_INFINITY), dtype);
    let masked = Dispatch::bool_expand(masked, scores.shape());
    let open = Dispatch::float_mask_fill(scores, masked.clone(), Scalar::Float(0.0));
    Dispatch::float_mask_fill(Dispatch::softmax(open, 3), masked, Scalar::Float(0.0))
}

/// Heads shared by groups of queries, each repeated.
fn repeated(x: Value, heads: usize) -> Outcome<Value> {
    let [n, own, length, width] = x.dims()[..] else {
        return Err(format!("it does not take {:?}", x.dims()));
    };
    if own == heads {
        return Ok(x);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(format!("{own} heads do not serve {heads}"));
    }
    x.reshape(&[n, own, 1, length, width])?
        .expand(&[n, own, heads / own, length, width])?
        .reshape(&[n, heads, length, width])
}

/// Turns pairs of features by an angle of each position: `x cos - y sin`, `x sin + y cos`.
fn rotary(site: &Site) -> Outcome<Run> {
    let interleaved = site.flag("interleaved", false)?;
    let number = site.node.attributes.int("num_heads")?.map(size).transpose()?;
    let part = size(site.int("rotary_embedding_dim", 0)?)?;
    one(move |inputs| {
        use burn::tensor::Slice;
        let x = inputs.value(0)?;
        let flat = x.rank() == 3;
        let x = heads(x, number)?;
        let [n, h, length, width] = x.dims()[..] else {
            return Err(format!("it does not take {:?}", x.dims()));
        };
        let part = if part == 0 { width } else { part };
        if part > width || !part.is_multiple_of(2) {
            return Err(format!("{part} of {width} features do not make pairs"));
        }
        let half = part / 2;
        let angles = |index: usize| -> Outcome<Value> {
            let table = inputs.value(index)?;
            let rows = match inputs.optional(3) {
                Some(positions) => table.select(0, positions.ints()?)?,
                None => table,
            };
            let rows_of = rows.dims().iter().product::<usize>() / (length * half).max(1);
            rows.reshape(&[rows_of, 1, length, half])
        };
        let (cos, sin) = (angles(1)?, angles(2)?);
        let features = |from: usize, to: usize| {
            let mut slices = vec![Slice::from(..); 4];
            slices[3] = Slice::from(from..to);
            x.clone().slice(&slices)
        };
        let (first, second) = if interleaved {
            let places = |from: usize| (from..part).step_by(2).map(|at| at as i64).collect();
            (x.clone().select(3, places(0))?, x.clone().select(3, places(1))?)
        } else {
            (features(0, half), features(half, part))
        };
        let times = |a: &Value, b: &Value| binary(a, b, Dispatch::float_mul, None);
        let real =
            binary(&times(&first, &cos)?, &times(&second, &sin)?, Dispatch::float_sub, None)?;
        let imaginary = add(&times(&first, &sin)?, &times(&second, &cos)?)?;
        let turned = if interleaved {
            let pair = |x: Value| x.reshape(&[n, h, length, half, 1]);
            Value::concat(&[pair(real)?, pair(imaginary)?], axis(-1, 5)?)?
                .reshape(&[n, h, length, part])?
        } else {
            Value::concat(&[real, imaginary], 3)?
        };
        let whole = match part == width {
            true => turned,
            false => Value::concat(&[turned, features(part, width)], 3)?,
        };
        if flat { joined(whole) } else { Ok(whole) }
    })
}
