//! Writing values to places of a tensor.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::IndexingUpdateOp;

use super::arithmetic::{add, max, min, multiply};
use super::selection::{from_start, rows_of};
use super::window::Frame;
use super::{Operator, Run, Site, axis, one, size};
use crate::value::{Kind, Outcome, Value, together};

pub const OPERATORS: &[Operator] = &[
    Operator::new("ScatterND", 11, (3, 3), scatter_nd).settings(&[1]),
    Operator::new("ScatterElements", 11, (3, 3), scatter_elements).settings(&[1]),
    Operator::new("Scatter", 9, (3, 3), scatter_elements).settings(&[1]),
    Operator::new("Col2Im", 18, (3, 3), columns_to_image).settings(&[1, 2]),
    Operator::new("MaxUnpool", 9, (2, 3), max_unpool).settings(&[1, 2]),
    Operator::new("TensorScatter", 24, (2, 3), tensor_scatter).settings(&[2]),
];

/// How an update joins what is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    Replace,
    Add,
    Multiply,
    Largest,
    Smallest,
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
            "max" if site.opset() >= 18 => Ok(Self::Largest),
            "min" if site.opset() >= 18 => Ok(Self::Smallest),
            other => Err(format!("its reduction {other:?} is not known")),
        }
    }

    fn join(self, old: &Value, new: &Value) -> Outcome<Value> {
        match self {
            Self::Replace => Ok(new.clone()),
            Self::Add => add(old, new),
            Self::Multiply => multiply(old, new),
            Self::Largest => max(old, new),
            Self::Smallest => min(old, new),
        }
    }
}

/// The rows of `x` (`[outer, inner]`) with those of `updates` (`[places, inner]`) at `places`: where
/// several go to one place, one after the other.
fn written(x: Value, places: &[i64], updates: &Value, reduction: Reduction) -> Outcome<Value> {
    let [outer, inner] = x.dims()[..] else {
        return Err(format!("{:?} has no rows", x.dims()));
    };
    if reduction == Reduction::Add && x.kind() == Kind::Float {
        let wide = places.iter().flat_map(|&row| std::iter::repeat_n(row, inner)).collect();
        let wide = Value::from_ints(wide).reshape(&[places.len(), inner])?;
        let parts = together(vec![x, wide, updates.clone()])?;
        let [x, indices, updates] = &parts[..] else {
            return Err("it takes three inputs".into());
        };
        let (x, updates) = (x.float()?, updates.float()?);
        let sum = Dispatch::float_scatter(0, x, indices.tensor(), updates, IndexingUpdateOp::Add);
        return Ok(Value::new(sum));
    }
    // The updates in rounds: in each, at most one for every place.
    let mut left: Vec<usize> = (0..places.len()).collect();
    let mut x = x;
    while !left.is_empty() {
        let mut sources: Vec<i64> = (0..outer as i64).collect();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for at in left {
            let row = places[at] as usize;
            let taken = sources[row] >= outer as i64;
            if taken && reduction == Reduction::Replace {
                now[sources[row] as usize - outer] = at;
            } else if taken {
                later.push(at);
            } else {
                sources[row] = (outer + now.len()) as i64;
                now.push(at);
            }
        }
        let new = updates.clone().select(0, now.iter().map(|&at| at as i64).collect())?;
        let old = x.clone().select(0, now.iter().map(|&at| places[at]).collect())?;
        x = Value::concat(&[x, reduction.join(&old, &new)?], 0)?.select(0, sources)?;
        left = later;
    }
    Ok(x)
}

fn scatter_nd(site: &Site) -> Outcome<Run> {
    let reduction = Reduction::of(site)?;
    one(move |inputs| {
        let (x, indices, updates) = (inputs.value(0)?, inputs.value(1)?, inputs.value(2)?);
        let dims = x.dims();
        let (rows, depth) = rows_of(&indices, &dims)?;
        let (outer, inner): (usize, usize) =
            (dims[..depth].iter().product(), dims[depth..].iter().product());
        let updates = updates.reshape(&[rows.len(), inner])?;
        written(x.reshape(&[outer, inner])?, &rows, &updates, reduction)?.reshape(&dims)
    })
}

