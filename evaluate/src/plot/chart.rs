//! Line charts, drawn as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::RGBColor;

use crate::value::Points;

/// The minimum height of a chart, in pixels.
const MIN_HEIGHT: u32 = 600;
/// The minimum width of a chart without its legend, in pixels.
const MIN_WIDTH: u32 = 900;
/// The minimum width of a category on the horizontal axis, in pixels.
const CATEGORY_WIDTH: u32 = 110;
/// The width of a letter in the legend, in pixels.
const LETTER_WIDTH: u32 = 8;
/// The vertical position of the first line of the legend, in pixels.
const LEGEND_TOP: i32 = 60;
/// The height of a line of the legend, in pixels.
const LEGEND_LINE_HEIGHT: i32 = 22;

/// The colours of Okabe and Ito without yellow, which are distinguishable with any colour vision.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A line of a chart.
pub struct Series {
    /// The name in the legend; empty for a series without a name.
    pub name: String,
    pub points: Points,
    /// The standard error of each point, drawn as an error bar.
    pub errors: Option<Vec<f64>>,
    pub dashed: bool,
    /// Whether the series has the colour of the series before it.
    pub same_colour: bool,
}

impl Series {
    /// Returns a solid line through points.
    pub fn line(name: String, points: Points) -> Self {
        Self { name, points, errors: None, dashed: false, same_colour: false }
    }
}

/// A chart: its series, and the titles of the chart and its axes.
pub struct Chart {
    /// The file name.
    pub file: String,
    pub title: String,
    /// The title of the horizontal axis.
    pub horizontal: String,
    /// The title of the vertical axis.
    pub vertical: String,
    pub series: Vec<Series>,
    /// The labels of the positions 0, 1, ... on the horizontal axis; empty for an axis of numbers.
    pub categories: Vec<String>,
}

impl Chart {
    /// Draws the chart as SVG.
    ///
    /// # Errors
    ///
    /// Returns an error if the chart cannot be drawn.
    pub fn draw(&self) -> Result<String, String> {
        let mut text = String::new();
        let width =
            MIN_WIDTH.max(CATEGORY_WIDTH * self.categories.len() as u32) + self.legend_width();
        let named = self.series.iter().filter(|series| !series.name.is_empty()).count();
        let height =
            MIN_HEIGHT.max(2 * LEGEND_TOP as u32 + LEGEND_LINE_HEIGHT as u32 * named as u32);
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        self.draw_on(&area)
            .map_err(|error| format!("the plot {} cannot be drawn: {error}", self.file))?;
        drop(area);
        Ok(text)
    }

