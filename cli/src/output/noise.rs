//! Remarks on maps that are mostly noise.

use attriburn::{Attribution, Plan};

/// The relative standard error that the remark aims at.
const AIM: f64 = 0.5;

/// A remark on a map whose noise is larger than the map without noise would be.
pub struct NoiseRemark {
    relative_error: f64,
    /// The option that sets the number, and the number that would bring the error to [`AIM`], if it can be
    /// extrapolated.
    needed: Option<(&'static str, u64)>,
}

impl NoiseRemark {
    /// Returns a remark if the map has more noise than signal.
    ///
    /// The relative standard error `r` compares the noise with the map, which contains the noise: the norm of the
    /// exact map is the share `sqrt(1 - r^2)` of the map's. So noise and exact map are equal at `r = sqrt(1/2)`.
    pub fn of(map: &Attribution, plan: &Plan) -> Option<Self> {
        // The errors of a class activation map are upper bounds, from which nothing can be extrapolated.
        let has_error = plan.is_noisy() && map.layer.is_none();
        let relative_error = map.relative_standard_error().filter(|_| has_error)?;
        if relative_error * relative_error <= 0.5 {
            return None;
        }
        let needed = map.samples_for(AIM).map(|samples| {
            let factor = samples as f64 / map.samples as f64;
            let times = |count: u32| (f64::from(count) * factor).ceil() as u64;
            match (&plan.weights, plan.sampler) {
                (Some(weights), _) => ("--weight-samples", times(weights.draws)),
                (None, Some(sampler)) => ("--samples", times(sampler.samples)),
                (None, None) => ("--samples", samples),
            }
        });
        Some(Self {
            relative_error,
            needed: needed.map(|(option, count)| (option, rounded(count))),
        })
    }

    /// The remark for the summary and the manifest.
    pub fn long(&self) -> String {
        let error = self.relative_error;
        match self.needed {
            Some((option, count)) => format!(
                "more noise than signal: the relative standard error is {error:.2}; {option} {count} would bring it to about {AIM}, and --until {AIM} stops there"
            ),
            None => format!(
                "the map cannot be told from noise: the relative standard error is {error:.2}; ask for many more samples, and let --until {AIM} stop in time"
            ),
        }
    }

    /// The remark for a picture.
    pub fn short(&self) -> String {
        let error = self.relative_error;
        match self.needed {
            Some((option, count)) => {
                format!("MOSTLY NOISE: relative error {error:.2}; {option} {count} for {AIM}")
            }
            None => format!("NOISE: relative error {error:.2}"),
        }
    }
}

/// Rounds up to two significant digits: the extrapolation is not more accurate.
fn rounded(count: u64) -> u64 {
    let unit = 10u64.pow(count.max(1).ilog10().saturating_sub(1));
    count.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rounded_up_to_two_digits() {
        for (count, expected) in [(7, 7), (42, 42), (421, 430), (1_200, 1_200), (98_765, 99_000)] {
            assert_eq!(rounded(count), expected);
        }
    }
}
