//! Convolutions, with explicit and automatic padding, and their transposes.

use attriburn_kernels::convolution::convolve;
use attriburn_kernels::frozen::{Convolution, Value as FrozenValue};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Shape;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::window::{Frame, Window};
use super::{Freezing, MICROSOFT, Operator, Role, Run, Site, activation, one};
use crate::room;
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Conv", 1, (2, 3), conv).role(Role::Convolution).multiplies().frozen(freeze),
    Operator::new("FusedConv", 1, (2, 4), fused_conv).domain(MICROSOFT).multiplies(),
    Operator::new("ConvTranspose", 1, (2, 3), conv_transpose).multiplies(),
    Operator::new("CausalConvWithState", 27, (2, 4), causal_conv).outputs(2).multiplies(),
];

fn conv(site: &Site) -> Outcome<Run> {
    let frame = Frame::new(site)?;
    let groups = super::size(site.int("group", 1)?)?;
    // Parameters have gradients too.
    let constant = site.constant_dims(1).is_some();
    one(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let bias = inputs.optional_float(2)?;
        let (dims, weights) = (x.dims(), weight.dims());
        if dims.len() != weights.len() || dims.len() < 3 {
            return Err(format!("its kernel {weights:?} does not fit an input of {dims:?}"));
        }
        if dims[1] != weights[1] * groups {
            return Err(format!(
                "its kernel {weights:?} in {groups} groups does not fit {} channels",
                dims[1]
            ));
        }
        let window = frame.window(&dims[2..], Some(&weights[2..]))?;
        match dims.len() - 2 {
            1 => apply(&x, weight, bias, &window, groups, Dispatch::conv1d),
            2 if constant => apply(&x, weight, bias, &window, groups, convolve_biased),
            2 => apply(&x, weight, bias, &window, groups, Dispatch::conv2d),
            3 => apply(&x, weight, bias, &window, groups, Dispatch::conv3d),
            axes => Err(format!("convolutions over {axes} axes are not supported")),
        }
    })
}

/// A convolution over two axes whose weights have no gradient.
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

/// A convolution over two axes with constant weights.
fn freeze(own: &mut Freezing) -> Option<FrozenValue> {
    let (site, x) = (own.site, own.x()?);
    let &[outputs, _, height, width] = &site.constant_dims(1)?[..] else { return None };
    let bias = match site.has(2) {
        true => Some(site.constant(2)?.floats().ok()?),
        false => None,
    };
    let window = Frame::new(site).ok()?.window(&own.pixels()?, Some(&[height, width])).ok()?;
    let convolution = Convolution {
        weights: site.weights(1, false)?,
        bias,
        outputs,
        groups: super::size(site.int("group", 1).ok()?).ok()?,
        window: window.frozen(false)?,
        exact: site.is_whole(),
    };
    own.builder.convolution(x, convolution)
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
    let (mut x, mut padding) = window.cut(x)?;
    // burn's input gradient over three axes knows one padding for both ends.
    if padding.iter().any(|(begin, end)| begin != end) {
        let pads = padding.iter().map(|&(begin, end)| (begin as i64, end as i64));
        x = super::window::resized(&x, &pads.collect::<Vec<_>>(), 0.0)?;
        padding.fill((0, 0));
    }
    let options = ConvOptions::new_with_padding(
        fixed(&window.strides)?,
        fixed(&padding)?,
        fixed(&window.dilations)?,
        groups,
    );
    Ok(Value::new(apply(x.float()?, weight.float()?, bias, options)))
}

/// A convolution, the sum with input 3 where there is one, and an activation.
fn fused_conv(site: &Site) -> Outcome<Run> {
    let conv = conv(site)?;
    let activation = site.text("activation", "")?;
    let parameters = site.node.attributes.floats("activation_params")?.unwrap_or_default();
    let activate = activation::of_name(&activation, &parameters)?;
    one(move |inputs| {
        let mut x = conv(inputs)?.into_iter().next().ok_or("it has no output")?;
        if let Some(sum) = inputs.optional(3) {
            x = binary(&x, &sum, Dispatch::float_add, None)?;
        }
        Ok(Value::new(activate(x.float()?)))
    })
}

fn fixed<T: Copy, const N: usize>(values: &[T]) -> Outcome<[T; N]> {
    values.try_into().map_err(|_| format!("{} values do not fit {N} axes", values.len()))
}

