//! The table of all methods and metrics.

use maud::{Markup, html};

use super::comparison::Comparison;
use super::data::{Better, MetricRow, MetricSection};
use crate::number::short;

/// How a method compares with the best method of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The best value.
    Best,
    /// A value whose difference from the best one may be chance.
    MaybeEqual,
    /// Any other value.
    Other,
}

/// Returns how each row of a metric compares with the best row.
pub(super) fn standings(metric: &MetricSection, comparisons: &[Comparison]) -> Vec<Standing> {
    let means = metric.rows.iter().filter_map(|row| Some((row, finite(row.mean)?)));
    let best = match metric.better {
        Better::Higher => means.max_by(|a, b| a.1.total_cmp(&b.1)),
        Better::Lower => means.min_by(|a, b| a.1.total_cmp(&b.1)),
    };
    let standing = |row: &MetricRow| {
        let (Some((best_row, best)), Some(mean)) = (best, finite(row.mean)) else {
            return Standing::Other;
        };
        let comparison = comparisons.iter().find(|c| c.is_between(&row.method, &best_row.method));
        match comparison {
            _ if mean == best => Standing::Best,
            Some(c) if c.adjusted.is_some() && !c.is_real() => Standing::MaybeEqual,
            _ => Standing::Other,
        }
    };
    metric.rows.iter().map(standing).collect()
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Returns an arrow towards better values.
pub(super) fn arrow(better: Better) -> Markup {
    html! {
        @match better {
            Better::Higher => span.arrow title="higher is better" { "↑" span.hidden { " higher is better" } }
            Better::Lower => span.arrow title="lower is better" { "↓" span.hidden { " lower is better" } }
        }
    }
}

/// Returns the sign of a standing.
pub(super) fn mark(standing: Standing) -> Markup {
    html! {
        @match standing {
            Standing::Best => span.mark title="best" { "●" span.hidden { " best" } }
            Standing::MaybeEqual => span.mark title="the difference from the best may be chance" {
                "○" span.hidden { " may equal the best" }
            }
            Standing::Other => {}
        }
    }
}

/// Returns the table of methods and metrics.
pub(super) fn overview_html(metrics: &[MetricSection], comparisons: &[Vec<Comparison>]) -> Markup {
    let mut methods: Vec<&str> = Vec::new();
    for row in metrics.iter().flat_map(|metric| &metric.rows) {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let standings: Vec<Vec<Standing>> =
        metrics.iter().zip(comparisons).map(|(metric, c)| standings(metric, c)).collect();
    html! {
        section #overview {
            h2 { "Overview" }
            div.scroll tabindex="0" role="region" aria-label="Overview" {
                table.overview data-sortable {
                    thead { tr {
                        th scope="col" data-sort="text" { "method" }
                        @for metric in metrics {
                            th.number scope="col" data-sort="number" { (metric.name) " " (arrow(metric.better)) }
                        }
                    } }
                    tbody {
                        @for method in &methods {
                            tr {
                                th scope="row" { (method) }
                                @for (metric, standings) in metrics.iter().zip(&standings) {
                                    (cell(metric, standings, method))
                                }
                            }
                        }
                    }
                }
            }
            p.remark {
                "Means over the images. ↑ higher is better, ↓ lower is better. ● best; ○ the difference from the best may \
                 be chance."
            }
        }
    }
}

fn cell(metric: &MetricSection, standings: &[Standing], method: &str) -> Markup {
    let row = metric.rows.iter().zip(standings).find(|(row, _)| row.method == method);
    html! {
        @match row {
            None => td.number { "–" }
            Some((row, standing)) => td.number.best[*standing == Standing::Best] data-value=[finite(row.mean)] {
                (short(row.mean)) " " (mark(*standing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::PairedDifference;
    use super::*;

    #[test]
    fn best_rows_are_marked_with_those_that_may_equal_them() {
        let row = |(method, mean): (&str, f64)| MetricRow {
            method: method.into(),
            mean: Some(mean),
            standard_error: None,
            count: 9,
            missing: 0,
            reasons: Vec::new(),
        };
        let difference = |second: &str, p| PairedDifference {
            first: "a".into(),
            second: second.into(),
            mean: 0.1,
            standard_error: None,
            p: Some(p),
            count: 9,
        };
        let metric = MetricSection {
            name: "m".into(),
            explanation: String::new(),
            better: Better::Higher,
            rows: [("a", 0.9), ("b", 0.8), ("c", 0.1)].map(row).into(),
            differences: vec![difference("b", 0.3), difference("c", 0.001)],
            curves: None,
            extremes: Vec::new(),
        };
        use Standing::{Best, MaybeEqual, Other};
        let of = |metric: &MetricSection| standings(metric, &Comparison::all(metric));
        assert_eq!(of(&metric), [Best, MaybeEqual, Other]);
    }
}
