//! An entry of the registry of metrics: name, requirements, computation and summary.

use crate::case::Case;
use crate::value::{Missing, Summary, Value};

/// A metric of one map.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// A one-line description.
    pub summary: &'static str,
    /// Which values are better.
    pub better: Better,
    /// The requirements besides a model and maps.
    pub requires: &'static [Requirement],
    measure: fn(&Case) -> Result<Value, Missing>,
    /// The titles of the horizontal and vertical axis of the curve; `None` for a metric without a curve.
    pub axes: Option<[&'static str; 2]>,
    /// How the values of many images are summarized.
    pub over_pictures: Summary,
    /// Whether the metric draws random numbers of its own, so that its value depends on the seed even for a
    /// method without noise.
    pub is_random: bool,
    /// Whether the metric is the time to compute the map.
    pub is_timed: bool,
}

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher values.
    Higher,
    /// Lower values.
    Lower,
}

/// A requirement of a metric besides a model and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// A model that predicts probabilities.
    Probability,
    /// A comparison model trained on shuffled labels.
    ShuffledModel,
    /// A comparison model trained on shifted inputs.
    ShiftedModel,
    /// A comparison model trained on other data.
    OtherModel,
    /// The bounding boxes of the objects in the images.
    Boxes,
    /// A model that exposes its parameters.
    Parameters,
    /// The values that replace deleted pixels.
    Fill,
    /// The number of strongest pixels to count.
    Points,
    /// The threshold of the predicted probability.
    MinProbability,
}

/// Returns a metric without a curve, summarized by the mean.
pub(crate) const fn metric(
    name: &'static str,
    summary: &'static str,
    better: Better,
    requires: &'static [Requirement],
    measure: fn(&Case) -> Result<Value, Missing>,
) -> Metric {
    let (axes, over_pictures) = (None, Summary::Mean);
    Metric {
        name,
        summary,
        better,
        requires,
        measure,
        axes,
        over_pictures,
        is_random: false,
        is_timed: false,
    }
}

impl Metric {
    /// Gives the metric a curve with these titles of the horizontal and vertical axis.
    pub(crate) const fn curve(mut self, horizontal: &'static str, vertical: &'static str) -> Self {
        self.axes = Some([horizontal, vertical]);
        self
    }

    /// Summarizes the metric by the median curve.
    pub(crate) const fn median(mut self) -> Self {
        self.over_pictures = Summary::MedianCurve;
        self
    }

    /// Marks the metric as one that draws random numbers.
    pub(crate) const fn random(mut self) -> Self {
        self.is_random = true;
        self
    }

    /// Marks the metric as the time to compute the map.
    pub(crate) const fn timed(mut self) -> Self {
        self.is_timed = true;
        self
    }
}

impl Metric {
    /// Returns the value of the metric for one map.
    ///
    /// # Errors
    ///
    /// Returns the reason why there is no finite value.
    pub fn measure(&self, case: &Case) -> Result<Value, Missing> {
        let value = (self.measure)(case)?;
        match value.number.is_finite() {
            true => Ok(value),
            false => {
                Err(Missing::failed(format!("the value is {}, not a finite number", value.number)))
            }
        }
    }
}

/// Returns whether one of `metrics` requires `requirement`.
pub fn any_requires(metrics: &[&Metric], requirement: Requirement) -> bool {
    metrics.iter().any(|metric| metric.requires.contains(&requirement))
}

/// Returns whether one of `metrics` draws random numbers of its own.
pub fn any_is_random(metrics: &[&Metric]) -> bool {
    metrics.iter().any(|metric| metric.is_random)
}
