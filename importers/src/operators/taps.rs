//! Interpolation taps: the image elements, and their weights, whose weighted sum is the image at a sampling
//! point with computed coordinates.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Scalar};

use super::arithmetic::{add, multiply};
use crate::value::{Outcome, Value};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// The padding mode outside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PaddingMode {
    Zeros,
    Border,
    Reflection,
}

/// One axis of the sampled image.
pub struct Axis {
    /// The length of the axis.
    size: usize,
    /// The coordinates at which reflection padding mirrors the image.
    mirrors: (f32, f32),
    padding_mode: PaddingMode,
}

impl Axis {
    pub fn new(size: usize, align: bool, padding_mode: PaddingMode) -> Self {
        let last = size as f32 - 1.0;
        let mirrors = if align { (0.0, last) } else { (-0.5, last + 0.5) };
        Self { size, mirrors, padding_mode }
    }

    /// Maps the coordinate `x` into the image according to the padding mode; returns the mapped coordinate
    /// and its derivative with respect to `x`.
    fn map_inside(&self, x: f32) -> (f32, f32) {
        let last = self.size as f32 - 1.0;
        match self.padding_mode {
            PaddingMode::Zeros => (x, 1.0),
            PaddingMode::Border if (0.0..=last).contains(&x) => (x, 1.0),
            PaddingMode::Border => (x.clamp(0.0, last), 0.0),
            PaddingMode::Reflection => {
                let (low, high) = self.mirrors;
                let span = high - low;
                if span <= 0.0 {
                    return (low, 0.0);
                }
                let (distance, from, sign) = match x {
                    x if x < low => (low - x, low, -1.0),
                    x if x > high => (x - high, high, 1.0),
                    _ => return (x, 1.0),
                };
                let (turns, rest) = ((distance / span).floor(), distance % span);
                // An even number of full reflections continues from the near mirror inwards, an odd number
                // from the far mirror.
                let even = turns % 2.0 == 0.0;
                let other = if sign < 0.0 { high } else { low };
                if even { (from - sign * rest, -1.0) } else { (other + sign * rest, 1.0) }
            }
        }
    }

    /// Returns the element index at the integer coordinate `at`; `None` outside of a zero-padded image.
    fn element(&self, at: f32) -> Option<i64> {
        let (at, _) = self.map_inside(at);
        let at = at.round();
        match self.padding_mode {
            PaddingMode::Zeros if at < 0.0 || at >= self.size as f32 => None,
            _ => Some(at.clamp(0.0, self.size as f32 - 1.0) as i64),
        }
    }
}

/// One tap along an axis: for each sampling point, the index of an image element and its weight.
pub struct Tap {
    elements: Vec<Option<i64>>,
    /// `None` if all weights are 1.
    weight: Option<Value>,
}

/// Returns the taps along one axis for the given `coordinates`.
pub fn taps(coordinates: &Value, axis: &Axis, mode: Mode) -> Outcome<Vec<Tap>> {
    let values = coordinates.floats()?;
    if mode == Mode::Nearest {
        let nearest = |&x: &f32| axis.element(axis.map_inside(x).0.round_ties_even());
        return Ok(vec![Tap { elements: values.iter().map(nearest).collect(), weight: None }]);
    }
    let dims = coordinates.dims();
    let constant = |values: Vec<f32>| Value::from_floats(values).reshape(&dims);
    // Padding modes apply to each tap with cubic interpolation, and to the coordinate with linear
    // interpolation.
    let mapped: Vec<(f32, f32)> = match mode {
        Mode::Cubic => values.iter().map(|&x| (x, 1.0)).collect(),
        _ => values.iter().map(|&x| axis.map_inside(x)).collect(),
    };
    let floors: Vec<f32> = mapped.iter().map(|(x, _)| x.floor()).collect();
    // The fractional part of the mapped coordinate as `slope x + term`, so that it is differentiable in `x`.
    let slopes = constant(mapped.iter().map(|(_, slope)| *slope).collect())?;
    let terms = mapped.iter().zip(&values).zip(&floors);
    let terms = constant(
        terms.map(|(((x, slope), unmapped), floor)| x - slope * unmapped - floor).collect(),
    )?;
    let part = add(&multiply(coordinates, &slopes)?, &terms)?;
    let offsets = if mode == Mode::Linear { 0..2 } else { -1..3 };
    offsets
        .map(|offset| {
            let elements = floors.iter().map(|floor| axis.element(floor + offset as f32)).collect();
            Ok(Tap { elements, weight: Some(weight(&part, mode, offset)?) })
        })
        .collect()
}

