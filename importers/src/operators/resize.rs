//! Resize, as a weighted sum of rows and columns: exact for every coordinate rule, and the same on
//! every device.

use super::arithmetic::{add, multiply};
use super::{Inputs, Operator, Run, Site, axis, one, size};
use crate::room;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Resize", 10, (1, 4), resize).settings(&[1, 2, 3]),
    Operator::new("Upsample", 7, (1, 2), upsample).settings(&[1]),
];

/// How places between elements are computed.
struct Rule {
    mode: Mode,
    coordinates: Coordinates,
    nearest: Nearest,
    cubic: f32,
    /// Whether what lies outside does not count.
    excludes: bool,
    /// What lies outside the image where a part of it is named.
    outside: f32,
    /// Whether an image that becomes smaller is smoothed.
    antialias: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixel,
    /// A part of the image that an input names.
    Crop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nearest {
    Floor,
    Ceil,
    RoundPreferFloor,
    RoundPreferCeil,
    /// Of opset 10: up where the axis becomes shorter, else down.
    Outward,
}

/// What an output must keep of its input's shape where sizes are given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aspect {
    Stretch,
    NotLarger,
    NotSmaller,
}

fn mode(site: &Site) -> Outcome<Mode> {
    match site.text("mode", "nearest")?.as_str() {
        "nearest" => Ok(Mode::Nearest),
        "linear" | "bilinear" => Ok(Mode::Linear),
        "cubic" => Ok(Mode::Cubic),
        other => Err(format!("its mode {other:?} is not known")),
    }
}

fn resize(site: &Site) -> Outcome<Run> {
    let mode = mode(site)?;
    if site.opset() < 11 {
        let rule = Rule {
            mode,
            coordinates: Coordinates::Asymmetric,
            nearest: Nearest::Outward,
            cubic: 0.0,
            excludes: false,
            outside: 0.0,
            antialias: false,
        };
        return one(move |inputs| {
            let x = inputs.value(0)?;
            let scales = inputs.value(1)?.floats()?;
            let outputs = scaled(&x.dims(), &scales)?;
            let whole = vec![WHOLE; outputs.len()];
            apply(x, &rule, &outputs, &whole)
        });
    }
    let coordinates = match site.text("coordinate_transformation_mode", "half_pixel")?.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixel,
        "tf_crop_and_resize" => Coordinates::Crop,
        other => return Err(format!("coordinate_transformation_mode {other} is not supported")),
    };
    let nearest = match site.text("nearest_mode", "round_prefer_floor")?.as_str() {
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        "round_prefer_floor" => Nearest::RoundPreferFloor,
        "round_prefer_ceil" => Nearest::RoundPreferCeil,
        other => return Err(format!("its nearest_mode {other:?} is not known")),
    };
    let cubic = site.float("cubic_coeff_a", -0.75)? as f32;
    let excludes = site.flag("exclude_outside", false)?;
    let outside = site.float("extrapolation_value", 0.0)? as f32;
    let antialias = site.opset() >= 18 && site.flag("antialias", false)?;
    let rule = Rule { mode, coordinates, nearest, cubic, excludes, outside, antialias };
    let axes = if site.opset() >= 18 { site.ints("axes")? } else { None };
    let aspect = match site.opset() {
        ..18 => Aspect::Stretch,
        _ => match site.text("keep_aspect_ratio_policy", "stretch")?.as_str() {
            "stretch" => Aspect::Stretch,
            "not_larger" => Aspect::NotLarger,
            "not_smaller" => Aspect::NotSmaller,
            other => return Err(format!("its keep_aspect_ratio_policy {other:?} is not known")),
        },
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let outputs = outputs(inputs, &dims, axes.as_deref(), aspect)?;
        let parts = match rule.coordinates {
            Coordinates::Crop => parts(inputs, &dims, axes.as_deref())?,
            _ => vec![WHOLE; dims.len()],
        };
        apply(x, &rule, &outputs, &parts)
    })
}

/// The part of an axis that is taken, as shares of its length less one.
type Part = (f32, f32);

const WHOLE: Part = (0.0, 1.0);

/// The part that input 1 names for each axis: all begins, then all ends.
fn parts(inputs: &Inputs, dims: &[usize], axes: Option<&[i64]>) -> Outcome<Vec<Part>> {
    let given = inputs.value(1)?.into_float().floats()?;
    let axes = named(axes, dims.len())?;
    if given.len() != 2 * axes.len() {
        return Err(format!("its roi {given:?} does not fit {} axes", axes.len()));
    }
    let mut parts = vec![WHOLE; dims.len()];
    axes.iter()
        .enumerate()
        .for_each(|(at, &axis)| parts[axis] = (given[at], given[at + axes.len()]));
    Ok(parts)
}

