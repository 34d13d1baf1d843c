//! Slice and Split.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::tensor::Slice;

use super::{ANY, Freezing, Linear, Operator, Run, Site, axis, single_output, size};
use crate::value::Outcome;

pub const OPERATORS: &[Operator] = &[
    Operator::new("Slice", 1, (1, 5), slice)
        .linear(Linear::Jointly)
        .settings(&[1, 2, 3, 4])
        .frozen(frozen_slice),
    Operator::new("Split", 1, (1, 2), split)
        .linear(Linear::Jointly)
        .outputs(ANY)
        .settings(&[1])
        .frozen(frozen_part),
];

/// Slice. The bounds are attributes before opset 10 and inputs from then on.
fn slice(site: &Site) -> Outcome<Run> {
    let starts = site.integers("starts", 10, 1)?.ok_or("the starts are missing")?;
    let ends = site.integers("ends", 10, 2)?.ok_or("the ends are missing")?;
    let axes = site.integers("axes", 10, 3)?;
    let steps = site.integers("steps", 10, 4)?;
    single_output(move |inputs| {
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
            return Err("starts, ends, axes and steps differ in length".into());
        }
        let mut slices = vec![Slice::from(..); dims.len()];
        for i in 0..starts.len() {
            let axis = axis(axes[i], dims.len())?;
            let length = dims[axis] as i64;
            match steps[i] {
                0 => return Err("a step must not be 0".into()),
                1 => slices[axis] = contiguous_slice(starts[i], ends[i], length),
                // Other steps select by index, which gives the same result on every device.
                step => x = x.select(axis, slice_indices(starts[i], ends[i], step, length))?,
            }
        }
        let whole = slices.iter().all(|slice| *slice == Slice::from(..));
        Ok(if whole { x } else { x.slice(&slices) })
    })
}

/// Lowers a slice with positive steps into a segment.
fn frozen_slice(ctx: &mut Freezing) -> Option<FrozenValue> {
    let integers = |name, index| ctx.site.integers(name, 10, index).ok();
    let [starts, ends] = [integers("starts", 1)??, integers("ends", 2)??];
    let (starts, ends) = (ctx.constant_integers(&starts)?, ctx.constant_integers(&ends)?);
    let axes = match integers("axes", 3)? {
        Some(axes) => ctx.constant_integers(&axes)?,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match integers("steps", 4)? {
        Some(steps) => ctx.constant_integers(&steps)?,
        None => vec![1; starts.len()],
    };
    if steps.len() != starts.len() || axes.len() != starts.len() {
        return None;
    }
    let (dims, mut x) = (ctx.dims()?, ctx.x()?);
    for (at, (at_axis, &step)) in axes.iter().zip(&steps).enumerate() {
        let axis = ctx.axis(*at_axis)?;
        let length = dims[axis] as i64;
        let (start, end) =
            (bound(starts[at], length, 0, length), bound(ends[at], length, 0, length));
        let length = usize::try_from(end - start).ok()?;
        let step = usize::try_from(step).ok().filter(|&step| step > 0)?;
        x = ctx.builder.slice(x, axis, [start as usize, length.div_ceil(step), step])?;
    }
    Some(x)
}

fn split(site: &Site) -> Outcome<Run> {
    let (along, parts) = (site.int("axis", 0)?, site.outputs());
    let sizes = site.integers("split", 13, 1)?;
    let num_outputs =
        if site.opset() >= 18 { site.node.attributes.int("num_outputs")? } else { None };
    if num_outputs.is_some_and(|num_outputs| num_outputs != parts as i64) {
        return Err(format!("the node has {parts} outputs, which num_outputs contradicts"));
    }
    // Unequal parts are allowed only together with num_outputs.
    let uneven = num_outputs.is_some();
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let axis = axis(along, dims.len())?;
        if sizes.is_none() && !uneven && !dims[axis].is_multiple_of(parts) {
            return Err(format!("axis {axis} of {dims:?} does not split into {parts} equal parts"));
        }
        let sizes: Vec<usize> = match &sizes {
            Some(sizes) => sizes.read(inputs)?.into_iter().map(size).collect::<Outcome<_>>()?,
            None => {
                // Equal parts; the last one is smaller if the axis is not a multiple.
                let each = dims[axis].div_ceil(parts);
                (0..parts).map(|i| each.min(dims[axis] - (i * each).min(dims[axis]))).collect()
            }
        };
        if sizes.iter().sum::<usize>() != dims[axis] || sizes.len() != parts {
            return Err(format!(
                "split {sizes:?} does not divide axis {axis} of {dims:?} into {parts} parts"
            ));
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

/// Lowers one output of a split into a segment.
fn frozen_part(ctx: &mut Freezing) -> Option<FrozenValue> {
    let axis = ctx.axis(ctx.site.int("axis", 0).ok()?)?;
    let size = |shape: &Option<Vec<usize>>| Some(shape.as_ref()?[axis]);
    let sizes: Vec<usize> = ctx.shapes.iter().map(size).collect::<Option<_>>()?;
    let start = sizes[..ctx.output].iter().sum();
    ctx.builder.slice(ctx.x()?, axis, [start, sizes[ctx.output], 1])
}

/// Normalizes a slice bound, which counts from the end if negative, and clamps it.
fn bound(value: i64, length: i64, lowest: i64, highest: i64) -> i64 {
    let counted = if value < 0 { value.saturating_add(length) } else { value };
    counted.clamp(lowest, highest)
}

/// Returns the slice from `start` to `end` with step 1.
fn contiguous_slice(start: i64, end: i64, length: i64) -> Slice {
    let start = bound(start, length, 0, length);
    let end = bound(end, length, 0, length).max(start);
    Slice::from(start as usize..end as usize)
}

/// Returns the indices from `start` to `end` with the step `step`, which must not be 0.
fn slice_indices(start: i64, end: i64, step: i64, length: i64) -> Vec<i64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_indices_follow_the_onnx_specification() {
        let cases = [
            ((0, i64::MAX, 2, 5), vec![0, 2, 4]),
            ((-1, i64::MIN, -1, 3), vec![2, 1, 0]),
            ((3, 0, -2, 5), vec![3, 1]),
            ((4, 1, 1, 5), vec![]),
            ((9, -9, -1, 2), vec![1, 0]),
        ];
        for ((start, end, step, length), expected) in cases {
            assert_eq!(slice_indices(start, end, step, length), expected);
        }
    }
}
