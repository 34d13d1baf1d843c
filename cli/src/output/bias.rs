//! The bias of SmoothDiff: its difference from the mean gradient of the same samples.

use attriburn::Attribution;

/// What is known of a bias.
pub struct Bias {
    /// The method of the mean gradient.
    mean: String,
    /// The L2 norm of the bias divided by that of the mean gradient.
    relative: f64,
    /// The relative standard error of the mean gradient; `None` for a single sample.
    noise: Option<f64>,
    /// The share of the elements whose bias is larger than two standard errors of the mean gradient.
    significant: f64,
}

impl Bias {
    /// Subtracts from a map the `mean` gradient of the same samples, by the method called `name`. Returns the facts and
    /// the difference, whose standard error is that of the mean gradient.
    pub fn new(map: &Attribution, name: &str, mean: &Attribution) -> (Self, Attribution) {
        let mut difference = mean.clone();
        (difference.gradients, difference.seconds) = (0, 0.0);
        difference.values =
            map.values.iter().zip(&mean.values).map(|(value, mean)| value - mean).collect();
        let norm = |values: &[f32]| {
            values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        let pairs = difference.values.iter().zip(&difference.standard_error);
        let significant = pairs.filter(|(value, error)| value.abs() > 2.0 * **error).count();
        let bias = Self {
            mean: name.to_owned(),
            relative: norm(&difference.values) / norm(&mean.values),
            noise: mean.relative_standard_error(),
            significant: significant as f64 / difference.values.len() as f64,
        };
        (bias, difference)
    }

    /// Returns the name of the method of the mean gradient.
    pub fn mean(&self) -> &str {
        &self.mean
    }

    /// The remark for the summary, the manifest and the page.
    pub fn note(&self) -> String {
        let Self { mean, relative, noise, significant } = self;
        match noise {
            Some(noise) => format!(
                "{relative:.2} of {mean} of the same samples, whose relative standard error is {noise:.2}; {:.0} % of the values are larger than two standard errors, where about 5 % were by chance",
                100.0 * significant
            ),
            None => format!("{relative:.2} of {mean} of the same sample"),
        }
    }
}
