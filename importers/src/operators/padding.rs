//! Padding and cropping: Pad and CenterCropPad.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::Dispatch;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::ops::PadMode as Mode;

use super::window::padded_dims;
use super::{Freezing, Linear, Operator, Run, Site, axis, single_output, size};
use crate::room;
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Pad", 1, (1, 4), pad)
        .linear(Linear::Jointly)
        .settings(&[1, 2, 3])
        .frozen(frozen_pad),
    Operator::new("CenterCropPad", 18, (2, 2), center_crop_pad).settings(&[1]),
];

/// Pad: negative padding crops. The pads and the fill value are attributes before opset 11 and inputs from
/// then on.
fn pad(site: &Site) -> Outcome<Run> {
    let attribute = if site.opset() < 2 { "paddings" } else { "pads" };
    let pads = site.integers(attribute, 11, 1)?.ok_or("the pads are missing")?;
    let fill = if site.opset() < 11 { site.float("value", 0.0)? } else { 0.0 };
    let mode = site.text("mode", "constant")?;
    if !["constant", "reflect", "edge", "wrap"].contains(&mode.as_str()) {
        return Err(format!("mode {mode:?} is not supported"));
    }
    single_output(move |inputs| {
        let mut x = inputs.value(0)?;
        let axes = inputs.optional(3).map(|axes| axes.ints()).transpose()?;
        let pads = pads_per_axis(&pads.read(inputs)?, axes, x.rank())?;
        let fill = match inputs.optional(2) {
            Some(fill) => match fill.into_float().floats()?[..] {
                [fill] => f64::from(fill),
                _ => return Err("the fill value must be a single number".into()),
            },
            None => fill,
        };
        for (axis, &(begin, end)) in pads.iter().enumerate() {
            x = crop(x, axis, (-begin).max(0), (-end).max(0))?;
        }
        let positive_pads: Vec<(usize, usize)> =
            pads.iter().map(|&(begin, end)| (begin.max(0) as usize, end.max(0) as usize)).collect();
        if mode == "constant" {
            return pad_constant(x, &positive_pads, fill as f32);
        }
        for (axis, &pads) in positive_pads.iter().enumerate() {
            x = pad_from_input(x, axis, pads, &mode)?;
        }
        Ok(x)
    })
}

/// Lowers constant padding into a segment.
fn frozen_pad(ctx: &mut Freezing) -> Option<FrozenValue> {
    let site = ctx.site;
    let attribute = if site.opset() < 2 { "paddings" } else { "pads" };
    let pads = ctx.constant_integers(&site.integers(attribute, 11, 1).ok()??)?;
    let fill = match site.has(2) {
        true => site.constant(2)?.into_float().floats().ok()?,
        false if site.opset() < 11 => vec![site.float("value", 0.0).ok()? as f32],
        false => vec![0.0],
    };
    let axes = match site.has(3) {
        true => Some(site.constant(3)?.ints().ok()?),
        false => None,
    };
    let pads = pads_per_axis(&pads, axes, ctx.dims()?.len()).ok()?;
    let is_noop = pads.iter().all(|&pad| pad == (0, 0));
    if !is_noop && site.text("mode", "constant").ok()? != "constant" {
        return None;
    }
    let size = |size: i64| usize::try_from(size).ok();
    let pads: Vec<_> =
        pads.iter().map(|(a, b)| Some((size(*a)?, size(*b)?))).collect::<Option<_>>()?;
    let dims = ctx.dims()?;
    let padded = ctx.builder.pad(ctx.x()?, &pads)?;
    if is_noop || fill == [0.0] {
        return Some(padded);
    }
    // The segment pads with zeros; a constant then adds the fill value in the padded area.
    if pads.first() != Some(&(0, 0)) {
        return None;
    }
    let shape: Vec<_> = dims.iter().zip(&pads).map(|(size, (a, b))| a + size + b).collect();
    let inner = Value::filled(0.0, &[&[1], dims.get(1..)?].concat()).ok()?;
    let around = [&[(0, 0)], pads.get(1..)?].concat();
    let around = pad_constant(inner, &around, *fill.first()?).ok()?.floats().ok()?;
    ctx.builder.add_constant(padded, &around, &[&[1], &shape[1..]].concat())
}

