//! The paired differences of a metric, in words and as a table.

use maud::{Markup, html};

use super::data::{Better, MetricSection, PairedDifference};
use super::holm::{LEVEL, holm_of_known};
use super::interval::Scale;
use crate::number::{short, significant};

/// A difference with its p value corrected for the number of differences of the metric.
pub(super) struct Comparison<'a> {
    pub(super) difference: &'a PairedDifference,
    pub(super) adjusted: Option<f64>,
}

impl<'a> Comparison<'a> {
    /// Returns the comparisons of a metric.
    pub(super) fn all(metric: &'a MetricSection) -> Vec<Self> {
        let p = |difference: &PairedDifference| difference.p.filter(|p| p.is_finite());
        let adjusted = holm_of_known(&metric.differences.iter().map(p).collect::<Vec<_>>());
        let pairs = metric.differences.iter().zip(adjusted);
        pairs.map(|(difference, adjusted)| Self { difference, adjusted }).collect()
    }

    /// Returns whether the difference is more than chance explains.
    pub(super) fn is_real(&self) -> bool {
        self.adjusted.is_some_and(|p| p < LEVEL)
    }

    /// Returns whether the comparison is between two methods, in any order.
    pub(super) fn is_between(&self, a: &str, b: &str) -> bool {
        let (first, second) = (&self.difference.first, &self.difference.second);
        (first == a && second == b) || (first == b && second == a)
    }

    /// Returns the difference as a sentence about the better method.
    fn words(&self, better: Better) -> String {
        let PairedDifference { first, second, mean, standard_error, .. } = self.difference;
        let (higher, lower) = if *mean < 0.0 { (second, first) } else { (first, second) };
        let size = significant(mean.abs(), 3);
        let error = match standard_error {
            Some(error) => format!(" ± {}", significant(*error, 2)),
            None => String::new(),
        };
        match better {
            Better::Higher => {
                format!("{higher} is higher than {lower} by {size}{error}, which is better.")
            }
            Better::Lower => {
                format!("{lower} is lower than {higher} by {size}{error}, which is better.")
            }
        }
    }
}

/// The number of comparisons up to which their table is unfolded.
const UNFOLDED: usize = 10;

/// Returns the differences of a metric; nothing if there are none.
pub(super) fn comparisons_html(metric: &MetricSection, comparisons: &[Comparison]) -> Markup {
    let real: Vec<&Comparison> = comparisons.iter().filter(|c| c.is_real()).collect();
    html! {
        @if !comparisons.is_empty() {
            h3 { "Differences between methods" }
            @match real.is_empty() {
                true => p.finding { "No difference is larger than chance explains (adjusted p below " (LEVEL) ")." }
                false => ul.findings { @for comparison in &real { li { (comparison.words(metric.better)) } } }
            }
            details open[comparisons.len() <= UNFOLDED] {
                summary { "All " (comparisons.len()) " paired differences" }
                (table(comparisons))
                p.remark {
                    "Mean over the images with a value for both methods, ± its standard error. p values are adjusted by \
                     Holm's method for the number of differences of this metric."
                }
            }
        }
    }
}

fn table(comparisons: &[Comparison]) -> Markup {
    let interval = |c: &Comparison| (c.difference.mean, c.difference.standard_error.unwrap_or(0.0));
    let scale = Scale::of(comparisons.iter().map(interval)).map(Scale::with_zero);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Paired differences" {
            table data-sortable {
                thead { tr {
                    th scope="col" data-sort="text" { "first" }
                    th scope="col" data-sort="text" { "second" }
                    th.number scope="col" data-sort="number" { "first − second" }
                    th.wide scope="col" aria-label="drawing" { @if let Some(scale) = &scale { (scale.head()) } }
                    th.number scope="col" data-sort="number" { "p" }
                    th.number scope="col" data-sort="number" { "adjusted p" }
                    th.number scope="col" data-sort="number" { "images" }
                } }
                tbody {
                    @for comparison in comparisons {
                        @let d = comparison.difference;
                        tr.real[comparison.is_real()] data-chance[!comparison.is_real()] {
                            td { (d.first) }
                            td { (d.second) }
                            td.number data-value=(d.mean) {
                                (significant(d.mean, 3))
                                @if let Some(error) = d.standard_error { span.error { " ± " (significant(error, 2)) } }
                            }
                            td.wide { @if let Some(scale) = scale.as_ref().filter(|_| d.mean.is_finite()) { (scale.drawing(d.mean, d.standard_error)) } }
                            td.number data-value=[d.p] { (p_text(d.p)) }
                            td.number data-value=[comparison.adjusted] { (p_text(comparison.adjusted)) }
                            td.number data-value=(d.count) { (d.count) }
                        }
                    }
                }
            }
        }
    }
}

/// Formats a p value. Digits of very small values have no meaning.
fn p_text(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 1e-4 => "< 0.0001".into(),
        Some(p) => significant(p, 2),
        None => short(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_in_words() {
        let difference = |mean| PairedDifference {
            first: "adaptgrad".into(),
            second: "gradient".into(),
            mean,
            standard_error: Some(0.03),
            p: Some(0.01),
            count: 20,
        };
        let words = |mean, better| {
            Comparison { difference: &difference(mean), adjusted: Some(0.01) }.words(better)
        };
        let cases = [
            (
                -0.12,
                Better::Lower,
                "adaptgrad is lower than gradient by 0.120 ± 0.030, which is better.",
            ),
            (
                -0.12,
                Better::Higher,
                "gradient is higher than adaptgrad by 0.120 ± 0.030, which is better.",
            ),
        ];
        for (mean, better, sentence) in cases {
            assert_eq!(words(mean, better), sentence);
        }
    }
}
