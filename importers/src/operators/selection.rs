//! Parts of a tensor: slices, splits, gathers and scatters.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Slice;

use super::{Freezing, Inputs, Operator, Run, Site, axis, one, size};
use crate::value::{Kind, Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Slice", 1, (1, 5), slice).settings(&[1, 2, 3, 4]).frozen(frozen_slice),
    Operator::new("Split", 1, (1, 2), split).outputs(super::ANY).settings(&[1]).frozen(frozen_part),
    Operator::new("Gather", 1, (2, 2), gather).frozen(|own| {
        let axis = own.axis(own.site.int("axis", 0).ok()?)?;
        let indices = from_start(own.constant(1)?.ints().ok()?, own.dims()?[axis]).ok()?;
        let first = *indices.first()?;
        // One after the other, in equal steps.
        let step = indices.get(1).map_or(1, |second| second - first);
        let even = indices.windows(2).all(|pair| pair[1] - pair[0] == step);
        let step = usize::try_from(step).ok().filter(|&step| step > 0 && even)?;
        let picked = own.builder.slice(own.x()?, axis, [first as usize, indices.len(), step])?;
        own.reshape_of(picked)
    }),
    Operator::new("GatherElements", 11, (2, 2), gather_elements),
    Operator::new("GatherND", 11, (2, 2), gather_nd),
    Operator::new("TopK", 1, (1, 2), top_k).outputs(2).settings(&[1]),
    Operator::new("ReverseSequence", 10, (2, 2), reverse_sequence).settings(&[1]),
    Operator::new("NonZero", 9, (1, 1), |_| one(non_zero)).flat(),
    Operator::new("Compress", 9, (2, 2), compress).settings(&[1]),
    Operator::new("CumProd", 26, (2, 2), cumulative_product).settings(&[1]),
    Operator::new("CumSum", 11, (2, 2), cumulative_sum).settings(&[1]),
];

/// Bounds were attributes before opset 10.
fn slice(site: &Site) -> Outcome<Run> {
    let starts = site.integers("starts", 10, 1)?.ok_or("it has no starts")?;
    let ends = site.integers("ends", 10, 2)?.ok_or("it has no ends")?;
    let axes = site.integers("axes", 10, 3)?;
    let steps = site.integers("steps", 10, 4)?;
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let dims = x.dims();
        let (starts, ends) = (starts.read(inputs)?, ends.read(inputs)?);
        let axes = match &axes {
            Some(axes) => axes.read(inputs)?,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = match &steps {
            Some(steps) => steps.read(inputs)?,
            None => vec![1; starts.len()],
        };
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("its starts, ends, axes and steps differ in number".into());
        }
        let mut slices = vec![Slice::from(..); dims.len()];
        for i in 0..starts.len() {
            let axis = axis(axes[i], dims.len())?;
            let length = dims[axis] as i64;
            match steps[i] {
                0 => return Err("its step is 0".into()),
                1 => slices[axis] = forward(starts[i], ends[i], length),
                // Steps are taken by index, the same on every device.
                step => x = x.select(axis, stepped(starts[i], ends[i], step, length))?,
            }
        }
        let whole = slices.iter().all(|slice| *slice == Slice::from(..));
        Ok(if whole { x } else { x.slice(&slices) })
    })
}

