//! The chart of a metric's curves: a static drawing, and its data for scripts.

use maud::{Markup, html};
use serde::Serialize;

use super::data::{Curves, Line};
use crate::number::significant;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 48.0;
/// The number of line colours in the styles.
const COLOURS: usize = 7;
/// Dash patterns; with the colours, 35 different lines.
const DASHES: [&str; 5] = ["none", "8 4", "2 3", "10 3 2 3", "5 2"];

/// A chart that can be drawn.
#[derive(Serialize)]
pub(super) struct Chart<'a> {
    #[serde(skip)]
    curves: &'a Curves,
    x: [f64; 2],
    y: [f64; 2],
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    lines: Vec<ChartLine<'a>>,
}

#[derive(Serialize)]
struct ChartLine<'a> {
    method: &'a str,
    points: Vec<(f64, f64)>,
}

impl<'a> Chart<'a> {
    /// Returns the chart of curves; `None` if they have no finite point.
    pub(super) fn of(curves: &'a Curves) -> Option<Self> {
        let lines: Vec<ChartLine> = curves.lines.iter().map(ChartLine::of).collect();
        let points = || lines.iter().flat_map(|line| &line.points);
        let x = range(points().map(|point| point.0))?;
        let y = range(points().map(|point| point.1))?;
        let y_ticks = ticks(y, 5);
        let y = [y[0].min(y_ticks[0]), y[1].max(y_ticks[y_ticks.len() - 1])];
        Some(Self { curves, x, y, left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM, lines })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, [low, high]: [f64; 2]| (value - low) / (high - low);
        (LEFT + (RIGHT - LEFT) * share(x, self.x), BOTTOM - (BOTTOM - TOP) * share(y, self.y))
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let place = |&point: &(f64, f64)| {
            let (x, y) = self.place(point);
            format!("{x:.1},{y:.1}")
        };
        points.iter().map(place).collect::<Vec<_>>().join(" ")
    }

    /// Returns the drawing and its legend.
    pub(super) fn html(&self, number: usize, title: &str) -> Markup {
        html! {
            figure.chart data-chart=(number) {
                div.scroll {
                    svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("Curves of {title}")) {
                        (self.axes())
                        @for (index, line) in self.lines.iter().enumerate() {
                            polyline.line.(colour(index)) data-line=(index) stroke-dasharray=(dash(index))
                                points=(self.path(&line.points)) {}
                        }
                        g.probe {}
                    }
                }
                figcaption {
                    p.probe-text aria-live="polite" {}
                    ul.legend {
                        @for (index, line) in self.lines.iter().enumerate() {
                            li data-line=(index) {
                                svg.swatch aria-hidden="true" width="34" height="10" {
                                    line.line.(colour(index)) stroke-dasharray=(dash(index)) x1="1" x2="33" y1="5" y2="5" {}
                                }
                                span.name { (line.method) } span.value {}
                            }
                        }
                    }
                }
            }
        }
    }

    fn axes(&self) -> Markup {
        html! {
            g.axes {
                @for tick in ticks(self.y, 5) {
                    @let (_, y) = self.place((self.x[0], tick));
                    line.grid x1=(LEFT) x2=(RIGHT) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                    text x=(LEFT - 8.0) y=(format!("{:.1}", y + 4.0)) text-anchor="end" { (label(tick)) }
                }
                @for tick in ticks(self.x, 6) {
                    @let (x, _) = self.place((tick, self.y[0]));
                    line.tick x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1=(BOTTOM) y2=(BOTTOM + 4.0) {}
                    text x=(format!("{x:.1}")) y=(BOTTOM + 18.0) text-anchor="middle" { (label(tick)) }
                }
                line.axis x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
                text.title x=((LEFT + RIGHT) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { (self.curves.x_label) }
                text.title transform=(format!("translate(14 {}) rotate(-90)", (TOP + BOTTOM) / 2.0)) text-anchor="middle" {
                    (self.curves.y_label)
                }
            }
        }
    }
}

impl<'a> ChartLine<'a> {
    /// Returns the finite points of a line, ordered by `x`.
    fn of(line: &'a Line) -> Self {
        let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let mut points: Vec<(f64, f64)> = line.points.iter().filter(finite).copied().collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { method: &line.method, points }
    }
}

fn colour(index: usize) -> String {
    format!("c{}", index % COLOURS)
}

fn dash(index: usize) -> &'static str {
    DASHES[index % DASHES.len()]
}

/// Returns the minimum and maximum; a range around a single value.
fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let [low, high] =
        values.map(|value| [value; 2]).reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])?;
    match high > low {
        true => Some([low, high]),
        false => Some([low - 0.5, high + 0.5]),
    }
}

/// Returns about `count` round numbers that cover a range: multiples of 1, 2 or 5 times a power of 10.
fn ticks([low, high]: [f64; 2], count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    let step = factor.unwrap_or(10.0) * power;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    match first <= last {
        true => (first..=last).map(|i| i as f64 * step).collect(),
        false => vec![low, high],
    }
}

/// Formats a tick without trailing zeros.
fn label(tick: f64) -> String {
    let text = significant(tick, 4);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let labels = |range| ticks(range, 5).into_iter().map(label).collect::<Vec<_>>();
        assert_eq!(labels([0.0, 1.0]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels([-0.03, 0.11]), ["0", "0.05", "0.1"]);
        assert_eq!(labels([100.0, 420.0]), ["100", "200", "300", "400"]);
    }

    #[test]
    fn curves_without_points_have_no_chart() {
        let line = |points| Line { method: "a".into(), points };
        let curves =
            |points| Curves { x_label: "x".into(), y_label: "y".into(), lines: vec![line(points)] };
        assert!(Chart::of(&curves(vec![(f64::NAN, 0.0)])).is_none());
        let single = curves(vec![(1.0, 1.0)]);
        assert!(
            Chart::of(&single).expect("a chart").html(0, "a").into_string().contains("polyline")
        );
    }
}
