//! Operators that write values into a tensor by index.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::IndexingUpdateOp;

use super::arithmetic::{add, max, min, multiply};
use super::selection::{normalize_indices, row_indices};
use super::window::WindowConfig;
use super::{Operator, Run, Site, axis, single_output, size};
use crate::value::{Kind, Outcome, Value, on_one_device};

pub const OPERATORS: &[Operator] = &[
    Operator::new("ScatterND", 11, (3, 3), scatter_nd).settings(&[1]),
    Operator::new("ScatterElements", 11, (3, 3), scatter_elements).settings(&[1]),
    Operator::new("Scatter", 9, (3, 3), scatter_elements).settings(&[1]),
    Operator::new("Col2Im", 18, (3, 3), columns_to_image).settings(&[1, 2]),
    Operator::new("MaxUnpool", 9, (2, 3), max_unpool).settings(&[1, 2]),
    Operator::new("TensorScatter", 24, (2, 3), tensor_scatter).settings(&[2]),
];

/// The combination of an update with the existing element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    Replace,
    Add,
    Multiply,
    Maximum,
    Minimum,
}

impl Reduction {
    fn of(site: &Site) -> Outcome<Self> {
        if site.opset() < 16 {
            return Ok(Self::Replace);
        }
        match site.text("reduction", "none")?.as_str() {
            "none" => Ok(Self::Replace),
            "add" => Ok(Self::Add),
            "mul" => Ok(Self::Multiply),
            "max" if site.opset() >= 18 => Ok(Self::Maximum),
            "min" if site.opset() >= 18 => Ok(Self::Minimum),
            other => Err(format!("reduction {other:?} is not supported")),
        }
    }

    fn combine(self, old: &Value, new: &Value) -> Outcome<Value> {
        match self {
            Self::Replace => Ok(new.clone()),
            Self::Add => add(old, new),
            Self::Multiply => multiply(old, new),
            Self::Maximum => max(old, new),
            Self::Minimum => min(old, new),
        }
    }
}

/// Combines the rows of `updates`, `[rows, inner]`, with the rows of `x`, `[outer, inner]`, whose indices are
/// `destinations`. Several updates of one row are applied in order.
fn scatter_rows(
    x: Value,
    destinations: &[i64],
    updates: &Value,
    reduction: Reduction,
) -> Outcome<Value> {
    let [outer, inner] = x.dims()[..] else {
        return Err(format!("expected a matrix, got shape {:?}", x.dims()));
    };
    if reduction == Reduction::Add && x.kind() == Kind::Float {
        let wide = destinations.iter().flat_map(|&row| std::iter::repeat_n(row, inner)).collect();
        let wide = Value::from_ints(wide).reshape(&[destinations.len(), inner])?;
        let parts = on_one_device(vec![x, wide, updates.clone()])?;
        let [x, indices, updates] = &parts[..] else {
            return Err("expected three inputs".into());
        };
        let (x, updates) = (x.float()?, updates.float()?);
        let sum = Dispatch::float_scatter(0, x, indices.tensor(), updates, IndexingUpdateOp::Add);
        return Ok(Value::new(sum));
    }
    // Updates are applied in rounds with at most one update per row.
    let mut left: Vec<usize> = (0..destinations.len()).collect();
    let mut x = x;
    while !left.is_empty() {
        let mut sources: Vec<i64> = (0..outer as i64).collect();
        let (mut current, mut later) = (Vec::new(), Vec::new());
        for at in left {
            let row = destinations[at] as usize;
            let is_taken = sources[row] >= outer as i64;
            if is_taken && reduction == Reduction::Replace {
                current[sources[row] as usize - outer] = at;
            } else if is_taken {
                later.push(at);
            } else {
                sources[row] = (outer + current.len()) as i64;
                current.push(at);
            }
        }
        let new = updates.clone().select(0, current.iter().map(|&at| at as i64).collect())?;
        let old = x.clone().select(0, current.iter().map(|&at| destinations[at]).collect())?;
        x = Value::concat(&[x, reduction.combine(&old, &new)?], 0)?.select(0, sources)?;
        left = later;
    }
    Ok(x)
}

