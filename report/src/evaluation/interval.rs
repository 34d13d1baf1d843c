//! Points with whiskers on a common scale, as small drawings in the cells of a table.

use maud::{Markup, html};

use crate::number::significant;

/// The horizontal scale of a column of intervals.
pub(super) struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Returns the scale of all intervals `(mean, error)`; `None` if there are none.
    pub(super) fn of(intervals: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let ends = intervals.filter(|(mean, error)| mean.is_finite() && error.is_finite());
        let ends = ends.map(|(mean, error)| (mean - error, mean + error));
        let (low, high) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let margin = match high > low {
            true => 0.05 * (high - low),
            false if high == 0.0 => 1.0,
            false => 0.1 * high.abs(),
        };
        Some(Self { low: low - margin, high: high + margin })
    }

    /// Returns the scale widened to contain 0.
    pub(super) fn with_zero(self) -> Self {
        Self { low: self.low.min(0.0), high: self.high.max(0.0) }
    }

    /// Returns a position in percent of the width.
    fn position(&self, value: f64) -> String {
        format!("{:.2}%", 100.0 * (value - self.low) / (self.high - self.low))
    }

    /// Returns the ends of the scale as the head of its column.
    pub(super) fn head(&self) -> Markup {
        html! { span.ends { span { (significant(self.low, 2)) } span { (significant(self.high, 2)) } } }
    }

    /// Returns the drawing of an interval. Its numbers stand beside it, so readers of the text skip it.
    pub(super) fn drawing(&self, mean: f64, error: Option<f64>) -> Markup {
        let x = self.position(mean);
        html! {
            svg.interval aria-hidden="true" width="100%" height="20" {
                line.track x1="0" x2="100%" y1="10" y2="10" {}
                @if self.low < 0.0 && self.high > 0.0 {
                    @let zero = self.position(0.0);
                    line.zero x1=(zero) x2=(zero) y1="1" y2="19" {}
                }
                @if let Some(error) = error.filter(|error| error.is_finite()) {
                    @let (low, high) = (self.position(mean - error), self.position(mean + error));
                    line.whisker x1=(low) x2=(high) y1="10" y2="10" {}
                    line.whisker x1=(low) x2=(low) y1="6" y2="14" {}
                    line.whisker x1=(high) x2=(high) y1="6" y2="14" {}
                }
                circle cx=(x) cy="10" r="4" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lie_inside_the_scale() {
        let scale = Scale::of([(1.0, 0.5), (3.0, 0.0)].into_iter()).expect("a scale");
        assert_eq!(scale.position(1.75), "50.00%");
        let equal = Scale::of([(2.0, 0.0)].into_iter()).expect("a scale");
        assert_eq!(equal.position(2.0), "50.00%");
        assert!(Scale::of([(f64::NAN, 0.0)].into_iter()).is_none());
        assert!(Scale::of(std::iter::empty()).is_none());
    }
}