fn scatter_elements(site: &Site) -> Outcome<Run> {
    let (along, reduction) = (site.int("axis", 0)?, Reduction::of(site)?);
    one(move |inputs| {
        let (x, updates) = (inputs.value(0)?, inputs.value(2)?);
        let (dims, wanted) = (x.dims(), inputs.value(1)?.dims());
        let axis = axis(along, dims.len())?;
        let fits = (0..dims.len()).all(|a| a == axis || wanted.get(a) <= dims.get(a));
        if wanted.len() != dims.len() || updates.dims() != wanted || !fits {
            return Err(format!("its indices {wanted:?} do not fit an input of {dims:?}"));
        }
        let indices = from_start(inputs.ints(1)?, dims[axis])?;
        let places = places(&wanted, &dims, |at, own| {
            let mut place = own.to_vec();
            place[axis] = indices[at] as usize;
            place
        });
        let (total, count): (usize, usize) = (dims.iter().product(), wanted.iter().product());
        let updates = updates.reshape(&[count, 1])?;
        written(x.reshape(&[total, 1])?, &places, &updates, reduction)?.reshape(&dims)
    })
}

/// The flat place in a tensor of `dims` to which each element of one of `wanted` goes; `place` is
/// given the element's number and place.
fn places(
    wanted: &[usize],
    dims: &[usize],
    place: impl Fn(usize, &[usize]) -> Vec<usize>,
) -> Vec<i64> {
    let count: usize = wanted.iter().product();
    let mut own = vec![0; wanted.len()];
    (0..count)
        .map(|at| {
            let mut left = at;
            for a in (0..wanted.len()).rev() {
                (own[a], left) = (left % wanted[a], left / wanted[a]);
            }
            let goal = place(at, &own);
            goal.iter().zip(dims).fold(0, |flat, (&at, &size)| flat * size + at) as i64
        })
        .collect()
}

/// A cache of a sequence with new elements from each sample's index on.
fn tensor_scatter(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", -2)?;
    let circular = match site.text("mode", "linear")?.as_str() {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("its mode {other:?} is not known")),
    };
    one(move |inputs| {
        let (cache, update) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, wanted) = (cache.dims(), update.dims());
        let axis = axis(along, dims.len())?;
        let begins = match inputs.optional(2) {
            Some(begins) => begins.ints()?,
            None => vec![0; dims[0]],
        };
        let fits = wanted.len() == dims.len()
            && (0..dims.len()).all(|a| a == axis || wanted[a] == dims[a])
            && begins.len() == dims[0];
        let length = dims[axis] as i64;
        let inside = |&begin: &i64| begin >= 0 && begin + wanted[axis] as i64 <= length;
        if !fits || axis == 0 || !(circular || begins.iter().all(inside)) {
            return Err(format!("{wanted:?} at {begins:?} does not fit a cache of {dims:?}"));
        }
        let places = places(&wanted, &dims, |_, own| {
            let mut place = own.to_vec();
            place[axis] = (begins[own[0]] + own[axis] as i64).rem_euclid(length) as usize;
            place
        });
        let (total, count): (usize, usize) = (dims.iter().product(), wanted.iter().product());
        let updates = update.reshape(&[count, 1])?;
        written(cache.reshape(&[total, 1])?, &places, &updates, Reduction::Replace)?.reshape(&dims)
    })
}

