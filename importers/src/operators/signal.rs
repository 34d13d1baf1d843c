//! Fourier transforms, as products with cosine and sine matrices, and window functions.

use std::f64::consts::TAU;

use super::arithmetic::{add, multiply, scaled, subtract};
use super::linear::matmul;
use super::{Inputs, Operator, Run, Site, axis, single_output, size};
use crate::file::Element;
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("DFT", 17, (1, 3), dft_operator).settings(&[1, 2]),
    Operator::new("STFT", 17, (2, 4), stft_operator).settings(&[1, 3]),
    Operator::new("HannWindow", 17, (1, 1), |site| cosine_window(site, &[0.5, 0.5]))
        .settings(&[0])
        .non_differentiable(),
    Operator::new("HammingWindow", 17, (1, 1), |site| {
        cosine_window(site, &[25.0 / 46.0, 21.0 / 46.0])
    })
    .settings(&[0])
    .non_differentiable(),
    Operator::new("BlackmanWindow", 17, (1, 1), |site| cosine_window(site, &[0.42, 0.5, 0.08]))
        .settings(&[0])
        .non_differentiable(),
];

/// Returns the matrices `cos(2 pi row column / length)` and `sin(2 pi row column / length)`, both of shape
/// `[rows, columns]`.
fn dft_matrices(rows: usize, columns: usize, length: usize) -> Outcome<[Value; 2]> {
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

/// The DFT along the last axis of `[..., length]`: the real and imaginary parts of the first `frequencies`
/// coefficients.
fn dft(
    real: &Value,
    imaginary: Option<&Value>,
    length: usize,
    frequencies: usize,
) -> Outcome<[Value; 2]> {
    let [cos, sin] = dft_matrices(length, frequencies, length)?;
    let (mut a, mut b) = (matmul(real, &cos)?, scaled(&matmul(real, &sin)?, -1.0)?);
    if let Some(imaginary) = imaginary {
        a = add(&a, &matmul(imaginary, &sin)?)?;
        b = add(&b, &matmul(imaginary, &cos)?)?;
    }
    Ok([a, b])
}

/// Crops or zero-pads the last axis to `length`.
fn fit_length(value: Value, length: usize) -> Outcome<Value> {
    let mut dims = value.dims();
    let last = dims.len() - 1;
    let current = dims[last];
    if current >= length {
        return Ok(value.range(last, 0..length));
    }
    dims[last] = length - current;
    let zeros = Value::filled(0.0, &dims)?;
    Value::concat(&[value, zeros], last)
}

/// Returns the integer in the optional scalar input `index`.
fn optional_integer(inputs: &Inputs, index: usize) -> Outcome<Option<i64>> {
    let Some(value) = inputs.optional(index) else {
        return Ok(None);
    };
    match value.ints()?[..] {
        [value] => Ok(Some(value)),
        ref values => Err(format!("input {index} must have one element, not {}", values.len())),
    }
}

/// DFT. The axis is an attribute before opset 20 and an input from then on.
fn dft_operator(site: &Site) -> Outcome<Run> {
    let attribute = if site.opset() < 20 { Some(site.int("axis", 1)?) } else { None };
    let (inverse, onesided) = (site.flag("inverse", false)?, site.flag("onesided", false)?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let Some((&parts @ (1 | 2), signal)) = dims.split_last() else {
            return Err(format!(
                "the last axis of {dims:?} must have size 1 (real) or 2 (complex)"
            ));
        };
        let along = match attribute {
            Some(along) => along,
            None => optional_integer(inputs, 2)?.unwrap_or(-2),
        };
        let axis = axis(along, dims.len())?;
        if axis == signal.len() {
            return Err(
                "the axis must not be the last one, which holds real and imaginary parts".into()
            );
        }
        if onesided && (parts == 2) != inverse {
            return Err(
                "onesided=1 needs a real signal, or with inverse=1 a complex spectrum".into()
            );
        }
        let signal_length = signal[axis];
        let default =
            if inverse && onesided { 2 * signal_length.saturating_sub(1) } else { signal_length };
        let length = optional_integer(inputs, 1)?.map_or(Ok(default), size)?;
        if length == 0 {
            return Err("dft_length must not be 0".into());
        }
        let order: Vec<usize> =
            (0..signal.len()).filter(|&other| other != axis).chain([axis]).collect();
        let half = length / 2 + 1;
        let read = if inverse && onesided { half } else { length };
        let part = |index: usize| {
            fit_length(x.clone().index_axis(signal.len(), index)?.permute(&order)?, read)
        };
        let real = part(0)?;
        let imaginary = if parts == 2 { Some(part(1)?) } else { None };
        let outputs = match (inverse, onesided) {
            (false, _) => {
                let frequencies = if onesided { half } else { length };
                dft(&real, imaginary.as_ref(), length, frequencies)?.to_vec()
            }
            // The inverse DFT is the conjugate of the DFT of the conjugate, divided by the length.
            (true, false) => {
                let minus = imaginary.map(|imaginary| scaled(&imaginary, -1.0)).transpose()?;
                let [a, b] = dft(&real, minus.as_ref(), length, length)?;
                let share = 1.0 / length as f64;
                vec![scaled(&a, share)?, scaled(&b, -share)?]
            }
            (true, true) => {
                let imaginary =
                    imaginary.ok_or("onesided=1 with inverse=1 needs a complex spectrum")?;
                vec![inverse_real_dft(&real, &imaginary, length)?]
            }
        };
        // Moves the axis back to its place, with real and imaginary parts last.
        let mut back: Vec<usize> = (0..signal.len() - 1).collect();
        back.insert(axis, signal.len() - 1);
        let parts = outputs.into_iter().map(|value| {
            let value = value.permute(&back)?;
            let last = value.rank();
            value.insert_axis(last)
        });
        Value::concat(&parts.collect::<Outcome<Vec<_>>>()?, signal.len())
    })
}

