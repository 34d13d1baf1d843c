//! Operators that sample images at computed coordinates.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, Scalar};

use super::arithmetic::{add, multiply};
use super::linear::matmul;
use super::taps::{Axis, Mode, PaddingMode, Tap, sample_all, taps};
use super::window::WindowConfig;
use super::{Operator, Run, Site, single_output, size};
use crate::room;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("GridSample", 16, (2, 2), grid_sample),
    Operator::new("AffineGrid", 20, (2, 2), affine_grid).settings(&[1]),
    Operator::new("DeformConv", 19, (3, 5), deformable_conv).multiplies(),
    Operator::new("RoiAlign", 10, (3, 3), roi_align).settings(&[1, 2]),
];

fn grid_sample(site: &Site) -> Outcome<Run> {
    let mode =
        match site.text("mode", if site.opset() < 20 { "bilinear" } else { "linear" })?.as_str() {
            "nearest" => Mode::Nearest,
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            other => return Err(format!("mode {other:?} is not supported")),
        };
    let padding_mode = match site.text("padding_mode", "zeros")?.as_str() {
        "zeros" => PaddingMode::Zeros,
        "border" => PaddingMode::Border,
        "reflection" => PaddingMode::Reflection,
        other => return Err(format!("padding_mode {other:?} is not supported")),
    };
    let align = site.flag("align_corners", false)?;
    single_output(move |inputs| {
        let (x, grid) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, grid_dims) = (x.dims(), grid.dims());
        let axes = dims.len().saturating_sub(2);
        let fits = dims.len() == grid_dims.len() && grid_dims.last() == Some(&axes);
        if !fits || !(2..=3).contains(&axes) || grid_dims[0] != dims[0] {
            return Err(format!(
                "expected an image batch and a grid of matching shape, got {dims:?} and {grid_dims:?}"
            ));
        }
        let (n, sizes, outs) = (dims[0], &dims[2..], &grid_dims[1..=axes]);
        let count: usize = outs.iter().product();
        let grid = grid.reshape(&[n, count, axes])?;
        let along = |(axis, &size): (usize, &usize)| {
            // The grid stores coordinates in reverse axis order: x, y, z.
            let coordinates =
                grid.clone().index_axis(2, axes - 1 - axis)?.reshape(&[n, 1, count])?;
            // Maps [-1, 1] to element coordinates.
            let (factor, term) = match align {
                true => ((size as f64 - 1.0) / 2.0, (size as f64 - 1.0) / 2.0),
                false => (size as f64 / 2.0, (size as f64 - 1.0) / 2.0),
            };
            let coordinates =
                Dispatch::float_mul_scalar(coordinates.float()?, Scalar::Float(factor));
            let coordinates =
                Value::new(Dispatch::float_add_scalar(coordinates, Scalar::Float(term)));
            taps(&coordinates, &Axis::new(size, align, padding_mode), mode)
        };
        let taps = sizes.iter().enumerate().map(along).collect::<Outcome<Vec<_>>>()?;
        sample_all(&x, &taps)?.reshape(&[&dims[..2], outs].concat())
    })
}

/// AffineGrid: the coordinates of all elements, normalized to `[-1, 1]` along each axis, mapped by the affine
/// matrix `theta`.
fn affine_grid(site: &Site) -> Outcome<Run> {
    let align = site.flag("align_corners", false)?;
    single_output(move |inputs| {
        let theta = inputs.value(0)?;
        let sizes = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = sizes.len().saturating_sub(2);
        if !(2..=3).contains(&axes) || theta.dims() != [sizes[0], axes, axes + 1] {
            return Err(format!(
                "theta of shape {:?} does not match images of size {sizes:?}",
                theta.dims()
            ));
        }
        let (n, outs) = (sizes[0], &sizes[2..]);
        room::check(&[&[n, axes + 1], outs].concat())?;
        let count: usize = outs.iter().product();
        let normalized = |at: usize, size: usize| match align {
            true if size == 1 => 0.0,
            true => 2.0 * at as f32 / (size as f32 - 1.0) - 1.0,
            false => (2.0 * at as f32 + 1.0) / size as f32 - 1.0,
        };
        let mut rows = Vec::with_capacity(count * (axes + 1));
        for element in 0..count {
            let mut left = element;
            // Coordinates are stored in reverse axis order: x, y, z.
            for &size in outs.iter().rev() {
                rows.push(normalized(left % size, size));
                left /= size;
            }
            rows.push(1.0);
        }
        let rows = Value::from_floats(rows).reshape(&[1, count, axes + 1])?;
        matmul(&rows, &theta.permute(&[0, 2, 1])?)?.reshape(&[&[n], outs, &[axes]].concat())
    })
}