/// Crops `begin` and `end` elements off an axis.
fn crop(x: Value, axis: usize, begin: i64, end: i64) -> Outcome<Value> {
    let dims = x.dims();
    let to = dims[axis] as i64 - end;
    if begin > to {
        return Err(format!("the padding crops more than the whole of axis {axis} of {dims:?}"));
    }
    if begin == 0 && end == 0 {
        return Ok(x);
    }
    Ok(x.range(axis, begin as usize..to as usize))
}

/// Pads each axis with the constant `fill`.
fn pad_constant(x: Value, pads: &[(usize, usize)], fill: f32) -> Outcome<Value> {
    if pads.iter().all(|&pads| pads == (0, 0)) {
        return Ok(x);
    }
    room::check(&padded_dims(&x.dims(), pads))?;
    match x.kind() {
        Kind::Float | Kind::Level => {
            Ok(x.with_tensor(Dispatch::float_pad(x.tensor(), pads, Mode::Constant(fill))))
        }
        Kind::Int => Ok(x.with_tensor(Dispatch::int_pad(x.tensor(), pads, Mode::Constant(fill)))),
        Kind::Bool => pad_constant(x.into_int()?, pads, fill).map(Value::into_bool),
    }
}

/// Pads an axis with elements of the input: reflected, edge or wrapped.
fn pad_from_input(
    x: Value,
    axis: usize,
    (begin, end): (usize, usize),
    mode: &str,
) -> Outcome<Value> {
    let length = x.dims()[axis] as i64;
    if begin == 0 && end == 0 {
        return Ok(x);
    }
    if length == 0 {
        return Err(format!("axis {axis} is empty and has no elements to pad with"));
    }
    let mut dims = x.dims();
    dims[axis] = dims[axis].saturating_add(begin).saturating_add(end);
    room::check(&dims)?;
    let source = |at: i64| match mode {
        "edge" => at.clamp(0, length - 1),
        "wrap" => at.rem_euclid(length),
        _ if length == 1 => 0,
        _ => {
            let period = 2 * (length - 1);
            let folded = at.rem_euclid(period);
            folded.min(period - folded)
        }
    };
    x.select(axis, (-(begin as i64)..length + end as i64).map(source).collect())
}

/// CenterCropPad: crops or pads axes at both ends; an odd element goes to the end.
fn center_crop_pad(site: &Site) -> Outcome<Run> {
    let axes = site.ints("axes")?;
    single_output(move |inputs| {
        let mut x = inputs.value(0)?;
        let dims = x.dims();
        let shape = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = axes.clone().unwrap_or_else(|| (0..dims.len() as i64).collect());
        if axes.len() != shape.len() {
            return Err(format!("the target shape {shape:?} must have {} values", axes.len()));
        }
        let mut padding = vec![(0, 0); dims.len()];
        for (&along, &target) in axes.iter().zip(&shape) {
            let axis = axis(along, dims.len())?;
            let (crop_total, pad_total) =
                (dims[axis].saturating_sub(target), target.saturating_sub(dims[axis]));
            x = crop(x, axis, (crop_total / 2) as i64, (crop_total - crop_total / 2) as i64)?;
            padding[axis] = (pad_total / 2, pad_total - pad_total / 2);
        }
        pad_constant(x, &padding, 0.0)
    })
}

/// Returns the padding `(begin, end)` of each of `rank` axes.
fn pads_per_axis(pads: &[i64], axes: Option<Vec<i64>>, rank: usize) -> Outcome<Vec<(i64, i64)>> {
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!(
            "the pads {pads:?} must have two values for each of {} axes",
            axes.len()
        ));
    }
    let mut all = vec![(0, 0); rank];
    for (i, &along) in axes.iter().enumerate() {
        all[axis(along, rank)?] = (pads[i], pads[i + axes.len()]);
    }
    Ok(all)
}
