//! Noise that is drawn where no input lies.

use attriburn_kernels::noise::{Points, noise};
use attriburn_kernels::{Batch, Boundary, Mollifier};
use burn::tensor::{Device, Tensor, TensorData};

use crate::plan::{Sampler, WidthRule};
use crate::{Error, Input};

/// How much of a sampler's noise leaves the domain, per value of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfDomain {
    /// OBA: the share of noisy values outside the domain.
    pub share: f64,
    /// OBV: the mean distance of a noisy value from the domain, 0 inside; infinite for the Poisson
    /// kernel, which has no mean.
    pub amount: f64,
}

impl OutOfDomain {
    /// In closed form: with the unit kernel's distribution `F` and the room
    /// `a = (x_max - x) / sigma`, `b = (x - x_min) / sigma` of each value
    ///
    /// ```text
    /// share = mean(F(-a) + F(-b)),  amount = mean(sigma (E(a) + E(b))),  E(a) = integral from a of F(-t) dt
    /// ```
    ///
    /// Of a Gaussian sampler of one width the share is AdaptGrad's Eq. 9 (arXiv 2410.07711).
    pub fn expected(sampler: &Sampler, input: &Input) -> Self {
        let (mut share, mut amount) = (0.0, 0.0);
        for (index, &x) in input.values().iter().enumerate() {
            let (lower, upper) = input.bounds(index);
            let (x, lower, upper) = (f64::from(x), f64::from(lower), f64::from(upper));
            let sigma = sampler.sigma(x, lower, upper);
            for room in [upper - x, x - lower] {
                if sampler.boundary == Boundary::Clipped {
                    continue;
                }
                if sigma > 0.0 {
                    share += upper_tail(sampler.mollifier, room / sigma);
                    amount += sigma * excess(sampler.mollifier, room / sigma);
                } else if room < 0.0 {
                    (share, amount) = (share + 1.0, amount - room);
                }
            }
        }
        let n = input.values().len() as f64;
        Self { share: share / n, amount: amount / n }
    }

    /// As counted in `samples` of the sampler's noise.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for no samples.
    pub fn measured(
        sampler: &Sampler,
        input: &Input,
        samples: u32,
        seed: u64,
    ) -> Result<Self, Error> {
        if samples == 0 {
            let (value, range) = ("0".into(), "at least 1");
            return Err(Error::Setting { setting: "samples", value, range });
        }
        let features = input.values().len();
        let data = TensorData::new(input.values().to_vec(), [1, features]);
        let points = Points::at(Tensor::<2>::from_data(data, &Device::flex()));
        let domain = input.kernel_domain();
        let (mut outside, mut amount) = (0u64, 0.0);
        for sample in 0..samples {
            let batch = Batch::samples(seed, 0, sample, 1);
            let row = noise(&points, Some(&sampler.noise()), &domain, &batch);
            let row = crate::engine::read_back(row)?;
            for (index, value) in row.into_iter().enumerate() {
                let (lower, upper) = input.bounds(index);
                let beyond = (value - upper).max(lower - value).max(0.0);
                outside += u64::from(beyond > 0.0);
                amount += f64::from(beyond);
            }
        }
        let n = features as f64 * f64::from(samples);
        Ok(Self { share: outside as f64 / n, amount: amount / n })
    }
}

impl Sampler {
    /// The width at a value `x` of the domain `[lower, upper]`; see [`WidthRule`].
    fn sigma(&self, x: f64, lower: f64, upper: f64) -> f64 {
        match self.width {
            WidthRule::Relative { alpha } => alpha * (upper - lower),
            WidthRule::Absolute { sigma } => sigma,
            WidthRule::Adaptive { confidence, rule } => {
                let reach = (x - lower).min(upper - x).max(0.0);
                reach * self.mollifier.width_factor(rule.probability(confidence))
            }
        }
    }
}

