//! Resize and Upsample, one axis at a time.

use super::interpolation::{
    AxisResize, Coordinates, FULL_RANGE, Interpolation, Mode, Nearest, Region,
};
use super::{Inputs, Linear, Operator, Run, Site, axis, single_output, size};
use crate::room;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Resize", 10, (1, 4), resize).linear(Linear::Jointly).settings(&[1, 2, 3]),
    Operator::new("Upsample", 7, (1, 2), upsample).linear(Linear::Jointly).settings(&[1]),
];

/// The values of `keep_aspect_ratio_policy`, which applies to explicit sizes.
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
        other => Err(format!("mode {other:?} is not supported")),
    }
}

fn resize(site: &Site) -> Outcome<Run> {
    let mode = mode(site)?;
    if site.opset() < 11 {
        let interpolation = Interpolation {
            mode,
            coordinates: Coordinates::Asymmetric,
            nearest: Nearest::Outward,
            cubic: 0.0,
            exclude_outside: false,
            extrapolation: 0.0,
            antialias: false,
        };
        return single_output(move |inputs| {
            let x = inputs.value(0)?;
            let scales = inputs.value(1)?.floats()?;
            let outputs = sizes_from_scales(&x.dims(), &scales)?;
            let full = vec![FULL_RANGE; outputs.len()];
            apply(x, &interpolation, &outputs, &full)
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
        other => return Err(format!("coordinate_transformation_mode {other:?} is not supported")),
    };
    let nearest = match site.text("nearest_mode", "round_prefer_floor")?.as_str() {
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        "round_prefer_floor" => Nearest::RoundPreferFloor,
        "round_prefer_ceil" => Nearest::RoundPreferCeil,
        other => return Err(format!("nearest_mode {other:?} is not supported")),
    };
    let cubic = site.float("cubic_coeff_a", -0.75)? as f32;
    let exclude_outside = site.flag("exclude_outside", false)?;
    let extrapolation = site.float("extrapolation_value", 0.0)? as f32;
    let antialias = site.opset() >= 18 && site.flag("antialias", false)?;
    let interpolation = Interpolation {
        mode,
        coordinates,
        nearest,
        cubic,
        exclude_outside,
        extrapolation,
        antialias,
    };
    let axes = if site.opset() >= 18 { site.ints("axes")? } else { None };
    let aspect = match site.opset() {
        ..18 => Aspect::Stretch,
        _ => match site.text("keep_aspect_ratio_policy", "stretch")?.as_str() {
            "stretch" => Aspect::Stretch,
            "not_larger" => Aspect::NotLarger,
            "not_smaller" => Aspect::NotSmaller,
            other => return Err(format!("keep_aspect_ratio_policy {other:?} is not supported")),
        },
    };
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let outputs = output_sizes(inputs, &dims, axes.as_deref(), aspect)?;
        let regions = match interpolation.coordinates {
            Coordinates::Crop => regions(inputs, &dims, axes.as_deref())?,
            _ => vec![FULL_RANGE; dims.len()],
        };
        apply(x, &interpolation, &outputs, &regions)
    })
}

/// Upsample. The scales are an attribute before opset 9 and an input from then on.
fn upsample(site: &Site) -> Outcome<Run> {
    let interpolation = Interpolation {
        mode: mode(site)?,
        coordinates: Coordinates::Asymmetric,
        nearest: Nearest::Floor,
        cubic: 0.0,
        exclude_outside: false,
        extrapolation: 0.0,
        antialias: false,
    };
    let scales = if site.opset() < 9 { site.node.attributes.floats("scales")? } else { None };
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let scales = match &scales {
            Some(scales) => scales.clone(),
            None => inputs.value(1)?.floats()?,
        };
        let outputs = sizes_from_scales(&x.dims(), &scales)?;
        let full = vec![FULL_RANGE; outputs.len()];
        apply(x, &interpolation, &outputs, &full)
    })
}