/// The whole transposed convolution without padding, of which the padding cuts the edges.
fn conv_transpose(site: &Site) -> Outcome<Run> {
    let frame = Frame::new(site)?;
    let groups = super::size(site.int("group", 1)?)?;
    let grown = site.ints("output_padding")?;
    let shape = site.ints("output_shape")?;
    one(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, weights) = (x.dims(), weight.dims());
        if dims.len() != weights.len() || dims.len() < 3 || dims[1] != weights[0] {
            return Err(format!("its kernel {weights:?} does not fit an input of {dims:?}"));
        }
        let axes = dims.len() - 2;
        let window = frame.transposed(&weights[2..])?;
        let grown = match &grown {
            Some(grown) if grown.len() == axes => {
                grown.iter().map(|&size| super::size(size)).collect::<Outcome<Vec<_>>>()?
            }
            None => vec![0; axes],
            Some(grown) => return Err(format!("{grown:?} does not grow {axes} axes")),
        };
        let whole = match axes {
            1 => whole(&x, &weight, &window, groups, Dispatch::conv_transpose1d),
            2 => whole(&x, &weight, &window, groups, Dispatch::conv_transpose2d),
            3 => whole(&x, &weight, &window, groups, Dispatch::conv_transpose3d),
            axes => Err(format!("convolutions over {axes} axes are not supported")),
        }?;
        // Padding cuts, and output padding grows by what has no input, the bias alone.
        let mut pads = Vec::with_capacity(axes);
        for axis in 0..axes {
            let full = whole.dims()[axis + 2] as i64 + grown[axis] as i64;
            let wanted = match &shape {
                Some(shape) if shape.len() >= axes => Some(shape[shape.len() - axes + axis]),
                Some(shape) => return Err(format!("{shape:?} does not name {axes} sizes")),
                None => frame.same_output(dims[axis + 2], window.strides[axis]),
            };
            let (begin, end) = match wanted {
                Some(wanted) => frame.split(full - wanted),
                None => window.pads[axis],
            };
            pads.push((-begin, grown[axis] as i64 - end));
        }
        let cut = super::window::resized(&whole, &pads, 0.0)?;
        let Some(bias) = inputs.optional_float(2)? else {
            return Ok(cut);
        };
        let channels = [vec![cut.dims()[1]], vec![1; axes]].concat();
        binary(&cut, &Value::new(bias).reshape(&channels)?, Dispatch::float_add, None)
    })
}

type ApplyTransposed<const N: usize> = fn(
    DispatchTensor,
    DispatchTensor,
    Option<DispatchTensor>,
    ConvTransposeOptions<N>,
) -> DispatchTensor;

fn whole<const N: usize>(
    x: &Value,
    weight: &Value,
    window: &Window,
    groups: usize,
    apply: ApplyTransposed<N>,
) -> Outcome<Value> {
    let options = ConvTransposeOptions::new(
        fixed(&window.strides)?,
        [0; N],
        [0; N],
        fixed(&window.dilations)?,
        groups,
    );
    Ok(Value::new(apply(x.float()?, weight.float()?, None, options)))
}

/// A convolution of each channel with what came before it, and the last values of the sequence that
/// the next one needs.
fn causal_conv(site: &Site) -> Outcome<Run> {
    let activate: activation::Activation = match site.text("activation", "none")?.as_str() {
        "none" => activation::of_name("", &[])?,
        "silu" | "swish" => Box::new(|x| activation::sigmoid_unit(x, 1.0)),
        other => return Err(format!("its activation {other:?} is not known")),
    };
    Ok(Box::new(move |inputs| {
        let (x, weight) = (inputs.value(0)?, inputs.value(1)?);
        let (&[n, channels, _], &[own, 1, taps]) = (&x.dims()[..], &weight.dims()[..]) else {
            return Err(format!("its kernel {:?} does not fit {:?}", weight.dims(), x.dims()));
        };
        let before = taps.checked_sub(1).ok_or("its kernel is empty")?;
        let past = match inputs.optional(3) {
            Some(past) => past,
            None => Value::filled(0.0, &[n, channels, before])?,
        };
        if own != channels || past.dims() != [n, channels, before] {
            return Err(format!("its kernel or past does not fit {:?}", x.dims()));
        }
        let all = Value::concat(&[past, x], 2)?;
        let options = ConvOptions::new([1], [0], [1], channels);
        let bias = inputs.optional_float(2)?;
        let sums = Dispatch::conv1d(all.float()?, weight.float()?, bias, options);
        let length = all.dims()[2];
        Ok(vec![Value::new(activate(sums)), all.range(2, length - before..length)])
    }))
}