fn scatter_nd(site: &Site) -> Outcome<Run> {
    let reduction = Reduction::of(site)?;
    single_output(move |inputs| {
        let (x, indices, updates) = (inputs.value(0)?, inputs.value(1)?, inputs.value(2)?);
        let dims = x.dims();
        let (rows, depth) = row_indices(&indices, &dims)?;
        let (outer, inner): (usize, usize) =
            (dims[..depth].iter().product(), dims[depth..].iter().product());
        let updates = updates.reshape(&[rows.len(), inner])?;
        scatter_rows(x.reshape(&[outer, inner])?, &rows, &updates, reduction)?.reshape(&dims)
    })
}

fn scatter_elements(site: &Site) -> Outcome<Run> {
    let (along, reduction) = (site.int("axis", 0)?, Reduction::of(site)?);
    single_output(move |inputs| {
        let (x, updates) = (inputs.value(0)?, inputs.value(2)?);
        let (dims, update_dims) = (x.dims(), inputs.value(1)?.dims());
        let axis = axis(along, dims.len())?;
        let fits = (0..dims.len()).all(|a| a == axis || update_dims.get(a) <= dims.get(a));
        if update_dims.len() != dims.len() || updates.dims() != update_dims || !fits {
            return Err(format!(
                "indices and updates of shape {update_dims:?} do not match an input of shape {dims:?}"
            ));
        }
        let indices = normalize_indices(inputs.ints(1)?, dims[axis])?;
        let destinations = flat_destinations(&update_dims, &dims, |at, coordinates| {
            let mut destination = coordinates.to_vec();
            destination[axis] = indices[at] as usize;
            destination
        });
        let (total, count): (usize, usize) = (dims.iter().product(), update_dims.iter().product());
        let updates = updates.reshape(&[count, 1])?;
        scatter_rows(x.reshape(&[total, 1])?, &destinations, &updates, reduction)?.reshape(&dims)
    })
}

/// Returns, for each element of a tensor of shape `update_dims`, the flat index of its destination in a
/// tensor of shape `dims`. `destination_of` maps the flat index and the coordinates of an element to
/// destination coordinates.
fn flat_destinations(
    update_dims: &[usize],
    dims: &[usize],
    destination_of: impl Fn(usize, &[usize]) -> Vec<usize>,
) -> Vec<i64> {
    let count: usize = update_dims.iter().product();
    let mut coordinates = vec![0; update_dims.len()];
    (0..count)
        .map(|at| {
            let mut left = at;
            for a in (0..update_dims.len()).rev() {
                (coordinates[a], left) = (left % update_dims[a], left / update_dims[a]);
            }
            let destination = destination_of(at, &coordinates);
            destination.iter().zip(dims).fold(0, |flat, (&at, &size)| flat * size + at) as i64
        })
        .collect()
}

/// TensorScatter: writes new elements into a sequence cache, from a start index per sample on.
fn tensor_scatter(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", -2)?;
    let circular = match site.text("mode", "linear")?.as_str() {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("mode {other:?} is not supported")),
    };
    single_output(move |inputs| {
        let (cache, update) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, update_dims) = (cache.dims(), update.dims());
        let axis = axis(along, dims.len())?;
        let starts = match inputs.optional(2) {
            Some(starts) => starts.ints()?,
            None => vec![0; dims[0]],
        };
        let fits = update_dims.len() == dims.len()
            && (0..dims.len()).all(|a| a == axis || update_dims[a] == dims[a])
            && starts.len() == dims[0];
        let length = dims[axis] as i64;
        let inside = |&begin: &i64| begin >= 0 && begin + update_dims[axis] as i64 <= length;
        if !fits || axis == 0 || !(circular || starts.iter().all(inside)) {
            return Err(format!(
                "an update of shape {update_dims:?} at {starts:?} does not fit into a cache of shape {dims:?}"
            ));
        }
        let destinations = flat_destinations(&update_dims, &dims, |_, coordinates| {
            let mut destination = coordinates.to_vec();
            destination[axis] =
                (starts[coordinates[0]] + coordinates[axis] as i64).rem_euclid(length) as usize;
            destination
        });
        let (total, count): (usize, usize) = (dims.iter().product(), update_dims.iter().product());
        let updates = update.reshape(&[count, 1])?;
        scatter_rows(cache.reshape(&[total, 1])?, &destinations, &updates, Reduction::Replace)?
            .reshape(&dims)
    })
}

