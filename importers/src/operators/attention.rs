//! The attention operators of newer opsets.

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::BoolDType;

use super::arithmetic::{add, multiply, scaled, subtract};
use super::linear::matmul;
use super::{Operator, Run, Site, axis, single_output, size};
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("RotaryEmbedding", 23, (3, 4), rotary).settings(&[3]),
    Operator::new("Attention", 23, (3, 7), attention).outputs(4).settings(&[6]),
    Operator::new("LinearAttention", 27, (3, 6), linear_attention).outputs(2),
];

/// Splits `[n, length, heads * width]` into `[n, heads, length, width]`; a tensor of rank 4 is returned as it
/// is.
fn split_heads(x: Value, heads: Option<usize>) -> Outcome<Value> {
    match (&x.dims()[..], heads) {
        ([_, _, _, _], _) => Ok(x),
        (&[n, length, width], Some(heads)) if heads > 0 && width.is_multiple_of(heads) => {
            x.reshape(&[n, length, heads, width / heads])?.permute(&[0, 2, 1, 3])
        }
        _ => Err(format!("an input of shape {:?} does not split into {heads:?} heads", x.dims())),
    }
}

/// Merges `[n, heads, length, width]` to `[n, length, heads * width]`.
fn merge_heads(x: Value) -> Outcome<Value> {
    let permuted = x.permute(&[0, 2, 1, 3])?;
    let dims = permuted.dims();
    permuted.reshape(&[dims[0], dims[1], dims[2] * dims[3]])
}

/// `softmax(scale Q K' + mask) V`. Past keys and values are prepended to the current ones. The other outputs
/// are all keys, all values and the attention scores at the stage given by `qk_matmul_output_mode`.
fn attention(site: &Site) -> Outcome<Run> {
    let number = |name: &str| -> Outcome<Option<usize>> {
        site.node.attributes.int(name)?.map(size).transpose()
    };
    let (q_heads, kv_heads) = (number("q_num_heads")?, number("kv_num_heads")?);
    let scale = site.node.attributes.float("scale")?;
    let causal = site.flag("is_causal", false)?;
    let softcap = site.float("softcap", 0.0)?;
    let stage = site.int("qk_matmul_output_mode", 0)?;
    // The softmax is always computed in float32.
    site.ignore(&["softmax_precision"]);
    let (left, right) = match site.opset() {
        ..25 => (None, None),
        _ => (window_size(site, "left_window_size")?, window_size(site, "right_window_size")?),
    };
    let right = if causal { Some(right.unwrap_or(0).min(0)) } else { right };
    Ok(Box::new(move |inputs| {
        let is_rank_3 = inputs.value(0)?.rank() == 3;
        let q = split_heads(inputs.value(0)?, q_heads)?;
        let k = prepend_past(inputs.optional(4), split_heads(inputs.value(1)?, kv_heads)?)?;
        let v = prepend_past(inputs.optional(5), split_heads(inputs.value(2)?, kv_heads)?)?;
        let past = inputs.optional(4).map_or(0, |past| past.dims()[2]);
        let (width, length, keys) = (q.dims()[3], q.dims()[2], k.dims()[2]);
        let scale = scale.unwrap_or(1.0 / (width as f64).sqrt());
        let all_keys = repeat_heads(k.clone(), q.dims()[1])?;
        let products = scaled(&matmul(&q, &all_keys.permute(&[0, 1, 3, 2])?)?, scale)?;
        let capped = match softcap > 0.0 {
            true => {
                let saturated = Dispatch::float_tanh(scaled(&products, 1.0 / softcap)?.float()?);
                scaled(&Value::new(saturated), softcap)?
            }
            false => products.clone(),
        };
        let mut scores = capped.clone();
        let lengths = inputs.optional(6).map(|lengths| lengths.ints()).transpose()?;
        if left.is_some() || right.is_some() {
            // The position of the first query among the keys, for all samples or for each sample.
            let offsets = match &lengths {
                Some(lengths) => lengths.iter().map(|keys| keys - length as i64).collect(),
                None => vec![past as i64],
            };
            scores = add(&scores, &window_mask(&offsets, length, keys, left, right)?)?;
        }
        if let Some(lengths) = lengths {
            let beyond = lengths.iter().flat_map(|&length| {
                (0..keys as i64).map(move |at| if at >= length { f32::NEG_INFINITY } else { 0.0 })
            });
            let beyond = Value::from_floats(beyond.collect());
            scores = add(&scores, &beyond.reshape(&[lengths.len(), 1, 1, keys])?)?;
        }
        if let Some(mask) = inputs.optional(3) {
            scores = apply_mask(scores, mask, keys)?;
        }
        let weights = Value::new(masked_softmax(scores.float()?, scores.bool_dtype()));
        let context = matmul(&weights, &repeat_heads(v.clone(), q.dims()[1])?)?;
        let context = if is_rank_3 { merge_heads(context)? } else { context };
        let selected_scores = match stage {
            0 => products,
            1 => capped,
            2 => scores,
            _ => weights,
        };
        Ok(vec![context, k, v, selected_scores])
    }))
}

