//! Fourier transforms, as products with matrices of cosines and sines, and window functions.

use std::f64::consts::TAU;

use super::arithmetic::{add, multiply, scaled, subtract};
use super::linear::product;
use super::{Inputs, Operator, Run, Site, axis, one, size};
use crate::file::Element;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("DFT", 17, (1, 3), transform).settings(&[1, 2]),
    Operator::new("STFT", 17, (2, 4), short_transform).settings(&[1, 3]),
    Operator::new("HannWindow", 17, (1, 1), |site| window(site, &[0.5, 0.5])).settings(&[0]).flat(),
    Operator::new("HammingWindow", 17, (1, 1), |site| window(site, &[25.0 / 46.0, 21.0 / 46.0]))
        .settings(&[0])
        .flat(),
    Operator::new("BlackmanWindow", 17, (1, 1), |site| window(site, &[0.42, 0.5, 0.08]))
        .settings(&[0])
        .flat(),
];

/// `[rows, columns]` of `cos` and of `sin` of `2 pi row column / length`.
fn circle(rows: usize, columns: usize, length: usize) -> Outcome<[Value; 2]> {
    let matrix = |function: fn(f64) -> f64| {
        let angle = |at: usize| {
            let (row, column) = (at / columns.max(1), at % columns.max(1));
            TAU * (row * column % length) as f64 / length as f64
        };
        let values = (0..rows * columns).map(|at| function(angle(at)) as f32);
        Value::from_floats(values.collect()).reshape(&[rows, columns])
    };
    Ok([matrix(f64::cos)?, matrix(f64::sin)?])
}

/// The transform of signals along their last axis, `[..., length]`: real and imaginary parts of the
/// first `frequencies`.
fn forward(
    real: &Value,
    imaginary: Option<&Value>,
    length: usize,
    frequencies: usize,
) -> Outcome<[Value; 2]> {
    let [cos, sin] = circle(length, frequencies, length)?;
    let (mut a, mut b) = (product(real, &cos)?, scaled(&product(real, &sin)?, -1.0)?);
    if let Some(imaginary) = imaginary {
        a = add(&a, &product(imaginary, &sin)?)?;
        b = add(&b, &product(imaginary, &cos)?)?;
    }
    Ok([a, b])
}

/// `value` with the last axis cut or filled with zeros to `length`.
fn fitted(value: Value, length: usize) -> Outcome<Value> {
    let mut dims = value.dims();
    let last = dims.len() - 1;
    let own = dims[last];
    if own >= length {
        return Ok(value.range(last, 0..length));
    }
    dims[last] = length - own;
    let zeros = Value::filled(0.0, &dims)?;
    Value::concat(&[value, zeros], last)
}

/// The number in a setting.
fn number(inputs: &Inputs, index: usize) -> Outcome<Option<i64>> {
    let Some(value) = inputs.optional(index) else {
        return Ok(None);
    };
    match value.ints()?[..] {
        [value] => Ok(Some(value)),
        ref values => Err(format!("its input {index} has {} values, not one", values.len())),
    }
}

/// The axis was an attribute before opset 20.
fn transform(site: &Site) -> Outcome<Run> {
    let attribute = if site.opset() < 20 { Some(site.int("axis", 1)?) } else { None };
    let (inverse, onesided) = (site.flag("inverse", false)?, site.flag("onesided", false)?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let Some((&parts @ (1 | 2), signal)) = dims.split_last() else {
            return Err(format!("the last axis of {dims:?} is not of real or complex numbers"));
        };
        let along = match attribute {
            Some(along) => along,
            None => number(inputs, 2)?.unwrap_or(-2),
        };
        let axis = axis(along, dims.len())?;
        if axis == signal.len() {
            return Err("it transforms along the axis of real and imaginary parts".into());
        }
        if onesided && (parts == 2) != inverse {
            return Err("onesided=1 takes real signals, or the spectrum of one".into());
        }
        let own = signal[axis];
        let default = if inverse && onesided { 2 * own.saturating_sub(1) } else { own };
        let length = number(inputs, 1)?.map_or(Ok(default), size)?;
        if length == 0 {
            return Err("its length is 0".into());
        }
        let order: Vec<usize> =
            (0..signal.len()).filter(|&other| other != axis).chain([axis]).collect();
        let half = length / 2 + 1;
        let read = if inverse && onesided { half } else { length };
        let part =
            |index: usize| fitted(x.clone().part(signal.len(), index)?.permute(&order)?, read);
        let real = part(0)?;
        let imaginary = if parts == 2 { Some(part(1)?) } else { None };
        let made = match (inverse, onesided) {
            (false, _) => {
                let frequencies = if onesided { half } else { length };
                forward(&real, imaginary.as_ref(), length, frequencies)?.to_vec()
            }
            // The conjugate of the transform of the conjugate.
            (true, false) => {
                let minus = imaginary.map(|imaginary| scaled(&imaginary, -1.0)).transpose()?;
                let [a, b] = forward(&real, minus.as_ref(), length, length)?;
                let share = 1.0 / length as f64;
                vec![scaled(&a, share)?, scaled(&b, -share)?]
            }
            (true, true) => {
                let imaginary = imaginary.ok_or("it takes a spectrum")?;
                vec![from_half(&real, &imaginary, length)?]
            }
        };
        // The axis back in its place, real and imaginary parts last.
        let mut back: Vec<usize> = (0..signal.len() - 1).collect();
        back.insert(axis, signal.len() - 1);
        let parts = made.into_iter().map(|value| {
            let value = value.permute(&back)?;
            let last = value.rank();
            value.with_axis(last)
        });
        Value::concat(&parts.collect::<Outcome<Vec<_>>>()?, signal.len())
    })
}

