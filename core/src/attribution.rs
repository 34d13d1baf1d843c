//! The result: a map, how sure it is, and what it cost.

use crate::Score;

/// A map of one input for one score.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The map in row-major order, of the input's shape.
    pub values: Vec<f32>,
    /// The Monte-Carlo standard error of each element, `sqrt(variance / samples)`, and where each
    /// draw of the parameters has samples of its own that of the draws' means; zero without noise, and not a number when only one sample was kept, or of squares and variances.
    pub standard_error: Vec<f32>,
    /// The input's shape, without the batch axis.
    pub shape: Vec<usize>,
    /// What was explained.
    pub score: Score,
    /// Gradients computed.
    pub gradients: u64,
    /// Samples kept in the mean, each of all nodes where there is a path.
    pub samples: u64,
    /// Samples left out because their gradient was not finite.
    pub left_out: u64,
    /// Gradients per batch.
    pub batch: usize,
    /// Gradients per batch at first, where the device had no memory for as many and the batch was
    /// halved.
    pub refused_batch: Option<usize>,
    /// For a path from `b`, `|sum(map) - (F(x) - F(b))|`: what the quadrature, and the noise if
    /// there is any, miss of the difference that the map should add up to.
    pub completeness_gap: Option<f64>,
    /// The share of the input's elements that lie outside their domain, where AdaptGrad's noise has no
    /// width: at a share of 1 the map is the plain gradient.
    pub outside_domain: f64,
    /// Seconds that the map took once the class was known, batches that were refused included;
    /// of maps that shared batches, their mean.
    pub seconds: f64,
}

impl Attribution {
    /// The L2 norm of the standard error over that of the map: how much of the map is noise.
    /// `None` when it is not known: with a single sample, or for a map of zeros.
    pub fn relative_standard_error(&self) -> Option<f64> {
        relative_norm(&self.standard_error, &self.values)
    }
}

/// The L2 norm of `errors` over that of `values`, where that is a number.
pub(crate) fn relative_norm(errors: &[f32], values: &[f32]) -> Option<f64> {
    let norm =
        |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let ratio = norm(errors) / norm(values);
    ratio.is_finite().then_some(ratio)
}