/// Returns the window size to one side of a query; -1 means unlimited.
fn window_size(site: &Site, name: &str) -> Outcome<Option<i64>> {
    match site.int(name, -1)? {
        -1 => Ok(None),
        bound if bound >= 0 => Ok(Some(bound)),
        bound => Err(format!("{name} must be -1 or a number of positions, not {bound}")),
    }
}

/// Returns the additive mask `[offsets, 1, length, keys]` of a local window: 0 where the query at position
/// `offset + row` attends to a key, minus infinity elsewhere.
fn window_mask(
    offsets: &[i64],
    length: usize,
    keys: usize,
    left: Option<i64>,
    right: Option<i64>,
) -> Outcome<Value> {
    let mut terms = Vec::with_capacity(offsets.len() * length * keys);
    for &offset in offsets {
        for position in (0..length as i64).map(|row| row + offset) {
            terms.extend((0..keys as i64).map(|key| {
                let is_masked = left.is_some_and(|left| key < position - left)
                    || right.is_some_and(|right| key > position + right);
                if is_masked { f32::NEG_INFINITY } else { 0.0 }
            }));
        }
    }
    Value::from_floats(terms).reshape(&[offsets.len(), 1, length, keys])
}

/// Prepends the cached past to `x` along the position axis.
fn prepend_past(past: Option<Value>, x: Value) -> Outcome<Value> {
    match past {
        Some(past) => Value::concat(&[past, x], 2),
        None => Ok(x),
    }
}

/// Applies a boolean or additive mask to the scores. If the mask covers fewer keys than there are, the
/// remaining keys are masked out.
fn apply_mask(scores: Value, mask: Value, keys: usize) -> Outcome<Value> {
    let is_boolean = mask.kind() == Kind::Bool;
    let missing = keys - mask.dims().last().copied().unwrap_or(1).min(keys);
    let mask = match missing {
        0 => mask,
        _ if mask.dims().last() == Some(&1) => mask,
        missing => {
            let mut dims = mask.dims();
            let last = dims.len() - 1;
            dims[last] = missing;
            let fill = match is_boolean {
                true => Value::from_bools(vec![false]),
                false => Value::from_floats(vec![f32::NEG_INFINITY]),
            };
            Value::concat(&[mask, fill.reshape(&[])?.expand(&dims)?], last)?
        }
    };
    match is_boolean {
        true => {
            let nothing = Value::number(f32::NEG_INFINITY);
            mask.choose(scores, nothing)
        }
        false => add(&scores, &mask),
    }
}

/// The softmax over the last of four axes; fully masked rows become zeros.
fn masked_softmax(scores: DispatchTensor, dtype: BoolDType) -> DispatchTensor {
    let largest = Dispatch::float_max_dim(Dispatch::float_detach(scores.clone()), 3);
    let masked = Dispatch::float_equal_elem(largest, Scalar::Float(f64::NEG_INFINITY), dtype);
    let masked = Dispatch::bool_expand(masked, scores.shape());
    let open = Dispatch::float_mask_fill(scores, masked.clone(), Scalar::Float(0.0));
    Dispatch::float_mask_fill(Dispatch::softmax(open, 3), masked, Scalar::Float(0.0))
}

/// Repeats key or value heads to `heads` query heads (grouped-query attention).
fn repeat_heads(x: Value, heads: usize) -> Outcome<Value> {
    let [n, kv_heads, length, width] = x.dims()[..] else {
        return Err(format!("an input of shape {:?} is not supported", x.dims()));
    };
    if kv_heads == heads {
        return Ok(x);
    }
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(format!(
            "{heads} query heads are not a multiple of {kv_heads} key/value heads"
        ));
    }
    x.reshape(&[n, kv_heads, 1, length, width])?
        .expand(&[n, kv_heads, heads / kv_heads, length, width])?
        .reshape(&[n, heads, length, width])
}