/// The real signal of which these are the frequencies up to the half.
fn from_half(real: &Value, imaginary: &Value, length: usize) -> Outcome<Value> {
    let half = length / 2 + 1;
    let [cos, sin] = circle(half, length, length)?;
    // Frequencies but for the first, and the half of an even length, stand for two.
    let share = |at: usize| if at == 0 || 2 * at == length { 1.0 } else { 2.0 };
    let shares = (0..half).map(|at| share(at) / length as f32).collect();
    let shares = Value::from_floats(shares).reshape(&[half, 1])?;
    let (cos, sin) = (multiply(&cos, &shares)?, multiply(&sin, &shares)?);
    subtract(&product(real, &cos)?, &product(imaginary, &sin)?)
}

/// The transforms of windows of a signal, one every `frame_step`.
fn short_transform(site: &Site) -> Outcome<Run> {
    let onesided = site.flag("onesided", true)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let &[n, length, parts @ (1 | 2)] = &x.dims()[..] else {
            return Err(format!("it takes signals, not {:?}", x.dims()));
        };
        let window = inputs.optional(2);
        let own = window.as_ref().and_then(|window| window.dims().first().copied());
        let wide = match number(inputs, 3)? {
            Some(wide) => size(wide)?,
            None => own.ok_or("it has neither a window nor a frame_length")?,
        };
        let step = number(inputs, 1)?.map_or(Ok(0), size)?;
        if step == 0 || wide == 0 || wide > length || own.is_some_and(|own| own != wide) {
            return Err(format!("windows of {wide} every {step} do not fit signals of {length}"));
        }
        if onesided && parts == 2 {
            return Err("onesided=1 takes real signals".into());
        }
        let frames = (length - wide) / step + 1;
        let places =
            (0..frames).flat_map(|frame| (0..wide).map(move |at| (frame * step + at) as i64));
        let places: Vec<i64> = places.collect();
        let part = |index: usize| {
            let frames =
                x.clone().part(2, index)?.select(1, places.clone())?.reshape(&[n, frames, wide])?;
            match &window {
                Some(window) => multiply(&frames, window),
                None => Ok(frames),
            }
        };
        let imaginary = if parts == 2 { Some(part(1)?) } else { None };
        let frequencies = if onesided { wide / 2 + 1 } else { wide };
        let made = forward(&part(0)?, imaginary.as_ref(), wide, frequencies)?;
        let parts = made.map(|value| value.reshape(&[n, frames, frequencies, 1]));
        let [a, b] = parts;
        Value::concat(&[a?, b?], 3)
    })
}

/// `a - b cos(2 pi i / n) + c cos(4 pi i / n)`, `n` one less where the window is symmetric.
fn window(site: &Site, terms: &'static [f64]) -> Outcome<Run> {
    let periodic = site.flag("periodic", true)?;
    let element = Element(i32::try_from(site.int("output_datatype", 1)?).unwrap_or(0));
    if !element.is_float() && element.integer().is_none() {
        return Err(format!("its output_datatype {} is not supported", element.name()));
    }
    one(move |inputs| {
        let count = number(inputs, 0)?.map_or(Ok(0), size)?;
        let length = if periodic { count } else { count.saturating_sub(1).max(1) };
        let value = |at: usize| {
            let angle = TAU * at as f64 / length as f64;
            let sign = |term: usize| if term.is_multiple_of(2) { 1.0 } else { -1.0 };
            let terms = terms.iter().enumerate();
            terms.map(|(term, a)| sign(term) * a * (term as f64 * angle).cos()).sum::<f64>() as f32
        };
        Value::from_floats((0..count).map(value).collect()).cast(element)
    })
}
