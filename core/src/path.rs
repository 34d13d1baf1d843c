//! Straight paths from a baseline to the input: what turns mean gradients into Integrated Gradients
//! (Sundararajan, Taly and Yan, ICML 2017).

use serde::{Deserialize, Serialize};

use crate::quadrature::Quadrature;
use crate::setters::setters;
use crate::{Error, Input};

/// A straight path from a baseline `b` to the input `x`, with nodes `b + a_k (x - b)` of weight `w_k`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Path {
    /// The start of the path.
    pub baseline: Baseline,
    /// The rule for nodes and weights.
    pub quadrature: Quadrature,
    /// The number of nodes, from 1 to 10,000; at least 2 for the trapezoid rule.
    pub steps: u32,
    /// The factor of each node's weight.
    #[serde(default)]
    pub weighting: Weighting,
}

/// The factor of a node's weight, as a function of its position `a` on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Weighting {
    /// `1`: Integrated Gradients, whose map is complete.
    #[default]
    Uniform,
    /// `a`: the mean over baselines drawn uniformly from the path (Kamalov et al., arXiv 2604.14338).
    Position,
}

/// The maximum number of nodes: beyond, rounding errors exceed the gain of more nodes.
const MAX_STEPS: u32 = 10_000;

/// The start of a path.
///
/// The published code of AdaptGrad calls zeros in the model's units "White" and ones "Black". Here black and
/// white are those of an image, 0 and 1 before normalization, and zeros are called zero.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Baseline {
    /// A black image: the lower bounds of [`Input::pixel_range`].
    #[default]
    Black,
    /// A white image: the upper bounds of [`Input::pixel_range`].
    White,
    /// Zeros in the model's units.
    Zero,
    /// The mean of the input per channel; of a vector, the mean of all its values.
    Mean,
    /// The input after a Gaussian blur whose standard deviation is 1/10 of the shorter side. Edge pixels are
    /// repeated beyond the border.
    Blur,
    /// The given values, as many as the input has.
    Values(Vec<f32>),
}

impl Path {
    /// A path from `baseline` with 50 Gauss-Legendre nodes.
    pub fn new(baseline: Baseline) -> Self {
        let (quadrature, weighting) = (Quadrature::GaussLegendre, Weighting::Uniform);
        Self { baseline, quadrature, steps: 50, weighting }
    }

    /// The position and weight of each node.
    pub(crate) fn nodes(&self) -> Vec<(f64, f64)> {
        let mut nodes = self.quadrature.nodes(self.steps);
        if self.weighting == Weighting::Position {
            nodes.iter_mut().for_each(|(position, weight)| *weight *= *position);
        }
        nodes
    }

    /// Checks the number of nodes.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let range = match self.quadrature {
            Quadrature::Trapezoid if self.steps < 2 => "at least 2 for the trapezoid rule",
            _ if self.steps == 0 => "at least 1",
            _ if self.steps > MAX_STEPS => "at most 10000",
            _ => return Ok(()),
        };
        Err(Error::setting("steps", self.steps, range))
    }
}

setters!(Path {
    /// Takes nodes and weights from another rule.
    quadrature: Quadrature,
    /// Takes another number of nodes.
    steps: u32,
    /// Weights the nodes otherwise.
    weighting: Weighting,
});

impl Baseline {
    /// The baseline's values for `input`, in row-major order.
    ///
    /// # Errors
    ///
    /// Returns an error if a blur is asked of an input that is no image `[C, H, W]`, or the number of given
    /// values is not that of the input.
    pub fn values(&self, input: &Input) -> Result<Vec<f32>, Error> {
        let len = input.values().len();
        let fill = |bounds: &[f32]| {
            let inner = input.channel_len();
            (0..len).map(|e| bounds[(e / inner) % bounds.len()]).collect()
        };
        match self {
            Baseline::Black => Ok(fill(&input.pixel_range().lower)),
            Baseline::White => Ok(fill(&input.pixel_range().upper)),
            Baseline::Zero => Ok(vec![0.0; len]),
            Baseline::Mean if input.shape().len() == 1 => Ok(vec![mean(input.values()); len]),
            Baseline::Mean => {
                let channels = input.values().chunks(input.channel_len());
                Ok(fill(&channels.map(mean).collect::<Vec<f32>>()))
            }
            Baseline::Blur => blurred(input),
            Baseline::Values(values) if values.len() == len => Ok(values.clone()),
            Baseline::Values(values) => {
                Err(Error::baseline(format!("has {} values, the input has {len}", values.len())))
            }
        }
    }
}

fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (sum / values.len() as f64) as f32
}

fn blurred(input: &Input) -> Result<Vec<f32>, Error> {
    let &[_, height, width] = input.picture_shape() else {
        return Err(Error::baseline(format!(
            "blur takes an image [channels, height, width], the input has the shape {:?}",
            input.shape()
        )));
    };
    let sigma = 0.1 * height.min(width) as f64;
    let radius = (3.0 * sigma).ceil() as usize;
    let taps: Vec<f64> = (0..=2 * radius)
        .map(|i| (-0.5 * ((i as f64 - radius as f64) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = taps.iter().sum();
    // Along one axis, whose `count` elements lie `stride` apart.
    let along = |plane: &[f32], count: usize, stride: usize| -> Vec<f32> {
        let blur = |e: usize| {
            let (i, start) = ((e / stride) % count, e - (e / stride) % count * stride);
            let value = |tap: usize| {
                let at = (i + tap).saturating_sub(radius).min(count - 1);
                taps[tap] * f64::from(plane[start + at * stride])
            };
            ((0..taps.len()).map(value).sum::<f64>() / total) as f32
        };
        (0..plane.len()).map(blur).collect()
    };
    let planes = input.values().chunks(height * width);
    Ok(planes.flat_map(|plane| along(&along(plane, width, 1), height, width)).collect())
}
