//! The mollifier kernels of "Axiomatization of Gradient Smoothing in Neural Networks"
//! (arXiv 2407.00371, Eq. 25-29): the distributions that noise is drawn from.

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
    /// Density `1 / (2 cosh^2)`-shaped, quantile `artanh(2u - 1)`.
    Hyperbolic,
    /// The logistic distribution, quantile `-ln(1/u - 1)`.
    Sigmoid,
    /// The uniform distribution on `[-1, 1]`, quantile `2u - 1`.
    Rect,
}

impl Mollifier {
    /// Every mollifier with its name on the command line.
    pub const ALL: [(Mollifier, &'static str); 5] = [
        (Mollifier::Gaussian, "gaussian"),
        (Mollifier::Poisson, "poisson"),
        (Mollifier::Hyperbolic, "hyperbolic"),
        (Mollifier::Sigmoid, "sigmoid"),
        (Mollifier::Rect, "rect"),
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mollifier, _)| *mollifier == self).map_or("", |(_, name)| name)
    }

    /// The inverse of the cumulative distribution function at `u` in `(0, 1)`.
    pub fn quantile(self, u: f64) -> f64 {
        self.tail_quantile(u.min(1.0 - u)) * (u - 0.5).signum()
    }

    /// The value that is exceeded with probability `p` in `(0, 1/2]`; exact far in the tail,
    /// where `1 - p` would round to one.
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
        }
    }

    /// The width that keeps noise within `[-r, r]` with probability `p`, as a factor of `r`: the
    /// solution of Eq. 30 of arXiv 2407.00371, `1 / quantile((1 + p) / 2)`, for `p` in `(0, 1)`.
    ///
    /// | mollifier | width / r |
    /// |---|---|
    /// | Gaussian | `1 / (sqrt(2) erfinv(p))` |
    /// | Poisson | `1 / tan(pi p / 2)` |
    /// | Hyperbolic | `1 / artanh(p)` |
    /// | Sigmoid | `1 / ln((1 + p) / (1 - p))` |
    /// | Rect | `1 / p` |
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
        }
    }
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
    fn quantiles_are_odd_and_known() {
        let cases = [
            (Mollifier::Gaussian, 1.959_963_984_540_054),
            (Mollifier::Poisson, 12.706_204_736_174_69),
            (Mollifier::Hyperbolic, 1.831_780_823_064_823),
            (Mollifier::Sigmoid, 3.663_561_646_129_646),
            (Mollifier::Rect, 0.95),
        ];
        for (mollifier, expected) in cases {
            let value = mollifier.quantile(0.975);
            assert!((value / expected - 1.0).abs() < 1e-9, "{mollifier:?} {value}");
            assert!((mollifier.quantile(0.025) + value).abs() < 1e-9);
        }
    }
}
