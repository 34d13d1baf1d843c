//! Quantization, `level = clip(round(x / scale) + zero, low, high)` with ties rounded to even, and
//! dequantization, `x = scale (level - zero)`. The gradient is a straight-through estimator: rounding is the
//! identity in the backward pass, and the gradient is 0 where the level is outside `[low, high]`.

use attriburn_kernels::Activation;
use attriburn_kernels::activation::activate;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, Scalar};

use super::{Inputs, MICROSOFT, OWN, Operator, Role, Run, Site, axis, single_output};
use crate::file::Element;
use crate::graph::Samples;
use crate::value::{Outcome, Value, binary, broadcast};

pub const OPERATORS: &[Operator] = &[
    with_scale("QuantizeLinear", 10, quantize).role(Role::Rounds),
    with_scale("QuantizeLinear", 1, quantize).role(Role::Rounds).domain(MICROSOFT),
    with_scale("DequantizeLinear", 10, dequantize),
    with_scale("DequantizeLinear", 1, dequantize).domain(MICROSOFT),
    // A QuantizeLinear followed by a DequantizeLinear, which a pass fuses. Their scales may differ.
    Operator::new("FakeQuantize", 1, (4, 4), fake_quantize)
        .elementwise()
        .statistics(&[1, 2, 3])
        .domain(OWN)
        .role(Role::Rounds)
        .activation(activation)
        .frozen(|ctx| {
            let (activation, factor) = as_activation(ctx.site).ok()?;
            let y = ctx.activate(activation)?;
            if factor == 1.0 { Some(y) } else { ctx.builder.scale(y, factor) }
        }),
    // A per-channel scale that follows an exact integer sum.
    Operator::new("Scale", 1, (2, 2), |site| {
        let layout = ScaleLayout { axis: site.int("axis", 1)?, block: 0 };
        single_output(move |inputs| {
            let x = inputs.value(0)?;
            binary(&x, &layout.scale(inputs, &x.dims())?, Dispatch::float_mul, None)
        })
    })
    .statistics(&[1])
    .domain(OWN)
    .frozen(|ctx| {
        let x = ctx.x()?;
        let shape = ctx.builder.shape(x);
        let axis = axis(ctx.site.int("axis", 1).ok()?, shape.len()).ok()?;
        let mut scale = ctx.site.constant(1)?.floats().ok()?;
        if scale.len() == 1 {
            scale = vec![scale[0]; shape[axis]];
        }
        let zeros = vec![0.0; scale.len()];
        if scale.len() == shape[axis] { ctx.builder.affine(x, axis, scale, zeros) } else { None }
    }),
    Operator::new("DynamicQuantizeLinear", 11, (1, 1), dynamic_quantize).outputs(3),
    // Marks floats with integer values as integers of the type `to`.
    Operator::new("Levels", 1, (1, 1), levels_operator).domain(OWN),
];

/// An operator with a data input, a scale and a zero point. Scale and zero point are not model parameters.
const fn with_scale(
    name: &'static str,
    since: i64,
    compile: fn(&Site) -> Outcome<Run>,
) -> Operator {
    Operator::new(name, since, (2, 3), compile).statistics(&[1, 2])
}

/// The mapping of scales and zero points to the elements of a tensor: per tensor, per axis or blocked.
#[derive(Clone, Copy)]
struct ScaleLayout {
    axis: i64,
    /// The number of consecutive elements of the axis that share a scale; 0 if not blocked.
    block: usize,
}

impl ScaleLayout {
    fn new(site: &Site) -> Outcome<Self> {
        let block = match site.opset() {
            21.. => super::size(site.int("block_size", 0)?)?,
            _ => 0,
        };
        Ok(Self { axis: site.int("axis", 1)?, block })
    }