    fn draw_on<'t>(
        &self,
        area: &DrawingArea<SVGBackend<'t>, Shift>,
    ) -> Result<(), Box<dyn std::error::Error + 't>> {
        area.fill(&WHITE)?;
        let legend_width = self.legend_width();
        let (plot, legend) = area.split_horizontally(area.dim_in_pixel().0 - legend_width);
        let (horizontal, vertical) = self.ranges();
        let mut chart = ChartBuilder::on(&plot)
            .caption(&self.title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(80)
            .build_cartesian_2d(horizontal, vertical)?;
        let label = |x: &f64| self.label(*x);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(&self.horizontal)
            .y_desc(&self.vertical)
            .x_labels(if self.categories.is_empty() { 10 } else { 2 * self.categories.len() + 3 })
            .x_label_formatter(&label)
            .y_label_formatter(&|y| short(*y))
            .label_style(("sans-serif", 15))
            .draw()?;
        let mut legend_y = LEGEND_TOP;
        for (series, colour) in self.series.iter().zip(self.colours()) {
            let style = colour.stroke_width(2);
            if let Some(errors) = &series.errors {
                let error_bars = series.points.iter().zip(errors).map(|(&(x, y), &error)| {
                    ErrorBar::new_vertical(x, y - error, y, y + error, style, 8)
                });
                chart.draw_series(error_bars)?;
            }
            let points = series.points.iter().copied();
            if series.dashed {
                chart.draw_series(DashedLineSeries::new(points, 6, 6, style))?;
            } else {
                let markers = series.points.iter().filter(|_| series.points.len() < 100);
                chart.draw_series(markers.map(|&point| Circle::new(point, 3, colour.filled())))?;
                chart.draw_series(LineSeries::new(points, style))?;
            }
            if !series.name.is_empty() {
                let dashes = if series.dashed { vec![(0, 8), (16, 24)] } else { vec![(0, 24)] };
                for (from, to) in dashes {
                    let ends = vec![(from, legend_y), (to, legend_y)];
                    legend.draw(&PathElement::new(ends, style))?;
                }
                let font = ("sans-serif", 15).into_font();
                legend.draw(&Text::new(series.name.clone(), (32, legend_y - 7), font))?;
                legend_y += LEGEND_LINE_HEIGHT;
            }
        }
        area.present()?;
        Ok(())
    }

    /// Returns the width of the legend; 0 if no series has a name.
    fn legend_width(&self) -> u32 {
        let letters = self.series.iter().map(|series| series.name.chars().count()).max();
        letters
            .filter(|&letters| letters > 0)
            .map_or(0, |letters| 48 + LETTER_WIDTH * letters as u32)
    }

    /// Returns the colour of each series.
    fn colours(&self) -> Vec<RGBColor> {
        let count = self.series.iter().filter(|series| !series.same_colour).count();
        let colour = |index: usize| match COLOURS.get(index) {
            Some(colour) if count <= COLOURS.len() => *colour,
            _ => {
                let (r, g, b) = HSLColor(index as f64 / count as f64, 0.75, 0.42).rgb();
                RGBColor(r, g, b)
            }
        };
        let mut next = 0;
        let colour_of = |series: &Series| {
            next += usize::from(!series.same_colour);
            colour(next.saturating_sub(1))
        };
        self.series.iter().map(colour_of).collect()
    }

    /// Returns the label of a position on the horizontal axis.
    fn label(&self, x: f64) -> String {
        if self.categories.is_empty() {
            return short(x);
        }
        let category =
            (x.fract() == 0.0 && x >= 0.0).then(|| self.categories.get(x as usize)).flatten();
        category.cloned().unwrap_or_default()
    }

    /// Returns the ranges of the horizontal and vertical axis: all points and error bars, with a margin.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let horizontal = match self.categories.len() {
            0 => range_with_margin(points().map(|&(x, _)| x)),
            categories => -0.5..categories as f64 - 0.5,
        };
        let error_bar_ends = self.series.iter().flat_map(|series| {
            let error = |i: usize| series.errors.as_ref().map_or(0.0, |errors| errors[i]);
            let points = series.points.iter().enumerate();
            points.flat_map(move |(i, &(_, y))| [y - error(i), y + error(i)])
        });
        (horizontal, range_with_margin(error_bar_ends))
    }
}

/// Returns the range from the minimum to the maximum value, with a margin of 5 % of the extent on either
/// side.
fn range_with_margin(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (min, max) = values.fold((f64::MAX, f64::MIN), |(min, max), v| (min.min(v), max.max(v)));
    let margin = match (max - min) / 20.0 {
        margin if margin > 0.0 => margin,
        _ => (max.abs() / 20.0).max(0.05),
    };
    min - margin..max + margin
}

/// Formats a number with up to 4 decimal places, or with an exponent if it is very small or large.
fn short(value: f64) -> String {
    let value = if value.abs() < 1e-12 { 0.0 } else { value };
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_few_digits() {
        let cases = [(0.0, "0"), (0.25, "0.25"), (3.0, "3"), (2e-5, "2.0e-5"), (-0.1, "-0.1")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn ranges_have_a_margin_and_are_never_empty() {
        assert_eq!(range_with_margin([0.0, 20.0].into_iter()), -1.0..21.0);
        let single = range_with_margin([3.0].into_iter());
        assert!(single.start < 3.0 && single.end > 3.0);
    }

    #[test]
    fn chart_height_fits_a_long_legend() {
        let line = |i: usize| Series::line(format!("method {i}"), vec![(0.0, i as f64)]);
        let chart = |lines: usize| Chart {
            file: "x.svg".into(),
            title: "x".into(),
            horizontal: "a".into(),
            vertical: "b".into(),
            series: (0..lines).map(line).collect(),
            categories: Vec::new(),
        };
        let height = |lines: usize| {
            let text = chart(lines).draw().expect("a drawing");
            let from = text.find("height=\"").expect("a height") + 8;
            text[from..].split('"').next().expect("a number").parse::<u32>().expect("a number")
        };
        assert_eq!(height(3), MIN_HEIGHT);
        assert!(height(60) > 60 * 22);
    }
}
