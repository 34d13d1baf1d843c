//! The interpolation of one axis for Resize and Upsample, as a weighted sum of gathered slices. This covers
//! every coordinate transformation mode exactly and gives the same result on every device.

use super::arithmetic::{add, multiply};
use crate::value::{Outcome, Value};

/// The interpolation settings of a resize.
pub struct Interpolation {
    pub mode: Mode,
    pub coordinates: Coordinates,
    pub nearest: Nearest,
    /// The coefficient `cubic_coeff_a`.
    pub cubic: f32,
    /// Whether elements outside the image get weight 0 (`exclude_outside`).
    pub exclude_outside: bool,
    /// The value outside the image for `tf_crop_and_resize` (`extrapolation_value`).
    pub extrapolation: f32,
    /// Whether downsampling applies an anti-aliasing filter.
    pub antialias: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixel,
    /// The region of the image that the input `roi` gives (`tf_crop_and_resize`).
    Crop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Nearest {
    Floor,
    Ceil,
    RoundPreferFloor,
    RoundPreferCeil,
    /// Opset 10: ceil when downsampling, floor when upsampling.
    Outward,
}

/// The region of an axis to resize, as `(start, end)` in units of its length minus 1.
pub type Region = (f32, f32);

pub const FULL_RANGE: Region = (0.0, 1.0);

/// The resizing of one axis.
pub struct AxisResize {
    pub input_len: usize,
    pub output_len: usize,
    pub scale: f32,
    pub region: Region,
}

/// One term of the weighted sum: for each output position, the index of an input element and its weight.
type Tap = (Vec<i64>, Vec<f32>);

impl AxisResize {
    /// Returns the input coordinate of output position `i`.
    fn source(&self, interpolation: &Interpolation, i: f32) -> f32 {
        let (input_len, output_len, scale) =
            (self.input_len as f32, self.output_len as f32, self.scale);
        match interpolation.coordinates {
            Coordinates::AlignCorners | Coordinates::PytorchHalfPixel if output_len == 1.0 => 0.0,
            // `scale * input_len` is the output length before rounding down.
            Coordinates::AlignCorners => i * (input_len - 1.0) / (scale * input_len - 1.0),
            Coordinates::Asymmetric => i / scale,
            Coordinates::TfHalfPixel => (i + 0.5) / scale,
            Coordinates::HalfPixelSymmetric => {
                let offset = input_len / 2.0 * (1.0 - output_len / (scale * input_len));
                offset + (i + 0.5) / scale - 0.5
            }
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::Crop => {
                let (start, end) = self.region;
                match output_len == 1.0 {
                    true => 0.5 * (start + end) * (input_len - 1.0),
                    false => {
                        start * (input_len - 1.0)
                            + i * (end - start) * (input_len - 1.0) / (output_len - 1.0)
                    }
                }
            }
        }
    }

    /// Returns the terms of the weighted sum for the input `coordinates`.
    fn taps(&self, interpolation: &Interpolation, coordinates: &[f32]) -> Vec<Tap> {
        let last = self.input_len as f32 - 1.0;
        let inside = |index: f32| index.clamp(0.0, last) as i64;
        if interpolation.mode == Mode::Nearest {
            let nearest = coordinates
                .iter()
                .map(|&coordinate| nearest(interpolation.nearest, coordinate, self.scale));
            return vec![(nearest.map(inside).collect(), vec![1.0; coordinates.len()])];
        }
        // The anti-aliasing filter is stretched by the downsampling factor.
        let scale = if interpolation.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = if interpolation.mode == Mode::Linear { 1.0 } else { 2.0 };
        let first = (-reach / scale).floor() as i64 + 1;
        let is_outside = |index: f32| index < 0.0 || index > last;
        let mut taps: Vec<Tap> = (first..2 - first)
            .map(|offset| {
                let at = |coordinate: &f32| coordinate.floor() + offset as f32;
                let weight = |coordinate: &f32| match interpolation.exclude_outside
                    && is_outside(at(coordinate))
                {
                    true => 0.0,
                    false => weight(interpolation, (at(coordinate) - coordinate).abs() * scale),
                };
                let indices = coordinates.iter().map(|coordinate| inside(at(coordinate)));
                (indices.collect(), coordinates.iter().map(weight).collect())
            })
            .collect();
        if interpolation.exclude_outside || scale < 1.0 {
            let total = |i: usize| taps.iter().map(|(_, weights)| weights[i]).sum::<f32>();
            let totals: Vec<f32> = (0..coordinates.len()).map(total).collect();
            for (_, weights) in &mut taps {
                weights.iter_mut().zip(&totals).for_each(|(weight, total)| *weight /= total);
            }
        }
        taps
    }

    /// Resizes `axis` of `x`.
    pub fn apply(&self, x: Value, axis: usize, interpolation: &Interpolation) -> Outcome<Value> {
        let coordinates: Vec<f32> =
            (0..self.output_len).map(|i| self.source(interpolation, i as f32)).collect();
        let mut shape = vec![1; x.rank()];
        shape[axis] = self.output_len;
        let mut sum: Option<Value> = None;
        for (indices, weights) in self.taps(interpolation, &coordinates) {
            let mut term = x.clone().select(axis, indices)?;
            if weights.iter().any(|&weight| weight != 1.0) {
                term = multiply(&term, &Value::from_floats(weights).reshape(&shape)?)?;
            }
            sum = Some(match sum {
                Some(sum) => add(&sum, &term)?,
                None => term,
            });
        }
        let sum = sum.ok_or("the interpolation has no terms")?;
        let is_outside =
            |&coordinate: &f32| coordinate < 0.0 || coordinate > self.input_len as f32 - 1.0;
        if interpolation.coordinates != Coordinates::Crop || !coordinates.iter().any(is_outside) {
            return Ok(sum);
        }
        let outside =
            Value::from_bools(coordinates.iter().map(is_outside).collect()).reshape(&shape)?;
        outside.choose(Value::number(interpolation.extrapolation), sum)
    }
}

/// Returns the interpolation weight of an element at a distance.
fn weight(interpolation: &Interpolation, distance: f32) -> f32 {
    let (a, d) = (interpolation.cubic, distance);
    match interpolation.mode {
        Mode::Cubic if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        Mode::Cubic if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        Mode::Linear if d < 1.0 => 1.0 - d,
        _ => 0.0,
    }
}

/// Rounds a coordinate to an element index.
fn nearest(mode: Nearest, coordinate: f32, scale: f32) -> f32 {
    match mode {
        Nearest::Floor => coordinate.floor(),
        Nearest::Ceil => coordinate.ceil(),
        Nearest::RoundPreferFloor => (coordinate - 0.5).ceil(),
        Nearest::RoundPreferCeil => (coordinate + 0.5).floor(),
        Nearest::Outward if scale < 1.0 => coordinate.ceil(),
        Nearest::Outward => coordinate.floor(),
    }
}
