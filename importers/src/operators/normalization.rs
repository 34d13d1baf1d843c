//! Normalizations, in their inference form.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use onnx_ir::Node;
use onnx_ir::batch_norm::{BatchNormConfig, BatchNormalizationNode};

use super::{Context, Operator, Run, axis, expect_node, one};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "BatchNormalization", compile: batch_norm },
    Operator { name: "InstanceNormalization", compile: instance_norm },
    Operator { name: "GroupNormalization", compile: group_norm },
    Operator { name: "LayerNormalization", compile: layer_norm },
    Operator { name: "LpNormalization", compile: lp_norm },
    Operator { name: "LRN", compile: local_response },
];

fn epsilon(node: &BatchNormalizationNode) -> f64 {
    match &node.config {
        BatchNormConfig::Static(config) => config.epsilon,
        BatchNormConfig::Runtime(config) => config.epsilon,
    }
}

/// `x scale + shift` per channel, `scale = gamma / sqrt(variance + epsilon)` and
/// `shift = beta - mean scale`.
fn batch_norm(node: &Node, _: &Context) -> Outcome<Run> {
    let epsilon = epsilon(expect_node!(node, BatchNormalization));
    if node.outputs().len() > 1 {
        return Err("its training outputs are not supported".into());
    }
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (gamma, beta) = (inputs.float(1)?, inputs.float(2)?);
        let (mean, variance) = (inputs.float(3)?, inputs.float(4)?);
        let deviation =
            Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, Scalar::Float(epsilon)));
        let scale = Dispatch::float_div(gamma, deviation);
        let shift = Dispatch::float_sub(beta, Dispatch::float_mul(mean, scale.clone()));
        Ok(Value::new(affine(x.float()?, scale, shift)))
    })
}

/// `x scale + shift` with a number per channel, the second axis.
fn affine(x: DispatchTensor, scale: DispatchTensor, shift: DispatchTensor) -> DispatchTensor {
    let mut dims = vec![1; x.shape().num_dims()];
    dims[1] = scale.shape().num_elements();
    let spread = |v| Dispatch::float_reshape(v, Shape::from(dims.clone()));
    Dispatch::float_add(Dispatch::float_mul(x, spread(scale)), spread(shift))
}

/// The weight and bias of a convolution with the normalization behind it folded in; `None` where
/// one of the numbers is not constant. Computed in double precision.
pub fn folded(
    weight: &TensorData,
    bias: Option<&TensorData>,
    node: &BatchNormalizationNode,
) -> Option<(TensorData, TensorData)> {
    let doubles = |data: &TensorData| data.clone().convert::<f64>().try_into_vec::<f64>().ok();
    let constant = |i: usize| doubles(&node.inputs.get(i)?.value()?);
    let (gamma, beta) = (constant(1)?, constant(2)?);
    let (mean, variance) = (constant(3)?, constant(4)?);
    let values = doubles(weight)?;
    let channels = *weight.shape().first()?;
    let old = match bias {
        Some(bias) => doubles(bias)?,
        None => vec![0.0; channels],
    };
    if [&gamma, &beta, &mean, &variance, &old].iter().any(|v| v.len() != channels) {
        return None;
    }
    let scales: Vec<f64> =
        (0..channels).map(|c| gamma[c] / (variance[c] + epsilon(node)).sqrt()).collect();
    let per_channel = values.len() / channels;
    let scaled: Vec<f32> = values
        .chunks(per_channel)
        .zip(&scales)
        .flat_map(|(row, scale)| row.iter().map(move |v| (v * scale) as f32))
        .collect();
    let shifted: Vec<f32> =
        (0..channels).map(|c| ((old[c] - mean[c]) * scales[c] + beta[c]) as f32).collect();
    Some((TensorData::new(scaled, weight.shape().clone()), TensorData::new(shifted, [channels])))
}

fn instance_norm(node: &Node, _: &Context) -> Outcome<Run> {
    let epsilon = expect_node!(node, InstanceNormalization).config.epsilon;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let channels = *x.dims().get(1).ok_or("it takes an input with channels")?;
        let normal = standardized(x, channels, epsilon)?;
        Ok(Value::new(affine(normal.float()?, inputs.float(1)?, inputs.float(2)?)))
    })
}