/// Col2Im: adds each column of the input, a flattened block, to the image at the position of the block.
fn columns_to_image(site: &Site) -> Outcome<Run> {
    let (strides, dilations, pads) =
        (site.ints("strides")?, site.ints("dilations")?, site.ints("pads")?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let image = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let block = inputs.ints(2)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = image.len();
        let list = |values: &Option<Vec<i64>>, count: usize, default: i64| match values {
            None => Ok(vec![default; count]),
            Some(values) if values.len() == count => Ok(values.clone()),
            Some(values) => {
                Err(format!("{values:?} must have {count} values for {axes} spatial axes"))
            }
        };
        let (strides, dilations) = (list(&strides, axes, 1)?, list(&dilations, axes, 1)?);
        let pads = list(&pads, 2 * axes, 0)?;
        if strides.iter().chain(&dilations).any(|&step| step <= 0) || block.contains(&0) {
            return Err("strides, dilations and block_shape must be positive".into());
        }
        // The number of blocks along each axis.
        let blocks: Vec<usize> = (0..axes)
            .map(|axis| {
                let span = dilations[axis] * (block[axis] as i64 - 1) + 1;
                let padded = image[axis] as i64 + pads[axis] + pads[axis + axes];
                ((padded - span).div_euclid(strides[axis]) + 1).max(0) as usize
            })
            .collect();
        let (taps, count): (usize, usize) = (block.iter().product(), blocks.iter().product());
        let &[n, wide, columns] = &x.dims()[..] else {
            return Err(format!("expected an input of rank 3, got shape {:?}", x.dims()));
        };
        if columns != count || block.len() != axes || !wide.is_multiple_of(taps) {
            return Err(format!(
                "an input of shape {:?} does not match blocks {block:?} of an image {image:?}",
                x.dims()
            ));
        }
        let (channels, total): (usize, usize) = (wide / taps, image.iter().product());
        let block_dims = [&block[..], &blocks].concat();
        // Elements in the padding are written to an extra element after the image.
        let destinations = flat_destinations(&block_dims, &[total + 1], |_, coordinates| {
            let inside = (0..axes).try_fold(0, |flat, axis| {
                let at = coordinates[axis + axes] as i64 * strides[axis]
                    + coordinates[axis] as i64 * dilations[axis];
                let at = usize::try_from(at - pads[axis]).ok().filter(|&at| at < image[axis])?;
                Some(flat * image[axis] + at)
            });
            vec![inside.unwrap_or(total)]
        });
        let rows = x.reshape(&[n, channels, taps, count])?.permute(&[2, 3, 0, 1])?;
        let rows = rows.reshape(&[taps * count, n * channels])?;
        let empty = Value::filled(0.0, &[total + 1, n * channels])?;
        let sums = scatter_rows(empty, &destinations, &rows, Reduction::Add)?.range(0, 0..total);
        sums.permute(&[1, 0])?.reshape(&[&[n, channels], &image[..]].concat())
    })
}

/// MaxUnpool: writes each value to its flat index in the output, where max pooling found it, and zeros
/// elsewhere.
fn max_unpool(site: &Site) -> Outcome<Run> {
    let config = WindowConfig::new(site)?;
    single_output(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.ints(1)?);
        let dims = x.dims();
        if dims.len() < 3 {
            return Err(format!("an input of shape {dims:?} is not supported"));
        }
        let window = config.unpooled(dims.len() - 2)?;
        let mut out = dims.clone();
        for (axis, &length) in dims[2..].iter().enumerate() {
            let (begin, end) = window.pads[axis];
            let full = (length.max(1) - 1) * window.strides[axis] + window.kernel[axis];
            out[axis + 2] = size(full as i64 - begin - end)?;
        }
        let total: usize = out.iter().product();
        let (count, destinations) = (indices.len(), normalize_indices(indices, total)?);
        let empty = Value::filled(0.0, &[total, 1])?;
        let whole =
            scatter_rows(empty, &destinations, &x.reshape(&[count, 1])?, Reduction::Replace)?;
        let whole = whole.reshape(&out)?;
        match inputs.optional(2).map(|output_shape| output_shape.ints()).transpose()? {
            Some(output_shape)
                if !output_shape.iter().map(|&size| size as usize).eq(out.iter().copied()) =>
            {
                Err(format!(
                    "output_shape {output_shape:?} must be {out:?}, to which the flat indices refer: other shapes are ambiguous"
                ))
            }
            _ => Ok(whole),
        }
    })
}
