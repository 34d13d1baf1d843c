//! The reference of the noise kernel: plain Rust in double precision, one element at a time. Tests compare
//! every device with it.

use super::{Batch, Boundary, Noise, Row};
use crate::domain::Domain;
use crate::philox::{key, philox};
use crate::quantile::{is_negative, tail_probability};

/// An element of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The index of the row in the batch.
    pub row: usize,
    /// The index of the element in the row.
    pub index: usize,
    /// The number of elements of a row.
    pub features: usize,
}

impl Element<'_> {
    /// Returns the row of the element.
    pub fn row(&self) -> &Row {
        &self.batch.rows[self.row]
    }
}

/// Returns the point at a position on the path from `baseline` to `x`, rounded to float32.
pub fn point(x: f32, baseline: f32, position: f64) -> f32 {
    let (x, baseline) = (f64::from(x), f64::from(baseline));
    (baseline + position * (x - baseline)) as f32
}

/// Returns the noisy element whose point without noise is `x`, not rounded to float32.
pub fn element(x: f32, at: &Element, noise: &Noise, domains: &[Domain]) -> f64 {
    let (lower, upper) = bounds(domains, at);
    let x = f64::from(x);
    let value = x + noise.width.rounded().at(x, lower, upper) * draw(at, noise);
    match noise.boundary {
        Boundary::Free => value,
        Boundary::Clipped => value.clamp(lower, upper),
    }
}

/// Returns the draw of the element at unit scale.
pub fn draw(at: &Element, noise: &Noise) -> f64 {
    let word = word(at);
    let magnitude = noise.mollifier.tail_quantile(tail_probability(word).0);
    if is_negative(word) { -magnitude } else { magnitude }
}

/// Returns the random word of the element.
pub fn word(at: &Element) -> u32 {
    let quarter = at.features.div_ceil(4);
    let (row, batch) = (at.row(), at.batch);
    let counter = [(at.index % quarter) as u32, row.sample, row.node, batch.stream];
    philox(counter, key(batch.seed))[at.index / quarter]
}

/// Returns the bounds of the element.
pub fn bounds(domains: &[Domain], at: &Element) -> (f64, f64) {
    let (lower, upper) = domains[at.row().input].element_bounds(at.index, at.features);
    (lower.into(), upper.into())
}
