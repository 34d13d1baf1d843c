//! The page of an evaluation as HTML.

use maud::{Markup, html};

use super::chart::Chart;
use super::comparison::{Comparison, comparisons_html};
use super::data::{Better, EvaluationPage, MetricSection};
use super::gallery::{gallery_html, thumbnail_styles};
use super::interval::Scale;
use super::overview::{arrow, mark, overview_html, standings};
use crate::number::{short, significant};
use crate::page::{Frame, json};

impl EvaluationPage {
    /// Returns the page as HTML.
    pub fn html(&self) -> String {
        let comparisons: Vec<Vec<Comparison>> = self.metrics.iter().map(Comparison::all).collect();
        let charts: Vec<Option<Chart>> =
            self.metrics.iter().map(|metric| Chart::of(metric.curves.as_ref()?)).collect();
        let body = html! {
            (thumbnail_styles(self))
            nav.contents aria-label="Metrics" {
                @for (number, metric) in self.metrics.iter().enumerate() {
                    a href=(format!("#metric-{}", number + 1)) { (metric.name) }
                }
            }
            main {
                (overview_html(&self.metrics, &comparisons))
                @for (number, metric) in self.metrics.iter().enumerate() {
                    section.metric id=(format!("metric-{}", number + 1)) {
                        h2 { (metric.name) }
                        p.explanation { (metric.explanation) " " (better_text(metric.better)) }
                        (method_table(metric, &comparisons[number]))
                        @if let Some(chart) = &charts[number] {
                            h3 { "Curves" }
                            (chart.html(number, &metric.name))
                        }
                        (comparisons_html(metric, &comparisons[number]))
                        (gallery_html(metric, &self.thumbnails))
                    }
                }
            }
            (json("charts-data", &charts))
        };
        let frame = Frame {
            kind: "Evaluation",
            title: &self.title,
            command: &self.command,
            settings: &self.settings,
            warnings: &self.warnings,
            failures: &[],
            style: include_str!("../../assets/evaluation.css"),
            scripts: &[include_str!("../../assets/evaluation.js")],
            without_scripts: "tables that sort by a column, and the values of all curves under the pointer",
        };
        frame.html(&body)
    }
}

fn better_text(better: Better) -> &'static str {
    match better {
        Better::Higher => "Higher is better.",
        Better::Lower => "Lower is better.",
    }
}

/// Returns the table of the value of each method, with error bars.
fn method_table(metric: &MetricSection, comparisons: &[Comparison]) -> Markup {
    let standings = standings(metric, comparisons);
    let intervals = metric.rows.iter();
    let intervals = intervals.filter_map(|r| Some((r.mean?, r.standard_error.unwrap_or(0.0))));
    let scale = Scale::of(intervals);
    let is_complete = metric.rows.iter().all(|row| row.missing == 0);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(format!("Values of {}", metric.name)) {
            table data-sortable {
                thead { tr {
                    th scope="col" data-sort="text" { "method" }
                    th.number scope="col" data-sort="number" { "mean " (arrow(metric.better)) }
                    th.wide scope="col" aria-label="drawing" { @if let Some(scale) = &scale { (scale.head()) } }
                    th.number scope="col" data-sort="number" { "images" }
                    @if !is_complete { th.number scope="col" data-sort="number" { "missing" } th scope="col" { "reasons" } }
                } }
                tbody {
                    @for (row, standing) in metric.rows.iter().zip(&standings) {
                        tr {
                            th scope="row" { (row.method) " " (mark(*standing)) }
                            td.number data-value=[row.mean.filter(|mean| mean.is_finite())] {
                                (short(row.mean))
                                @if let (Some(_), Some(error)) = (row.mean, row.standard_error) { span.error { " ± " (significant(error, 2)) } }
                            }
                            td.wide {
                                @if let (Some(scale), Some(mean)) = (&scale, row.mean.filter(|mean| mean.is_finite())) {
                                    (scale.drawing(mean, row.standard_error))
                                }
                            }
                            td.number data-value=(row.count) { (row.count) }
                            @if !is_complete {
                                td.number data-value=(row.missing) { (row.missing) }
                                td.reasons { (row.reasons.join("; ")) }
                            }
                        }
                    }
                }
            }
        }
        @if metric.rows.iter().any(|row| row.standard_error.is_some()) {
            p.remark { "Whiskers: ± one standard error of the mean over the images." }
        }
    }
}