/// The axes that are named, or all.
fn named(axes: Option<&[i64]>, rank: usize) -> Outcome<Vec<usize>> {
    match axes {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect(),
        None => Ok((0..rank).collect()),
    }
}

/// Scales were attributes before opset 9.
fn upsample(site: &Site) -> Outcome<Run> {
    let rule = Rule {
        mode: mode(site)?,
        coordinates: Coordinates::Asymmetric,
        nearest: Nearest::Floor,
        cubic: 0.0,
        excludes: false,
        outside: 0.0,
        antialias: false,
    };
    let scales = if site.opset() < 9 { site.node.attributes.floats("scales")? } else { None };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let scales = match &scales {
            Some(scales) => scales.clone(),
            None => inputs.value(1)?.floats()?,
        };
        let outputs = scaled(&x.dims(), &scales)?;
        let whole = vec![WHOLE; outputs.len()];
        apply(x, &rule, &outputs, &whole)
    })
}

/// The output's size and its scale, for each axis.
type Sizes = Vec<(usize, f32)>;

/// Sizes are rounded down in float32, as the scales are.
fn scaled(dims: &[usize], scales: &[f32]) -> Outcome<Sizes> {
    if scales.len() != dims.len() || !scales.iter().all(|&scale| scale > 0.0) {
        return Err(format!("its scales {scales:?} do not fit {dims:?}"));
    }
    let size = |(&own, &scale): (&usize, &f32)| ((own as f32 * scale).floor() as usize, scale);
    Ok(dims.iter().zip(scales).map(size).collect())
}

fn outputs(
    inputs: &Inputs,
    dims: &[usize],
    axes: Option<&[i64]>,
    aspect: Aspect,
) -> Outcome<Sizes> {
    let given = named(axes, dims.len())?;
    let fits = |count: usize| match count == given.len() {
        true => Ok(()),
        false => Err(format!("its sizes or scales do not match {dims:?}")),
    };
    let scales = match inputs.optional(2) {
        Some(scales) => Some(scales.floats()?).filter(|scales| !scales.is_empty()),
        None => None,
    };
    if let Some(scales) = scales {
        fits(scales.len())?;
        let mut all = vec![1.0; dims.len()];
        given.iter().zip(scales).for_each(|(&axis, scale)| all[axis] = scale);
        return scaled(dims, &all);
    }
    let sizes: Vec<usize> = inputs.ints(3)?.into_iter().map(size).collect::<Outcome<_>>()?;
    fits(sizes.len())?;
    let ratios = given.iter().zip(&sizes).map(|(&axis, &out)| out as f32 / dims[axis] as f32);
    let ratio = match aspect {
        Aspect::Stretch => None,
        Aspect::NotLarger => ratios.reduce(f32::min),
        Aspect::NotSmaller => ratios.reduce(f32::max),
    };
    let mut all: Sizes = dims.iter().map(|&own| (own, 1.0)).collect();
    for (&axis, &out) in given.iter().zip(&sizes) {
        let own = dims[axis] as f32;
        all[axis] = match ratio {
            None => (out, out as f32 / own),
            Some(ratio) => ((ratio * own).round() as usize, ratio),
        };
    }
    Ok(all)
}

fn apply(mut x: Value, rule: &Rule, outputs: &Sizes, parts: &[Part]) -> Outcome<Value> {
    room::check(&outputs.iter().map(|(size, _)| *size).collect::<Vec<_>>())?;
    let dims = x.dims();
    for (axis, &(length, scale)) in outputs.iter().enumerate() {
        if length != dims[axis] || scale != 1.0 || parts[axis] != WHOLE {
            if dims[axis] == 0 || length == 0 {
                return Err(format!("it makes {length} of axis {axis} of {dims:?}"));
            }
            let along = Along { own: dims[axis], out: length, scale, part: parts[axis] };
            x = along.apply(x, axis, rule)?;
        }
    }
    Ok(x)
}

/// The elements of an axis that become those of the output.
struct Along {
    own: usize,
    out: usize,
    scale: f32,
    part: Part,
}

/// For each output element an input element it is made of, and its weight.
type Tap = (Vec<i64>, Vec<f32>);

