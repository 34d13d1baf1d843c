//! Samples of an image at places that the model computes.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use burn::tensor::Slice;

use super::{Operator, Run, Site, one};
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[Operator::new("GridSample", 16, (2, 2), grid_sample)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// The places along one axis of the image.
struct Axis {
    /// The axis's length.
    size: usize,
    /// Where the image is mirrored.
    mirrors: (f32, f32),
    outside: Outside,
}

impl Axis {
    fn new(size: usize, align: bool, outside: Outside) -> Self {
        let last = size as f32 - 1.0;
        let mirrors = if align { (0.0, last) } else { (-0.5, last + 0.5) };
        Self { size, mirrors, outside }
    }

    /// The place inside that `x` stands for, and the derivative of it.
    fn inside(&self, x: f32) -> (f32, f32) {
        let last = self.size as f32 - 1.0;
        match self.outside {
            Outside::Zeros => (x, 1.0),
            Outside::Border if (0.0..=last).contains(&x) => (x, 1.0),
            Outside::Border => (x.clamp(0.0, last), 0.0),
            Outside::Reflection => {
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
                // From the mirror inwards, or from the other one, turn by turn.
                let even = turns % 2.0 == 0.0;
                let other = if sign < 0.0 { high } else { low };
                if even { (from - sign * rest, -1.0) } else { (other + sign * rest, 1.0) }
            }
        }
    }

    /// The element at the whole place `at`; `None` where there are zeros.
    fn element(&self, at: f32) -> Option<i64> {
        let (at, _) = self.inside(at);
        let at = at.round();
        match self.outside {
            Outside::Zeros if at < 0.0 || at >= self.size as f32 => None,
            _ => Some(at.clamp(0.0, self.size as f32 - 1.0) as i64),
        }
    }
}

/// One element of the image for each place along an axis, and its weight.
struct Tap {
    elements: Vec<Option<i64>>,
    /// `None` for a weight of 1.
    weight: Option<Value>,
}

fn grid_sample(site: &Site) -> Outcome<Run> {
    let mode =
        match site.text("mode", if site.opset() < 20 { "bilinear" } else { "linear" })?.as_str() {
            "nearest" => Mode::Nearest,
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            other => return Err(format!("its mode {other:?} is not known")),
        };
    let outside = match site.text("padding_mode", "zeros")?.as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(format!("its padding_mode {other:?} is not known")),
    };
    let align = site.flag("align_corners", false)?;
    one(move |inputs| {
        let (x, grid) = (inputs.value(0)?, inputs.value(1)?);
        let (dims, places) = (x.dims(), grid.dims());
        let (&[n, c, height, width], &[grids, rows, columns, 2]) = (&dims[..], &places[..]) else {
            return Err(format!("it takes an image and places in it, not {dims:?} and {places:?}"));
        };
        if grids != n {
            return Err(format!("{grids} grids are not of {n} images"));
        }
        let count = rows * columns;
        let along = |part: usize, size: usize| -> Outcome<Vec<Tap>> {
            let slices =
                [Slice::from(..), Slice::from(..), Slice::from(..), Slice::from(part..part + 1)];
            let place = grid.clone().slice(&slices).reshape(&[n, 1, count])?;
            // From -1..1 to elements.
            let (factor, term) = match align {
                true => ((size as f64 - 1.0) / 2.0, (size as f64 - 1.0) / 2.0),
                false => (size as f64 / 2.0, (size as f64 - 1.0) / 2.0),
            };
            let place = Dispatch::float_mul_scalar(place.float()?, Scalar::Float(factor));
            let place = Value::new(Dispatch::float_add_scalar(place, Scalar::Float(term)));
            taps(&place, &Axis::new(size, align, outside), mode)
        };
        let (horizontal, vertical) = (along(0, width)?, along(1, height)?);
        let flat = x.reshape(&[n, c, height * width])?;
        let mut sum: Option<Value> = None;
        for row in &vertical {
            for column in &horizontal {
                let part = sample(&flat, row, column, [n, c, count], width)?;
                sum = Some(match sum {
                    Some(sum) => binary(&sum, &part, Dispatch::float_add, None)?,
                    None => part,
                });
            }
        }
        sum.ok_or("it has no taps")?.reshape(&[n, c, rows, columns])
    })
}

