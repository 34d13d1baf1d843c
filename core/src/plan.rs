//! The plan: every attribution method as a value.

use attriburn_kernels::{Boundary, Mollifier, Noise, Width};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::path::{Baseline, Path, Quadrature};

/// A method: where gradients are sampled and what becomes of their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The path whose nodes are sampled; none means the input itself.
    pub path: Option<Path>,
    /// The noise added to the input; none means that the clean input is the one sample.
    pub sampler: Option<Sampler>,
    /// The noise put on the model's parameters; none means that they stay as they are.
    pub weights: Option<WeightNoise>,
    /// What is kept of the samples' gradients.
    pub estimate: Estimate,
    /// What becomes of the mean gradient.
    pub readout: Readout,
    /// Which output is differentiated.
    pub output: Output,
    /// How many noisy samples are drawn of each node, for each draw of the parameters; at least 1.
    /// Ignored without a sampler.
    pub samples: u32,
    /// The most gradients of a nested plan, one of several draws of the parameters, samples and
    /// nodes: see [`Plan::sizes`]. None means that they are multiplied out.
    pub budget: Option<u64>,
    /// Stops as soon as the relative standard error of the map is at most this, with the samples,
    /// or the draws of the parameters where there are any, as the limit.
    ///
    /// It is looked at after 8 of them, 10, 13 and so on, a quarter more each time, whatever the
    /// batch size.
    pub until: Option<f64>,
    /// The seed of the noise.
    pub seed: u64,
}

/// The noise added to each input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sampler {
    /// The distribution.
    pub mollifier: Mollifier,
    /// The width at each element.
    pub width: WidthRule,
    /// What happens to samples outside the domain.
    pub boundary: Boundary,
}

/// The noise put on the model's parameters: NoiseGrad (Bykov et al., AAAI 2022), and around a
/// sampler FusionGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WeightNoise {
    /// The distribution.
    pub mollifier: Mollifier,
    /// The width at each element of a parameter.
    pub width: WidthRule,
    /// How many times all parameters are drawn; at least 1. Each draw has samples of its own.
    pub draws: u32,
    /// Parameters that stay as they are, by patterns of their names with `*`, `?` and `[...]`.
    pub freeze: Vec<String>,
}

/// How many gradients a plan takes: `draws * samples * nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Draws of the parameters.
    pub draws: u64,
    /// Samples of each draw.
    pub samples: u64,
    /// Nodes of each sample.
    pub nodes: u64,
}

/// How wide the noise is at each element, `sigma_i`, of the input or of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WidthRule {
    /// `sigma = alpha (x_max - x_min)`, as SmoothGrad (Smilkov et al. 2017) has it: PAIR's
    /// `stdev_spread` is this alpha, captum's `stdevs` is not. On a parameter `theta`, which has no
    /// domain, `sigma_i = alpha |theta_i|`: NoiseGrad's multiplicative noise.
    Relative {
        /// The share of the domain's extent.
        alpha: f64,
    },
    /// The same `sigma` for every element, in the model's units: captum's `stdevs`.
    Absolute {
        /// The width.
        sigma: f64,
    },
    /// AdaptGrad (Zhou et al., arXiv 2410.07711): with
    /// `reach_i = min(|x_i - x_min|, |x_i - x_max|)`, the width that keeps noise within
    /// `[-reach_i, reach_i]` with a probability that `rule` takes from the confidence `c`, and 0
    /// where `x_i` lies on or outside the domain. On a parameter `reach_i = |theta_i|`: the noise
    /// keeps its sign with that probability.
    Adaptive {
        /// The confidence `c` in `(0, 1)`.
        confidence: f64,
        /// Which probability the interval is held with.
        rule: AdaptiveRule,
    },
}

/// Which probability AdaptGrad's width holds the interval `[-reach, reach]` with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdaptiveRule {
    /// `(1 + c) / 2`: Eq. 12 of the paper, `sigma = reach / (sqrt(2) erfinv((1 + c)/2))`.
    #[default]
    Paper,
    /// `c`: the authors' published code, `sigma = reach / (sqrt(2) erfinv(c))`.
    PublishedCode,
}