/// A slice forwards as part of a segment.
fn frozen_slice(own: &mut Freezing) -> Option<FrozenValue> {
    let integers = |name, index| own.site.integers(name, 10, index).ok();
    let [starts, ends] = [integers("starts", 1)??, integers("ends", 2)??];
    let (starts, ends) = (own.known(&starts)?, own.known(&ends)?);
    let axes = match integers("axes", 3)? {
        Some(axes) => own.known(&axes)?,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match integers("steps", 4)? {
        Some(steps) => own.known(&steps)?,
        None => vec![1; starts.len()],
    };
    if steps.len() != starts.len() || axes.len() != starts.len() {
        return None;
    }
    let (dims, mut x) = (own.dims()?, own.x()?);
    for (at, (at_axis, &step)) in axes.iter().zip(&steps).enumerate() {
        let axis = own.axis(*at_axis)?;
        let length = dims[axis] as i64;
        let (start, end) =
            (bound(starts[at], length, 0, length), bound(ends[at], length, 0, length));
        let length = usize::try_from(end - start).ok()?;
        let step = usize::try_from(step).ok().filter(|&step| step > 0)?;
        x = own.builder.slice(x, axis, [start as usize, length.div_ceil(step), step])?;
    }
    Some(x)
}

/// A part of a split as part of a segment.
fn frozen_part(own: &mut Freezing) -> Option<FrozenValue> {
    let axis = own.axis(own.site.int("axis", 0).ok()?)?;
    let size = |shape: &Option<Vec<usize>>| Some(shape.as_ref()?[axis]);
    let sizes: Vec<usize> = own.shapes.iter().map(size).collect::<Option<_>>()?;
    let start = sizes[..own.output].iter().sum();
    own.builder.slice(own.x()?, axis, [start, sizes[own.output], 1])
}

/// A bound counted from the end when negative, as ONNX clamps it.
fn bound(value: i64, length: i64, lowest: i64, highest: i64) -> i64 {
    let counted = if value < 0 { value.saturating_add(length) } else { value };
    counted.clamp(lowest, highest)
}

fn forward(start: i64, end: i64, length: i64) -> Slice {
    let start = bound(start, length, 0, length);
    let end = bound(end, length, 0, length).max(start);
    Slice::from(start as usize..end as usize)
}

/// The indices from `start` to `end` by `step`, which is not 0.
fn stepped(start: i64, end: i64, step: i64, length: i64) -> Vec<i64> {
    if length == 0 {
        return Vec::new();
    }
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let end = bound(end, length, lowest, highest);
    let mut at = bound(start, length, lowest.max(0), highest);
    let mut indices = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        indices.push(at);
        at = at.saturating_add(step);
    }
    indices
}

fn split(site: &Site) -> Outcome<Run> {
    let (along, parts) = (site.int("axis", 0)?, site.outputs());
    let sizes = site.integers("split", 13, 1)?;
    let named = if site.opset() >= 18 { site.node.attributes.int("num_outputs")? } else { None };
    if named.is_some_and(|named| named != parts as i64) {
        return Err(format!("it has {parts} outputs, not the num_outputs that it says"));
    }
    // Unequal parts were not allowed before there was a number of them.
    let uneven = named.is_some();
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let axis = axis(along, dims.len())?;
        if sizes.is_none() && !uneven && !dims[axis].is_multiple_of(parts) {
            return Err(format!("axis {axis} of {dims:?} does not split in {parts} equal parts"));
        }
        let sizes: Vec<usize> = match &sizes {
            Some(sizes) => sizes.read(inputs)?.into_iter().map(size).collect::<Outcome<_>>()?,
            None => {
                // Equal parts, the last one smaller where they do not divide the axis.
                let each = dims[axis].div_ceil(parts);
                (0..parts).map(|i| each.min(dims[axis] - (i * each).min(dims[axis]))).collect()
            }
        };
        if sizes.iter().sum::<usize>() != dims[axis] || sizes.len() != parts {
            return Err(format!("{sizes:?} does not split axis {axis} of {dims:?} in {parts}"));
        }
        let mut start = 0;
        let part = |length: usize| {
            let from = start;
            start += length;
            x.clone().range(axis, from..start)
        };
        Ok(sizes.into_iter().map(part).collect())
    }))
}

fn gather(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", 0)?;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let dims = x.dims();
        let axis = axis(along, dims.len())?;
        let chosen = from_start(indices.ints()?, dims[axis])?;
        let out = [&dims[..axis], &indices.dims(), &dims[axis + 1..]].concat();
        let picked = match chosen[..] {
            [index] => x.range(axis, index as usize..index as usize + 1),
            _ => x.select(axis, chosen)?,
        };
        picked.reshape(&out)
    })
}

/// Indices counted from the start, checked.
pub fn from_start(indices: Vec<i64>, length: usize) -> Outcome<Vec<i64>> {
    let length = length as i64;
    let counted = |index: i64| if index < 0 { index + length } else { index };
    indices
        .into_iter()
        .map(|index| match counted(index) {
            at if (0..length).contains(&at) => Ok(at),
            _ => Err(format!("index {index} does not exist: the axis has {length} elements")),
        })
        .collect()
}

