//! Drawing a chart, as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::RGBColor;

use super::super::value::Points;

const HEIGHT: u32 = 600;
/// The width of a chart without its legend.
const WIDTH: u32 = 900;
/// What a name along takes at least.
const NAME: u32 = 110;
/// What a letter of the legend takes.
const LETTER: u32 = 8;
/// Where the legend begins.
const LEGEND: i32 = 60;
/// What a line of it takes.
const ROW: i32 = 22;

/// Colours that are told apart with any colour vision (Okabe and Ito), without yellow.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A line of a plot.
pub struct Series {
    pub name: String,
    pub points: Points,
    /// The standard error of each point, where it is known.
    pub errors: Option<Vec<f64>>,
    pub dashed: bool,
    /// Shares the colour of the series before it.
    pub beside: bool,
}

impl Series {
    /// Points with a line through them.
    pub fn line(name: String, points: Points) -> Self {
        Self { name, points, errors: None, dashed: false, beside: false }
    }
}

/// What is drawn into a frame, with what its axes say.
pub struct Chart {
    pub file: String,
    pub title: String,
    pub along: String,
    pub up: String,
    pub series: Vec<Series>,
    /// Names in place of the numbers 0, 1, ... along.
    pub names: Vec<String>,
}

impl Chart {
    /// The chart as SVG.
    ///
    /// # Errors
    ///
    /// When it cannot be drawn.
    pub fn draw(&self) -> Result<String, String> {
        let mut text = String::new();
        let width = WIDTH.max(NAME * self.names.len() as u32) + self.legend_width();
        let named = self.series.iter().filter(|series| !series.name.is_empty()).count();
        let height = HEIGHT.max(2 * LEGEND as u32 + ROW as u32 * named as u32);
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        self.draw_on(&area).map_err(|error| format!("{} cannot be drawn: {error}", self.file))?;
        drop(area);
        Ok(text)
    }

    fn draw_on<'t>(
        &self,
        area: &DrawingArea<SVGBackend<'t>, Shift>,
    ) -> Result<(), Box<dyn std::error::Error + 't>> {
        area.fill(&WHITE)?;
        let legend = self.legend_width();
        let (field, aside) = area.split_horizontally(area.dim_in_pixel().0 - legend);
        let (along, up) = self.ranges();
        let mut chart = ChartBuilder::on(&field)
            .caption(&self.title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(80)
            .build_cartesian_2d(along, up)?;
        let label = |at: &f64| self.label(*at);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(&self.along)
            .y_desc(&self.up)
            .x_labels(if self.names.is_empty() { 10 } else { 2 * self.names.len() + 3 })
            .x_label_formatter(&label)
            .y_label_formatter(&|value| short(*value))
            .label_style(("sans-serif", 15))
            .draw()?;
        let mut line = LEGEND;
        for (series, colour) in self.series.iter().zip(self.colours()) {
            let style = colour.stroke_width(2);
            if let Some(errors) = &series.errors {
                let bars = series.points.iter().zip(errors).map(|(&(x, y), &error)| {
                    ErrorBar::new_vertical(x, y - error, y, y + error, style, 8)
                });
                chart.draw_series(bars)?;
            }
            let points = series.points.iter().copied();
            if series.dashed {
                chart.draw_series(DashedLineSeries::new(points, 6, 6, style))?;
            } else {
                let marks = series.points.iter().filter(|_| series.points.len() < 100);
                chart.draw_series(marks.map(|&at| Circle::new(at, 3, colour.filled())))?;
                chart.draw_series(LineSeries::new(points, style))?;
            }
            if !series.name.is_empty() {
                let dash = if series.dashed { vec![(0, 8), (16, 24)] } else { vec![(0, 24)] };
                for (from, to) in dash {
                    aside.draw(&PathElement::new(vec![(from, line), (to, line)], style))?;
                }
                let text = ("sans-serif", 15).into_font();
                aside.draw(&Text::new(series.name.clone(), (32, line - 7), text))?;
                line += ROW;
            }
        }
        area.present()?;
        Ok(())
    }

    /// The width of the names beside the chart; 0 where no series has one.
    fn legend_width(&self) -> u32 {
        let letters = self.series.iter().map(|series| series.name.chars().count()).max();
        letters.filter(|&letters| letters > 0).map_or(0, |letters| 48 + LETTER * letters as u32)
    }

    /// The colour of each series.
    fn colours(&self) -> Vec<RGBColor> {
        let own = self.series.iter().filter(|series| !series.beside).count();
        let colour = |index: usize| match COLOURS.get(index) {
            Some(colour) if own <= COLOURS.len() => *colour,
            _ => {
                let (r, g, b) = HSLColor(index as f64 / own as f64, 0.75, 0.42).rgb();
                RGBColor(r, g, b)
            }
        };
        let mut next = 0;
        let of = |series: &Series| {
            next += usize::from(!series.beside);
            colour(next.saturating_sub(1))
        };
        self.series.iter().map(of).collect()
    }

    /// What stands at a place along.
    fn label(&self, at: f64) -> String {
        if self.names.is_empty() {
            return short(at);
        }
        let name = (at.fract() == 0.0 && at >= 0.0).then(|| self.names.get(at as usize)).flatten();
        name.cloned().unwrap_or_default()
    }

    /// What is shown along and up: all points and their errors, with room around them.
    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let along = match self.names.len() {
            0 => roomy(points().map(|&(x, _)| x)),
            names => -0.5..names as f64 - 0.5,
        };
        let ends = self.series.iter().flat_map(|series| {
            let error = |i: usize| series.errors.as_ref().map_or(0.0, |errors| errors[i]);
            let points = series.points.iter().enumerate();
            points.flat_map(move |(i, &(_, y))| [y - error(i), y + error(i)])
        });
        (along, roomy(ends))
    }
}

/// From the least to the greatest value, and a twentieth more on either side.
fn roomy(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) =
        values.fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(v), most.max(v)));
    let room = match (most - least) / 20.0 {
        room if room > 0.0 => room,
        _ => (most.abs() / 20.0).max(0.05),
    };
    least - room..most + room
}

/// A number in few digits.
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
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (0.25, "0.25"), (3.0, "3"), (2e-5, "2.0e-5"), (-0.1, "-0.1")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn ranges_hold_all_and_are_never_empty() {
        assert_eq!(roomy([0.0, 20.0].into_iter()), -1.0..21.0);
        let single = roomy([3.0].into_iter());
        assert!(single.start < 3.0 && single.end > 3.0);
    }

    #[test]
    fn a_long_legend_has_room() {
        let line = |i: usize| Series::line(format!("method {i}"), vec![(0.0, i as f64)]);
        let chart = |lines: usize| Chart {
            file: "x.svg".into(),
            title: "x".into(),
            along: "a".into(),
            up: "b".into(),
            series: (0..lines).map(line).collect(),
            names: Vec::new(),
        };
        let height = |lines: usize| {
            let text = chart(lines).draw().expect("a drawing");
            let from = text.find("height=\"").expect("a height") + 8;
            text[from..].split('"').next().expect("a number").parse::<u32>().expect("a number")
        };
        assert_eq!(height(3), HEIGHT);
        assert!(height(60) > 60 * 22);
    }
}
