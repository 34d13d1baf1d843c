//! Samples of an image at places that the model computes.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::arithmetic::{add, multiply};
use super::linear::product;
use super::window::Frame;
use super::{Operator, Run, Site, one, size};
use crate::room;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("GridSample", 16, (2, 2), grid_sample),
    Operator::new("AffineGrid", 20, (2, 2), affine_grid).settings(&[1]),
    Operator::new("DeformConv", 19, (3, 5), deformable_conv).multiplies(),
    Operator::new("RoiAlign", 10, (3, 3), roi_align).settings(&[1, 2]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// The places along one axis of the image.
struct Axis {
    /// The axis's length.
    size: usize,
    /// Where the image is mirrored.
    mirrors: (f32, f32),
    outside: Outside,
}

impl Axis {
    fn new(size: usize, align: bool, outside: Outside) -> Self {
        let last = size as f32 - 1.0;
        let mirrors = if align { (0.0, last) } else { (-0.5, last + 0.5) };
        Self { size, mirrors, outside }
    }

    /// The place inside that `x` stands for, and the derivative of it.
    fn inside(&self, x: f32) -> (f32, f32) {
        let last = self.size as f32 - 1.0;
        match self.outside {
            Outside::Zeros => (x, 1.0),
            Outside::Border if (0.0..=last).contains(&x) => (x, 1.0),
            Outside::Border => (x.clamp(0.0, last), 0.0),
            Outside::Reflection => {
                let (low, high) = self.mirrors;
                let span = high - low;
                if span <= 0.0 {
                    return (low, 0.0);
                }
                let (distance, from, sign) = match x {
                    x if x < low => (low - x, low, -1.0),
                    x if x > high => (x - high, high, 1.0),
                    _ => return (x, 1.0),
                };
                let (turns, rest) = ((distance / span).floor(), distance % span);
                // From the mirror inwards, or from the other one, turn by turn.
                let even = turns % 2.0 == 0.0;
                let other = if sign < 0.0 { high } else { low };
                if even { (from - sign * rest, -1.0) } else { (other + sign * rest, 1.0) }
            }
        }
    }

    /// The element at the whole place `at`; `None` where there are zeros.
    fn element(&self, at: f32) -> Option<i64> {
        let (at, _) = self.inside(at);
        let at = at.round();
        match self.outside {
            Outside::Zeros if at < 0.0 || at >= self.size as f32 => None,
            _ => Some(at.clamp(0.0, self.size as f32 - 1.0) as i64),
        }
    }
}

/// One element of the image for each place along an axis, and its weight.
struct Tap {
    elements: Vec<Option<i64>>,
    /// `None` for a weight of 1.
    weight: Option<Value>,
}

fn grid_sample(site: &Site) -> Outcome<Run> {
    let mode =
        match site.text("mode", if site.opset() < 20 { "bilinear" } else { "linear" })?.as_str() {
            "nearest" => Mode::Nearest,
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            other => return Err(format!("its mode {other:?} is not known")),
        };
    let outside = match site.text("padding_mode", "zeros")?.as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(format!("its padding_mode {other:?} is not known")),
    };
    let align = site.flag("align_corners", false)?;
    one(move |inputs| {
        let (x, grid) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, places) = (x.dims(), grid.dims());
        let axes = dims.len().saturating_sub(2);
        let fits = dims.len() == places.len() && places.last() == Some(&axes);
        if !fits || !(2..=3).contains(&axes) || places[0] != dims[0] {
            return Err(format!("it takes images and places in them, not {dims:?} and {places:?}"));
        }
        let (n, sizes, outs) = (dims[0], &dims[2..], &places[1..=axes]);
        let count: usize = outs.iter().product();
        let grid = grid.reshape(&[n, count, axes])?;
        let along = |(axis, &size): (usize, &usize)| {
            // The last axis comes first in the grid.
            let place = grid.clone().part(2, axes - 1 - axis)?.reshape(&[n, 1, count])?;
            // From -1..1 to elements.
            let (factor, term) = match align {
                true => ((size as f64 - 1.0) / 2.0, (size as f64 - 1.0) / 2.0),
                false => (size as f64 / 2.0, (size as f64 - 1.0) / 2.0),
            };
            let place = Dispatch::float_mul_scalar(place.float()?, Scalar::Float(factor));
            let place = Value::new(Dispatch::float_add_scalar(place, Scalar::Float(term)));
            taps(&place, &Axis::new(size, align, outside), mode)
        };
        let taps = sizes.iter().enumerate().map(along).collect::<Outcome<Vec<_>>>()?;
        sampled(&x, &taps)?.reshape(&[&dims[..2], outs].concat())
    })
}