fn gather_elements(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", 0)?;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, wanted) = (x.dims(), indices.dims());
        let axis = axis(along, dims.len())?;
        let counted = from_start(indices.ints()?, dims[axis])?;
        let indices = Value::from_ints(counted).reshape(&wanted)?;
        // Other axes may be shorter in the indices than in the input.
        let mut slices: Vec<Slice> = wanted.iter().map(|&size| Slice::from(0..size)).collect();
        slices[axis] = Slice::from(..);
        let same = (0..dims.len()).all(|a| a == axis || dims[a] == wanted[a]);
        let x = if same { x } else { x.slice(&slices) };
        x.gather(axis, indices)
    })
}

/// Indices into the first axes are turned into indices of rows.
fn gather_nd(site: &Site) -> Outcome<Run> {
    let batch = size(site.int("batch_dims", 0)?)?;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, wanted) = (x.dims(), indices.dims());
        if batch >= wanted.len() || dims[..batch] != wanted[..batch] {
            return Err(format!("{batch} axes of {dims:?} and {wanted:?} are not the same"));
        }
        let (rows, depth) = rows_of(&indices, &dims[batch..])?;
        let outer: usize = dims[batch..batch + depth].iter().product();
        let batches: usize = dims[..batch].iter().product();
        let each = rows.len() / batches.max(1);
        let rows = rows.into_iter().enumerate();
        let rows = rows.map(|(at, row)| row + (at / each.max(1) * outer) as i64).collect();
        let flat = x.reshape(&[batches * outer, dims[batch + depth..].iter().product()])?;
        let out = [&wanted[..wanted.len() - 1], &dims[batch + depth..]].concat();
        flat.select(0, rows)?.reshape(&out)
    })
}

/// The flat row that each index tuple names, and the length of a tuple.
pub fn rows_of(indices: &Value, dims: &[usize]) -> Outcome<(Vec<i64>, usize)> {
    let wanted = indices.dims();
    let depth = *wanted.last().ok_or("its indices are a scalar")?;
    if depth == 0 || depth > dims.len() {
        return Err(format!("its indices name {depth} axes of {dims:?}"));
    }
    let rows = indices.ints()?;
    let rows = rows.chunks(depth).map(|tuple| {
        tuple.iter().zip(dims).try_fold(0, |row, (&index, &size)| {
            Ok(row * size as i64 + from_start(vec![index], size)?[0])
        })
    });
    Ok((rows.collect::<Outcome<_>>()?, depth))
}

/// The largest or smallest along an axis, the first of equals first, and their indices. Before
/// opset 10 their number was an attribute.
fn top_k(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", -1)?;
    let number = match site.opset() {
        ..10 => site.node.attributes.int("k")?,
        _ => None,
    };
    let largest = site.opset() < 11 || site.flag("largest", true)?;
    if site.opset() >= 11 {
        // What need not be sorted may be.
        site.ignore(&["sorted"]);
    }
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let mut dims = x.dims();
        let axis = axis(along, dims.len())?;
        let k = match number {
            Some(k) => k,
            None => *inputs.ints(1)?.first().ok_or("its k is missing")?,
        };
        let k = size(k)?;
        let length = dims[axis];
        if k > length {
            return Err(format!("there are no {k} elements along axis {axis} of {dims:?}"));
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

fn cumulative_sum(site: &Site) -> Outcome<Run> {
    let (exclusive, reverse) = (site.flag("exclusive", false)?, site.flag("reverse", false)?);
    one(move |inputs: &Inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let along = inputs.ints(1)?;
        let axis = axis(*along.first().ok_or("its axis is missing")?, dims.len())?;
        if x.kind() == Kind::Int {
            let sums = integer_sums(&x.ints()?, &dims, axis, exclusive, reverse);
            return Value::from_ints(sums).reshape(&dims)?.wrapped(x.element());
        }
        let flip = |x| if reverse { Dispatch::float_flip(x, &[axis]) } else { x };
        let sums = flip(Dispatch::float_cumsum(flip(x.float()?), axis));
        let sums = if exclusive { Dispatch::float_sub(sums, x.float()?) } else { sums };
        Value::new(sums).reshape(&dims)
    })
}

/// The sums of the elements up to each, or from each on.
fn integer_sums(
    values: &[i64],
    dims: &[usize],
    axis: usize,
    exclusive: bool,
    reverse: bool,
) -> Vec<i64> {
    let (length, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let mut sums = vec![0; values.len()];
    for row in 0..values.len() / length.max(1) {
        let mut sum = 0i64;
        for step in 0..length {
            let at = if reverse { length - 1 - step } else { step };
            let place = (row / inner * length + at) * inner + row % inner;
            let next = sum.wrapping_add(values[place]);
            sums[place] = if exclusive { sum } else { next };
            sum = next;
        }
    }
    sums
}

/// The slices along an axis, or the elements of the flat input, for which the condition holds.
fn compress(site: &Site) -> Outcome<Run> {
    let along = site.node.attributes.int("axis")?;
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let axis = match along {
            Some(along) => axis(along, x.rank())?,
            None => {
                let count = x.dims().iter().product();
                x = x.reshape(&[count])?;
                0
            }
        };
        let held = inputs.value(1)?.into_int()?.ints()?;
        if held.len() > x.dims()[axis] {
            return Err(format!("{} conditions are too many for {:?}", held.len(), x.dims()));
        }
        let chosen = held.iter().enumerate().filter(|(_, held)| **held != 0);
        x.select(axis, chosen.map(|(index, _)| index as i64).collect())
    })
}

