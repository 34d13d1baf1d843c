//! The value of a metric for one map, and the summary of values over many images.

use attriburn_metrics::InformationCurve;

/// A number, and the curve that the number summarizes, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The number.
    pub number: f64,
    /// The points of the curve.
    pub curve: Option<Points>,
}

/// The points `(x, y)` of a curve, from left to right.
pub type Points = Vec<(f64, f64)>;

/// A way to summarize the values of many images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The mean of the numbers, and the pointwise mean of the curves, which have the same `x`.
    Mean,
    /// The median curve, and the area under the median curve.
    MedianCurve,
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self { number, curve: None }
    }
}

impl Value {
    /// Returns a number with its curve.
    pub fn curve(number: f64, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { number, curve: Some(points.into_iter().collect()) }
    }
}

impl Summary {
    /// Returns the summary of the numbers; `None` without values.
    pub fn number(self, values: &[&Value]) -> Option<f64> {
        match self {
            Self::Mean => mean(values.iter().map(|value| value.number)),
            Self::MedianCurve => median_curve(values).map(|curve| curve.area()),
        }
    }

    /// Returns the summary of the curves; `None` without curves.
    pub fn curve(self, values: &[&Value]) -> Option<Points> {
        match self {
            Self::Mean => {
                let curves: Vec<&Points> = values.iter().filter_map(|v| v.curve.as_ref()).collect();
                let first = curves.first()?;
                let mean_point = |(i, &(x, _)): (usize, &(f64, f64))| {
                    let heights = curves.iter().filter_map(|curve| Some(curve.get(i)?.1));
                    Some((x, mean(heights)?))
                };
                first.iter().enumerate().map(mean_point).collect()
            }
            Self::MedianCurve => {
                let curve = median_curve(values)?;
                Some(curve.information.into_iter().zip(curve.performance).collect())
            }
        }
    }
}

/// Returns the median of the values' curves; `None` without curves.
fn median_curve(values: &[&Value]) -> Option<InformationCurve> {
    let curve = |points: &Points| {
        let (information, performance) = points.iter().copied().unzip();
        InformationCurve { information, performance }
    };
    let curves: Vec<_> = values.iter().filter_map(|v| v.curve.as_ref()).map(curve).collect();
    InformationCurve::median(&curves)
}

/// Returns the mean; `None` without values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Returns the sample standard deviation; `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    // Relative to the first value, so that the deviation of equal values is exactly 0.
    let first = *values.first().filter(|_| values.len() > 1)?;
    let mean = mean(values.iter().map(|value| value - first))?;
    let squares: f64 = values.iter().map(|value| (value - first - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The reason why a metric has no value for a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// The reason.
    pub reason: String,
    /// Whether something failed. Otherwise the metric is not defined for the map, its image or its method.
    pub is_failure: bool,
}

impl Missing {
    /// Returns the reason of a failure.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_failure: true }
    }

    /// Returns the reason why a metric is not defined for a map.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_failure: false }
    }
}

impl From<String> for Missing {
    fn from(reason: String) -> Self {
        Self::failed(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_numbers_and_curves() {
        let value = |number: f64| Value::curve(number, [(0.0, 0.0), (0.5, number), (1.0, 1.0)]);
        let values = [value(0.2), value(0.3), value(1.0)];
        let all: Vec<&Value> = values.iter().collect();
        assert_eq!(Summary::Mean.number(&all), Some(0.5));
        assert_eq!(Summary::Mean.curve(&all), Some(vec![(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]));
        assert_eq!(Summary::Mean.number(&[]), None);
        assert_eq!(Summary::Mean.curve(&[&Value::from(0.3)]), None);
        // The area under the median curve (0, 0), (0.5, 0.3), (1, 1).
        let area = Summary::MedianCurve.number(&all).expect("an area");
        assert!((area - (0.075 + 0.325)).abs() < 1e-6, "{area}");
        assert_eq!(deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(deviation(&[0.1; 3]), Some(0.0));
        assert_eq!(deviation(&[1.0]), None);
    }
}
