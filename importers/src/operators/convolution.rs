//! Convolutions and transposed convolutions, with explicit and automatic padding.

use attriburn_kernels::convolution::convolve;
use attriburn_kernels::frozen::{Convolution, Value as FrozenValue};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Shape;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::window::{Window, WindowConfig};
use super::{Freezing, Linear, MICROSOFT, Operator, Role, Run, Site, activation, single_output};
use crate::room;
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Conv", 1, (2, 3), conv)
        .linear(Linear::Singly)
        .role(Role::Convolution)
        .multiplies()
        .frozen(frozen_conv),
    Operator::new("FusedConv", 1, (2, 4), fused_conv).domain(MICROSOFT).multiplies(),
    Operator::new("ConvTranspose", 1, (2, 3), conv_transpose).linear(Linear::Singly).multiplies(),
    Operator::new("CausalConvWithState", 27, (2, 4), causal_conv).outputs(2).multiplies(),
];

fn conv(site: &Site) -> Outcome<Run> {
    let config = WindowConfig::new(site)?;
    let groups = super::size(site.int("group", 1)?)?;
    // Weights that are model parameters need a gradient, which the kernel for constant weights lacks.
    let constant = site.constant_dims(1).is_some();
    single_output(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let bias = inputs.optional_float(2)?;
        let (dims, weights) = (x.dims(), weight.dims());
        if dims.len() != weights.len() || dims.len() < 3 {
            return Err(format!(
                "a weight of shape {weights:?} does not match an input of shape {dims:?}"
            ));
        }
        if dims[1] != weights[1] * groups {
            return Err(format!(
                "a weight of shape {weights:?} with {groups} groups does not match {} input channels",
                dims[1]
            ));
        }
        let window = config.window(&dims[2..], Some(&weights[2..]))?;
        match dims.len() - 2 {
            1 => apply(&x, weight, bias, &window, groups, Dispatch::conv1d),
            2 if constant => apply(&x, weight, bias, &window, groups, convolve_biased),
            2 => apply(&x, weight, bias, &window, groups, Dispatch::conv2d),
            3 => apply(&x, weight, bias, &window, groups, Dispatch::conv3d),
            axes => Err(format!("convolutions over {axes} spatial axes are not supported")),
        }
    })
}

/// A 2D convolution with constant weights, which need no gradient.
fn convolve_biased(
    x: DispatchTensor,
    weights: DispatchTensor,
    bias: Option<DispatchTensor>,
    options: ConvOptions<2>,
) -> DispatchTensor {
    let sums = convolve(x, weights, options);
    match bias {
        Some(bias) => {
            let channels = Shape::new([1, bias.shape().num_elements(), 1, 1]);
            Dispatch::float_add(sums, Dispatch::float_reshape(bias, channels))
        }
        None => sums,
    }
}

/// Lowers a 2D convolution with constant weights into a segment.
fn frozen_conv(ctx: &mut Freezing) -> Option<FrozenValue> {
    let (site, x) = (ctx.site, ctx.x()?);
    let &[outputs, _, height, width] = &site.constant_dims(1)?[..] else { return None };
    let bias = match site.has(2) {
        true => Some(site.constant(2)?.floats().ok()?),
        false => None,
    };
    let window =
        WindowConfig::new(site).ok()?.window(&ctx.spatial_size()?, Some(&[height, width])).ok()?;
    let convolution = Convolution {
        weights: site.weights(1, false)?,
        bias,
        outputs,
        groups: super::size(site.int("group", 1).ok()?).ok()?,
        window: window.frozen(false)?,
        exact: site.is_integer_sum(),
    };
    ctx.builder.convolution(x, convolution)
}

type Apply<const N: usize> =
    fn(DispatchTensor, DispatchTensor, Option<DispatchTensor>, ConvOptions<N>) -> DispatchTensor;

fn apply<const N: usize>(
    x: &Value,
    weight: Value,
    bias: Option<DispatchTensor>,
    window: &Window,
    groups: usize,
    apply: Apply<N>,
) -> Outcome<Value> {
    let dims = x.dims();
    let outputs = dims[2..].iter().enumerate().map(|(axis, &size)| {
        let (begin, end) = window.pads[axis];
        let padded = (size as i64).saturating_add(begin).saturating_add(end).max(0) as usize;
        padded.saturating_sub(window.span(axis)) / window.strides[axis].max(1) + 1
    });
    room::check(&[&[dims[0], weight.dims()[0]], &outputs.collect::<Vec<_>>()[..]].concat())?;
    let (mut x, mut padding) = window.crop(x)?;
    // burn's input gradient of 3D convolutions supports only symmetric padding.
    if padding.iter().any(|(begin, end)| begin != end) {
        let pads = padding.iter().map(|&(begin, end)| (begin as i64, end as i64));
        x = super::window::pad_spatial(&x, &pads.collect::<Vec<_>>(), 0.0)?;
        padding.fill((0, 0));
    }
    let options = ConvOptions::new_with_padding(
        to_array(&window.strides)?,
        to_array(&padding)?,
        to_array(&window.dilations)?,
        groups,
    );
    Ok(Value::new(apply(x.float()?, weight.float()?, bias, options)))
}

