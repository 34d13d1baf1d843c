//! Integers in place of floats: `level = clip(round(x / scale) + zero, low, high)`, halves to the even
//! number, and back, `scale (level - zero)`. The gradient passes the rounding as if it were not there,
//! where the level is within the bounds of its type, these included; beyond them it is 0.

use attriburn_kernels::Activation;
use attriburn_kernels::activation::activate;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, Scalar};

use super::{Inputs, MICROSOFT, OWN, Operator, Role, Run, Site, axis, one};
use crate::file::Element;
use crate::graph::Samples;
use crate::value::{Outcome, Value, binary, broadcast};

pub const OPERATORS: &[Operator] = &[
    of_scale("QuantizeLinear", 10, quantize).role(Role::Rounds),
    of_scale("QuantizeLinear", 1, quantize).role(Role::Rounds).domain(MICROSOFT),
    of_scale("DequantizeLinear", 10, dequantize),
    of_scale("DequantizeLinear", 1, dequantize).domain(MICROSOFT),
    // The two, one behind the other, which a pass joins. The scales of both may differ.
    Operator::new("FakeQuantize", 1, (4, 4), fake_quantize)
        .statistics(&[1, 2, 3])
        .domain(OWN)
        .role(Role::Rounds)
        .activation(activation)
        .frozen(|own| {
            let (activation, factor) = parts(own.site).ok()?;
            let y = own.activate(activation)?;
            if factor == 1.0 { Some(y) } else { own.builder.scale(y, factor) }
        }),
    // The product with a number for each channel, which stays behind a sum that is exact.
    Operator::new("Scale", 1, (2, 2), |site| {
        let along = Along { axis: site.int("axis", 1)?, block: 0 };
        one(move |inputs| {
            let x = inputs.value(0)?;
            binary(&x, &along.scale(inputs, &x.dims())?, Dispatch::float_mul, None)
        })
    })
    .statistics(&[1])
    .domain(OWN)
    .frozen(|own| {
        let x = own.x()?;
        let shape = own.builder.shape(x);
        let axis = axis(own.site.int("axis", 1).ok()?, shape.len()).ok()?;
        let mut scale = own.site.constant(1)?.floats().ok()?;
        if scale.len() == 1 {
            scale = vec![scale[0]; shape[axis]];
        }
        let zeros = vec![0.0; scale.len()];
        if scale.len() == shape[axis] { own.builder.affine(x, axis, scale, zeros) } else { None }
    }),
    Operator::new("DynamicQuantizeLinear", 11, (1, 1), dynamic).outputs(3),
    // The floats of whole numbers as integers of the type `to`.
    Operator::new("Levels", 1, (1, 1), levels).domain(OWN),
];

/// An operator of a tensor, its scale and its zero, which are no parameters.
const fn of_scale(name: &'static str, since: i64, compile: fn(&Site) -> Outcome<Run>) -> Operator {
    Operator::new(name, since, (2, 3), compile).statistics(&[1, 2])
}

/// How a scale and a zero lie over a tensor.
#[derive(Clone, Copy)]
struct Along {
    axis: i64,
    /// How many elements of the axis share a scale; 0 where that is not said.
    block: usize,
}

impl Along {
    fn new(site: &Site) -> Outcome<Self> {
        let block = match site.opset() {
            21.. => super::size(site.int("block_size", 0)?)?,
            _ => 0,
        };
        Ok(Self { axis: site.int("axis", 1)?, block })
    }

    /// `own`, a scale or a zero of a tensor of the shape `dims`, so that it broadcasts to that.
    fn spread(self, own: Value, dims: &[usize]) -> Outcome<Value> {
        let shape = own.dims();
        if shape.iter().product::<usize>() == 1 {
            return own.reshape(&[]);
        }
        if let &[count] = &shape[..]
            && self.block == 0
        {
            let axis = axis(self.axis, dims.len())?;
            let wrong =
                || format!("its scale of {count} elements is not of axis {axis} of {dims:?}");
            let mut aligned = vec![1; dims.len()];
            aligned[axis] = if dims[axis] == count { count } else { return Err(wrong()) };
            return own.reshape(&aligned);
        }
        if self.block == 0 {
            return match broadcast(&shape, dims)? == dims {
                true => Ok(own),
                false => Err(format!("its scale {shape:?} does not fit {dims:?}")),
            };
        }
        let axis = axis(self.axis, dims.len())?;
        let fits = shape.len() == dims.len() && shape[axis] == dims[axis].div_ceil(self.block);
        if !fits {
            return Err(format!("its scale {shape:?} has no blocks of {} in {dims:?}", self.block));
        }
        let blocks = (0..dims[axis]).map(|at| (at / self.block) as i64).collect();
        own.select(axis, blocks)
    }