/// Reads the region of each axis from input 1, which holds all starts and then all ends.
fn regions(inputs: &Inputs, dims: &[usize], axes: Option<&[i64]>) -> Outcome<Vec<Region>> {
    let roi = inputs.value(1)?.into_float().floats()?;
    let axes = listed_axes(axes, dims.len())?;
    if roi.len() != 2 * axes.len() {
        return Err(format!("roi {roi:?} must have two values for each of {} axes", axes.len()));
    }
    let mut regions = vec![FULL_RANGE; dims.len()];
    axes.iter().enumerate().for_each(|(at, &axis)| regions[axis] = (roi[at], roi[at + axes.len()]));
    Ok(regions)
}

/// Returns the axes that the attribute `axes` lists, or all axes.
fn listed_axes(axes: Option<&[i64]>, rank: usize) -> Outcome<Vec<usize>> {
    match axes {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect(),
        None => Ok((0..rank).collect()),
    }
}

/// The output size and the scale of each axis.
type Sizes = Vec<(usize, f32)>;

/// Computes the output sizes from scales, rounded down in float32, the precision of the scales.
fn sizes_from_scales(dims: &[usize], scales: &[f32]) -> Outcome<Sizes> {
    if scales.len() != dims.len() || !scales.iter().all(|&scale| scale > 0.0) {
        return Err(format!("scales {scales:?} must hold one positive value per axis of {dims:?}"));
    }
    let size =
        |(&input_len, &scale): (&usize, &f32)| ((input_len as f32 * scale).floor() as usize, scale);
    Ok(dims.iter().zip(scales).map(size).collect())
}

/// Computes the output sizes and scales from input 2 (scales) or input 3 (sizes).
fn output_sizes(
    inputs: &Inputs,
    dims: &[usize],
    axes: Option<&[i64]>,
    aspect: Aspect,
) -> Outcome<Sizes> {
    let resized_axes = listed_axes(axes, dims.len())?;
    let fits = |count: usize| match count == resized_axes.len() {
        true => Ok(()),
        false => {
            Err(format!("the number of sizes or scales does not match an input of shape {dims:?}"))
        }
    };
    let scales = match inputs.optional(2) {
        Some(scales) => Some(scales.floats()?).filter(|scales| !scales.is_empty()),
        None => None,
    };
    if let Some(scales) = scales {
        fits(scales.len())?;
        let mut all = vec![1.0; dims.len()];
        resized_axes.iter().zip(scales).for_each(|(&axis, scale)| all[axis] = scale);
        return sizes_from_scales(dims, &all);
    }
    let sizes: Vec<usize> = inputs.ints(3)?.into_iter().map(size).collect::<Outcome<_>>()?;
    fits(sizes.len())?;
    let ratios = resized_axes
        .iter()
        .zip(&sizes)
        .map(|(&axis, &output_len)| output_len as f32 / dims[axis] as f32);
    let ratio = match aspect {
        Aspect::Stretch => None,
        Aspect::NotLarger => ratios.reduce(f32::min),
        Aspect::NotSmaller => ratios.reduce(f32::max),
    };
    let mut all: Sizes = dims.iter().map(|&input_len| (input_len, 1.0)).collect();
    for (&axis, &output_len) in resized_axes.iter().zip(&sizes) {
        let input_len = dims[axis] as f32;
        all[axis] = match ratio {
            None => (output_len, output_len as f32 / input_len),
            Some(ratio) => ((ratio * input_len).round() as usize, ratio),
        };
    }
    Ok(all)
}

/// Resizes one axis after the other.
fn apply(
    mut x: Value,
    interpolation: &Interpolation,
    outputs: &Sizes,
    regions: &[Region],
) -> Outcome<Value> {
    room::check(&outputs.iter().map(|(size, _)| *size).collect::<Vec<_>>())?;
    let dims = x.dims();
    for (axis, &(length, scale)) in outputs.iter().enumerate() {
        if length != dims[axis] || scale != 1.0 || regions[axis] != FULL_RANGE {
            if dims[axis] == 0 || length == 0 {
                return Err(format!("cannot resize axis {axis} of {dims:?} to {length} elements"));
            }
            let resize = AxisResize {
                input_len: dims[axis],
                output_len: length,
                scale,
                region: regions[axis],
            };
            x = resize.apply(x, axis, interpolation)?;
        }
    }
    Ok(x)
}