/// The inverse DFT of a one-sided spectrum: the real signal of the given `length`.
fn inverse_real_dft(real: &Value, imaginary: &Value, length: usize) -> Outcome<Value> {
    let half = length / 2 + 1;
    let [cos, sin] = dft_matrices(half, length, length)?;
    // All coefficients except the first, and the middle one of an even length, occur twice in the full
    // spectrum.
    let share = |at: usize| if at == 0 || 2 * at == length { 1.0 } else { 2.0 };
    let shares = (0..half).map(|at| share(at) / length as f32).collect();
    let shares = Value::from_floats(shares).reshape(&[half, 1])?;
    let (cos, sin) = (multiply(&cos, &shares)?, multiply(&sin, &shares)?);
    subtract(&matmul(real, &cos)?, &matmul(imaginary, &sin)?)
}

/// STFT: the DFT of windowed frames of a signal, one every `frame_step` elements.
fn stft_operator(site: &Site) -> Outcome<Run> {
    let onesided = site.flag("onesided", true)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let &[n, length, parts @ (1 | 2)] = &x.dims()[..] else {
            return Err(format!("expected signals [n, length, 1 or 2], got shape {:?}", x.dims()));
        };
        let window = inputs.optional(2);
        let window_length = window.as_ref().and_then(|window| window.dims().first().copied());
        let frame_length = match optional_integer(inputs, 3)? {
            Some(frame_length) => size(frame_length)?,
            None => window_length.ok_or("either window or frame_length is required")?,
        };
        let step = optional_integer(inputs, 1)?.map_or(Ok(0), size)?;
        if step == 0
            || frame_length == 0
            || frame_length > length
            || window_length.is_some_and(|window_length| window_length != frame_length)
        {
            return Err(format!(
                "frames of length {frame_length} with step {step} do not match signals of length {length}"
            ));
        }
        if onesided && parts == 2 {
            return Err("onesided=1 needs a real signal".into());
        }
        let frames = (length - frame_length) / step + 1;
        let sample_indices = (0..frames)
            .flat_map(|frame| (0..frame_length).map(move |at| (frame * step + at) as i64));
        let sample_indices: Vec<i64> = sample_indices.collect();
        let part = |index: usize| {
            let frames = x
                .clone()
                .index_axis(2, index)?
                .select(1, sample_indices.clone())?
                .reshape(&[n, frames, frame_length])?;
            match &window {
                Some(window) => multiply(&frames, window),
                None => Ok(frames),
            }
        };
        let imaginary = if parts == 2 { Some(part(1)?) } else { None };
        let frequencies = if onesided { frame_length / 2 + 1 } else { frame_length };
        let outputs = dft(&part(0)?, imaginary.as_ref(), frame_length, frequencies)?;
        let parts = outputs.map(|value| value.reshape(&[n, frames, frequencies, 1]));
        let [a, b] = parts;
        Value::concat(&[a?, b?], 3)
    })
}

/// The cosine window `a - b cos(2 pi i / n) + c cos(4 pi i / n)` of `size` elements, with `n = size` for a
/// periodic window and `n = size - 1` for a symmetric one.
fn cosine_window(site: &Site, terms: &'static [f64]) -> Outcome<Run> {
    let periodic = site.flag("periodic", true)?;
    let element = Element(i32::try_from(site.int("output_datatype", 1)?).unwrap_or(0));
    if !element.is_float() && element.integer().is_none() {
        return Err(format!("output_datatype {} is not supported", element.name()));
    }
    single_output(move |inputs| {
        let count = optional_integer(inputs, 0)?.map_or(Ok(0), size)?;
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
