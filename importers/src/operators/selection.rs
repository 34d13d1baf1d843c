//! Operators that select elements of a tensor by index, by condition or by value.

use burn::tensor::Slice;

use super::{Inputs, Linear, Operator, Run, Site, axis, single_output, size};
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Gather", 1, (2, 2), gather).linear(Linear::First).frozen(|ctx| {
        let axis = ctx.axis(ctx.site.int("axis", 0).ok()?)?;
        let indices = normalize_indices(ctx.constant(1)?.ints().ok()?, ctx.dims()?[axis]).ok()?;
        let first = *indices.first()?;
        // Only ascending indices with a constant step can be lowered to a slice.
        let step = indices.get(1).map_or(1, |second| second - first);
        let even = indices.windows(2).all(|pair| pair[1] - pair[0] == step);
        let step = usize::try_from(step).ok().filter(|&step| step > 0 && even)?;
        let picked = ctx.builder.slice(ctx.x()?, axis, [first as usize, indices.len(), step])?;
        ctx.reshape_to_output(picked)
    }),
    Operator::new("GatherElements", 11, (2, 2), gather_elements),
    Operator::new("GatherND", 11, (2, 2), gather_nd),
    Operator::new("TopK", 1, (1, 2), top_k).outputs(2).settings(&[1]),
    Operator::new("ReverseSequence", 10, (2, 2), reverse_sequence).settings(&[1]),
    Operator::new("NonZero", 9, (1, 1), |_| single_output(non_zero)).non_differentiable(),
    Operator::new("Compress", 9, (2, 2), compress).settings(&[1]),
];

fn gather(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", 0)?;
    single_output(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let dims = x.dims();
        let axis = axis(along, dims.len())?;
        let chosen = normalize_indices(indices.ints()?, dims[axis])?;
        let out = [&dims[..axis], &indices.dims(), &dims[axis + 1..]].concat();
        let picked = match chosen[..] {
            [index] => x.range(axis, index as usize..index as usize + 1),
            _ => x.select(axis, chosen)?,
        };
        picked.reshape(&out)
    })
}

/// Converts negative indices, which count from the end, and checks the range.
pub fn normalize_indices(indices: Vec<i64>, length: usize) -> Outcome<Vec<i64>> {
    let length = length as i64;
    let counted = |index: i64| if index < 0 { index + length } else { index };
    indices
        .into_iter()
        .map(|index| match counted(index) {
            at if (0..length).contains(&at) => Ok(at),
            _ => Err(format!("index {index} is out of range for an axis of {length} elements")),
        })
        .collect()
}

fn gather_elements(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", 0)?;
    single_output(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, index_dims) = (x.dims(), indices.dims());
        let axis = axis(along, dims.len())?;
        let counted = normalize_indices(indices.ints()?, dims[axis])?;
        let indices = Value::from_ints(counted).reshape(&index_dims)?;
        // The other axes of the indices may be shorter than those of the input.
        let mut slices: Vec<Slice> = index_dims.iter().map(|&size| Slice::from(0..size)).collect();
        slices[axis] = Slice::from(..);
        let same = (0..dims.len()).all(|a| a == axis || dims[a] == index_dims[a]);
        let x = if same { x } else { x.slice(&slices) };
        x.gather(axis, indices)
    })
}

/// GatherND: converts index tuples to row indices of a flattened input.
fn gather_nd(site: &Site) -> Outcome<Run> {
    let batch = size(site.int("batch_dims", 0)?)?;
    single_output(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, index_dims) = (x.dims(), indices.dims());
        if batch >= index_dims.len() || dims[..batch] != index_dims[..batch] {
            return Err(format!(
                "the first {batch} axes (batch_dims) of {dims:?} and {index_dims:?} differ"
            ));
        }
        let (rows, depth) = row_indices(&indices, &dims[batch..])?;
        let outer: usize = dims[batch..batch + depth].iter().product();
        let batches: usize = dims[..batch].iter().product();
        let each = rows.len() / batches.max(1);
        let rows = rows.into_iter().enumerate();
        let rows = rows.map(|(at, row)| row + (at / each.max(1) * outer) as i64).collect();
        let flat = x.reshape(&[batches * outer, dims[batch + depth..].iter().product()])?;
        let out = [&index_dims[..index_dims.len() - 1], &dims[batch + depth..]].concat();
        flat.select(0, rows)?.reshape(&out)
    })
}

/// Returns the flat row index of each index tuple, and the length of a tuple.
pub fn row_indices(indices: &Value, dims: &[usize]) -> Outcome<(Vec<i64>, usize)> {
    let index_dims = indices.dims();
    let depth = *index_dims.last().ok_or("the indices must not be a scalar")?;
    if depth == 0 || depth > dims.len() {
        return Err(format!(
            "index tuples of length {depth} do not match an input of shape {dims:?}"
        ));
    }
    let rows = indices.ints()?;
    let rows = rows.chunks(depth).map(|tuple| {
        tuple.iter().zip(dims).try_fold(0, |row, (&index, &size)| {
            Ok(row * size as i64 + normalize_indices(vec![index], size)?[0])
        })
    });
    Ok((rows.collect::<Outcome<_>>()?, depth))
}