/// `activation(conv(x) + z)` with the optional input `z`.
fn fused_conv(site: &Site) -> Outcome<Run> {
    let conv = conv(site)?;
    let activation = site.text("activation", "")?;
    let parameters = site.node.attributes.floats("activation_params")?.unwrap_or_default();
    let activate = activation::activation_by_name(&activation, &parameters)?;
    single_output(move |inputs| {
        let mut x = conv(inputs)?.into_iter().next().ok_or("the convolution has no output")?;
        if let Some(sum) = inputs.optional(3) {
            x = binary(&x, &sum, Dispatch::float_add, None)?;
        }
        Ok(Value::new(activate(x.float()?)))
    })
}

fn to_array<T: Copy, const N: usize>(values: &[T]) -> Outcome<[T; N]> {
    values.try_into().map_err(|_| format!("{} values do not match {N} spatial axes", values.len()))
}

/// A transposed convolution: computed without padding, then cropped by the padding and extended by the output
/// padding.
fn conv_transpose(site: &Site) -> Outcome<Run> {
    let config = WindowConfig::new(site)?;
    let groups = super::size(site.int("group", 1)?)?;
    let output_padding = site.ints("output_padding")?;
    let shape = site.ints("output_shape")?;
    single_output(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, weights) = (x.dims(), weight.dims());
        if dims.len() != weights.len() || dims.len() < 3 || dims[1] != weights[0] {
            return Err(format!(
                "a weight of shape {weights:?} does not match an input of shape {dims:?}"
            ));
        }
        let axes = dims.len() - 2;
        let window = config.transposed(&weights[2..])?;
        let output_padding = match &output_padding {
            Some(output_padding) if output_padding.len() == axes => {
                output_padding.iter().map(|&size| super::size(size)).collect::<Outcome<Vec<_>>>()?
            }
            None => vec![0; axes],
            Some(output_padding) => {
                return Err(format!("output_padding {output_padding:?} must have {axes} values"));
            }
        };
        let uncropped = match axes {
            1 => unpadded_transpose(&x, &weight, &window, groups, Dispatch::conv_transpose1d),
            2 => unpadded_transpose(&x, &weight, &window, groups, Dispatch::conv_transpose2d),
            3 => unpadded_transpose(&x, &weight, &window, groups, Dispatch::conv_transpose3d),
            axes => Err(format!("convolutions over {axes} spatial axes are not supported")),
        }?;
        // Padding crops the output. Output padding extends it by elements that depend on no input element and
        // hold only the bias.
        let mut pads = Vec::with_capacity(axes);
        for axis in 0..axes {
            let full = uncropped.dims()[axis + 2] as i64 + output_padding[axis] as i64;
            let output_size = match &shape {
                Some(shape) if shape.len() >= axes => Some(shape[shape.len() - axes + axis]),
                Some(shape) => {
                    return Err(format!("output_shape {shape:?} must have at least {axes} values"));
                }
                None => config.same_output(dims[axis + 2], window.strides[axis]),
            };
            let (begin, end) = match output_size {
                Some(output_size) => config.split(full - output_size),
                None => window.pads[axis],
            };
            pads.push((-begin, output_padding[axis] as i64 - end));
        }
        let cropped = super::window::pad_spatial(&uncropped, &pads, 0.0)?;
        let Some(bias) = inputs.optional_float(2)? else {
            return Ok(cropped);
        };
        let channels = [vec![cropped.dims()[1]], vec![1; axes]].concat();
        binary(&cropped, &Value::new(bias).reshape(&channels)?, Dispatch::float_add, None)
    })
}

type ApplyTransposed<const N: usize> = fn(
    DispatchTensor,
    DispatchTensor,
    Option<DispatchTensor>,
    ConvTransposeOptions<N>,
) -> DispatchTensor;

fn unpadded_transpose<const N: usize>(
    x: &Value,
    weight: &Value,
    window: &Window,
    groups: usize,
    apply: ApplyTransposed<N>,
) -> Outcome<Value> {
    let options = ConvTransposeOptions::new(
        to_array(&window.strides)?,
        [0; N],
        [0; N],
        to_array(&window.dilations)?,
        groups,
    );
    Ok(Value::new(apply(x.float()?, weight.float()?, None, options)))
}

/// A causal depthwise convolution over a sequence. The second output is the end of the sequence, which the
/// next call takes as its past.
fn causal_conv(site: &Site) -> Outcome<Run> {
    let activate: activation::Activation = match site.text("activation", "none")?.as_str() {
        "none" => activation::activation_by_name("", &[])?,
        "silu" | "swish" => Box::new(|x| activation::swish(x, 1.0)),
        other => return Err(format!("activation {other:?} is not supported")),
    };
    Ok(Box::new(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let (&[n, channels, _], &[weight_channels, 1, taps]) = (&x.dims()[..], &weight.dims()[..])
        else {
            return Err(format!(
                "a weight of shape {:?} does not match an input of shape {:?}",
                weight.dims(),
                x.dims()
            ));
        };
        let past_length = taps.checked_sub(1).ok_or("the kernel is empty")?;
        let past = match inputs.optional(3) {
            Some(past) => past,
            None => Value::filled(0.0, &[n, channels, past_length])?,
        };
        if weight_channels != channels || past.dims() != [n, channels, past_length] {
            return Err(format!(
                "the weight or the past state does not match an input of shape {:?}",
                x.dims()
            ));
        }
        let all = Value::concat(&[past, x], 2)?;
        let options = ConvOptions::new([1], [0], [1], channels);
        let bias = inputs.optional_float(2)?;
        let sums = Dispatch::conv1d(all.float()?, weight.float()?, bias, options);
        let length = all.dims()[2];
        Ok(vec![Value::new(activate(sums)), all.range(2, length - past_length..length)])
    }))
}