/// The elements that make the value at each `place` along an axis.
fn taps(place: &Value, axis: &Axis, mode: Mode) -> Outcome<Vec<Tap>> {
    let values = place.floats()?;
    if mode == Mode::Nearest {
        let nearest = |&x: &f32| axis.element(axis.inside(x).0.round_ties_even());
        return Ok(vec![Tap { elements: values.iter().map(nearest).collect(), weight: None }]);
    }
    let dims = place.dims();
    let constant = |values: Vec<f32>| Value::from_floats(values).reshape(&dims);
    // Cubic weights mirror or repeat each element, linear ones the place.
    let mapped: Vec<(f32, f32)> = match mode {
        Mode::Cubic => values.iter().map(|&x| (x, 1.0)).collect(),
        _ => values.iter().map(|&x| axis.inside(x)).collect(),
    };
    let floors: Vec<f32> = mapped.iter().map(|(x, _)| x.floor()).collect();
    // The part behind the whole, `slope x + term`, through which the gradient goes.
    let slopes = constant(mapped.iter().map(|(_, slope)| *slope).collect())?;
    let terms = mapped.iter().zip(&values).zip(&floors);
    let terms =
        constant(terms.map(|(((x, slope), own), floor)| x - slope * own - floor).collect())?;
    let part = binary(
        &binary(place, &slopes, Dispatch::float_mul, None)?,
        &terms,
        Dispatch::float_add,
        None,
    )?;
    let offsets = if mode == Mode::Linear { 0..2 } else { -1..3 };
    offsets
        .map(|offset| {
            let elements = floors.iter().map(|floor| axis.element(floor + offset as f32)).collect();
            Ok(Tap { elements, weight: Some(weight(&part, mode, offset)?) })
        })
        .collect()
}

/// The weight of the element at `offset` of a place that lies `t` behind the element at 0.
fn weight(t: &Value, mode: Mode, offset: i32) -> Outcome<Value> {
    const A: f64 = -0.75;
    let t = t.float()?;
    let times = |x, factor| Dispatch::float_mul_scalar(x, Scalar::Float(factor));
    let plus = |x, term| Dispatch::float_add_scalar(x, Scalar::Float(term));
    // The distance from the element.
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

/// The elements in this row and column of each place, times their weights.
fn sample(
    flat: &Value,
    row: &Tap,
    column: &Tap,
    [n, c, count]: [usize; 3],
    width: usize,
) -> Outcome<Value> {
    let places = row.elements.iter().zip(&column.elements);
    let both =
        |(row, column): (&Option<i64>, &Option<i64>)| Some((*row)? * width as i64 + (*column)?);
    let elements: Vec<Option<i64>> = places.map(both).collect();
    // Every channel is sampled at the same places.
    let indices = elements
        .chunks(count.max(1))
        .flat_map(|image| std::iter::repeat_n(image, c))
        .flatten()
        .map(|element| element.unwrap_or(0));
    let indices = Value::from_ints(indices.collect()).reshape(&[n, c, count])?;
    let mut value = flat.clone().gather(2, indices)?;
    for weight in [&row.weight, &column.weight].into_iter().flatten() {
        value = binary(&value, weight, Dispatch::float_mul, None)?;
    }
    if elements.contains(&None) {
        let kept = elements.iter().map(|element| if element.is_some() { 1.0 } else { 0.0 });
        let kept = Value::from_floats(kept.collect()).reshape(&[n, 1, count])?;
        value = binary(&value, &kept, Dispatch::float_mul, None)?;
    }
    Ok(value)
}