/// The first elements of each sequence in reverse, as many as its length says.
fn reverse_sequence(site: &Site) -> Outcome<Run> {
    let (batch, time) = (site.int("batch_axis", 1)?, site.int("time_axis", 0)?);
    if ![(0, 1), (1, 0)].contains(&(batch, time)) {
        return Err(format!("its batch_axis {batch} and time_axis {time} are not 0 and 1"));
    }
    one(move |inputs| {
        let (x, lengths) = (inputs.value(0)?, inputs.ints(1)?);
        let dims = x.dims();
        let [first, second, ..] = dims[..] else {
            return Err(format!("it does not take an input of {dims:?}"));
        };
        let (samples, longest) = if batch == 0 { (first, second) } else { (second, first) };
        let fits = |&length: &i64| (0..=longest as i64).contains(&length);
        if lengths.len() != samples || !lengths.iter().all(fits) {
            return Err(format!("its lengths {lengths:?} do not fit {dims:?}"));
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

/// The places of the elements that are not zero: `[rank, count]`.
fn non_zero(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    let dims = x.dims();
    let held = x.into_bool().into_int()?.ints()?;
    let places: Vec<usize> = (0..held.len()).filter(|&at| held[at] != 0).collect();
    let along = |axis: usize| {
        let inner: usize = dims[axis + 1..].iter().product();
        let size = dims[axis];
        places.iter().map(move |at| (at / inner % size) as i64)
    };
    let indices = (0..dims.len()).flat_map(along).collect();
    Value::from_ints(indices).reshape(&[dims.len(), places.len()])
}

/// Products of the elements up to each: with `exclusive` without its own.
fn cumulative_product(site: &Site) -> Outcome<Run> {
    let (exclusive, reverse) = (site.flag("exclusive", false)?, site.flag("reverse", false)?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let along = inputs.value(1)?.into_int()?.ints()?;
        let axis = axis(*along.first().ok_or("its axis is missing")?, x.rank())?;
        let (length, dims) = (x.dims()[axis], x.dims());
        let element = x.element();
        let x = x.into_float();
        let part = |at: usize| x.clone().range(axis, at..at + 1);
        if length == 0 {
            return x.cast(element);
        }
        let order: Vec<usize> =
            if reverse { (0..length).rev().collect() } else { (0..length).collect() };
        let mut single = dims.clone();
        single[axis] = 1;
        let mut product = Value::filled(1.0, &single)?;
        let mut products = Vec::with_capacity(length);
        for at in order {
            let next = binary(&product, &part(at), Dispatch::float_mul, None)?;
            products.push(if exclusive { product } else { next.clone() });
            product = next;
        }
        if reverse {
            products.reverse();
        }
        Value::concat(&products, axis)?.cast(element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_specification() {
        let cases = [
            ((0, i64::MAX, 2, 5), vec![0, 2, 4]),
            ((-1, i64::MIN, -1, 3), vec![2, 1, 0]),
            ((3, 0, -2, 5), vec![3, 1]),
            ((4, 1, 1, 5), vec![]),
            ((9, -9, -1, 2), vec![1, 0]),
        ];
        for ((start, end, step, length), expected) in cases {
            assert_eq!(stepped(start, end, step, length), expected);
        }
    }
}
