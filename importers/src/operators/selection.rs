//! Parts of a tensor: slices, splits, gathers and scatters.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{IndexingUpdateOp, Slice};
use onnx_ir::Node;
use onnx_ir::scatter_elements::ScatterElementsReduction;
use onnx_ir::scatter_nd::ScatterNDReduction;
use onnx_ir::slice::SliceInput;
use onnx_ir::split::SplitSizesInput;

use super::{Context, Inputs, Operator, Run, Setting, axis, expect_node, one, size};
use crate::value::{Kind, Outcome, Value, together};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Slice", compile: slice },
    Operator { name: "Split", compile: split },
    Operator { name: "Gather", compile: gather },
    Operator { name: "GatherElements", compile: gather_elements },
    Operator { name: "GatherND", compile: gather_nd },
    Operator { name: "ScatterND", compile: scatter_nd },
    Operator { name: "ScatterElements", compile: scatter_elements },
    Operator { name: "CumSum", compile: cumulative_sum },
];

fn setting(input: &SliceInput) -> Setting<Vec<i64>> {
    match input {
        SliceInput::Static(values) => Setting::Known(values.clone()),
        SliceInput::Runtime(reference) => Setting::input(reference),
    }
}

fn slice(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, Slice).config;
    let (starts, ends) = (setting(&config.starts), setting(&config.ends));
    let (axes, steps) = (config.axes.as_ref().map(setting), config.steps.as_ref().map(setting));
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

fn split(node: &Node, _: &Context) -> Outcome<Run> {
    let node = expect_node!(node, Split);
    let (axis, parts) = (node.config.axis, node.outputs.len());
    let sizes = node.config.split_sizes.as_ref().map(|sizes| match sizes {
        SplitSizesInput::Static(sizes) => {
            Setting::Known(sizes.iter().map(|&size| size as i64).collect())
        }
        SplitSizesInput::Runtime(reference) => Setting::input(reference),
    });
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
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
            let mut slices = vec![Slice::from(..); dims.len()];
            slices[axis] = Slice::from(start..start + length);
            start += length;
            x.clone().slice(&slices)
        };
        Ok(sizes.into_iter().map(part).collect())
    }))
}

fn gather(node: &Node, _: &Context) -> Outcome<Run> {
    let axis = expect_node!(node, Gather).config.axis;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let dims = x.dims();
        if axis >= dims.len() {
            return Err(format!("axis {axis} does not exist: the input is {dims:?}"));
        }
        let chosen = from_start(indices.ints()?, dims[axis])?;
        let out = [&dims[..axis], &indices.dims(), &dims[axis + 1..]].concat();
        let picked = match chosen[..] {
            [index] => {
                let mut slices = vec![Slice::from(..); dims.len()];
                slices[axis] = Slice::from(index as usize..index as usize + 1);
                x.slice(&slices)
            }
            _ => x.select(axis, chosen)?,
        };
        picked.reshape(&out)
    })
}

/// Indices counted from the start, checked.
fn from_start(indices: Vec<i64>, length: usize) -> Outcome<Vec<i64>> {
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

fn gather_elements(node: &Node, _: &Context) -> Outcome<Run> {
    let axis = expect_node!(node, GatherElements).config.axis;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, wanted) = (x.dims(), indices.dims());
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
fn gather_nd(node: &Node, _: &Context) -> Outcome<Run> {
    if expect_node!(node, GatherND).config.batch_dims != 0 {
        return Err("batch_dims other than 0 is not supported".into());
    }
    one(|inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, wanted) = (x.dims(), indices.dims());
        let (rows, depth) = rows_of(&indices, &dims)?;
        let flat = x.reshape(&[dims[..depth].iter().product(), dims[depth..].iter().product()])?;
        let out = [&wanted[..wanted.len() - 1], &dims[depth..]].concat();
        flat.select(0, rows)?.reshape(&out)
    })
}

/// The flat row that each index tuple names, and the length of a tuple.
fn rows_of(indices: &Value, dims: &[usize]) -> Outcome<(Vec<i64>, usize)> {
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

fn scatter_nd(node: &Node, _: &Context) -> Outcome<Run> {
    match expect_node!(node, ScatterND).config.reduction {
        ScatterNDReduction::None => {}
        _ => return Err("a reduction is not supported".into()),
    }
    one(|inputs| {
        let (x, indices, updates) = (inputs.value(0)?, inputs.value(1)?, inputs.value(2)?);
        let dims = x.dims();
        let (rows, depth) = rows_of(&indices, &dims)?;
        let (outer, inner): (usize, usize) =
            (dims[..depth].iter().product(), dims[depth..].iter().product());
        let sources = last_writers(&rows, outer);
        let all = Value::concat(
            &[x.reshape(&[outer, inner])?, updates.reshape(&[rows.len(), inner])?],
            0,
        )?;
        all.select(0, sources)?.reshape(&dims)
    })
}

/// For each of `outer` rows, itself, or the update that writes it last (numbered after the rows).
fn last_writers(rows: &[i64], outer: usize) -> Vec<i64> {
    let mut sources: Vec<i64> = (0..outer as i64).collect();
    for (update, &row) in rows.iter().enumerate() {
        sources[row as usize] = (outer + update) as i64;
    }
    sources
}

fn scatter_elements(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, ScatterElements).config;
    let axis = config.axis;
    match config.reduction {
        ScatterElementsReduction::Add => {}
        _ => return Err("only the reduction add is supported".into()),
    }
    one(move |inputs| {
        let indices = from_start(inputs.ints(1)?, inputs.value(0)?.dims()[axis])?;
        let indices = Value::from_ints(indices).reshape(&inputs.value(1)?.dims())?;
        let parts = together(&[inputs.value(0)?, indices, inputs.value(2)?])?;
        let [x, indices, updates] = &parts[..] else {
            return Err("it takes three inputs".into());
        };
        let tensor = Dispatch::float_scatter(
            axis,
            x.float()?,
            indices.tensor(),
            updates.float()?,
            IndexingUpdateOp::Add,
        );
        Ok(Value::new(tensor))
    })
}

fn cumulative_sum(node: &Node, _: &Context) -> Outcome<Run> {
    use onnx_ir::cumsum::CumSumAxis;
    let config = &expect_node!(node, CumSum).config;
    let (exclusive, reverse) = (config.exclusive, config.reverse);
    let along = match &config.axis {
        CumSumAxis::Static(axis) => Setting::Known(vec![*axis as i64]),
        CumSumAxis::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs: &Inputs| {
        let x = inputs.value(0)?;
        let axis = axis(along.read(inputs)?[0], x.rank())?;
        let is_int = x.kind() == Kind::Int;
        let x = if x.kind() == Kind::Float { x } else { x.into_float() };
        let flip = |x| if reverse { Dispatch::float_flip(x, &[axis]) } else { x };
        let sums = flip(Dispatch::float_cumsum(flip(x.float()?), axis));
        let sums = if exclusive { Dispatch::float_sub(sums, x.float()?) } else { sums };
        if is_int { Value::new(sums).into_int() } else { Ok(Value::new(sums)) }
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
