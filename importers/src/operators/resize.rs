//! Resize, as a weighted sum of rows and columns: exact for every coordinate rule, and the same on
//! every device.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::{Inputs, Operator, Run, Site, axis, one, size};
use crate::value::{Outcome, Value, binary};

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
        };
        return one(move |inputs| {
            let x = inputs.value(0)?;
            let scales = inputs.value(1)?.floats()?;
            let outputs = scaled(&x.dims(), &scales)?;
            apply(x, &rule, &outputs)
        });
    }
    let coordinates = match site.text("coordinate_transformation_mode", "half_pixel")?.as_str() {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixel,
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
    // What lies outside tf_crop_and_resize's region.
    site.ignore(&["extrapolation_value"]);
    let rule = Rule { mode, coordinates, nearest, cubic, excludes };
    if site.opset() >= 18 && site.flag("antialias", false)? {
        return Err("antialias=1 is not supported".into());
    }
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
        let outputs = outputs(inputs, &x.dims(), axes.as_deref(), aspect)?;
        apply(x, &rule, &outputs)
    })
}

/// Scales were attributes before opset 9.
fn upsample(site: &Site) -> Outcome<Run> {
    let rule = Rule {
        mode: mode(site)?,
        coordinates: Coordinates::Asymmetric,
        nearest: Nearest::Floor,
        cubic: 0.0,
        excludes: false,
    };
    let scales = if site.opset() < 9 { site.node.attributes.floats("scales")? } else { None };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let scales = match &scales {
            Some(scales) => scales.clone(),
            None => inputs.value(1)?.floats()?,
        };
        let outputs = scaled(&x.dims(), &scales)?;
        apply(x, &rule, &outputs)
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
    let given: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?,
        None => (0..dims.len()).collect(),
    };
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

fn apply(mut x: Value, rule: &Rule, outputs: &Sizes) -> Outcome<Value> {
    let dims = x.dims();
    for (axis, &(length, scale)) in outputs.iter().enumerate() {
        if length != dims[axis] || scale != 1.0 {
            if dims[axis] == 0 || length == 0 {
                return Err(format!("it makes {length} of axis {axis} of {dims:?}"));
            }
            x = along(x, axis, &taps(rule, dims[axis], length, scale))?;
        }
    }
    Ok(x)
}

/// For each output element the input elements it is made of: taps of (indices, weights).
type Taps = Vec<(Vec<i64>, Vec<f32>)>;

fn taps(rule: &Rule, own: usize, out: usize, scale: f32) -> Taps {
    let places: Vec<f32> = (0..out).map(|i| source(rule, i as f32, own, out, scale)).collect();
    let inside = |index: f32| index.clamp(0.0, own as f32 - 1.0) as i64;
    if rule.mode == Mode::Nearest {
        let indices = places.iter().map(|&place| inside(nearest(rule.nearest, place, scale)));
        return vec![(indices.collect(), vec![1.0; out])];
    }
    let a = rule.cubic;
    let near = move |d: f32| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    let far = move |d: f32| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    let weight = |offset: i32, t: f32| match (rule.mode, offset) {
        (Mode::Linear, 0) => 1.0 - t,
        (Mode::Linear, _) => t,
        (_, -1) => far(1.0 + t),
        (_, 0) => near(t),
        (_, 1) => near(1.0 - t),
        _ => far(2.0 - t),
    };
    let offsets = if rule.mode == Mode::Linear { 0..2 } else { -1..3 };
    let is_outside = |index: f32| index < 0.0 || index >= own as f32;
    let mut taps: Taps = offsets
        .map(|offset| {
            let at = |place: &f32| place.floor() + offset as f32;
            let weight = |place: &f32| match rule.excludes && is_outside(at(place)) {
                true => 0.0,
                false => weight(offset, place - place.floor()),
            };
            let indices = places.iter().map(|place| inside(at(place)));
            (indices.collect(), places.iter().map(weight).collect())
        })
        .collect();
    if rule.excludes {
        let totals: Vec<f32> =
            (0..out).map(|i| taps.iter().map(|(_, weights)| weights[i]).sum()).collect();
        for (_, weights) in &mut taps {
            weights.iter_mut().zip(&totals).for_each(|(weight, total)| *weight /= total);
        }
    }
    taps
}

/// Where output element `i` lies in the input.
fn source(rule: &Rule, i: f32, own: usize, out: usize, scale: f32) -> f32 {
    let (own, out) = (own as f32, out as f32);
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

fn along(x: Value, axis: usize, taps: &Taps) -> Outcome<Value> {
    let mut shape = vec![1; x.rank()];
    let mut sum: Option<Value> = None;
    for (indices, weights) in taps {
        shape[axis] = weights.len();
        let mut part = x.clone().select(axis, indices.clone())?;
        if weights.iter().any(|&weight| weight != 1.0) {
            let weights = Value::from_floats(weights.clone()).reshape(&shape)?;
            part = binary(&part, &weights, Dispatch::float_mul, None)?;
        }
        sum = Some(match sum {
            Some(sum) => binary(&sum, &part, Dispatch::float_add, None)?,
            None => part,
        });
    }
    sum.ok_or_else(|| "it has no output".into())
}