/// Rotates pairs of features by a position-dependent angle: `x cos - y sin`, `x sin + y cos`.
fn rotary(site: &Site) -> Outcome<Run> {
    let interleaved = site.flag("interleaved", false)?;
    let number = site.node.attributes.int("num_heads")?.map(size).transpose()?;
    let part = size(site.int("rotary_embedding_dim", 0)?)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let is_rank_3 = x.rank() == 3;
        let x = split_heads(x, number)?;
        let [n, h, length, width] = x.dims()[..] else {
            return Err(format!("an input of shape {:?} is not supported", x.dims()));
        };
        let part = if part == 0 { width } else { part };
        if part > width || !part.is_multiple_of(2) {
            return Err(format!(
                "rotary_embedding_dim {part} must be even and at most the head size, {width}"
            ));
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
            let features_from = |from: usize| (from..part).step_by(2).map(|at| at as i64).collect();
            (x.clone().select(3, features_from(0))?, x.clone().select(3, features_from(1))?)
        } else {
            (features(0, half), features(half, part))
        };
        let real = subtract(&multiply(&first, &cos)?, &multiply(&second, &sin)?)?;
        let imaginary = add(&multiply(&first, &sin)?, &multiply(&second, &cos)?)?;
        let rotated = if interleaved {
            let pair = |x: Value| x.reshape(&[n, h, length, half, 1]);
            Value::concat(&[pair(real)?, pair(imaginary)?], axis(-1, 5)?)?
                .reshape(&[n, h, length, part])?
        } else {
            Value::concat(&[real, imaginary], 3)?
        };
        let whole = match part == width {
            true => rotated,
            false => Value::concat(&[rotated, features(part, width)], 3)?,
        };
        if is_rank_3 { merge_heads(whole) } else { Ok(whole) }
    })
}

/// Linear attention as a recurrence over positions. Each position updates the state `S` of a head with the
/// key `k` and the value `v`, and reads the state with the query `q`:
/// - decay, for gated rules: `S = exp(g) S`;
/// - update: `S = S + k v`, or `S = S + k (beta (v - k' S))` for delta rules;
/// - output: `y = scale q S`.
fn linear_attention(site: &Site) -> Outcome<Run> {
    let number = |name: &str| size(site.int(name, 0)?);
    let (q_heads, kv_heads) = (number("q_num_heads")?, number("kv_num_heads")?);
    let (gated, corrected) = match site.text("update_rule", "gated_delta")?.as_str() {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(format!("update_rule {other:?} is not supported")),
    };
    if gated != site.has(4) || corrected != site.has(5) {
        return Err(
            "the inputs decay and beta must be present exactly where update_rule uses them".into(),
        );
    }
    let scale = site.float("scale", 0.0)?;
    // A hint for splitting the work.
    site.ignore(&["chunk_size"]);
    Ok(Box::new(move |inputs| {
        // The inputs are `[n, heads, length, width]`, and one position is `[n, heads, 1, width]`.
        let split = |index: usize, count: usize| split_heads(inputs.value(index)?, Some(count));
        let (q, k, v) = (split(0, q_heads)?, split(1, kv_heads)?, split(2, kv_heads)?);
        let (n, length, width) = (q.dims()[0], q.dims()[2], q.dims()[3]);
        let scale = if scale == 0.0 { 1.0 / (width as f64).sqrt() } else { scale };
        let decay =
            inputs.optional(4).map(|decay| split_heads(decay, Some(kv_heads))).transpose()?;
        let beta = match inputs.optional(5) {
            Some(beta) => {
                let count = beta.dims().last().copied();
                Some(split_heads(beta, count)?)
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
        for position in 0..length {
            let at = |x: &Value| x.clone().range(2, position..position + 1);
            let column = |x: Value| x.permute(&[0, 1, 3, 2]);
            if let Some(decay) = &decay {
                let gate = Value::new(Dispatch::float_exp(at(decay).float()?));
                state = multiply(&state, &column(gate)?)?;
            }
            let mut added = at(&v);
            if let Some(beta) = &beta {
                added = multiply(&at(beta), &subtract(&added, &matmul(&at(&k), &state)?)?)?;
            }
            state = add(&state, &matmul(&column(at(&k))?, &added)?)?;
            rows.push(scaled(&matmul(&at(&q), &repeat_heads(state.clone(), q_heads)?)?, scale)?);
        }
        Ok(vec![merge_heads(Value::concat(&rows, 2)?)?, state])
    }))
}