    /// Reshapes or expands a scale or zero point so that it broadcasts to a tensor of shape `dims`.
    fn broadcast_to(self, value: Value, dims: &[usize]) -> Outcome<Value> {
        let shape = value.dims();
        if shape.iter().product::<usize>() == 1 {
            return value.reshape(&[]);
        }
        if let &[count] = &shape[..]
            && self.block == 0
        {
            let axis = axis(self.axis, dims.len())?;
            let wrong =
                || format!("a scale of {count} elements does not match axis {axis} of {dims:?}");
            let mut aligned = vec![1; dims.len()];
            aligned[axis] = if dims[axis] == count { count } else { return Err(wrong()) };
            return value.reshape(&aligned);
        }
        if self.block == 0 {
            return match broadcast(&shape, dims)? == dims {
                true => Ok(value),
                false => Err(format!(
                    "a scale of shape {shape:?} does not match an input of shape {dims:?}"
                )),
            };
        }
        let axis = axis(self.axis, dims.len())?;
        let fits = shape.len() == dims.len() && shape[axis] == dims[axis].div_ceil(self.block);
        if !fits {
            return Err(format!(
                "a scale of shape {shape:?} does not match blocks of {} in an input of shape {dims:?}",
                self.block
            ));
        }
        let blocks = (0..dims[axis]).map(|at| (at / self.block) as i64).collect();
        value.select(axis, blocks)
    }

    /// Returns the scale or zero point in input `index`, if it is present, as a value that broadcasts to
    /// `dims`.
    fn input(self, inputs: &Inputs, index: usize, dims: &[usize]) -> Outcome<Option<Value>> {
        inputs.optional(index).map(|value| self.broadcast_to(value, dims)).transpose()
    }

    /// Returns the scale, input 1.
    fn scale(self, inputs: &Inputs, dims: &[usize]) -> Outcome<Value> {
        self.input(inputs, 1, dims)?.ok_or_else(|| "the scale is missing".into())
    }
}

/// Returns the quantized type of a node without a zero point.
fn output_type(site: &Site) -> Outcome<Element> {
    let number = match site.opset() {
        21.. => site.int("output_dtype", 0)?,
        _ => 0,
    };
    match i32::try_from(number) {
        Ok(0) => Ok(Element::UINT8),
        Ok(number) => Ok(Element(number)),
        Err(_) => Err(format!("output_dtype {number} is not supported")),
    }
}

/// Returns the lowest and the highest level of a quantized type.
fn level_range(element: Element) -> Outcome<(f32, f32)> {
    match element.integer() {
        Some((bytes, low, high)) if bytes <= 2 => Ok((low as f32, high as f32)),
        _ => Err(format!("quantizing to {} is not supported", element.name())),
    }
}

/// Applies an activation to a float value of any rank.
fn apply_activation(x: &Value, activation: Activation) -> Outcome<Value> {
    Value::new(activate(x.float()?, activation)).reshape(&x.dims())
}

/// Quantizes `x` to levels of the type `element`. Without `rounds` the levels are not rounded.
fn quantize_value(
    x: &Value,
    scale: &Value,
    zero: Option<Value>,
    element: Element,
    rounds: bool,
) -> Outcome<Value> {
    let (low, high) = level_range(element)?;
    let mut level = binary(x, scale, Dispatch::float_div, None)?;
    if rounds {
        // Rounds to the nearest integer with a straight-through gradient.
        let round = Activation::FakeQuantize {
            scale: 1.0,
            unit: 1.0,
            zero: 0.0,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
        };
        level = apply_activation(&level, round)?;
    }
    if let Some(zero) = zero {
        level = binary(&level, &zero.into_float(), Dispatch::float_add, None)?;
    }
    Ok(apply_activation(&level, Activation::Clip { low, high })?.with_levels(element))
}

/// Dequantizes levels: `scale (levels - zero)`.
fn dequantize_value(levels: Value, scale: &Value, zero: Option<Value>) -> Outcome<Value> {
    let mut x = levels.into_float();
    if let Some(zero) = zero {
        x = binary(&x, &zero.into_float(), Dispatch::float_sub, None)?;
    }
    binary(&x, scale, Dispatch::float_mul, None)
}

/// Checks that a constant scale is finite and positive.
fn check_scale(site: &Site) -> Outcome<()> {
    let scale = site.constant(1).map(|scale| scale.into_float().floats()).transpose()?;
    match scale.iter().flatten().find(|&&scale| !(scale > 0.0 && scale.is_finite())) {
        Some(scale) => Err(format!("the scale must be finite and positive, not {scale}")),
        None => Ok(()),
    }
}

