//! Attention, in the operators that newer opsets have for it.

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::BoolDType;

use super::arithmetic::{add, multiply, scaled, subtract};
use super::linear::product;
use super::{Operator, Run, Site, axis, one, size};
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("RotaryEmbedding", 23, (3, 4), rotary).settings(&[3]),
    Operator::new("Attention", 23, (3, 7), attention).outputs(4).settings(&[6]),
    Operator::new("LinearAttention", 27, (3, 6), linear_attention).outputs(2),
];

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
    let (left, right) = match site.opset() {
        ..25 => (None, None),
        _ => (reach(site, "left_window_size")?, reach(site, "right_window_size")?),
    };
    let right = if causal { Some(right.unwrap_or(0).min(0)) } else { right };
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
        let lengths = inputs.optional(6).map(|lengths| lengths.ints()).transpose()?;
        if left.is_some() || right.is_some() {
            // Where the queries begin among the keys: the same for all, or for each sample.
            let offsets = match &lengths {
                Some(lengths) => lengths.iter().map(|keys| keys - length as i64).collect(),
                None => vec![past as i64],
            };
            scores = add(&scores, &window(&offsets, length, keys, left, right)?)?;
        }
        if let Some(lengths) = lengths {
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

/// How far a query sees to one side; -1 is without a bound.
fn reach(site: &Site, name: &str) -> Outcome<Option<i64>> {
    match site.int(name, -1)? {
        -1 => Ok(None),
        bound if bound >= 0 => Ok(Some(bound)),
        bound => Err(format!("its {name} {bound} is not -1 or a number of positions")),
    }
}

/// `[offsets, 1, length, keys]`: 0 where the query at `offset + row` sees a key, else minus infinity.
fn window(
    offsets: &[i64],
    length: usize,
    keys: usize,
    left: Option<i64>,
    right: Option<i64>,
) -> Outcome<Value> {
    let mut terms = Vec::with_capacity(offsets.len() * length * keys);
    for &offset in offsets {
        for place in (0..length as i64).map(|row| row + offset) {
            terms.extend((0..keys as i64).map(|key| {
                let hidden = left.is_some_and(|left| key < place - left)
                    || right.is_some_and(|right| key > place + right);
                if hidden { f32::NEG_INFINITY } else { 0.0 }
            }));
        }
    }
    Value::from_floats(terms).reshape(&[offsets.len(), 1, length, keys])
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
            let nothing = Value::number(f32::NEG_INFINITY);
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
        let features = |from: usize, to: usize| x.clone().range(3, from..to);
        let (first, second) = if interleaved {
            let places = |from: usize| (from..part).step_by(2).map(|at| at as i64).collect();
            (x.clone().select(3, places(0))?, x.clone().select(3, places(1))?)
        } else {
            (features(0, half), features(half, part))
        };
        let real = subtract(&multiply(&first, &cos)?, &multiply(&second, &sin)?)?;
        let imaginary = add(&multiply(&first, &sin)?, &multiply(&second, &cos)?)?;
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

/// The state `S` of every head is changed by one key `k` and value `v` after the other, and read by
/// the query: `S = exp(g) S`, with a gate; `S = S + k (beta (v - k' S))`, with a correction, or
/// `S = S + k v`; `y = scale q S`.
fn linear_attention(site: &Site) -> Outcome<Run> {
    let number = |name: &str| size(site.int(name, 0)?);
    let (q_heads, kv_heads) = (number("q_num_heads")?, number("kv_num_heads")?);
    let (gated, corrected) = match site.text("update_rule", "gated_delta")?.as_str() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(format!("its update_rule {other:?} is not known")),
    };
    if gated != site.has(4) || corrected != site.has(5) {
        return Err("its decay and beta are not those of its update_rule".into());
    }
    let scale = site.float("scale", 0.0)?;
    // How the work is cut.
    site.ignore(&["chunk_size"]);
    Ok(Box::new(move |inputs| {
        // `[n, heads, length, width]`, of which a position is `[n, heads, 1, width]`.
        let split = |index: usize, count: usize| heads(inputs.value(index)?, Some(count));
        let (q, k, v) = (split(0, q_heads)?, split(1, kv_heads)?, split(2, kv_heads)?);
        let (n, length, width) = (q.dims()[0], q.dims()[2], q.dims()[3]);
        let scale = if scale == 0.0 { 1.0 / (width as f64).sqrt() } else { scale };
        let decay = inputs.optional(4).map(|decay| heads(decay, Some(kv_heads))).transpose()?;
        let beta = match inputs.optional(5) {
            Some(beta) => {
                let count = beta.dims().last().copied();
                Some(heads(beta, count)?)
            }
            None => None,
        };
        let mut state = match inputs.optional(3) {
            Some(state) => state,
            None => {
                let dims = [n, kv_heads, width, v.dims()[3]];
                Value::filled(0.0, &dims)?
            }
        };
        let mut rows = Vec::with_capacity(length);
        for place in 0..length {
            let at = |x: &Value| x.clone().range(2, place..place + 1);
            let column = |x: Value| x.permute(&[0, 1, 3, 2]);
            if let Some(decay) = &decay {
                let gate = Value::new(Dispatch::float_exp(at(decay).float()?));
                state = multiply(&state, &column(gate)?)?;
            }
            let mut added = at(&v);
            if let Some(beta) = &beta {
                added = multiply(&at(beta), &subtract(&added, &product(&at(&k), &state)?)?)?;
            }
            state = add(&state, &product(&column(at(&k))?, &added)?)?;
            rows.push(scaled(&product(&at(&q), &repeated(state.clone(), q_heads)?)?, scale)?);
        }
        Ok(vec![joined(Value::concat(&rows, 2)?)?, state])
    }))
}
