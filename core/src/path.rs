//! Straight paths from a baseline to the input, and the quadrature along them: what turns mean
//! gradients into Integrated Gradients (Sundararajan, Taly and Yan, ICML 2017).

use serde::{Deserialize, Serialize};

use crate::{Error, Input};

/// A straight path from a baseline `b` to the input `x` with nodes `b + a_k (x - b)` of weight
/// `w_k`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Path {
    /// Where the path starts.
    pub baseline: Baseline,
    /// Which nodes and weights.
    pub quadrature: Quadrature,
    /// The number of nodes; at least 1, for the trapezoid rule 2.
    pub steps: u32,
}

/// The most nodes of a path: beyond, rounding is larger than what more of them gain.
const MOST_STEPS: u32 = 10_000;

/// Where a path starts.
///
/// The published code of AdaptGrad calls zeros in the model's units "White" and ones "Black". Here
/// black and white are what they are in a picture, 0 and 1 before normalisation, and zeros are
/// called zero.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// A black picture: the lower bounds of [`Input::pixels`], which are the domain's unless set.
    #[default]
    Black,
    /// A white picture: the upper bounds of [`Input::pixels`].
    White,
    /// Zeros in the model's units.
    Zero,
    /// The input's own mean per channel; of a vector, which has none, over all its values.
    Mean,
    /// The input under a Gaussian blur of 1/10 of its shorter side, in pixels; its edges go on
    /// as they are.
    Blur,
    /// These values, as many as the input has.
    Values(Vec<f32>),
}

/// A quadrature rule on `[0, 1]`: nodes `a_k` and weights `w_k`, `k` from 0 to `n - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quadrature {
    /// Gauss-Legendre: exact for polynomials of degree up to `2n - 1`.
    #[default]
    GaussLegendre,
    /// `a_k = k / n`, equal weights.
    Left,
    /// `a_k = (k + 1) / n`, equal weights.
    Right,
    /// `a_k = (k + 1/2) / n`, equal weights.
    Midpoint,
    /// `a_k = k / (n - 1)`, equal weights but for half of one at both ends.
    Trapezoid,
}

