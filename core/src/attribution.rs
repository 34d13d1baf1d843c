//! The result: a map, its standard error and its cost.

use crate::{Layer, Score};

/// The map of one input for one score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attribution {
    /// The map in row-major order.
    pub values: Vec<f32>,
    /// The Monte Carlo standard error of each element, `sqrt(variance / samples)`. Where each draw of the
    /// parameters has several samples, the standard error of the mean of the draws. Zero without noise; NaN
    /// for a single sample, and for squares and variances.
    ///
    /// Of a class activation map, an upper bound: the errors of the layer's positions, interpolated as the map
    /// is. The error of a weighted mean is at most the weighted mean of the errors, and setting negative
    /// values to 0 enlarges no error.
    pub standard_error: Vec<f32>,
    /// The shape of the map: that of the input, without the batch axis, or `[1, height, width]` for a class
    /// activation map.
    pub shape: Vec<usize>,
    /// The layer of a class activation map; `None` for other maps.
    pub layer: Option<Layer>,
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

    /// The number of samples that would bring the relative standard error to `error`, extrapolated from the
    /// spread of this map's samples; at least the number that it has.
    ///
    /// With the relative standard error `r` of `n` samples, the expected squared norm of the map is that of the
    /// exact map plus that of the noise, which falls as `1 / n`. So the exact map has the share `1 - r^2`, and
    /// the number is `n r^2 / (1 - r^2) * (1 - e^2) / e^2` for the error `e`.
    ///
    /// `None` if there is no standard error, if `error` is not between 0 and 1, or if `r` is at least 1: such a
    /// map does not differ from noise, so nothing can be extrapolated.
    pub fn samples_for(&self, error: f64) -> Option<u64> {
        let r2 = self.relative_standard_error()?.powi(2);
        let e2 = error * error;
        if !(r2 < 1.0 && error > 0.0 && error < 1.0) {
            return None;
        }
        let samples = self.samples as f64 * (r2 / (1.0 - r2)) * ((1.0 - e2) / e2);
        Some((samples.ceil() as u64).max(self.samples))
    }
}

/// The L2 norm of `errors` divided by that of `values`, if finite.
pub(crate) fn relative_norm(errors: &[f32], values: &[f32]) -> Option<f64> {
    let norm =
        |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let ratio = norm(errors) / norm(values);
    ratio.is_finite().then_some(ratio)
}
