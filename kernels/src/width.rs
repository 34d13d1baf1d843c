//! The width of the noise at each element: the rule of a plan, and the formula of the noise kernels.

use serde::{Deserialize, Serialize};

use crate::mollifier::Mollifier;

/// How wide the noise is at each element `x_i` of the input, or `theta_i` of a parameter: `sigma_i`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WidthRule {
    /// `sigma = alpha (x_max - x_min)`, as in SmoothGrad (Smilkov et al. 2017): the `stdev_spread` of PAIR's
    /// saliency, not the `stdevs` of captum. On a parameter, which has no domain, `sigma_i = alpha |theta_i|`:
    /// NoiseGrad's multiplicative noise.
    Relative {
        /// The share of the domain's extent.
        alpha: f64,
    },
    /// The same `sigma` for every element, in the model's units: captum's `stdevs`.
    Absolute {
        /// The width.
        sigma: f64,
    },
    /// AdaptGrad (Zhou et al., arXiv 2410.07711): with `reach_i = min(|x_i - x_min|, |x_i - x_max|)`, the
    /// width that keeps noise within `[-reach_i, reach_i]` with the probability that `rule` derives from the
    /// confidence `c`; 0 where `x_i` lies on or outside the bounds. On a parameter `reach_i = |theta_i|`: the
    /// parameter keeps its sign with that probability.
    Adaptive {
        /// The confidence `c` in `(0, 1)`.
        confidence: f64,
        /// Which probability the interval is held with.
        rule: AdaptiveRule,
    },
}

/// The probability with which AdaptGrad's width keeps noise within `[-reach, reach]`.
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
    /// Every rule with its name.
    pub const ALL: [(AdaptiveRule, &'static str); 2] =
        [(AdaptiveRule::Paper, "paper"), (AdaptiveRule::PublishedCode, "published-code")];

    /// The probability that noise stays within `[-reach, reach]` at the confidence `c`.
    pub fn probability(self, confidence: f64) -> f64 {
        match self {
            AdaptiveRule::Paper => (1.0 + confidence) / 2.0,
            AdaptiveRule::PublishedCode => confidence,
        }
    }
}

impl WidthRule {
    /// The name and value of the rule's number.
    pub fn number(self) -> (&'static str, f64) {
        match self {
            WidthRule::Relative { alpha } => ("alpha", alpha),
            WidthRule::Absolute { sigma } => ("sigma", sigma),
            WidthRule::Adaptive { confidence, .. } => ("confidence", confidence),
        }
    }

    /// The range of the rule's number, in words.
    pub fn range(self) -> &'static str {
        match self {
            WidthRule::Relative { .. } | WidthRule::Absolute { .. } => "a positive number",
            WidthRule::Adaptive { .. } => "between 0 and 1, both excluded",
        }
    }

    /// Whether the rule's number is in its range.
    pub fn is_valid(self) -> bool {
        let (_, value) = self.number();
        let below = if matches!(self, WidthRule::Adaptive { .. }) { 1.0 } else { f64::INFINITY };
        value > 0.0 && value < below
    }

    /// The width of noise with the distribution `mollifier` on the input.
    pub fn on_input(self, mollifier: Mollifier) -> Width {
        match self {
            WidthRule::Relative { alpha } => Width::Relative(alpha),
            WidthRule::Absolute { sigma } => Width::Absolute(sigma),
            WidthRule::Adaptive { confidence, rule } => {
                Width::Adaptive(mollifier.width_factor(rule.probability(confidence)))
            }
        }
    }

    /// The width of noise with the distribution `mollifier` on a parameter.
    pub fn on_parameter(self, mollifier: Mollifier) -> Width {
        match self.on_input(mollifier) {
            Width::Relative(factor) | Width::Adaptive(factor) => Width::Proportional(factor),
            width => width,
        }
    }
}

/// The width `sigma` of the noise at an element `x` whose channel has the domain `[lower, upper]`.
///
/// [`Width::at`] is the formula. The noise kernels compute it in the arithmetic of their device and are
/// tested against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// `sigma`, the same for every element, in the model's units.
    Absolute(f64),
    /// `alpha * (upper - lower)`: SmoothGrad.
    Relative(f64),
    /// `factor * max(0, min(x - lower, upper - x))`: AdaptGrad (arXiv 2410.07711, Eq. 12). The factor is
    /// [`Mollifier::width_factor`]. The width is 0 on and outside the
    /// domain's bounds.
    Adaptive(f64),
    /// `scale * x`: multiplicative noise `x (1 + scale * draw)`, which NoiseGrad puts on parameters
    /// (Bykov et al., AAAI 2022).
    Proportional(f64),
}

impl Width {
    /// The width at the value `x` between `lower` and `upper`.
    pub fn at(self, x: f64, lower: f64, upper: f64) -> f64 {
        match self {
            Width::Absolute(sigma) => sigma,
            Width::Relative(alpha) => alpha * (upper - lower),
            Width::Adaptive(factor) => factor * (x - lower).min(upper - x).max(0.0),
            Width::Proportional(scale) => scale * x,
        }
    }

    /// The same width with its parameter rounded to float32, the precision in which the noise kernels
    /// receive it.
    pub fn rounded(self) -> Self {
        let round = |value: f64| f64::from(value as f32);
        match self {
            Width::Absolute(sigma) => Width::Absolute(round(sigma)),
            Width::Relative(alpha) => Width::Relative(round(alpha)),
            Width::Adaptive(factor) => Width::Adaptive(round(factor)),
            Width::Proportional(scale) => Width::Proportional(round(scale)),
        }
    }
}