impl Quadrature {
    /// Every rule with its name on the command line.
    pub const ALL: [(Quadrature, &'static str); 5] = [
        (Quadrature::GaussLegendre, "gauss-legendre"),
        (Quadrature::Left, "left"),
        (Quadrature::Right, "right"),
        (Quadrature::Midpoint, "midpoint"),
        (Quadrature::Trapezoid, "trapezoid"),
    ];

    /// The nodes and weights, in order; the weights add up to 1.
    ///
    /// # Panics
    ///
    /// When `n` is 0, or 1 for the trapezoid rule.
    pub fn nodes(self, n: u32) -> Vec<(f64, f64)> {
        assert!(n > u32::from(self == Quadrature::Trapezoid), "a path has nodes");
        let weight = 1.0 / f64::from(n);
        let even = |shift: f64| (0..n).map(|k| ((f64::from(k) + shift) * weight, weight)).collect();
        match self {
            Quadrature::Left => even(0.0),
            Quadrature::Right => even(1.0),
            Quadrature::Midpoint => even(0.5),
            Quadrature::Trapezoid => {
                let step = 1.0 / f64::from(n - 1);
                let weight = |k| if k == 0 || k == n - 1 { step / 2.0 } else { step };
                (0..n).map(|k| (f64::from(k) * step, weight(k))).collect()
            }
            Quadrature::GaussLegendre => gauss_legendre(n),
        }
    }
}

/// The roots of the Legendre polynomial `P_n` by Newton's method from Tricomi's estimate, moved
/// from `[-1, 1]` to `[0, 1]`, with weights `1 / ((1 - x^2) P_n'(x)^2)`.
fn gauss_legendre(n: u32) -> Vec<(f64, f64)> {
    let degree = f64::from(n);
    let root = |k: u32| {
        let angle = std::f64::consts::PI * (f64::from(k) + 0.75) / (degree + 0.5);
        let mut x = -angle.cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(n, x);
            let step = value / derivative;
            (x, slope) = (x - step, derivative);
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (x + 1.0), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(root).collect()
}

/// `P_n(x)` and its derivative by the three-term recurrence, for `x` inside `(-1, 1)`.
fn legendre(n: u32, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = f64::from(k);
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, f64::from(n) * (x * value - before) / (x * x - 1.0))
}

impl Baseline {
    /// The baseline's values for `input`.
    ///
    /// # Errors
    ///
    /// When a blur is asked of what is no picture `[C, H, W]`, or there are not as many values
    /// as the input has.
    pub fn values(&self, input: &Input) -> Result<Vec<f32>, Error> {
        let len = input.values().len();
        let fill = |bounds: &[f32]| {
            let inner = input.channel_len();
            (0..len).map(|e| bounds[(e / inner) % bounds.len()]).collect()
        };
        match self {
            Baseline::Black => Ok(fill(&input.pixels().lower)),
            Baseline::White => Ok(fill(&input.pixels().upper)),
            Baseline::Zero => Ok(vec![0.0; len]),
            Baseline::Mean => {
                let mean = |channel: &[f32]| {
                    let sum: f64 = channel.iter().map(|&value| f64::from(value)).sum();
                    (sum / channel.len() as f64) as f32
                };
                if input.shape().len() == 1 {
                    return Ok(vec![mean(input.values()); len]);
                }
                let means: Vec<f32> =
                    input.values().chunks(input.channel_len()).map(mean).collect();
                Ok(fill(&means))
            }
            Baseline::Blur => blurred(input),
            Baseline::Values(values) if values.len() == len => Ok(values.clone()),
            Baseline::Values(values) => {
                Err(Error::Baseline(format!("has {} values, the input has {len}", values.len())))
            }
        }
    }
}

fn blurred(input: &Input) -> Result<Vec<f32>, Error> {
    let &[_, height, width] = input.picture_shape() else {
        return Err(Error::Baseline(format!(
            "blur takes a picture [channels, height, width], the input has the shape {:?}",
            input.shape()
        )));
    };
    let sigma = 0.1 * height.min(width) as f64;
    let reach = (3.0 * sigma).ceil() as usize;
    let taps: Vec<f64> = (0..=2 * reach)
        .map(|i| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = taps.iter().sum();
    // Along one axis: element `i` of `count`, `stride` apart.
    let along = |plane: &[f32], count: usize, stride: usize| -> Vec<f32> {
        let blur = |e: usize| {
            let (i, start) = ((e / stride) % count, e - (e / stride) % count * stride);
            let value = |tap: usize| {
                let at = (i + tap).saturating_sub(reach).min(count - 1);
                taps[tap] * f64::from(plane[start + at * stride])
            };
            ((0..taps.len()).map(value).sum::<f64>() / total) as f32
        };
        (0..plane.len()).map(blur).collect()
    };
    let planes = input.values().chunks(height * width);
    Ok(planes.flat_map(|plane| along(&along(plane, width, 1), height, width)).collect())
}

impl Path {
    /// Checks that there are nodes.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let range = match self.quadrature {
            Quadrature::Trapezoid if self.steps < 2 => "at least 2 for the trapezoid rule",
            _ if self.steps == 0 => "at least 1",
            _ if self.steps > MOST_STEPS => "at most 10000",
            _ => return Ok(()),
        };
        Err(Error::Setting { setting: "steps", value: self.steps.to_string(), range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    #[test]
    fn rules_are_exact_for_the_polynomials_they_should_be() {
        let integral = |rule: Quadrature, n: u32, degree: i32| -> f64 {
            rule.nodes(n).iter().map(|(a, w)| w * a.powi(degree)).sum()
        };
        for n in [1, 2, 3, 10, 50, 200] {
            for degree in 0..(2 * n as i32).min(40) {
                let value = integral(Quadrature::GaussLegendre, n, degree);
                let expected = 1.0 / f64::from(degree + 1);
                assert!((value - expected).abs() < 1e-13, "{n} nodes, degree {degree}: {value}");
            }
        }
        for n in [2, 3, 50] {
            for (rule, name) in Quadrature::ALL {
                assert!((integral(rule, n, 0) - 1.0).abs() < 1e-14, "{name}");
            }
            for rule in [Quadrature::Midpoint, Quadrature::Trapezoid] {
                assert!((integral(rule, n, 1) - 0.5).abs() < 1e-14, "{rule:?}");
            }
            let step = 0.5 / f64::from(n);
            assert!((integral(Quadrature::Left, n, 1) - (0.5 - step)).abs() < 1e-14);
            assert!((integral(Quadrature::Right, n, 1) - (0.5 + step)).abs() < 1e-14);
        }
    }

    #[test]
    fn baselines_of_a_picture() {
        let values: Vec<f32> = (0..2 * 4 * 5).map(|i| i as f32).collect();
        let domain = Domain::per_channel(vec![-1.0, -2.0], vec![50.0, 60.0]);
        let input = Input::new(values, &[2, 4, 5], domain).expect("an input");
        let of = |baseline: Baseline| baseline.values(&input).expect("a baseline");
        assert_eq!((of(Baseline::Black)[19], of(Baseline::Black)[20]), (-1.0, -2.0));
        assert_eq!((of(Baseline::White)[19], of(Baseline::White)[20]), (50.0, 60.0));
        assert_eq!(of(Baseline::Zero), vec![0.0; 40]);
        assert_eq!((of(Baseline::Mean)[0], of(Baseline::Mean)[39]), (9.5, 29.5));
        let vector = Input::new(vec![1.0, 2.0, 6.0], &[3], Domain::uniform(0.0, 9.0));
        assert_eq!(Baseline::Mean.values(&vector.expect("an input")).expect("a mean"), [3.0; 3]);
        let seen = input.clone().with_pixels(Domain::uniform(0.0, 9.0)).expect("a range");
        assert_eq!(Baseline::White.values(&seen).expect("a baseline"), vec![9.0; 40]);
    }

    #[test]
    fn a_blur_keeps_the_mean_of_what_is_symmetric_and_weights_by_a_normal_density() {
        let (height, width) = (40, 40);
        let mut values = vec![0.0; height * width];
        values[20 * width + 20] = 1.0;
        let input = Input::new(values, &[1, height, width], Domain::uniform(0.0, 1.0));
        let blurred = Baseline::Blur.values(&input.expect("an input")).expect("a baseline");
        let sum: f32 = blurred.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        // sigma is 4: four pixels away the density is exp(-1/2) of the centre's.
        let ratio = blurred[20 * width + 24] / blurred[20 * width + 20];
        assert!((ratio - (-0.5f32).exp()).abs() < 1e-4, "{ratio}");
    }
}