fn quantize(site: &Site) -> Outcome<Run> {
    check_scale(site)?;
    let (layout, element, rounds) =
        (ScaleLayout::new(site)?, output_type(site)?, site.graph.rounds);
    // `saturate` concerns only float8. `precision` is the type of the quotient, which is always float32 here.
    site.ignore(&["saturate", "precision"]);
    single_output(move |inputs| {
        let x = inputs.value(0)?.into_float();
        let dims = x.dims();
        let element = inputs.optional(2).map_or(element, |zero| zero.element());
        let zero = layout.input(inputs, 2, &dims)?;
        quantize_value(&x, &layout.scale(inputs, &dims)?, zero, element, rounds)
    })
}

fn dequantize(site: &Site) -> Outcome<Run> {
    let layout = ScaleLayout::new(site)?;
    if site.opset() >= 23 {
        // All floats are computed in float32.
        site.ignore(&["output_dtype"]);
    }
    single_output(move |inputs| {
        let levels = inputs.value(0)?;
        let dims = levels.dims();
        let (scale, zero) = (layout.scale(inputs, &dims)?, layout.input(inputs, 2, &dims)?);
        dequantize_value(levels, &scale, zero)
    })
}

fn fake_quantize(site: &Site) -> Outcome<Run> {
    if let Ok((activation, factor)) = as_activation(site) {
        return single_output(move |inputs| {
            let x = inputs.take(0)?.into_float();
            let y = apply_activation(&x, activation)?;
            match factor {
                1.0 => Ok(y),
                _ => {
                    Value::new(Dispatch::float_mul_scalar(y.float()?, Scalar::Float(factor.into())))
                        .reshape(&y.dims())
                }
            }
        });
    }
    let (quantize, layout) = (quantize(site)?, ScaleLayout::new(site)?);
    single_output(move |inputs| {
        let levels = quantize(inputs)?.pop().ok_or("the node has no output")?;
        let dims = levels.dims();
        let unit = layout.input(inputs, 3, &dims)?.ok_or("the scale is missing")?;
        dequantize_value(levels, &unit, layout.input(inputs, 2, &dims)?)
    })
}

/// Returns the FakeQuantize node as a single activation; an error if it also needs a scale.
fn activation(site: &Site) -> Outcome<Activation> {
    match as_activation(site)? {
        (activation, 1.0) => Ok(activation),
        _ => Err("the node is not a single activation".into()),
    }
}

/// Returns a FakeQuantize node with constant per-tensor scales as an activation and a factor for its output.
/// Without rounding (`graph.rounds` unset) only clipping to the range of the levels remains.
fn as_activation(site: &Site) -> Outcome<(Activation, f32)> {
    let scalar = |index: usize| site.constant_scalar(index).map(|number| number as f32);
    let scale = scalar(1).ok_or("the scale is not a constant scalar")?;
    let unit = scalar(3).ok_or("the scale is not a constant scalar")?;
    let (zero, element) = match site.has(2) {
        true => {
            let zero = site.constant(2).ok_or("the zero point is not constant")?;
            (scalar(2).ok_or("the zero point is not a constant scalar")?, zero.element())
        }
        false => (0.0, output_type(site)?),
    };
    // Irrelevant for per-tensor scales, but valid attributes.
    site.ignore(&["axis", "block_size", "output_dtype"]);
    site.ignore(&["saturate", "precision"]);
    check_scale(site)?;
    let (low, high) = level_range(element)?;
    Ok(match site.graph.rounds {
        true => (Activation::FakeQuantize { scale, unit, zero, low, high }, 1.0),
        false => {
            let clip = Activation::Clip { low: (low - zero) * scale, high: (high - zero) * scale };
            (clip, unit / scale)
        }
    })
}