impl Along {
    /// Where output element `i` lies in the input.
    fn source(&self, rule: &Rule, i: f32) -> f32 {
        let (own, out, scale) = (self.own as f32, self.out as f32, self.scale);
        match rule.coordinates {
            Coordinates::AlignCorners | Coordinates::PytorchHalfPixel if out == 1.0 => 0.0,
            // The length before it was rounded down.
            Coordinates::AlignCorners => i * (own - 1.0) / (scale * own - 1.0),
            Coordinates::Asymmetric => i / scale,
            Coordinates::TfHalfPixel => (i + 0.5) / scale,
            Coordinates::HalfPixelSymmetric => {
                let offset = own / 2.0 * (1.0 - out / (scale * own));
                offset + (i + 0.5) / scale - 0.5
            }
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::Crop => {
                let (start, end) = self.part;
                match out == 1.0 {
                    true => 0.5 * (start + end) * (own - 1.0),
                    false => start * (own - 1.0) + i * (end - start) * (own - 1.0) / (out - 1.0),
                }
            }
        }
    }

    fn taps(&self, rule: &Rule, places: &[f32]) -> Vec<Tap> {
        let last = self.own as f32 - 1.0;
        let inside = |index: f32| index.clamp(0.0, last) as i64;
        if rule.mode == Mode::Nearest {
            let nearest = places.iter().map(|&place| nearest(rule.nearest, place, self.scale));
            return vec![(nearest.map(inside).collect(), vec![1.0; places.len()])];
        }
        // Smoothed, the weights stretch over as many more elements as the axis becomes shorter.
        let scale = if rule.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = if rule.mode == Mode::Linear { 1.0 } else { 2.0 };
        let first = (-reach / scale).floor() as i64 + 1;
        let is_outside = |index: f32| index < 0.0 || index > last;
        let mut taps: Vec<Tap> = (first..2 - first)
            .map(|offset| {
                let at = |place: &f32| place.floor() + offset as f32;
                let weight = |place: &f32| match rule.excludes && is_outside(at(place)) {
                    true => 0.0,
                    false => weight(rule, (at(place) - place).abs() * scale),
                };
                let indices = places.iter().map(|place| inside(at(place)));
                (indices.collect(), places.iter().map(weight).collect())
            })
            .collect();
        if rule.excludes || scale < 1.0 {
            let total = |i: usize| taps.iter().map(|(_, weights)| weights[i]).sum::<f32>();
            let totals: Vec<f32> = (0..places.len()).map(total).collect();
            for (_, weights) in &mut taps {
                weights.iter_mut().zip(&totals).for_each(|(weight, total)| *weight /= total);
            }
        }
        taps
    }

    fn apply(&self, x: Value, axis: usize, rule: &Rule) -> Outcome<Value> {
        let places: Vec<f32> = (0..self.out).map(|i| self.source(rule, i as f32)).collect();
        let mut shape = vec![1; x.rank()];
        shape[axis] = self.out;
        let mut sum: Option<Value> = None;
        for (indices, weights) in self.taps(rule, &places) {
            let mut part = x.clone().select(axis, indices)?;
            if weights.iter().any(|&weight| weight != 1.0) {
                part = multiply(&part, &Value::from_floats(weights).reshape(&shape)?)?;
            }
            sum = Some(match sum {
                Some(sum) => add(&sum, &part)?,
                None => part,
            });
        }
        let sum = sum.ok_or("it has no output")?;
        let is_outside = |&place: &f32| place < 0.0 || place > self.own as f32 - 1.0;
        if rule.coordinates != Coordinates::Crop || !places.iter().any(is_outside) {
            return Ok(sum);
        }
        let outside = Value::from_bools(places.iter().map(is_outside).collect()).reshape(&shape)?;
        outside.choose(Value::number(rule.outside), sum)
    }
}

/// The weight of an element at a distance.
fn weight(rule: &Rule, distance: f32) -> f32 {
    let (a, d) = (rule.cubic, distance);
    match rule.mode {
        Mode::Cubic if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        Mode::Cubic if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        Mode::Linear if d < 1.0 => 1.0 - d,
        _ => 0.0,
    }
}

fn nearest(rule: Nearest, place: f32, scale: f32) -> f32 {
    match rule {
        Nearest::Floor => place.floor(),
        Nearest::Ceil => place.ceil(),
        Nearest::RoundPreferFloor => (place - 0.5).ceil(),
        Nearest::RoundPreferCeil => (place + 0.5).floor(),
        Nearest::Outward if scale < 1.0 => place.ceil(),
        Nearest::Outward => place.floor(),
    }
}
