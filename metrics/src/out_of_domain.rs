//! Noise outside the domain of the input.

use attriburn::{Boundary, Input, Sampler};

use crate::error::Error;

/// The part of a sampler's noise that lies outside the domain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfDomain {
    /// OBA: the share of noisy values outside the domain.
    pub share: f64,
    /// OBV: the mean distance of the noisy values from the domain, which is 0 for values inside. Infinite
    /// for the Poisson kernel, which has no mean.
    pub amount: f64,
}

impl OutOfDomain {
    /// Computes the expectation in closed form. With the distribution function `F` of the unit kernel, and
    /// the distances `a = (x_max - x) / sigma` and `b = (x - x_min) / sigma` of each value `x` from its
    /// bounds,
    ///
    /// ```text
    /// share = mean(F(-a) + F(-b)),  amount = mean(sigma (E(a) + E(b))),  E(a) = integral from a of F(-t) dt
    /// ```
    ///
    /// For a Gaussian sampler with a single width, the share is AdaptGrad's Eq. 9 (arXiv 2410.07711).
    pub fn expected(sampler: &Sampler, input: &Input) -> Self {
        let (mut share, mut amount) = (0.0, 0.0);
        let width = sampler.width.on_input(sampler.mollifier);
        for (index, &x) in input.values().iter().enumerate() {
            let (lower, upper) = input.bounds(index);
            let (x, lower, upper) = (f64::from(x), f64::from(lower), f64::from(upper));
            let sigma = width.at(x, lower, upper);
            for distance in [upper - x, x - lower] {
                if sampler.boundary == Boundary::Clipped {
                    continue;
                }
                if sigma > 0.0 {
                    share += sampler.mollifier.upper_tail(distance / sigma);
                    amount += sigma * sampler.mollifier.mean_excess(distance / sigma);
                } else if distance < 0.0 {
                    (share, amount) = (share + 1.0, amount - distance);
                }
            }
        }
        let n = input.values().len() as f64;
        Self { share: share / n, amount: amount / n }
    }

    /// Measures the noise in `samples` draws of the sampler.
    ///
    /// # Errors
    ///
    /// Returns an error if `samples` is 0, or if the sampler cannot draw.
    pub fn measured(
        sampler: &Sampler,
        input: &Input,
        samples: u32,
        seed: u64,
    ) -> Result<Self, Error> {
        if samples == 0 {
            return Err(Error::setting("samples", 0, "at least 1"));
        }
        let (mut outside, mut amount) = (0u64, 0.0);
        for sample in 0..samples {
            let noisy = sampler.draw(input, seed, sample)?;
            for (index, value) in noisy.into_iter().enumerate() {
                let (lower, upper) = input.bounds(index);
                let distance = (value - upper).max(lower - value).max(0.0);
                outside += u64::from(distance > 0.0);
                amount += f64::from(distance);
            }
        }
        let n = input.values().len() as f64 * f64::from(samples);
        Ok(Self { share: outside as f64 / n, amount: amount / n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attriburn::{AdaptiveRule, Domain, Mollifier, WidthRule};

    fn input() -> Input {
        let values = (0..64).map(|i| (i as f32 * 0.7).sin() * 0.95 + 0.05).collect();
        Input::new(values, &[4, 4, 4], Domain::uniform(-1.0, 1.1)).expect("an input")
    }

    #[test]
    fn expected_share_of_smoothgrad_is_equation_9() {
        let sampler = Sampler::smoothgrad();
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
    fn measured_noise_agrees_with_the_expectation() {
        let samples = 4000;
        for (mollifier, name) in Mollifier::ALL {
            let adaptive =
                WidthRule::Adaptive { confidence: 0.9, rule: AdaptiveRule::PublishedCode };
            for width in [WidthRule::Relative { alpha: 0.2 }, adaptive] {
                let sampler = Sampler::new(width).mollifier(mollifier);
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
        let clipped = Sampler::smoothgrad().boundary(Boundary::Clipped);
        let nothing = OutOfDomain { share: 0.0, amount: 0.0 };
        assert_eq!(OutOfDomain::expected(&clipped, &input()), nothing);
        assert_eq!(OutOfDomain::measured(&clipped, &input(), 10, 0).expect("a count"), nothing);
    }
}