/// DeformConv: a convolution whose taps are shifted by computed offsets and weighted by an optional mask.
fn deformable_conv(site: &Site) -> Outcome<Run> {
    let config = WindowConfig::new(site)?;
    let groups = size(site.int("group", 1)?)?;
    let offset_groups = size(site.int("offset_group", 1)?)?;
    single_output(move |inputs| {
        let (x, weight, offset) = (inputs.value(0)?, inputs.value(1)?, inputs.value(2)?);
        let (&[n, c, height, width], &[outputs, inner, rows, columns]) =
            (&x.dims()[..], &weight.dims()[..])
        else {
            return Err(format!(
                "only 2D convolutions are supported, not a weight of shape {:?} on an input of shape {:?}",
                weight.dims(),
                x.dims()
            ));
        };
        let window = config.window(&[height, width], Some(&[rows, columns]))?;
        let taps_of_one = rows * columns;
        let &[_, parts, out_rows, out_columns] = &offset.dims()[..] else {
            return Err(format!("expected offsets of rank 4, got shape {:?}", offset.dims()));
        };
        if parts != offset_groups * taps_of_one * 2
            || inner * groups != c
            || !c.is_multiple_of(offset_groups.max(1))
            || !outputs.is_multiple_of(groups.max(1))
        {
            return Err(format!(
                "group or offset_group does not match an input of shape {:?} and offsets of shape {:?}",
                x.dims(),
                offset.dims()
            ));
        }
        let count = out_rows * out_columns;
        let share = c / offset_groups;
        // The coordinate of tap `at` along an axis for each output element, without its offset.
        let undisplaced = |axis: usize, at: usize, out: &dyn Fn(usize) -> usize| {
            let begin = (at * window.dilations[axis]) as f32 - window.pads[axis].0 as f32;
            let coordinates =
                (0..count).map(|output| (out(output) * window.strides[axis]) as f32 + begin);
            Value::from_floats(coordinates.collect()).reshape(&[1, 1, count])
        };
        let mut sum: Option<Value> = None;
        for tap in 0..taps_of_one {
            let (row, column) = (tap / columns, tap % columns);
            let mut parts = Vec::with_capacity(offset_groups);
            for group in 0..offset_groups {
                let displaced_taps = |axis: usize, undisplaced: Value| -> Outcome<Vec<Tap>> {
                    let index = (group * taps_of_one + tap) * 2 + axis;
                    let by = offset.clone().index_axis(1, index)?.reshape(&[n, 1, count])?;
                    let length = [height, width][axis];
                    let axis = Axis::new(length, true, PaddingMode::Zeros);
                    taps(&add(&by, &undisplaced)?, &axis, Mode::Linear)
                };
                let vertical =
                    displaced_taps(0, undisplaced(0, row, &|output| output / out_columns)?)?;
                let horizontal =
                    displaced_taps(1, undisplaced(1, column, &|output| output % out_columns)?)?;
                let channels_of_group = x.clone().range(1, group * share..(group + 1) * share);
                let mut part = sample_all(&channels_of_group, &[vertical, horizontal])?;
                if let Some(mask) = inputs.optional(4) {
                    let mask = mask.index_axis(1, group * taps_of_one + tap)?;
                    part = multiply(&part, &mask.reshape(&[n, 1, count])?)?;
                }
                parts.push(part);
            }
            let channels = Value::concat(&parts, 1)?.reshape(&[n, groups, inner, count])?;
            let kernel = weight.clone().index_axis(3, column)?.index_axis(2, row)?;
            let kernel = kernel.reshape(&[groups, outputs / groups, inner])?;
            let part = matmul(&kernel, &channels)?;
            sum = Some(match sum {
                Some(sum) => add(&sum, &part)?,
                None => part,
            });
        }
        let sum = sum.ok_or("the kernel is empty")?;
        let sum = sum.reshape(&[n, outputs, out_rows, out_columns])?;
        match inputs.optional(3) {
            Some(bias) => add(&sum, &bias.reshape(&[outputs, 1, 1])?),
            None => Ok(sum),
        }
    })
}

