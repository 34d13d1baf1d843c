//! What a metric gives for a map, and how those of many pictures are put together.

use attriburn::metrics::InformationCurve;

/// A number, and the curve behind it where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub number: f64,
    pub curve: Option<Points>,
}

/// The points of a curve, from left to right.
pub type Points = Vec<(f64, f64)>;

/// How the values of pictures are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The mean of the numbers; the mean of the curves, which have their points in common.
    Mean,
    /// The curve of medians, and the area under it.
    MedianCurve,
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self { number, curve: None }
    }
}

impl Value {
    /// A number with its curve.
    pub fn curve(number: f64, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { number, curve: Some(points.into_iter().collect()) }
    }
}

impl Summary {
    /// The one number of several maps; none of none.
    pub fn number(self, values: &[&Value]) -> Option<f64> {
        match self {
            Self::Mean => mean(values.iter().map(|value| value.number)),
            Self::MedianCurve => median(values).map(|curve| curve.area()),
        }
    }

    /// The one curve of several maps; none where they have none.
    pub fn curve(self, values: &[&Value]) -> Option<Points> {
        match self {
            Self::Mean => {
                let curves: Vec<&Points> = values.iter().filter_map(|v| v.curve.as_ref()).collect();
                let first = curves.first()?;
                let at = |(i, &(x, _)): (usize, &(f64, f64))| {
                    let up = curves.iter().filter_map(|curve| Some(curve.get(i)?.1));
                    Some((x, mean(up)?))
                };
                first.iter().enumerate().map(at).collect()
            }
            Self::MedianCurve => {
                let curve = median(values)?;
                Some(curve.information.into_iter().zip(curve.performance).collect())
            }
        }
    }
}

fn median(values: &[&Value]) -> Option<InformationCurve> {
    let curve = |points: &Points| {
        let (information, performance) = points.iter().copied().unzip();
        InformationCurve { information, performance }
    };
    let curves: Vec<_> = values.iter().filter_map(|v| v.curve.as_ref()).map(curve).collect();
    InformationCurve::median(&curves)
}

/// The mean; none of none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The standard deviation; none of less than two.
pub fn deviation(values: &[f64]) -> Option<f64> {
    // From the first on, so that values that are equal have none.
    let first = *values.first().filter(|_| values.len() > 1)?;
    let mean = mean(values.iter().map(|value| value - first))?;
    let squares: f64 = values.iter().map(|value| (value - first - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_curves_are_put_together() {
        let value = |number: f64| Value::curve(number, [(0.0, 0.0), (0.5, number), (1.0, 1.0)]);
        let values = [value(0.2), value(0.3), value(1.0)];
        let all: Vec<&Value> = values.iter().collect();
        assert_eq!(Summary::Mean.number(&all), Some(0.5));
        assert_eq!(Summary::Mean.curve(&all), Some(vec![(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]));
        assert_eq!(Summary::Mean.number(&[]), None);
        assert_eq!(Summary::Mean.curve(&[&Value::from(0.3)]), None);
        // The area under (0, 0), (0.5, 0.3), (1, 1).
        let area = Summary::MedianCurve.number(&all).expect("an area");
        assert!((area - (0.075 + 0.325)).abs() < 1e-6, "{area}");
        assert_eq!(deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(deviation(&[0.1; 3]), Some(0.0));
        assert_eq!(deviation(&[1.0]), None);
    }
}

/// Why a metric has no value for a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    pub reason: String,
    /// Whether something failed; else the metric is not defined for the map, its picture or its method.
    pub is_failure: bool,
}

impl Missing {
    /// Something failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_failure: true }
    }

    /// The metric is not defined here.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_failure: false }
    }
}

impl From<String> for Missing {
    fn from(reason: String) -> Self {
        Self::failed(reason)
    }
}
