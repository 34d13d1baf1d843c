//! Normalization operators, in their inference form.

use attriburn_kernels::frozen::{Normalization, Value as FrozenValue};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::Shape;

use super::reduction::safe_sqrt;
use super::{Affine, Channels, Freezing, Linear, Operator, Role, Run, Site, axis, single_output};
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("BatchNormalization", 1, (5, 5), batch_norm)
        .linear(Linear::First)
        .statistics(&[3, 4])
        .affine(batch_norm_affine),
    Operator::new("InstanceNormalization", 1, (3, 3), instance_norm)
        .frozen(|ctx| frozen_groups(ctx, ctx.dims()?.get(1).copied()?)),
    Operator::new("GroupNormalization", 18, (3, 3), group_norm).frozen(|ctx| {
        let groups = ctx.site.node.attributes.int("num_groups").ok()??;
        frozen_groups(ctx, super::size(groups).ok()?)
    }),
    Operator::new("LayerNormalization", 17, (2, 3), layer_norm)
        .outputs(3)
        .role(Role::Normalization)
        .frozen(|ctx| {
            let site = ctx.site;
            let scale = site.constant(1)?.floats().ok()?;
            let shift = match site.has(2) {
                true => site.constant(2)?.floats().ok()?,
                false => vec![0.0; scale.len()],
            };
            let epsilon = site.float("epsilon", EPSILON).ok()? as f32;
            let last = ctx.axis(site.int("axis", -1).ok()?)? + 1 == ctx.dims()?.len();
            let normalization = Normalization { scale, shift, epsilon, centred: true };
            last.then(|| ctx.builder.normalize(ctx.x()?, normalization))?
        }),
    Operator::new("RMSNormalization", 23, (2, 2), rms_norm).role(Role::Normalization).frozen(
        |ctx| {
            let site = ctx.site;
            let scale = site.constant(1)?.floats().ok()?;
            let epsilon = site.float("epsilon", EPSILON).ok()? as f32;
            let last = ctx.axis(site.int("axis", -1).ok()?)? + 1 == ctx.dims()?.len();
            let last = last && site.constant_dims(1)?.len() == 1;
            let shift = vec![0.0; scale.len()];
            let normalization = Normalization { scale, shift, epsilon, centred: false };
            last.then(|| ctx.builder.normalize(ctx.x()?, normalization))?
        },
    ),
    Operator::new("LpNormalization", 1, (1, 1), lp_norm),
    Operator::new("MeanVarianceNormalization", 9, (1, 1), mean_variance),
    Operator::new("LRN", 1, (1, 1), local_response),
];

/// ONNX's default for the attribute `epsilon`.
const EPSILON: f64 = 1e-5;

/// `x scale + shift` per channel, with `scale = gamma / sqrt(variance + epsilon)` and
/// `shift = beta - mean scale`. In training mode, mean and variance are computed over the batch. Training
/// mode is an error for values that depend on the model's input, because samples must not depend on each
/// other. It is supported for weights, which some exporters standardize this way.
fn batch_norm(site: &Site) -> Outcome<Run> {
    let epsilon = site.float("epsilon", EPSILON)?;
    site.ignore(&["momentum"]);
    if site.opset() < 9 && site.int("spatial", 1)? == 0 {
        return Err("spatial=0 is not supported".into());
    }
    let training = uses_batch_statistics(site)?;
    if training && site.is_of_sample(0) {
        return Err("training_mode=1 is not supported: a sample's score would depend on the others in its batch; export the model for inference (model.eval())".into());
    }
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        if dims.len() < 2 {
            return Err(format!("expected rank 2 or more, got shape {dims:?}"));
        }
        let (gamma, beta) = (inputs.float(1)?, inputs.float(2)?);
        if training {
            let order: Vec<usize> = [1, 0].into_iter().chain(2..dims.len()).collect();
            let channels_first = x.permute(&order)?;
            let shape = channels_first.dims();
            let rows = channels_first
                .reshape(&[dims[1], dims.iter().product::<usize>() / dims[1].max(1)])?;
            let normal = standardize(rows.float()?, 1, epsilon);
            let normal = Value::new(normal).reshape(&shape)?.permute(&order)?;
            return Ok(Value::new(affine(normal.float()?, gamma, beta)));
        }
        let (mean, variance) = (inputs.float(3)?, inputs.float(4)?);
        let deviation =
            Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, Scalar::Float(epsilon)));
        let scale = Dispatch::float_div(gamma, deviation);
        let shift = Dispatch::float_sub(beta, Dispatch::float_mul(mean, scale.clone()));
        Ok(Value::new(affine(x.float()?, scale, shift)))
    })
}

/// Whether a batch normalization is in training mode.
fn uses_batch_statistics(site: &Site) -> Outcome<bool> {
    match site.opset() {
        ..7 => Ok(!site.flag("is_test", false)?),
        7..14 => Ok(false),
        _ => site.flag("training_mode", false),
    }
}