/// RoiAlign: pools regions of images to a fixed size, each output from bilinear samples.
fn roi_align(site: &Site) -> Outcome<Run> {
    if site.is_of_sample(1) || site.is_of_sample(2) {
        return Err(
            "regions that depend on the values of the model's input are not supported".into()
        );
    }
    let takes_maximum = match site.text("mode", "avg")?.as_str() {
        "avg" => false,
        "max" => true,
        other => return Err(format!("mode {other:?} is not supported")),
    };
    let half_pixel = match site.opset() {
        ..16 => false,
        _ => match site.text("coordinate_transformation_mode", "half_pixel")?.as_str() {
            "half_pixel" => true,
            "output_half_pixel" => false,
            other => {
                return Err(format!("coordinate_transformation_mode {other:?} is not supported"));
            }
        },
    };
    let rows = size(site.int("output_height", 1)?)?;
    let columns = size(site.int("output_width", 1)?)?;
    let ratio = size(site.int("sampling_ratio", 0)?)?;
    let scale = site.float("spatial_scale", 1.0)? as f32;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let &[n, c, height, width] = &x.dims()[..] else {
            return Err(format!("expected an input of rank 4 (NCHW), got shape {:?}", x.dims()));
        };
        let (regions, images) = (inputs.value(1)?.floats()?, inputs.ints(2)?);
        if regions.len() != 4 * images.len() {
            return Err("rois and batch_indices differ in number".into());
        }
        room::check(&[images.len(), c, rows, columns])?;
        let pixels = x.permute(&[0, 2, 3, 1])?.reshape(&[n * height * width, c])?;
        let mut pooled = Vec::with_capacity(images.len());
        for (region, &image) in regions.chunks(4).zip(&images) {
            let image = size(image)?;
            if image >= n {
                return Err(format!("batch index {image} is out of range for a batch of {n}"));
            }
            let shift = if half_pixel { 0.5 } else { 0.0 };
            let [left, top, right, bottom] = [0, 1, 2, 3].map(|at| region[at] * scale - shift);
            let along = |from: f32, to: f32, outputs: usize, size: usize| {
                let span = if half_pixel { to - from } else { (to - from).max(1.0) };
                bins(from, span, outputs, ratio, size)
            };
            let vertical = along(top, bottom, rows, height);
            let horizontal = along(left, right, columns, width);
            let (mut indices, mut weights) = (Vec::new(), Vec::new());
            for row in &vertical {
                for column in &horizontal {
                    let both = row.iter().flat_map(|a| column.iter().map(move |b| (a, b)));
                    for (&(y, down), &(x, across)) in both {
                        indices.push(((image * height + y) * width + x) as i64);
                        weights.push(down * across);
                    }
                }
            }
            let each = indices.len() / (rows * columns).max(1);
            if each == 0 {
                return Err(format!("the region {region:?} is empty"));
            }
            let weights = Value::from_floats(weights).reshape(&[indices.len(), 1])?;
            let parts = multiply(&pixels.clone().select(0, indices)?, &weights)?;
            let parts = parts.reshape(&[rows * columns, each, c])?.float()?;
            // Each bilinear sample consists of four elements.
            let reduced = match takes_maximum {
                true => Dispatch::float_max_dim(parts, 1),
                false => {
                    let sum = Dispatch::float_sum_dim(parts, 1);
                    Dispatch::float_mul_scalar(sum, Scalar::Float(4.0 / each as f64))
                }
            };
            pooled.push(Value::new(reduced).reshape(&[1, rows * columns, c])?);
        }
        let pooled = Value::concat(&pooled, 0)?.permute(&[0, 2, 1])?;
        pooled.reshape(&[images.len(), c, rows, columns])
    })
}

/// Returns, for each output along an axis, the two elements around each of its samples and their
/// interpolation weights. Samples outside the image have weight 0.
fn bins(from: f32, span: f32, outputs: usize, ratio: usize, size: usize) -> Vec<Vec<(usize, f32)>> {
    let bin = span / outputs as f32;
    let samples = if ratio > 0 { ratio } else { bin.ceil().max(0.0) as usize };
    let coordinate = |output: usize, sample: usize| {
        from + output as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32
    };
    let neighbours = |coordinate: f32| {
        if coordinate < -1.0 || coordinate > size as f32 {
            return [(0, 0.0), (0, 0.0)];
        }
        let coordinate = coordinate.clamp(0.0, size as f32 - 1.0);
        let low = coordinate.floor();
        let high = (low as usize + 1).min(size - 1);
        [(low as usize, 1.0 - (coordinate - low)), (high, coordinate - low)]
    };
    let of_output =
        |output| (0..samples).flat_map(|sample| neighbours(coordinate(output, sample))).collect();
    (0..outputs).map(of_output).collect()
}
