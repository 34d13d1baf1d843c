//! The noise kernel in plain Rust and double precision, one element at a time: what every device
//! is compared with.

use super::{Batch, Boundary, Domain, Noise, Row, Width};
use crate::philox::{key, philox};
use crate::quantile::{is_negative, tail_probability};

/// An element of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The row's number in the batch.
    pub row: usize,
    /// The element's number in the row.
    pub index: usize,
    /// The number of elements of a row.
    pub features: usize,
}

impl Element<'_> {
    /// Its row.
    pub fn row(&self) -> &Row {
        &self.batch.rows[self.row]
    }
}

/// The point on the path from `baseline` to `x` at a position, rounded to float32.
pub fn point(x: f32, baseline: f32, position: f64) -> f32 {
    let (x, baseline) = (f64::from(x), f64::from(baseline));
    (baseline + position * (x - baseline)) as f32
}

/// The element whose point is `x`; unrounded.
pub fn element(x: f32, at: &Element, noise: &Noise, domain: &Domain) -> f64 {
    let (lower, upper) = bounds(domain, at);
    let value = f64::from(x) + sigma(noise.width, x, lower, upper) * draw(at, noise);
    match noise.boundary {
        Boundary::Free => value,
        Boundary::Clipped => value.clamp(lower, upper),
    }
}

/// The element's draw at unit scale.
pub fn draw(at: &Element, noise: &Noise) -> f64 {
    let word = word(at);
    let magnitude = noise.mollifier.tail_quantile(tail_probability(word).0);
    if is_negative(word) { -magnitude } else { magnitude }
}

/// The element's random word.
pub fn word(at: &Element) -> u32 {
    let quarter = at.features.div_ceil(4);
    let (row, batch) = (at.row(), at.batch);
    let counter = [(at.index % quarter) as u32, row.sample, row.node, batch.stream];
    philox(counter, key(batch.seed))[at.index / quarter]
}

/// The width at a value `x` between `lower` and `upper`.
pub fn sigma(width: Width, x: f32, lower: f64, upper: f64) -> f64 {
    let x = f64::from(x);
    match width {
        Width::Absolute(sigma) => f64::from(sigma),
        Width::Relative(factor) => f64::from(factor) * (upper - lower),
        Width::Adaptive(factor) => f64::from(factor) * (x - lower).min(upper - x).max(0.0),
        Width::Proportional(scale) => f64::from(scale) * x,
    }
}

/// The bounds of an element.
pub fn bounds(domain: &Domain, at: &Element) -> (f64, f64) {
    let (lower, upper) = domain.bounds(at.row().input, at.index);
    (lower.into(), upper.into())
}