/// The probability that the unit kernel's draw is above `a`.
fn upper_tail(mollifier: Mollifier, a: f64) -> f64 {
    match mollifier {
        Mollifier::Gaussian => 0.5 * statrs::function::erf::erfc(a / std::f64::consts::SQRT_2),
        Mollifier::Poisson => 0.5 - a.atan() / std::f64::consts::PI,
        Mollifier::Hyperbolic => 1.0 / (1.0 + (2.0 * a).exp()),
        Mollifier::Sigmoid => 1.0 / (1.0 + a.exp()),
        Mollifier::Rect => (0.5 * (1.0 - a)).clamp(0.0, 1.0),
    }
}

/// `ln(1 + e^x)`, also where `e^x` overflows.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The mean of what the unit kernel's draw `z` has above `a`: `E[max(z - a, 0)]`.
fn excess(mollifier: Mollifier, a: f64) -> f64 {
    match mollifier {
        Mollifier::Gaussian => {
            let density = (-0.5 * a * a).exp() / (2.0 * std::f64::consts::PI).sqrt();
            density - a * upper_tail(mollifier, a)
        }
        Mollifier::Poisson => f64::INFINITY,
        Mollifier::Hyperbolic => 0.5 * softplus(-2.0 * a),
        Mollifier::Sigmoid => softplus(-a),
        Mollifier::Rect if a < -1.0 => -a,
        Mollifier::Rect => 0.25 * (1.0 - a).max(0.0).powi(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::AdaptiveRule;
    use crate::{Domain, Plan};

    fn input() -> Input {
        let values = (0..64).map(|i| (i as f32 * 0.7).sin() * 0.95 + 0.05).collect();
        Input::new(values, &[4, 4, 4], Domain::uniform(-1.0, 1.1)).expect("an input")
    }

    #[test]
    fn smoothgrads_share_is_equation_9() {
        let sampler = Plan::smoothgrad().sampler.expect("a sampler");
        let erf = statrs::function::erf::erf;
        let (lower, upper) = (f64::from(-1.0f32), f64::from(1.1f32));
        let scale = std::f64::consts::SQRT_2 * 0.2 * (upper - lower);
        let share = |&x: &f32| {
            let x = f64::from(x);
            1.0 - 0.5 * erf((upper - x) / scale) + 0.5 * erf((lower - x) / scale)
        };
        let expected = input().values().iter().map(share).sum::<f64>() / 64.0;
        let found = OutOfDomain::expected(&sampler, &input()).share;
        assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    }

    #[test]
    fn what_is_counted_is_what_is_expected() {
        let samples = 4000;
        for (mollifier, name) in Mollifier::ALL {
            let adaptive =
                WidthRule::Adaptive { confidence: 0.9, rule: AdaptiveRule::PublishedCode };
            for width in [WidthRule::Relative { alpha: 0.2 }, adaptive] {
                let sampler = Sampler { mollifier, width, boundary: Boundary::Free };
                let expected = OutOfDomain::expected(&sampler, &input());
                let found = OutOfDomain::measured(&sampler, &input(), samples, 3).expect("a count");
                let n = 64.0 * f64::from(samples);
                let spread = (expected.share * (1.0 - expected.share) / n).sqrt();
                let z = (found.share - expected.share) / spread;
                assert!(z.abs() < 4.5, "{name}, {width:?}: {found:?} for {expected:?}");
                let close = (found.amount / expected.amount - 1.0).abs() < 0.05;
                assert!(close || mollifier == Mollifier::Poisson, "{name}: {found:?} {expected:?}");
            }
        }
        let clipped = Sampler {
            boundary: Boundary::Clipped,
            ..Plan::smoothgrad().sampler.expect("a sampler")
        };
        let nothing = OutOfDomain { share: 0.0, amount: 0.0 };
        assert_eq!(OutOfDomain::expected(&clipped, &input()), nothing);
        assert_eq!(OutOfDomain::measured(&clipped, &input(), 10, 0).expect("a count"), nothing);
    }
}