/// Returns the scale and shift of a batch normalization with constant parameters.
fn batch_norm_affine(site: &Site, data: usize, channels: Channels) -> Option<Affine> {
    let per_element = site.opset() < 9 && site.int("spatial", 1).ok()? == 0;
    // Batch normalization always takes axis 1 as the channels, whatever the layout.
    if uses_batch_statistics(site).ok()? || per_element || data != 0 || channels.axis != 1 {
        return None;
    }
    let channels = channels.count;
    let epsilon = site.float("epsilon", EPSILON).ok()?;
    let constant = |index| -> Option<Vec<f64>> {
        let values = site.constant(index)?.floats().ok()?;
        (values.len() == channels).then(|| values.into_iter().map(f64::from).collect())
    };
    let (gamma, beta) = (constant(1)?, constant(2)?);
    let (mean, variance) = (constant(3)?, constant(4)?);
    let scale: Vec<f64> =
        (0..channels).map(|c| gamma[c] / (variance[c] + epsilon).sqrt()).collect();
    let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    Some(Affine { scale, shift })
}

/// `x scale + shift` with a scale and a shift per channel (axis 1).
fn affine(x: DispatchTensor, scale: DispatchTensor, shift: DispatchTensor) -> DispatchTensor {
    let mut dims = vec![1; x.shape().num_dims()];
    dims[1] = scale.shape().num_elements();
    let spread = |v| Dispatch::float_reshape(v, Shape::from(dims.clone()));
    Dispatch::float_add(Dispatch::float_mul(x, spread(scale)), spread(shift))
}

fn instance_norm(site: &Site) -> Outcome<Run> {
    let epsilon = site.float("epsilon", EPSILON)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let channels = *x.dims().get(1).ok_or("expected an input with a channel axis")?;
        let normal = standardize_groups(x, channels, epsilon)?;
        Ok(Value::new(affine(normal.float()?, inputs.float(1)?, inputs.float(2)?)))
    })
}

fn group_norm(site: &Site) -> Outcome<Run> {
    let groups = super::size(
        site.node.attributes.int("num_groups")?.ok_or("the attribute num_groups is missing")?,
    )?;
    let epsilon = site.float("epsilon", EPSILON)?;
    // Sums are always computed in float32.
    site.ignore(&["stash_type"]);
    let per_group = site.opset() < 21;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let channels = *x.dims().get(1).ok_or("expected an input with a channel axis")?;
        let normal = standardize_groups(x, groups, epsilon)?;
        let spread = |v: DispatchTensor| {
            // Before opset 21, scale and bias are per group.
            if !per_group {
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

/// Lowers a group normalization into a segment.
fn frozen_groups(ctx: &mut Freezing, groups: usize) -> Option<FrozenValue> {
    let (site, x, dims) = (ctx.site, ctx.x()?, ctx.dims()?);
    let (&samples, &channels) = (dims.first()?, dims.get(1)?);
    let features: usize = dims[1..].iter().product();
    if groups == 0 || !channels.is_multiple_of(groups) {
        return None;
    }
    let each = features / groups;
    let epsilon = site.float("epsilon", EPSILON).ok()? as f32;
    let (scale, shift) = (vec![1.0; each], vec![0.0; each]);
    let normalization = Normalization { scale, shift, epsilon, centred: true };
    let flat = ctx.builder.reshape(x, &[samples, groups, each])?;
    let normal = ctx.builder.normalize(flat, normalization)?;
    let normal = ctx.builder.reshape(normal, &dims)?;
    // Before opset 21, scale and bias of GroupNormalization are per group.
    let spread = |index: usize| {
        let values = site.constant(index)?.floats().ok()?;
        let times = channels.checked_div(values.len())?;
        Some(values.iter().flat_map(|&value| vec![value; times]).collect::<Vec<f32>>())
    };
    ctx.builder.affine(normal, 1, spread(1)?, spread(2)?)
}

/// Standardizes `groups` groups of channels of each sample to mean 0 and variance 1.
fn standardize_groups(x: Value, groups: usize, epsilon: f64) -> Outcome<Value> {
    let dims = x.dims();
    let features: usize = dims[1..].iter().product();
    if groups == 0 || !dims[1].is_multiple_of(groups) {
        return Err(format!("{} channels do not divide into {groups} groups", dims[1]));
    }
    let rows = x.reshape(&[dims[0] * groups, features / groups])?.float()?;
    Value::new(standardize(rows, 1, epsilon)).reshape(&dims)
}

/// `(x - mean) / sqrt(variance + epsilon)` along `axis`.
fn standardize(x: DispatchTensor, axis: usize, epsilon: f64) -> DispatchTensor {
    let mean = Dispatch::float_mean_dim(x.clone(), axis);
    let centred = Dispatch::float_sub(x, mean);
    let deviation = deviation(centred.clone(), axis, epsilon);
    Dispatch::float_div(centred, deviation)
}

/// `sqrt(mean(x^2) + epsilon)` of centred values along `axis`.
fn deviation(centred: DispatchTensor, axis: usize, epsilon: f64) -> DispatchTensor {
    let variance = Dispatch::float_mean_dim(Dispatch::float_mul(centred.clone(), centred), axis);
    Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, Scalar::Float(epsilon)))
}

/// Layer normalization; the optional outputs are the mean and the inverse standard deviation.
fn layer_norm(site: &Site) -> Outcome<Run> {
    let (first, epsilon) = (site.int("axis", -1)?, site.float("epsilon", EPSILON)?);
    site.ignore(&["stash_type"]);
    let statistics = site.outputs() > 1;
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = axis(first, dims.len())?;
        let features: usize = dims[first..].iter().product();
        let rows = x.reshape(&[dims[..first].iter().product(), features])?.float()?;
        let flat = |value: Value| value.expand(&dims[first..])?.reshape(&[features])?.float();
        let gamma = flat(inputs.value(1)?)?;
        let beta = inputs.optional(2).map(flat).transpose()?;
        let normal = Dispatch::layer_norm(rows.clone(), gamma, beta, epsilon);
        let mut outputs = vec![Value::new(normal).reshape(&dims)?];
        if statistics {
            let shape = [&dims[..first], &vec![1; dims.len() - first]].concat();
            let mean = Dispatch::float_mean_dim(rows.clone(), 1);
            let deviation = deviation(Dispatch::float_sub(rows, mean.clone()), 1, epsilon);
            outputs.push(Value::new(mean).reshape(&shape)?);
            outputs.push(Value::new(Dispatch::float_recip(deviation)).reshape(&shape)?);
        }
        Ok(outputs)
    }))
}