/// Returns the weight of the tap at `offset` for a coordinate with the fractional part `t`.
fn weight(t: &Value, mode: Mode, offset: i32) -> Outcome<Value> {
    const A: f64 = -0.75;
    let t = t.float()?;
    let times = |x, factor| Dispatch::float_mul_scalar(x, Scalar::Float(factor));
    let plus = |x, term| Dispatch::float_add_scalar(x, Scalar::Float(term));
    // The distance from the tap.
    let distance = match offset {
        0 => t,
        -1 => plus(t, 1.0),
        offset => plus(times(t, -1.0), f64::from(offset)),
    };
    Ok(Value::new(match (mode, offset) {
        (Mode::Cubic, 0 | 1) => horner(&distance, [A + 2.0, -(A + 3.0), 0.0, 1.0]),
        (Mode::Cubic, _) => horner(&distance, [A, -5.0 * A, 8.0 * A, -4.0 * A]),
        _ => plus(times(distance, -1.0), 1.0),
    }))
}

/// `((a x + b) x + c) x + d`.
fn horner(x: &DispatchTensor, [a, b, c, d]: [f64; 4]) -> DispatchTensor {
    let plus = |sum, term| Dispatch::float_add_scalar(sum, Scalar::Float(term));
    let sum = plus(Dispatch::float_mul_scalar(x.clone(), Scalar::Float(a)), b);
    let sum = plus(Dispatch::float_mul(sum, x.clone()), c);
    plus(Dispatch::float_mul(sum, x.clone()), d)
}

/// Samples the images `x`: for each sampling point, the sum over all combinations of one tap per axis.
/// Returns `[n, c, points]`.
pub fn sample_all(x: &Value, taps: &[Vec<Tap>]) -> Outcome<Value> {
    let dims = x.dims();
    let (n, c, sizes) = (dims[0], dims[1], &dims[2..]);
    let flat = x.clone().reshape(&[n, c, sizes.iter().product()])?;
    let mut combined: Vec<Vec<&Tap>> = vec![Vec::new()];
    for axis_taps in taps {
        let mut longer = Vec::with_capacity(combined.len() * axis_taps.len());
        for prefix in &combined {
            longer.extend(axis_taps.iter().map(|tap| [&prefix[..], &[tap]].concat()));
        }
        combined = longer;
    }
    let mut sum: Option<Value> = None;
    for taps in combined {
        let part = sample_taps(&flat, &taps, sizes)?;
        sum = Some(match sum {
            Some(sum) => add(&sum, &part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| "the interpolation has no taps".into())
}

/// Gathers the elements for one combination of taps and multiplies them with the weights.
fn sample_taps(flat: &Value, taps: &[&Tap], sizes: &[usize]) -> Outcome<Value> {
    let (n, c) = (flat.dims()[0], flat.dims()[1]);
    let total = taps[0].elements.len();
    let count = total / n.max(1);
    let element = |at: usize| {
        taps.iter()
            .zip(sizes)
            .try_fold(0, |flat, (tap, &size)| Some(flat * size as i64 + tap.elements[at]?))
    };
    let elements: Vec<Option<i64>> = (0..total).map(element).collect();
    // All channels are sampled at the same points.
    let indices = elements
        .chunks(count.max(1))
        .flat_map(|image| std::iter::repeat_n(image, c))
        .flatten()
        .map(|element| element.unwrap_or(0));
    let indices = Value::from_ints(indices.collect()).reshape(&[n, c, count])?;
    let mut value = flat.clone().gather(2, indices)?;
    for weight in taps.iter().filter_map(|tap| tap.weight.as_ref()) {
        value = multiply(&value, weight)?;
    }
    if elements.contains(&None) {
        let kept = elements.iter().map(|element| if element.is_some() { 1.0 } else { 0.0 });
        value = multiply(&value, &Value::from_floats(kept.collect()).reshape(&[n, 1, count])?)?;
    }
    Ok(value)
}