/// TopK: the `k` largest or smallest elements along an axis and their indices; ties keep the order of the
/// input. `k` is an attribute before opset 10 and an input from then on.
fn top_k(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", -1)?;
    let number = match site.opset() {
        ..10 => site.node.attributes.int("k")?,
        _ => None,
    };
    let largest = site.opset() < 11 || site.flag("largest", true)?;
    if site.opset() >= 11 {
        // The result is always sorted, which `sorted=0` allows.
        site.ignore(&["sorted"]);
    }
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let mut dims = x.dims();
        let axis = axis(along, dims.len())?;
        let k = match number {
            Some(k) => k,
            None => *inputs.ints(1)?.first().ok_or("k is missing")?,
        };
        let k = size(k)?;
        let length = dims[axis];
        if k > length {
            return Err(format!("k={k} exceeds the size of axis {axis} of {dims:?}"));
        }
        let values: Vec<f64> = match x.kind() {
            Kind::Int => x.ints()?.into_iter().map(|value| value as f64).collect(),
            _ => x.floats()?.into_iter().map(f64::from).collect(),
        };
        let inner: usize = dims[axis + 1..].iter().product();
        let outer: usize = dims[..axis].iter().product();
        let mut indices = vec![0; outer * k * inner];
        for row in 0..outer * inner {
            let (o, i) = (row / inner, row % inner);
            let value = |at: usize| values[(o * length + at) * inner + i];
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by(|&a, &b| match largest {
                true => value(b).total_cmp(&value(a)),
                false => value(a).total_cmp(&value(b)),
            });
            for (rank, &at) in order[..k].iter().enumerate() {
                indices[(o * k + rank) * inner + i] = at as i64;
            }
        }
        dims[axis] = k;
        let indices = Value::from_ints(indices).reshape(&dims)?;
        Ok(vec![x.gather(axis, indices.clone())?, indices])
    }))
}

/// Compress: selects the slices along an axis, or the elements of the flattened input, for which the
/// condition is true.
fn compress(site: &Site) -> Outcome<Run> {
    let along = site.node.attributes.int("axis")?;
    single_output(move |inputs| {
        let mut x = inputs.value(0)?;
        let axis = match along {
            Some(along) => axis(along, x.rank())?,
            None => {
                let count = x.dims().iter().product();
                x = x.reshape(&[count])?;
                0
            }
        };
        let condition = inputs.value(1)?.into_int()?.ints()?;
        if condition.len() > x.dims()[axis] {
            return Err(format!(
                "a condition of {} elements exceeds the axis of an input of shape {:?}",
                condition.len(),
                x.dims()
            ));
        }
        let chosen = condition.iter().enumerate().filter(|(_, condition)| **condition != 0);
        x.select(axis, chosen.map(|(index, _)| index as i64).collect())
    })
}

/// ReverseSequence: reverses the first elements of each sequence, up to its length.
fn reverse_sequence(site: &Site) -> Outcome<Run> {
    let (batch, time) = (site.int("batch_axis", 1)?, site.int("time_axis", 0)?);
    if ![(0, 1), (1, 0)].contains(&(batch, time)) {
        return Err(format!(
            "batch_axis {batch} and time_axis {time} must be 0 and 1, in any order"
        ));
    }
    single_output(move |inputs| {
        let (x, lengths) = (inputs.value(0)?, inputs.ints(1)?);
        let dims = x.dims();
        let [first, second, ..] = dims[..] else {
            return Err(format!("expected rank 2 or more, got shape {dims:?}"));
        };
        let (samples, longest) = if batch == 0 { (first, second) } else { (second, first) };
        let fits = |&length: &i64| (0..=longest as i64).contains(&length);
        if lengths.len() != samples || !lengths.iter().all(fits) {
            return Err(format!(
                "sequence_lens {lengths:?} does not match an input of shape {dims:?}"
            ));
        }
        let rows = (0..first * second).map(|row| {
            let (a, b) = ((row / second) as i64, (row % second) as i64);
            let (sample, at) = if batch == 0 { (a, b) } else { (b, a) };
            let length = lengths[sample as usize];
            let from = if at < length { length - 1 - at } else { at };
            if batch == 0 { a * second as i64 + from } else { from * second as i64 + b }
        });
        let inner = dims[2..].iter().product();
        x.reshape(&[first * second, inner])?.select(0, rows.collect())?.reshape(&dims)
    })
}

/// NonZero: the coordinates of the non-zero elements, `[rank, count]`.
fn non_zero(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let dims = x.dims();
    let condition = x.into_bool().into_int()?.ints()?;
    let non_zeros: Vec<usize> = (0..condition.len()).filter(|&at| condition[at] != 0).collect();
    let along = |axis: usize| {
        let inner: usize = dims[axis + 1..].iter().product();
        let size = dims[axis];
        non_zeros.iter().map(move |at| (at / inner % size) as i64)
    };
    let indices = (0..dims.len()).flat_map(along).collect();
    Value::from_ints(indices).reshape(&[dims.len(), non_zeros.len()])
}
