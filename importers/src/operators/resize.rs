//! Resize, as a weighted sum of rows and columns: exact for every coordinate rule, and the same on
//! every device.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use onnx_ir::Node;
use onnx_ir::resize::{
    CoordinateTransformMode, NearestMode, ResizeConfig, ResizeMode, ResizeScales, ResizeSizes,
};

use super::{Context, Inputs, Operator, Run, expect_node, one, size};
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] =
    &[Operator { name: "Resize", compile: resize }, Operator { name: "Upsample", compile: resize }];

fn resize(node: &Node, _: &Context) -> Outcome<Run> {
    let node = match node {
        Node::Upsample(node) => node,
        other => expect_node!(other, Resize),
    };
    let config = node.config.clone();
    if config.antialias != 0 || config.exclude_outside != 0 {
        return Err("antialias and exclude_outside are not supported".into());
    }
    if config.coordinate_transformation_mode == CoordinateTransformMode::TfCropAndResize {
        return Err("tf_crop_and_resize is not supported".into());
    }
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let dims = x.dims();
        for (axis, (length, scale)) in outputs(&config, inputs, &dims)?.into_iter().enumerate() {
            if length != dims[axis] || scale != 1.0 {
                x = along(x, axis, &taps(&config, dims[axis], length, scale))?;
            }
        }
        Ok(x)
    })
}

/// The output's size and its scale for each axis.
fn outputs(config: &ResizeConfig, inputs: &Inputs, dims: &[usize]) -> Outcome<Vec<(usize, f64)>> {
    // Of known sizes and scales the parser drops those of the batch and channel axes.
    if dims.len() < 2 {
        return Err(format!("it does not take an input of {dims:?}"));
    }
    let sizes = match &config.sizes {
        Some(ResizeSizes::Static(sizes)) => Some([&dims[..2], &sizes[..]].concat()),
        Some(ResizeSizes::Runtime(reference)) => {
            let sizes = inputs.ints(reference.input_index)?;
            Some(sizes.into_iter().map(size).collect::<Outcome<_>>()?)
        }
        None => None,
    };
    let scales = match &config.scales {
        Some(ResizeScales::Static(scales)) => Some([&[1.0, 1.0], &scales[..]].concat()),
        Some(ResizeScales::Runtime(reference)) => {
            Some(inputs.value(reference.input_index)?.floats()?)
        }
        None => None,
    };
    match (sizes, scales) {
        (Some(sizes), _) if sizes.len() == dims.len() => {
            Ok(sizes.iter().zip(dims).map(|(&out, &own)| (out, out as f64 / own as f64)).collect())
        }
        (None, Some(scales)) if scales.len() == dims.len() => Ok(scales
            .iter()
            .zip(dims)
            .map(|(&scale, &own)| {
                let scale = f64::from(scale);
                ((own as f64 * scale).floor() as usize, scale)
            })
            .collect()),
        _ => Err(format!("its sizes or scales do not match {dims:?}")),
    }
}

/// For each output element the input elements it is made of: taps of (indices, weights).
type Taps = Vec<(Vec<i64>, Vec<f32>)>;

fn taps(config: &ResizeConfig, own: usize, out: usize, scale: f64) -> Taps {
    let places: Vec<f64> = (0..out).map(|i| source(config, i as f64, own, out, scale)).collect();
    let inside = |index: f64| index.clamp(0.0, own as f64 - 1.0) as i64;
    let tap = |offset: f64, weight: &dyn Fn(f64) -> f64| {
        let indices = places.iter().map(|place| inside(place.floor() + offset)).collect();
        let weights = places.iter().map(|place| weight(place - place.floor()) as f32).collect();
        (indices, weights)
    };
    match config.mode {
        ResizeMode::Nearest => {
            let indices = places.iter().map(|&place| inside(nearest(config, place))).collect();
            vec![(indices, vec![1.0; out])]
        }
        ResizeMode::Linear => vec![tap(0.0, &|t| 1.0 - t), tap(1.0, &|t| t)],
        ResizeMode::Cubic => {
            let a = f64::from(config.cubic_coeff_a);
            let near = move |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
            let far = move |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
            vec![
                tap(-1.0, &|t| far(1.0 + t)),
                tap(0.0, &near),
                tap(1.0, &|t| near(1.0 - t)),
                tap(2.0, &|t| far(2.0 - t)),
            ]
        }
    }
}

/// Where output element `i` lies in the input.
fn source(config: &ResizeConfig, i: f64, own: usize, out: usize, scale: f64) -> f64 {
    use CoordinateTransformMode as Mode;
    match config.coordinate_transformation_mode {
        Mode::AlignCorners if out == 1 => 0.0,
        Mode::AlignCorners => i * (own as f64 - 1.0) / (out as f64 - 1.0),
        Mode::Asymmetric => i / scale,
        Mode::PytorchHalfPixel if out == 1 => 0.0,
        Mode::TfHalfPixelForNn => (i + 0.5) / scale,
        Mode::HalfPixel | Mode::PytorchHalfPixel | Mode::TfCropAndResize => (i + 0.5) / scale - 0.5,
    }
}

fn nearest(config: &ResizeConfig, place: f64) -> f64 {
    match config.nearest_mode {
        NearestMode::Floor => place.floor(),
        NearestMode::Ceil => place.ceil(),
        NearestMode::RoundPreferFloor => (place - 0.5).ceil(),
        NearestMode::RoundPreferCeil => (place + 0.5).floor(),
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
