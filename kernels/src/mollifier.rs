//! The mollifiers: the distributions of the noise. The first five are those of "Axiomatization of Gradient
//! Smoothing in Neural Networks" (arXiv 2407.00371, Eq. 25-29).

use serde::{Deserialize, Serialize};
use statrs::function::erf::erf_inv;

/// A distribution of noise, symmetric around zero, at unit scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mollifier {
    /// The standard normal distribution, quantile `sqrt(2) erfinv(2u - 1)`.
    #[default]
    Gaussian,
    /// The Cauchy distribution, quantile `tan(pi (u - 1/2))`. It has no variance.
    Poisson,
    /// The distribution with the density `1 / (2 cosh^2(x))`, quantile `artanh(2u - 1)`.
    Hyperbolic,
    /// The logistic distribution, quantile `-ln(1/u - 1)`.
    Sigmoid,
    /// The uniform distribution on `[-1, 1]`, quantile `2u - 1`.
    Rect,
    /// The distribution with the density `e^-|x| / 2`, quantile `-sign(u - 1/2) ln(1 - |2u - 1|)`.
    Laplace,
}

impl Mollifier {
    /// Every mollifier, with its name.
    pub const ALL: [(Mollifier, &'static str); 6] = [
        (Mollifier::Gaussian, "gaussian"),
        (Mollifier::Poisson, "poisson"),
        (Mollifier::Hyperbolic, "hyperbolic"),
        (Mollifier::Sigmoid, "sigmoid"),
        (Mollifier::Rect, "rect"),
        (Mollifier::Laplace, "laplace"),
    ];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mollifier, _)| *mollifier == self).map_or("", |(_, name)| name)
    }

    /// Returns the inverse of the cumulative distribution function at `u` in `(0, 1)`.
    pub fn quantile(self, u: f64) -> f64 {
        self.tail_quantile(u.min(1.0 - u)) * (u - 0.5).signum()
    }

    /// Returns the value that is exceeded with probability `p` in `(0, 1/2]`. The value is exact far in the
    /// tail, where `1 - p` would be rounded to 1.
    pub(crate) fn tail_quantile(self, p: f64) -> f64 {
        let x = 1.0 - 2.0 * p;
        match self {
            Mollifier::Gaussian => {
                std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * p)
            }
            Mollifier::Poisson if p < 0.25 => 1.0 / (std::f64::consts::PI * p).tan(),
            Mollifier::Poisson => (std::f64::consts::FRAC_PI_2 * x).tan(),
            Mollifier::Hyperbolic => 0.5 * ((1.0 - p) / p).ln(),
            Mollifier::Sigmoid => ((1.0 - p) / p).ln(),
            Mollifier::Rect => x,
            Mollifier::Laplace => -(2.0 * p).ln(),
        }
    }

    /// Returns the width that keeps noise within `[-r, r]` with probability `p` in `(0, 1)`, as a factor of
    /// `r`. The factor is `1 / quantile((1 + p) / 2)`, the solution of Eq. 30 of arXiv 2407.00371.
    ///
    /// | mollifier | width / r |
    /// |---|---|
    /// | Gaussian | `1 / (sqrt(2) erfinv(p))` |
    /// | Poisson | `1 / tan(pi p / 2)` |
    /// | Hyperbolic | `1 / artanh(p)` |
    /// | Sigmoid | `1 / ln((1 + p) / (1 - p))` |
    /// | Rect | `1 / p` |
    /// | Laplace | `-1 / ln(1 - p)` |
    ///
    /// The paper prints `arctan` for the Hyperbolic width and `2 / p` for Rect, neither of which
    /// satisfies its own Eq. 30; the solutions above do.
    pub fn width_factor(self, p: f64) -> f64 {
        match self {
            Mollifier::Gaussian => 1.0 / (std::f64::consts::SQRT_2 * erf_inv(p)),
            Mollifier::Poisson => 1.0 / (std::f64::consts::FRAC_PI_2 * p).tan(),
            Mollifier::Hyperbolic => 1.0 / p.atanh(),
            Mollifier::Sigmoid => 1.0 / ((1.0 + p) / (1.0 - p)).ln(),
            Mollifier::Rect => 1.0 / p,
            Mollifier::Laplace => -1.0 / (1.0 - p).ln(),
        }
    }

    /// Returns the probability that a draw at unit scale is above `a`.
    pub fn upper_tail(self, a: f64) -> f64 {
        match self {
            Mollifier::Gaussian => 0.5 * statrs::function::erf::erfc(a / std::f64::consts::SQRT_2),
            Mollifier::Poisson => 0.5 - a.atan() / std::f64::consts::PI,
            Mollifier::Hyperbolic => 1.0 / (1.0 + (2.0 * a).exp()),
            Mollifier::Sigmoid => 1.0 / (1.0 + a.exp()),
            Mollifier::Rect => (0.5 * (1.0 - a)).clamp(0.0, 1.0),
            Mollifier::Laplace if a < 0.0 => 1.0 - 0.5 * a.exp(),
            Mollifier::Laplace => 0.5 * (-a).exp(),
        }
    }

    /// Returns the mean excess of a draw `z` at unit scale over `a`: `E[max(z - a, 0)]`.
    pub fn mean_excess(self, a: f64) -> f64 {
        match self {
            Mollifier::Gaussian => {
                let density = (-0.5 * a * a).exp() / (2.0 * std::f64::consts::PI).sqrt();
                density - a * self.upper_tail(a)
            }
            Mollifier::Poisson => f64::INFINITY,
            Mollifier::Hyperbolic => 0.5 * softplus(-2.0 * a),
            Mollifier::Sigmoid => softplus(-a),
            Mollifier::Rect if a < -1.0 => -a,
            Mollifier::Rect => 0.25 * (1.0 - a).max(0.0).powi(2),
            Mollifier::Laplace => 0.5 * (-a.abs()).exp() + (-a).max(0.0),
        }
    }
}

/// `ln(1 + e^x)`, without overflow of `e^x`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_solves_equation_30() {
        for (mollifier, name) in Mollifier::ALL {
            for p in [0.5, 0.9, 0.95, 0.975, 0.99] {
                let product = mollifier.width_factor(p) * mollifier.quantile((1.0 + p) / 2.0);
                assert!((product - 1.0).abs() < 1e-9, "{name} at {p}: {product}");
            }
        }
    }

    #[test]
    fn quantiles_match_known_values_and_are_odd() {
        let cases = [
            (Mollifier::Gaussian, 1.959_963_984_540_054),
            (Mollifier::Poisson, 12.706_204_736_174_69),
            (Mollifier::Hyperbolic, 1.831_780_823_064_823),
            (Mollifier::Sigmoid, 3.663_561_646_129_646),
            (Mollifier::Rect, 0.95),
            (Mollifier::Laplace, 2.995_732_273_553_991),
        ];
        for (mollifier, expected) in cases {
            let value = mollifier.quantile(0.975);
            assert!((value / expected - 1.0).abs() < 1e-9, "{mollifier:?} {value}");
            assert!((mollifier.quantile(0.025) + value).abs() < 1e-9);
        }
    }
}
