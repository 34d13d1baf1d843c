//! The result: a map, its standard error and its cost.

use crate::Score;

/// The map of one input for one score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attribution {
    /// The map in row-major order, with the shape of the input.
    pub values: Vec<f32>,
    /// The Monte Carlo standard error of each element, `sqrt(variance / samples)`. Where each draw of the
    /// parameters has several samples, the standard error of the mean of the draws. Zero without noise; NaN
    /// for a single sample, and for squares and variances.
    pub standard_error: Vec<f32>,
    /// The shape of the input, without the batch axis.
    pub shape: Vec<usize>,
    /// The score that was explained.
    pub score: Score,
    /// The number of gradients computed.
    pub gradients: u64,
    /// The number of samples in the mean; with a path, each has all its nodes.
    pub samples: u64,
    /// The number of samples that were left out because their gradient was not finite.
    pub left_out: u64,
    /// The number of gradients per batch.
    pub batch: usize,
    /// The number of gradients per batch that did not fit the device's memory, if batches were halved.
    pub refused_batch: Option<usize>,
    /// For a path from `b`, `|sum(map) - (F(x) - F(b))|`: the error of the quadrature, and of the noise if there
    /// is any, in the sum that the map should have.
    pub completeness_gap: Option<f64>,
    /// The share of the input's elements that lie outside their domain, where AdaptGrad's noise has no width.
    /// At a share of 1 the map is the plain gradient.
    pub outside_domain: f64,
    /// The seconds that the map took after the prediction, with batches that did not fit. Maps that share
    /// batches have their mean.
    pub seconds: f64,
}

impl Attribution {
    /// The L2 norm of the standard error divided by that of the map: the share of noise in the map. `None` for
    /// a single sample or a map of zeros.
    pub fn relative_standard_error(&self) -> Option<f64> {
        relative_norm(&self.standard_error, &self.values)
    }
}

/// The L2 norm of `errors` divided by that of `values`, if finite.
pub(crate) fn relative_norm(errors: &[f32], values: &[f32]) -> Option<f64> {
    let norm =
        |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let ratio = norm(errors) / norm(values);
    ratio.is_finite().then_some(ratio)
}