impl AdaptiveRule {
    /// Every rule with its name on the command line.
    pub const ALL: [(AdaptiveRule, &'static str); 2] =
        [(AdaptiveRule::Paper, "paper"), (AdaptiveRule::PublishedCode, "published-code")];

    /// The probability that noise stays within `[-reach, reach]` at confidence `c`.
    pub fn probability(self, confidence: f64) -> f64 {
        match self {
            AdaptiveRule::Paper => (1.0 + confidence) / 2.0,
            AdaptiveRule::PublishedCode => confidence,
        }
    }
}

/// What is kept of the gradients `g_j` of the `n` samples; on a path `g_j` is the weighted sum over
/// its nodes. What the readout multiplies a gradient with multiplies each `g_j`, so that squares
/// and variances are multiplied with its square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimate {
    /// `sum g_j / n`.
    #[default]
    Mean,
    /// `sum g_j^2 / n`: SmoothGrad-squared (Hooker et al., NeurIPS 2019).
    Square,
    /// `sum (g_j - mean)^2 / n`: VarGrad (Adebayo et al., ICLR 2018 workshop); with `n`, as captum
    /// has it, and not `n - 1`.
    Variance,
}

impl Estimate {
    /// Every estimate with its name on the command line.
    pub const ALL: [(Estimate, &'static str); 3] =
        [(Estimate::Mean, "mean"), (Estimate::Square, "square"), (Estimate::Variance, "variance")];
}

/// What becomes of the mean gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readout {
    /// The mean itself.
    #[default]
    Gradient,
    /// The mean times the clean input, element by element.
    TimesInput,
    /// The mean times the clean input less the path's baseline, element by element: Integrated
    /// Gradients. Without a path, the same as times the input.
    TimesDifference,
}

/// Which output of the model is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The target's logit, the score before softmax.
    #[default]
    Logit,
    /// The target's probability, after softmax.
    Probability,
}

impl Output {
    /// Every output with its name on the command line.
    pub const ALL: [(Output, &'static str); 2] =
        [(Output::Logit, "logit"), (Output::Probability, "probability")];
}

impl Plan {
    /// The plain gradient.
    pub fn gradient() -> Self {
        Self {
            path: None,
            sampler: None,
            weights: None,
            estimate: Estimate::Mean,
            readout: Readout::Gradient,
            output: Output::Logit,
            samples: 1,
            budget: None,
            until: None,
            seed: 0,
        }
    }

    /// AdaptGrad with the paper's settings: Gaussian noise, `c = 0.95`, 50 samples.
    pub fn adaptgrad() -> Self {
        Self::smoothed(Sampler {
            mollifier: Mollifier::Gaussian,
            width: WidthRule::Adaptive { confidence: 0.95, rule: AdaptiveRule::Paper },
            boundary: Boundary::Free,
        })
    }

    /// SmoothGrad with the usual settings: Gaussian noise, `alpha = 0.2`, 50 samples.
    pub fn smoothgrad() -> Self {
        Self::smoothed(Sampler {
            mollifier: Mollifier::Gaussian,
            width: WidthRule::Relative { alpha: 0.2 },
            boundary: Boundary::Free,
        })
    }

    /// Integrated Gradients from `baseline` with 50 Gauss-Legendre nodes.
    pub fn integrated_gradients(baseline: Baseline) -> Self {
        let path = Path { baseline, quadrature: Quadrature::GaussLegendre, steps: 50 };
        Self { path: Some(path), readout: Readout::TimesDifference, ..Self::gradient() }
    }

    /// The mean of 50 gradients at samples of `sampler`.
    pub fn smoothed(sampler: Sampler) -> Self {
        Self { sampler: Some(sampler), samples: 50, ..Self::gradient() }
    }

    /// The same plan with another number of samples.
    #[must_use]
    pub fn samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// The same plan with another seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many gradients the plan takes; at most, where it may stop before.
    pub fn gradients(&self) -> u64 {
        let sizes = self.sizes();
        sizes.draws.saturating_mul(sizes.samples).saturating_mul(sizes.nodes)
    }

    /// How many draws of the parameters, samples of each and nodes of each sample the plan takes.
    ///
    /// All of them where that is within the budget. Else the draws come first, then the samples,
    /// and what is left of the budget goes to nodes: each sample then takes `n` of its path's nodes,
    /// at equal distances from a start of its own in the sum of the quadrature's weights, and their
    /// mean, so that node `k` is taken `w_k n` times on average and the mean is unbiased. Squares and
    /// variances, which would be of other gradients than those of whole paths, are refused.
    pub fn sizes(&self) -> Sizes {
        let all = self.all();
        let budget = self.budget.unwrap_or(u64::MAX);
        let draws = all.draws.min(budget);
        let samples = all.samples.min(budget / draws.max(1));
        let nodes = all.nodes.min(budget / draws.saturating_mul(samples).max(1));
        Sizes { draws, samples, nodes }
    }

    /// The sizes whatever the budget.
    fn all(&self) -> Sizes {
        Sizes {
            draws: self.weights.as_ref().map_or(1, |weights| weights.draws.into()),
            samples: self.sampler.map_or(1, |_| self.samples.into()),
            nodes: self.path.as_ref().map_or(1, |path| path.steps.into()),
        }
    }

    /// Whether there is noise, on the input or on the parameters.
    pub fn is_noisy(&self) -> bool {
        self.sampler.is_some() || self.weights.is_some()
    }

    /// Whether gradients are nested: at least two of draws of the parameters, samples and nodes.
    pub fn is_nested(&self) -> bool {
        let levels = [self.weights.is_some(), self.sampler.is_some(), self.path.is_some()];
        levels.into_iter().filter(|level| *level).count() > 1
    }

    /// Whether the plan takes its map from some of its path's nodes only.
    pub(crate) fn chooses_nodes(&self) -> bool {
        self.sizes().nodes < self.all().nodes
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] with the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting, value: String, range| Err(Error::Setting { setting, value, range });
        if let Some(path) = &self.path {
            path.check()?;
        }
        if let Some(sampler) = &self.sampler {
            if self.samples == 0 {
                return refuse("samples", "0".into(), "at least 1");
            }
            sampler.width.check(["alpha", "sigma", "confidence"])?;
        }
        if let Some(weights) = &self.weights {
            if weights.draws == 0 {
                return refuse("weight-samples", "0".into(), "at least 1");
            }
            weights.width.check(["weight-alpha", "weight-sigma", "weight-confidence"])?;
        }
        if self.budget == Some(0) {
            return refuse("budget", "0".into(), "at least 1");
        }
        if let (Some(budget), false) = (self.budget, self.is_nested()) {
            let range = "left out: the method takes one gradient per sample, node or draw";
            return refuse("budget", budget.to_string(), range);
        }
        if let Some(until) = self.until {
            let (value, asks) = (until.to_string(), until > 0.0 && until.is_finite());
            if !asks {
                return refuse("until", value, "a positive number");
            }
            if !self.is_noisy() || self.estimate != Estimate::Mean {
                return refuse("until", value, "left out: only a mean of samples has an error");
            }
        }
        let sizes = self.sizes();
        if let (Some(budget), true) = (self.budget, self.chooses_nodes())
            && self.estimate != Estimate::Mean
        {
            let range = "as large as all gradients: squares and variances are those of whole paths";
            return refuse("budget", budget.to_string(), range);
        }
        if self.estimate == Estimate::Variance && sizes.draws.saturating_mul(sizes.samples) == 1 {
            let range = "at least 2, and of a method with noise, for a variance";
            return match self.budget {
                Some(budget) => refuse("budget", budget.to_string(), range),
                None => refuse("samples", "1".into(), range),
            };
        }
        Ok(())
    }
}

impl WidthRule {
    /// Checks that the rule's setting, one of the three of these names, is in its range.
    fn check(self, names: [&'static str; 3]) -> Result<(), Error> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let number = "a positive number";
        let (setting, value, inside, range) = match self {
            WidthRule::Relative { alpha } => (names[0], alpha, positive(alpha), number),
            WidthRule::Absolute { sigma } => (names[1], sigma, positive(sigma), number),
            WidthRule::Adaptive { confidence, .. } => (
                names[2],
                confidence,
                confidence > 0.0 && confidence < 1.0,
                "between 0 and 1, both excluded",
            ),
        };
        if inside {
            return Ok(());
        }
        Err(Error::Setting { setting, value: value.to_string(), range })
    }
}

impl Sampler {
    /// The noise as the device kernel takes it.
    pub(crate) fn noise(&self) -> Noise {
        let width = match self.width {
            WidthRule::Relative { alpha } => Width::Relative(alpha as f32),
            WidthRule::Absolute { sigma } => Width::Absolute(sigma as f32),
            WidthRule::Adaptive { confidence, rule } => {
                let p = rule.probability(confidence);
                Width::Adaptive(self.mollifier.width_factor(p) as f32)
            }
        };
        Noise { mollifier: self.mollifier, width, boundary: self.boundary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let width = |width| {
            Plan::smoothed(Sampler {
                mollifier: Mollifier::Gaussian,
                width,
                boundary: Boundary::Free,
            })
        };
        let cases = [
            (Plan::adaptgrad().samples(0), "samples is 0, but it must be at least 1"),
            (
                width(WidthRule::Relative { alpha: -0.1 }),
                "alpha is -0.1, but it must be a positive number",
            ),
            (
                width(WidthRule::Absolute { sigma: f64::NAN }),
                "sigma is NaN, but it must be a positive number",
            ),
            (
                width(WidthRule::Adaptive { confidence: 1.0, rule: AdaptiveRule::Paper }),
                "confidence is 1, but it must be between 0 and 1, both excluded",
            ),
        ];
        for (plan, expected) in cases {
            assert_eq!(plan.check().unwrap_err().to_string(), expected);
        }
        assert!(Plan::adaptgrad().check().is_ok());
        assert!(Plan::gradient().samples(0).check().is_ok());
    }
}