/// Dynamic quantization to uint8 with the value range of each sample, extended to include 0:
/// `scale = (max - min) / 255` and `zero = round(-min / scale)`. Scale and zero point have no gradient.
fn dynamic_quantize(site: &Site) -> Outcome<Run> {
    let id = site.node.inputs.first().copied().flatten();
    let samples = id.and_then(|id| site.graph.samples_in.get(&id).copied());
    let rounds = site.graph.rounds;
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let Range { scale, zero } = Range::of(&x, samples)?;
        let levels = match rounds {
            true => quantize_value(&x, &scale, Some(zero.clone()), Element::UINT8, true)?,
            // No clipping: the range covers every value of the sample.
            false => {
                let level = binary(&x, &scale, Dispatch::float_div, None)?;
                binary(&level, &zero, Dispatch::float_add, None)?.with_levels(Element::UINT8)
            }
        };
        Ok(vec![levels, scale, zero.with_levels(Element::UINT8)])
    }))
}

/// The scale and zero point of dynamic quantization, which broadcast to the input tensor.
struct Range {
    scale: Value,
    zero: Value,
}

impl Range {
    /// Computes the range of each sample in `x`, or of the whole of `x` if `samples` is `None`.
    fn of(x: &Value, samples: Option<Samples>) -> Outcome<Self> {
        let dims = x.dims();
        let (rows, flat) = match samples {
            None => (1, x.clone()),
            Some(Samples { axis, each, interleaved }) => {
                if each == 0 || !dims[axis].is_multiple_of(each) {
                    return Err(format!(
                        "axis {axis} of {dims:?} is not a multiple of {each}, the elements of a sample"
                    ));
                }
                let rows = dims[axis] / each;
                let parts = if interleaved { [each, rows] } else { [rows, each] };
                let split = [&dims[..axis], &parts, &dims[axis + 1..]].concat();
                let samples = axis + usize::from(interleaved);
                let rest = (0..split.len()).filter(|&axis| axis != samples);
                let front: Vec<usize> = [samples].into_iter().chain(rest).collect();
                (rows, x.clone().reshape(&split)?.permute(&front)?)
            }
        };
        let columns = dims.iter().product::<usize>() / rows.max(1);
        let flat = Dispatch::float_detach(flat.reshape(&[rows, columns])?.float()?);
        let largest = Dispatch::float_max_dim(flat.clone(), 1);
        let largest = Dispatch::float_clamp_min(largest, Scalar::Float(0.0));
        let smallest = Dispatch::float_min_dim(flat, 1);
        let smallest = Dispatch::float_clamp_max(smallest, Scalar::Float(0.0));
        let span = Dispatch::float_sub(largest, smallest.clone());
        let scale = Dispatch::float_div_scalar(span, Scalar::Float(255.0));
        // For an all-zero input any positive scale is correct.
        let dtype = Value::new(scale.clone()).bool_dtype();
        let is_zero = Dispatch::float_equal_elem(scale.clone(), Scalar::Float(0.0), dtype);
        let scale = Dispatch::float_mask_fill(scale, is_zero, Scalar::Float(1.0));
        let zero = Dispatch::float_div(Dispatch::float_neg(smallest), scale.clone());
        let (low, high) = (Scalar::Float(0.0), Scalar::Float(255.0));
        let zero = Dispatch::float_clamp(Dispatch::float_round(zero), low, high);
        let broadcast = |tensor| -> Outcome<Value> {
            let Some(samples) = samples else {
                return Value::new(tensor).reshape(&[]);
            };
            let mut shape = vec![1; dims.len()];
            shape[samples.axis] = rows;
            let value = Value::new(tensor).reshape(&shape)?;
            match samples.each {
                1 => Ok(value),
                _ => {
                    let numbers = samples.numbers(dims[samples.axis]);
                    value.select(samples.axis, numbers.map(|number| number as i64).collect())
                }
            }
        };
        Ok(Self { scale: broadcast(scale)?, zero: broadcast(zero)? })
    }
}

fn levels_operator(site: &Site) -> Outcome<Run> {
    let element = Element(i32::try_from(site.int("to", 6)?).unwrap_or_default());
    single_output(move |inputs| Ok(inputs.value(0)?.with_levels(element)))
}