/// `scale x / sqrt(mean(x^2) + epsilon)`, with the mean over the axes from `axis` on.
fn rms_norm(site: &Site) -> Outcome<Run> {
    let (first, epsilon) = (site.int("axis", -1)?, site.float("epsilon", EPSILON)?);
    site.ignore(&["stash_type"]);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = axis(first, dims.len())?;
        let features: usize = dims[first..].iter().product();
        let rows = x.reshape(&[dims[..first].iter().product(), features])?.float()?;
        let square = Dispatch::float_mul(rows.clone(), rows.clone());
        let mean =
            Dispatch::float_add_scalar(Dispatch::float_mean_dim(square, 1), Scalar::Float(epsilon));
        let normal = Dispatch::float_div(rows, Dispatch::float_sqrt(mean));
        let normal = Value::new(normal).reshape(&dims)?;
        binary(&normal, &inputs.value(1)?, Dispatch::float_mul, None)
    })
}

/// Division by the L1 or L2 norm along `axis`; all-zero vectors stay zero.
fn lp_norm(site: &Site) -> Outcome<Run> {
    let (along, p) = (site.int("axis", -1)?, site.int("p", 2)?);
    if p != 1 && p != 2 {
        return Err(format!("p={p} is not supported"));
    }
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let axis = axis(along, x.rank())?;
        let values = x.float()?;
        let norm = match p {
            1 => Dispatch::float_sum_dim(Dispatch::float_abs(values.clone()), axis),
            _ => safe_sqrt(Dispatch::float_sum_dim(
                Dispatch::float_mul(values.clone(), values.clone()),
                axis,
            )),
        };
        let zero = Dispatch::float_equal_elem(norm.clone(), Scalar::Float(0.0), x.bool_dtype());
        let norm = Dispatch::float_mask_fill(norm, zero, Scalar::Float(1.0));
        Ok(Value::new(Dispatch::float_div(values, norm)))
    })
}

/// `(x - mean) / (deviation + 1e-9)` over `axes`.
fn mean_variance(site: &Site) -> Outcome<Run> {
    let axes = site.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    if axes.contains(&0) && site.is_of_sample(0) {
        return Err("axes include the batch axis: a sample's score would depend on the others in its batch; export the model for inference (model.eval())".into());
    }
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let rank = x.rank();
        let axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?;
        let mean = |x: DispatchTensor| axes.iter().fold(x, |x, &a| Dispatch::float_mean_dim(x, a));
        let centred = Dispatch::float_sub(x.float()?, mean(x.float()?));
        let variance = mean(Dispatch::float_mul(centred.clone(), centred.clone()));
        let deviation = Dispatch::float_add_scalar(safe_sqrt(variance), Scalar::Float(1e-9));
        Ok(Value::new(Dispatch::float_div(centred, deviation)))
    })
}

/// `x / (bias + alpha / size * sum of squares over neighbouring channels)^beta`.
fn local_response(site: &Site) -> Outcome<Run> {
    let size = super::size(site.int("size", 0)?)?;
    if size == 0 {
        return Err("size must be positive".into());
    }
    let (alpha, beta) = (site.float("alpha", 1e-4)?, site.float("beta", 0.75)?);
    let bias = site.float("bias", 1.0)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let [n, c, ..] = dims[..] else {
            return Err(format!("expected rank 2 or more, got shape {dims:?}"));
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