    /// Input `index` so, where it is given.
    fn input(self, inputs: &Inputs, index: usize, dims: &[usize]) -> Outcome<Option<Value>> {
        inputs.optional(index).map(|own| self.spread(own, dims)).transpose()
    }

    fn scale(self, inputs: &Inputs, dims: &[usize]) -> Outcome<Value> {
        self.input(inputs, 1, dims)?.ok_or_else(|| "it has no scale".into())
    }
}

/// The type that a node quantizes to where it has no zero.
fn output(site: &Site) -> Outcome<Element> {
    let number = match site.opset() {
        21.. => site.int("output_dtype", 0)?,
        _ => 0,
    };
    match i32::try_from(number) {
        Ok(0) => Ok(Element::UINT8),
        Ok(number) => Ok(Element(number)),
        Err(_) => Err(format!("its output_dtype {number} is not known")),
    }
}

/// The lowest and the highest level of a type.
fn bounds(element: Element) -> Outcome<(f32, f32)> {
    match element.integer() {
        Some((bytes, low, high)) if bytes <= 2 => Ok((low as f32, high as f32)),
        _ => Err(format!("quantizing to {} is not supported", element.name())),
    }
}

/// The activation of floats of any shape.
fn activated(x: &Value, activation: Activation) -> Outcome<Value> {
    Value::new(activate(x.float()?, activation)).reshape(&x.dims())
}

/// The levels of `x`, and their type.
fn quantized(
    x: &Value,
    scale: &Value,
    zero: Option<Value>,
    element: Element,
    rounds: bool,
) -> Outcome<Value> {
    let (low, high) = bounds(element)?;
    let mut level = binary(x, scale, Dispatch::float_div, None)?;
    if rounds {
        // A level is the nearest whole number, through which the gradient passes.
        let whole = Activation::FakeQuantize {
            scale: 1.0,
            unit: 1.0,
            zero: 0.0,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
        };
        level = activated(&level, whole)?;
    }
    if let Some(zero) = zero {
        level = binary(&level, &zero.into_float(), Dispatch::float_add, None)?;
    }
    Ok(activated(&level, Activation::Clip { low, high })?.with_levels(element))
}

/// `scale (levels - zero)`.
fn dequantized(levels: Value, scale: &Value, zero: Option<Value>) -> Outcome<Value> {
    let mut x = levels.into_float();
    if let Some(zero) = zero {
        x = binary(&x, &zero.into_float(), Dispatch::float_sub, None)?;
    }
    binary(&x, scale, Dispatch::float_mul, None)
}

/// Refuses a constant scale that is no scale.
fn check(site: &Site) -> Outcome<()> {
    let scale = site.constant(1).map(|scale| scale.into_float().floats()).transpose()?;
    match scale.iter().flatten().find(|&&scale| !(scale > 0.0 && scale.is_finite())) {
        Some(scale) => Err(format!("its scale {scale} is not a positive number")),
        None => Ok(()),
    }
}

fn quantize(site: &Site) -> Outcome<Run> {
    check(site)?;
    let (along, element, rounds) = (Along::new(site)?, output(site)?, site.graph.rounds);
    // Of float8 alone, and of the type in which the quotient is computed.
    site.ignore(&["saturate", "precision"]);
    one(move |inputs| {
        let x = inputs.value(0)?.into_float();
        let dims = x.dims();
        let element = inputs.optional(2).map_or(element, |zero| zero.element());
        let zero = along.input(inputs, 2, &dims)?;
        quantized(&x, &along.scale(inputs, &dims)?, zero, element, rounds)
    })
}

fn dequantize(site: &Site) -> Outcome<Run> {
    let along = Along::new(site)?;
    if site.opset() >= 23 {
        // Everything is computed in float32.
        site.ignore(&["output_dtype"]);
    }
    one(move |inputs| {
        let levels = inputs.value(0)?;
        let dims = levels.dims();
        let (scale, zero) = (along.scale(inputs, &dims)?, along.input(inputs, 2, &dims)?);
        dequantized(levels, &scale, zero)
    })
}

fn fake_quantize(site: &Site) -> Outcome<Run> {
    if let Ok((activation, factor)) = parts(site) {
        return one(move |inputs| {
            let x = inputs.take(0)?.into_float();
            let y = activated(&x, activation)?;
            match factor {
                1.0 => Ok(y),
                _ => {
                    Value::new(Dispatch::float_mul_scalar(y.float()?, Scalar::Float(factor.into())))
                        .reshape(&y.dims())
                }
            }
        });
    }
    let (quantize, along) = (quantize(site)?, Along::new(site)?);
    one(move |inputs| {
        let levels = quantize(inputs)?.pop().ok_or("it has no output")?;
        let dims = levels.dims();
        let unit = along.input(inputs, 3, &dims)?.ok_or("it has no scale")?;
        dequantized(levels, &unit, along.input(inputs, 2, &dims)?)
    })
}