/// The sum of the blocks of an image, each a column of the input, at the places from which they come.
fn columns_to_image(site: &Site) -> Outcome<Run> {
    let (strides, dilations, pads) =
        (site.ints("strides")?, site.ints("dilations")?, site.ints("pads")?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let image = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let block = inputs.ints(2)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = image.len();
        let list = |values: &Option<Vec<i64>>, count: usize, default: i64| match values {
            None => Ok(vec![default; count]),
            Some(values) if values.len() == count => Ok(values.clone()),
            Some(values) => Err(format!("{values:?} does not fit {axes} axes")),
        };
        let (strides, dilations) = (list(&strides, axes, 1)?, list(&dilations, axes, 1)?);
        let pads = list(&pads, 2 * axes, 0)?;
        if strides.iter().chain(&dilations).any(|&step| step <= 0) || block.contains(&0) {
            return Err("its strides, dilations and block must be positive".into());
        }
        // How many blocks lie along each axis.
        let blocks: Vec<usize> = (0..axes)
            .map(|axis| {
                let span = dilations[axis] * (block[axis] as i64 - 1) + 1;
                let padded = image[axis] as i64 + pads[axis] + pads[axis + axes];
                ((padded - span).div_euclid(strides[axis]) + 1).max(0) as usize
            })
            .collect();
        let (taps, count): (usize, usize) = (block.iter().product(), blocks.iter().product());
        let &[n, wide, columns] = &x.dims()[..] else {
            return Err(format!("it takes columns of blocks, not {:?}", x.dims()));
        };
        if columns != count || block.len() != axes || !wide.is_multiple_of(taps) {
            return Err(format!("{:?} are not the blocks {block:?} of {image:?}", x.dims()));
        }
        let (channels, total): (usize, usize) = (wide / taps, image.iter().product());
        let both = [&block[..], &blocks].concat();
        // What lies in the padding goes to a place behind the image.
        let places = places(&both, &[total + 1], |_, own| {
            let inside = (0..axes).try_fold(0, |flat, axis| {
                let at =
                    own[axis + axes] as i64 * strides[axis] + own[axis] as i64 * dilations[axis];
                let at = usize::try_from(at - pads[axis]).ok().filter(|&at| at < image[axis])?;
                Some(flat * image[axis] + at)
            });
            vec![inside.unwrap_or(total)]
        });
        let rows = x.reshape(&[n, channels, taps, count])?.permute(&[2, 3, 0, 1])?;
        let rows = rows.reshape(&[taps * count, n * channels])?;
        let empty = Value::filled(0.0, &[total + 1, n * channels])?;
        let sums = written(empty, &places, &rows, Reduction::Add)?.range(0, 0..total);
        sums.permute(&[1, 0])?.reshape(&[&[n, channels], &image[..]].concat())
    })
}

/// Values at the places, of the flat output, from which a pooling took them, and zeros elsewhere.
fn max_unpool(site: &Site) -> Outcome<Run> {
    let frame = Frame::new(site)?;
    one(move |inputs| {
        let (x, indices) = (inputs.value(0)?, inputs.ints(1)?);
        let dims = x.dims();
        if dims.len() < 3 {
            return Err(format!("it does not take an input of {dims:?}"));
        }
        let window = frame.unpooled(dims.len() - 2)?;
        let mut out = dims.clone();
        for (axis, &own) in dims[2..].iter().enumerate() {
            let (begin, end) = window.pads[axis];
            let full = (own.max(1) - 1) * window.strides[axis] + window.kernel[axis];
            out[axis + 2] = size(full as i64 - begin - end)?;
        }
        let total: usize = out.iter().product();
        let (count, places) = (indices.len(), from_start(indices, total)?);
        let empty = Value::filled(0.0, &[total, 1])?;
        let whole = written(empty, &places, &x.reshape(&[count, 1])?, Reduction::Replace)?;
        let whole = whole.reshape(&out)?;
        match inputs.optional(2).map(|wanted| wanted.ints()).transpose()? {
            Some(wanted) if !wanted.iter().map(|&size| size as usize).eq(out.iter().copied()) => {
                Err(format!(
                    "its output_shape {wanted:?} is not {out:?}, to which its places belong: in a larger one their meaning differs between runtimes"
                ))
            }
            _ => Ok(whole),
        }
    })
}