fn group_norm(node: &Node, context: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, GroupNormalization).config;
    let (groups, epsilon) = (config.num_groups, config.epsilon);
    let per_group = context.opset < 21;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let channels = *x.dims().get(1).ok_or("it takes an input with channels")?;
        let normal = standardized(x, groups, epsilon)?;
        let spread = |v: DispatchTensor| {
            // Before opset 21 scale and bias came per group.
            if !per_group || v.shape().num_elements() == channels {
                return v;
            }
            let wide = Dispatch::float_expand(
                Dispatch::float_reshape(v, Shape::from(vec![groups, 1])),
                Shape::from(vec![groups, channels / groups]),
            );
            Dispatch::float_reshape(wide, Shape::from(vec![channels]))
        };
        let (scale, bias) = (spread(inputs.float(1)?), spread(inputs.float(2)?));
        Ok(Value::new(affine(normal.float()?, scale, bias)))
    })
}

/// Each sample's `groups` groups of channels with mean 0 and variance 1.
fn standardized(x: Value, groups: usize, epsilon: f64) -> Outcome<Value> {
    let dims = x.dims();
    let features: usize = dims[1..].iter().product();
    if groups == 0 || !dims[1].is_multiple_of(groups) {
        return Err(format!("{} channels do not form {groups} groups", dims[1]));
    }
    let rows = x.reshape(&[dims[0] * groups, features / groups])?.float()?;
    Value::new(standardized_rows(rows, 1, epsilon)).reshape(&dims)
}

fn standardized_rows(x: DispatchTensor, axis: usize, epsilon: f64) -> DispatchTensor {
    let mean = Dispatch::float_mean_dim(x.clone(), axis);
    let centred = Dispatch::float_sub(x, mean);
    let square = Dispatch::float_mul(centred.clone(), centred.clone());
    let variance = Dispatch::float_mean_dim(square, axis);
    let deviation =
        Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, Scalar::Float(epsilon)));
    Dispatch::float_div(centred, deviation)
}

fn layer_norm(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, LayerNormalization).config;
    let (first, epsilon) = (config.axis, config.epsilon);
    if node.outputs().len() > 1 {
        return Err("its outputs Mean and InvStdDev are not supported".into());
    }
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = axis(first, dims.len())?;
        let features: usize = dims[first..].iter().product();
        let rows = x.reshape(&[dims[..first].iter().product(), features])?;
        let flat = |value: Value| value.expand(&dims[first..])?.reshape(&[features])?.float();
        let gamma = flat(inputs.value(1)?)?;
        let beta = inputs.optional(2).map(flat).transpose()?;
        Value::new(Dispatch::layer_norm(rows.float()?, gamma, beta, epsilon)).reshape(&dims)
    })
}

fn lp_norm(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, LpNormalization).config;
    let (axis, p) = (config.axis, config.p);
    one(move |inputs| {
        let x = inputs.float(0)?;
        let norm = match p {
            1 => Dispatch::float_sum_dim(Dispatch::float_abs(x.clone()), axis),
            _ => Dispatch::float_sqrt(Dispatch::float_sum_dim(
                Dispatch::float_mul(x.clone(), x.clone()),
                axis,
            )),
        };
        Ok(Value::new(Dispatch::float_div(x, norm)))
    })
}

/// `x / (bias + alpha / size * sum of squares over neighbouring channels)^beta`.
fn local_response(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, Lrn).config;
    let size = super::size(config.size)?;
    let (alpha, beta, bias) =
        (f64::from(config.alpha), f64::from(config.beta), f64::from(config.bias));
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let [n, c, ..] = dims[..] else {
            return Err(format!("it does not take an input of {dims:?}"));
        };
        let square = Dispatch::float_mul(x.float()?, x.float()?);
        let rows = Value::new(square).reshape(&[n, 1, c, dims[2..].iter().product()])?;
        let (before, after) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
        let padded = Dispatch::float_pad(
            rows.float()?,
            &[(0, 0), (0, 0), (before, after), (0, 0)],
            burn::tensor::ops::PadMode::Constant(0.0),
        );
        let means = Dispatch::avg_pool2d(padded, [size, 1], [1, 1], [0, 0], true, false);
        let means = Value::new(means).reshape(&dims)?.float()?;
        let scaled = Dispatch::float_mul_scalar(means, Scalar::Float(alpha));
        let base = Dispatch::float_add_scalar(scaled, Scalar::Float(bias));
        let power = Dispatch::float_powf_scalar(base, Scalar::Float(beta));
        Ok(Value::new(Dispatch::float_div(x.float()?, power)))
    })
}