/// The activation that it is, where it is one alone.
fn activation(site: &Site) -> Outcome<Activation> {
    match parts(site)? {
        (activation, 1.0) => Ok(activation),
        _ => Err("it is more than an activation".into()),
    }
}

/// The activation that it is where the whole tensor has one constant scale, and what that is multiplied
/// with. Without rounding only the bounds are left of it.
fn parts(site: &Site) -> Outcome<(Activation, f32)> {
    let one_number = |index: usize| site.number(index).map(|number| number as f32);
    let scale = one_number(1).ok_or("its scale is not one number")?;
    let unit = one_number(3).ok_or("its scale is not one number")?;
    let (zero, element) = match site.has(2) {
        true => {
            let zero = site.constant(2).ok_or("its zero is not constant")?;
            (one_number(2).ok_or("its zero is not one number")?, zero.element())
        }
        false => (0.0, output(site)?),
    };
    // These are of no use here, but are known.
    site.ignore(&["axis", "block_size", "output_dtype"]);
    site.ignore(&["saturate", "precision"]);
    check(site)?;
    let (low, high) = bounds(element)?;
    Ok(match site.graph.rounds {
        true => (Activation::FakeQuantize { scale, unit, zero, low, high }, 1.0),
        false => {
            let clip = Activation::Clip { low: (low - zero) * scale, high: (high - zero) * scale };
            (clip, unit / scale)
        }
    })
}

/// uint8 levels of each sample between its smallest and largest value and 0, with the scale and the
/// zero: `scale = (max - min) / 255`, `zero = round(-min / scale)`. No gradient passes these two.
fn dynamic(site: &Site) -> Outcome<Run> {
    let id = site.node.inputs.first().copied().flatten();
    let samples = id.and_then(|id| site.graph.samples_in.get(&id).copied());
    let rounds = site.graph.rounds;
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let Range { scale, zero } = Range::of(&x, samples)?;
        let levels = match rounds {
            true => quantized(&x, &scale, Some(zero.clone()), Element::UINT8, true)?,
            // The range follows the sample, which nothing of it leaves.
            false => {
                let level = binary(&x, &scale, Dispatch::float_div, None)?;
                binary(&level, &zero, Dispatch::float_add, None)?.with_levels(Element::UINT8)
            }
        };
        Ok(vec![levels, scale, zero.with_levels(Element::UINT8)])
    }))
}

/// The scale and the zero of a tensor, which broadcast to it.
struct Range {
    scale: Value,
    zero: Value,
}

impl Range {
    /// Those of each of the `samples` in `x`, or of `x` as a whole.
    fn of(x: &Value, samples: Option<Samples>) -> Outcome<Self> {
        let dims = x.dims();
        let (rows, flat) = match samples {
            None => (1, x.clone()),
            Some(Samples { axis, each, interleaved }) => {
                if each == 0 || !dims[axis].is_multiple_of(each) {
                    return Err(format!("{dims:?} has no samples of {each} along axis {axis}"));
                }
                let rows = dims[axis] / each;
                let parts = if interleaved { [each, rows] } else { [rows, each] };
                let split = [&dims[..axis], &parts, &dims[axis + 1..]].concat();
                let samples = axis + usize::from(interleaved);
                let rest = (0..split.len()).filter(|&own| own != samples);
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
        // Of nothing but zeros any scale will do.
        let dtype = Value::new(scale.clone()).bool_dtype();
        let none = Dispatch::float_equal_elem(scale.clone(), Scalar::Float(0.0), dtype);
        let scale = Dispatch::float_mask_fill(scale, none, Scalar::Float(1.0));
        let zero = Dispatch::float_div(Dispatch::float_neg(smallest), scale.clone());
        let (least, most) = (Scalar::Float(0.0), Scalar::Float(255.0));
        let zero = Dispatch::float_clamp(Dispatch::float_round(zero), least, most);
        let along = |own| -> Outcome<Value> {
            let Some(samples) = samples else {
                return Value::new(own).reshape(&[]);
            };
            let mut shape = vec![1; dims.len()];
            shape[samples.axis] = rows;
            let own = Value::new(own).reshape(&shape)?;
            match samples.each {
                1 => Ok(own),
                _ => {
                    let numbers = samples.numbers(dims[samples.axis]);
                    own.select(samples.axis, numbers.map(|number| number as i64).collect())
                }
            }
        };
        Ok(Self { scale: along(scale)?, zero: along(zero)? })
    }
}

fn levels(site: &Site) -> Outcome<Run> {
    let element = Element(i32::try_from(site.int("to", 6)?).unwrap_or_default());
    one(move |inputs| Ok(inputs.value(0)?.with_levels(element)))
}
