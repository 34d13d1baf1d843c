//! The statistics of one map's samples: its values and their standard error.

use crate::plan::{Estimate, Plan};

/// The moments of one map's samples, on the host.
pub struct Moments {
    /// The mean of each element.
    pub mean: Vec<f32>,
    /// The sum of squared deviations from the mean.
    pub squares: Vec<f32>,
    /// The variance of the mean.
    pub variance_of_mean: Vec<f64>,
    /// The number of samples with finite gradients.
    pub samples: u64,
}

impl Moments {
    /// The map of gradients times `factors`.
    pub fn map(&self, estimate: Estimate, factors: &[f32]) -> Vec<f32> {
        let n = self.samples as f64;
        let value = |(&mean, &squares): (&f32, &f32)| match estimate {
            Estimate::Mean | Estimate::SmoothDiff => mean,
            Estimate::Square => (f64::from(mean).powi(2) + f64::from(squares) / n) as f32,
            Estimate::Variance => (f64::from(squares) / n) as f32,
        };
        let factor = |factor: f32| match estimate {
            Estimate::Mean | Estimate::SmoothDiff => factor,
            Estimate::Square | Estimate::Variance => factor * factor,
        };
        let values = self.mean.iter().zip(&self.squares).map(value);
        values.zip(factors).map(|(value, &by)| value * factor(by)).collect()
    }

    /// The standard error of the mean of gradients times `factors`: zero without noise; NaN for a single sample
    /// and for squares and variances.
    pub fn standard_error(&self, plan: &Plan, factors: &[f32]) -> Vec<f32> {
        let error = |variance: f64| match (plan.estimate, plan.is_noisy(), plan.chooses_nodes()) {
            (_, false, false) => 0.0,
            // The variance of a single sample is not a number.
            (Estimate::Mean | Estimate::SmoothDiff, ..) => variance.sqrt() as f32,
            (Estimate::Square | Estimate::Variance, ..) => f32::NAN,
        };
        let errors = self.variance_of_mean.iter().map(|&variance| error(variance));
        errors.zip(factors).map(|(error, factor)| error * factor.abs()).collect()
    }
}