/// `[n, c, places]` of the images `x`: at each place the weighted sum of elements that its taps along
/// each axis say.
fn sampled(x: &Value, taps: &[Vec<Tap>]) -> Outcome<Value> {
    let dims = x.dims();
    let (n, c, sizes) = (dims[0], dims[1], &dims[2..]);
    let flat = x.clone().reshape(&[n, c, sizes.iter().product()])?;
    let mut combined: Vec<Vec<&Tap>> = vec![Vec::new()];
    for own in taps {
        let mut longer = Vec::with_capacity(combined.len() * own.len());
        for some in &combined {
            longer.extend(own.iter().map(|tap| [&some[..], &[tap]].concat()));
        }
        combined = longer;
    }
    let mut sum: Option<Value> = None;
    for taps in combined {
        let part = sample(&flat, &taps, sizes)?;
        sum = Some(match sum {
            Some(sum) => add(&sum, &part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| "it has no taps".into())
}

/// The elements that make the value at each `place` along an axis.
fn taps(place: &Value, axis: &Axis, mode: Mode) -> Outcome<Vec<Tap>> {
    let values = place.floats()?;
    if mode == Mode::Nearest {
        let nearest = |&x: &f32| axis.element(axis.inside(x).0.round_ties_even());
        return Ok(vec![Tap { elements: values.iter().map(nearest).collect(), weight: None }]);
    }
    let dims = place.dims();
    let constant = |values: Vec<f32>| Value::from_floats(values).reshape(&dims);
    // Cubic weights mirror or repeat each element, linear ones the place.
    let mapped: Vec<(f32, f32)> = match mode {
        Mode::Cubic => values.iter().map(|&x| (x, 1.0)).collect(),
        _ => values.iter().map(|&x| axis.inside(x)).collect(),
    };
    let floors: Vec<f32> = mapped.iter().map(|(x, _)| x.floor()).collect();
    // The part behind the whole, `slope x + term`, through which the gradient goes.
    let slopes = constant(mapped.iter().map(|(_, slope)| *slope).collect())?;
    let terms = mapped.iter().zip(&values).zip(&floors);
    let terms =
        constant(terms.map(|(((x, slope), own), floor)| x - slope * own - floor).collect())?;
    let part = add(&multiply(place, &slopes)?, &terms)?;
    let offsets = if mode == Mode::Linear { 0..2 } else { -1..3 };
    offsets
        .map(|offset| {
            let elements = floors.iter().map(|floor| axis.element(floor + offset as f32)).collect();
            Ok(Tap { elements, weight: Some(weight(&part, mode, offset)?) })
        })
        .collect()
}

/// The weight of the element at `offset` of a place that lies `t` behind the element at 0.
fn weight(t: &Value, mode: Mode, offset: i32) -> Outcome<Value> {
    const A: f64 = -0.75;
    let t = t.float()?;
    let times = |x, factor| Dispatch::float_mul_scalar(x, Scalar::Float(factor));
    let plus = |x, term| Dispatch::float_add_scalar(x, Scalar::Float(term));
    // The distance from the element.
    let distance = match offset {
        0 => t,
        -1 => plus(t, 1.0),
        offset => plus(times(t, -1.0), f64::from(offset)),
    };
    Ok(Value::new(match (mode, offset) {
        (Mode::Cubic, 0 | 1) => horner(&distance, [A + 2.0, -(A + 3.0), 0.0, 1.0]),
        (Mode::Cubic, _) => horner(&distance, [A, -5.0 * A, 8.0 * A, -4.0 * A]),
        _ => plus(times(distance, -1.0), 1.0),
    }))
}

/// `((a x + b) x + c) x + d`.
fn horner(x: &DispatchTensor, [a, b, c, d]: [f64; 4]) -> DispatchTensor {
    let plus = |sum, term| Dispatch::float_add_scalar(sum, Scalar::Float(term));
    let sum = plus(Dispatch::float_mul_scalar(x.clone(), Scalar::Float(a)), b);
    let sum = plus(Dispatch::float_mul(sum, x.clone()), c);
    plus(Dispatch::float_mul(sum, x.clone()), d)
}

/// The elements that one tap along each axis names, times their weights.
fn sample(flat: &Value, taps: &[&Tap], sizes: &[usize]) -> Outcome<Value> {
    let (n, c) = (flat.dims()[0], flat.dims()[1]);
    let total = taps[0].elements.len();
    let count = total / n.max(1);
    let element = |at: usize| {
        taps.iter()
            .zip(sizes)
            .try_fold(0, |flat, (tap, &size)| Some(flat * size as i64 + tap.elements[at]?))
    };
    let elements: Vec<Option<i64>> = (0..total).map(element).collect();
    // Every channel is sampled at the same places.
    let indices = elements
        .chunks(count.max(1))
        .flat_map(|image| std::iter::repeat_n(image, c))
        .flatten()
        .map(|element| element.unwrap_or(0));
    let indices = Value::from_ints(indices.collect()).reshape(&[n, c, count])?;
    let mut value = flat.clone().gather(2, indices)?;
    for weight in taps.iter().filter_map(|tap| tap.weight.as_ref()) {
        value = multiply(&value, weight)?;
    }
    if elements.contains(&None) {
        let kept = elements.iter().map(|element| if element.is_some() { 1.0 } else { 0.0 });
        value = multiply(&value, &Value::from_floats(kept.collect()).reshape(&[n, 1, count])?)?;
    }
    Ok(value)
}

/// The places of an image's elements, from -1 to 1 along each axis, under the affine map `theta`.
fn affine_grid(site: &Site) -> Outcome<Run> {
    let align = site.flag("align_corners", false)?;
    one(move |inputs| {
        let theta = inputs.value(0)?;
        let sizes = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = sizes.len().saturating_sub(2);
        if !(2..=3).contains(&axes) || theta.dims() != [sizes[0], axes, axes + 1] {
            return Err(format!("a map {:?} does not fit images of {sizes:?}", theta.dims()));
        }
        let (n, outs) = (sizes[0], &sizes[2..]);
        room::check(&[&[n, axes + 1], outs].concat())?;
        let count: usize = outs.iter().product();
        let place = |at: usize, size: usize| match align {
            true if size == 1 => 0.0,
            true => 2.0 * at as f32 / (size as f32 - 1.0) - 1.0,
            false => (2.0 * at as f32 + 1.0) / size as f32 - 1.0,
        };
        let mut rows = Vec::with_capacity(count * (axes + 1));
        for element in 0..count {
            let mut left = element;
            // The last axis comes first.
            for &size in outs.iter().rev() {
                rows.push(place(left % size, size));
                left /= size;
            }
            rows.push(1.0);
        }
        let rows = Value::from_floats(rows).reshape(&[1, count, axes + 1])?;
        product(&rows, &theta.permute(&[0, 2, 1])?)?.reshape(&[&[n], outs, &[axes]].concat())
    })
}

/// A convolution whose taps are moved by offsets that the model computes, and weighted by a mask.
fn deformable_conv(site: &Site) -> Outcome<Run> {
    let frame = Frame::new(site)?;
    let groups = size(site.int("group", 1)?)?;
    let offset_groups = size(site.int("offset_group", 1)?)?;
    one(move |inputs| {
        let (x, weight, offset) = (inputs.value(0)?, inputs.value(1)?, inputs.value(2)?);
        let (&[n, c, height, width], &[outputs, inner, rows, columns]) =
            (&x.dims()[..], &weight.dims()[..])
        else {
            return Err(format!("{:?} over {:?} is not supported", weight.dims(), x.dims()));
        };
        let window = frame.window(&[height, width], Some(&[rows, columns]))?;
        let taps_of_one = rows * columns;
        let &[_, parts, out_rows, out_columns] = &offset.dims()[..] else {
            return Err(format!("its offsets {:?} are not of 4 axes", offset.dims()));
        };
        if parts != offset_groups * taps_of_one * 2
            || inner * groups != c
            || !c.is_multiple_of(offset_groups.max(1))
            || !outputs.is_multiple_of(groups.max(1))
        {
            return Err(format!("its groups do not fit {:?} and {:?}", x.dims(), offset.dims()));
        }
        let count = out_rows * out_columns;
        let share = c / offset_groups;
        // Where the tap `at` along an axis lies for each output, without its offset.
        let rest = |axis: usize, at: usize, out: &dyn Fn(usize) -> usize| {
            let begin = (at * window.dilations[axis]) as f32 - window.pads[axis].0 as f32;
            let places = (0..count).map(|place| (out(place) * window.strides[axis]) as f32 + begin);
            Value::from_floats(places.collect()).reshape(&[1, 1, count])
        };
        let mut sum: Option<Value> = None;
        for tap in 0..taps_of_one {
            let (row, column) = (tap / columns, tap % columns);
            let mut parts = Vec::with_capacity(offset_groups);
            for group in 0..offset_groups {
                let moved = |axis: usize, rest: Value| -> Outcome<Vec<Tap>> {
                    let index = (group * taps_of_one + tap) * 2 + axis;
                    let by = offset.clone().part(1, index)?.reshape(&[n, 1, count])?;
                    let length = [height, width][axis];
                    let axis = Axis::new(length, true, Outside::Zeros);
                    taps(&add(&by, &rest)?, &axis, Mode::Linear)
                };
                let vertical = moved(0, rest(0, row, &|place| place / out_columns)?)?;
                let horizontal = moved(1, rest(1, column, &|place| place % out_columns)?)?;
                let own = x.clone().range(1, group * share..(group + 1) * share);
                let mut part = sampled(&own, &[vertical, horizontal])?;
                if let Some(mask) = inputs.optional(4) {
                    let mask = mask.part(1, group * taps_of_one + tap)?;
                    part = multiply(&part, &mask.reshape(&[n, 1, count])?)?;
                }
                parts.push(part);
            }
            let channels = Value::concat(&parts, 1)?.reshape(&[n, groups, inner, count])?;
            let kernel = weight.clone().part(3, column)?.part(2, row)?;
            let kernel = kernel.reshape(&[groups, outputs / groups, inner])?;
            let part = product(&kernel, &channels)?;
            sum = Some(match sum {
                Some(sum) => add(&sum, &part)?,
                None => part,
            });
        }
        let sum = sum.ok_or("its kernel is empty")?;
        let sum = sum.reshape(&[n, outputs, out_rows, out_columns])?;
        match inputs.optional(3) {
            Some(bias) => add(&sum, &bias.reshape(&[outputs, 1, 1])?),
            None => Ok(sum),
        }
    })
}

/// Pools parts of images to one size, each output from bilinear samples.
fn roi_align(site: &Site) -> Outcome<Run> {
    if site.is_of_sample(1) || site.is_of_sample(2) {
        return Err("regions that depend on the values of the input are not supported".into());
    }
    let largest = match site.text("mode", "avg")?.as_str() {
        "avg" => false,
        "max" => true,
        other => return Err(format!("its mode {other:?} is not known")),
    };
    let half_pixel = match site.opset() {
        ..16 => false,
        _ => match site.text("coordinate_transformation_mode", "half_pixel")?.as_str() {
            "half_pixel" => true,
            "output_half_pixel" => false,
            other => return Err(format!("coordinate_transformation_mode {other} is not known")),
        },
    };
    let rows = size(site.int("output_height", 1)?)?;
    let columns = size(site.int("output_width", 1)?)?;
    let ratio = size(site.int("sampling_ratio", 0)?)?;
    let scale = site.float("spatial_scale", 1.0)? as f32;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let &[n, c, height, width] = &x.dims()[..] else {
            return Err(format!("it takes images, not {:?}", x.dims()));
        };
        let (regions, images) = (inputs.value(1)?.floats()?, inputs.ints(2)?);
        if regions.len() != 4 * images.len() {
            return Err("its regions and their images differ in number".into());
        }
        room::check(&[images.len(), c, rows, columns])?;
        let pixels = x.permute(&[0, 2, 3, 1])?.reshape(&[n * height * width, c])?;
        let mut pooled = Vec::with_capacity(images.len());
        for (region, &image) in regions.chunks(4).zip(&images) {
            let image = size(image)?;
            if image >= n {
                return Err(format!("image {image} does not exist: there are {n}"));
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
            // Four elements make a sample.
            let joined = match largest {
                true => Dispatch::float_max_dim(parts, 1),
                false => {
                    let sum = Dispatch::float_sum_dim(parts, 1);
                    Dispatch::float_mul_scalar(sum, Scalar::Float(4.0 / each as f64))
                }
            };
            pooled.push(Value::new(joined).reshape(&[1, rows * columns, c])?);
        }
        let pooled = Value::concat(&pooled, 0)?.permute(&[0, 2, 1])?;
        pooled.reshape(&[images.len(), c, rows, columns])
    })
}

/// For each output along an axis the elements that its samples lie between, two for each, and their
/// weights; samples outside have weights of 0.
fn bins(from: f32, span: f32, outputs: usize, ratio: usize, size: usize) -> Vec<Vec<(usize, f32)>> {
    let bin = span / outputs as f32;
    let samples = if ratio > 0 { ratio } else { bin.ceil().max(0.0) as usize };
    let place = |output: usize, sample: usize| {
        from + output as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32
    };
    let pair = |place: f32| {
        if place < -1.0 || place > size as f32 {
            return [(0, 0.0), (0, 0.0)];
        }
        let place = place.clamp(0.0, size as f32 - 1.0);
        let low = place.floor();
        let high = (low as usize + 1).min(size - 1);
        [(low as usize, 1.0 - (place - low)), (high, place - low)]
    };
    let of_output = |output| (0..samples).flat_map(|sample| pair(place(output, sample))).collect();
    (0..outputs).map(of_output).collect()
}
