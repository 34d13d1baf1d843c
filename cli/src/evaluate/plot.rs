//! The plots of an evaluation, as SVG.

use std::ops::Range;

use mollify::WidthRule;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::RGBColor;

use super::cells::Cell;
use super::metric::{FALLS_WITH_WIDTH, Metric, TRADED};
use super::value::Points;
use crate::variants::{Level, Variant};

const HEIGHT: u32 = 600;
/// The width of a chart without its legend.
const WIDTH: u32 = 900;
/// What a name along takes at least.
const NAME: u32 = 110;
/// What a letter of the legend takes.
const LETTER: u32 = 8;

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
struct Series {
    name: String,
    points: Points,
    /// The standard error of each point, where it is known.
    errors: Option<Vec<f64>>,
    dashed: bool,
    /// Shares the colour of the series before it.
    beside: bool,
}

impl Series {
    fn line(name: String, points: Points) -> Self {
        Self { name, points, errors: None, dashed: false, beside: false }
    }
}

/// What is drawn into a frame, with what its axes say.
struct Chart {
    file: String,
    title: String,
    along: String,
    up: String,
    series: Vec<Series>,
    /// Names in place of the numbers 0, 1, ... along.
    names: Vec<String>,
}

/// All plots, each with its file's name: for every metric its curves, its values against the swept
/// settings, or its values by method; and the metrics that are drawn one against the other.
///
/// # Errors
///
/// When one cannot be drawn.
pub fn plots(cells: &[Cell], variants: &[Variant]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for cell in cells {
        if !metrics.iter().any(|metric| metric.name == cell.metric.name) {
            metrics.push(cell.metric);
        }
    }
    let mut charts: Vec<Chart> = Vec::new();
    for metric in metrics {
        let own: Vec<&Cell> = cells.iter().filter(|c| c.metric.name == metric.name).collect();
        charts.extend(curves(metric, &own));
        let swept = swept(metric, &own, variants);
        match swept.is_empty() {
            true => charts.push(by_method(metric, &own)),
            false => charts.extend(swept),
        }
    }
    charts.extend(TRADED.iter().filter_map(|pair| traded(pair, cells, variants)));
    let drawn =
        charts.into_iter().filter(|chart| chart.series.iter().any(|s| !s.points.is_empty()));
    drawn.map(|chart| Ok((chart.file.clone(), chart.draw()?.into_bytes()))).collect()
}

/// The curves of each method.
fn curves(metric: &Metric, cells: &[&Cell]) -> Option<Chart> {
    let [along, up] = metric.axes?;
    let line = |cell: &&Cell| Some(Series::line(cell.method.clone(), cell.curve.clone()?));
    Some(Chart {
        file: format!("{}-curve.svg", metric.name),
        title: metric.name.into(),
        along: along.into(),
        up: up.into(),
        series: cells.iter().filter_map(line).collect(),
        names: Vec::new(),
    })
}

/// The value of each method, with its standard error.
fn by_method(metric: &Metric, cells: &[&Cell]) -> Chart {
    let point = |(at, cell): (usize, &&Cell)| {
        let points = cell.value.map(|value| (at as f64, value)).into_iter().collect();
        let errors = cell.error().map(|error| vec![error]);
        Series { errors, ..Series::line(String::new(), points) }
    };
    Chart {
        file: format!("{}.svg", metric.name),
        title: metric.name.into(),
        along: String::new(),
        up: format!("{}, with its standard error over pictures", metric.name),
        series: cells.iter().enumerate().map(point).collect(),
        names: cells.iter().map(|cell| cell.method.clone()).collect(),
    }
}

/// What a variant is called without one of its levels, and that level.
fn without(variant: &Variant, setting: &str) -> Option<(String, Level)> {
    let level = variant.levels.iter().find(|level| level.setting == setting)?;
    let others = variant.levels.iter().filter(|other| other.setting != setting);
    let others = others.map(|other| format!(" {}={}", other.setting, other.value));
    Some((variant.method.clone() + &others.collect::<String>(), level.clone()))
}

/// The cells that differ in `setting` alone, with their levels, under what they have in common.
fn families<'c>(
    cells: &[&'c Cell],
    variants: &[Variant],
    setting: &str,
) -> Vec<(String, Vec<(Level, &'c Cell)>)> {
    let mut families: Vec<(String, Vec<(Level, &Cell)>)> = Vec::new();
    for &cell in cells {
        let Some((name, level)) = without(&variants[cell.variant], setting) else { continue };
        match families.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push((level, cell)),
            None => families.push((name, vec![(level, cell)])),
        }
    }
    families
}

/// A chart for each swept setting: a metric's value against it, and theory's line beside it.
fn swept(metric: &Metric, cells: &[&Cell], variants: &[Variant]) -> Vec<Chart> {
    let chart = |setting: &String| {
        let families = families(cells, variants, setting);
        let numbers: Option<Vec<Vec<f64>>> = families
            .iter()
            .map(|(_, members)| members.iter().map(|(l, _)| l.value.parse().ok()).collect())
            .collect();
        let names: Vec<String> = match (&numbers, families.first()) {
            (None, Some((_, members))) => members.iter().map(|(l, _)| l.value.clone()).collect(),
            _ => Vec::new(),
        };
        let mut series = Vec::new();
        for (index, (name, members)) in families.iter().enumerate() {
            let at = |i: usize| numbers.as_ref().map_or(i as f64, |numbers| numbers[index][i]);
            let valued = members.iter().enumerate().filter(|(_, (_, cell))| cell.value.is_some());
            let (points, errors) = valued
                .map(|(i, (_, c))| {
                    ((at(i), c.value.unwrap_or_default()), c.error().unwrap_or_default())
                })
                .unzip();
            let line = Series { errors: Some(errors), ..Series::line(name.clone(), points) };
            let theory = (metric.name == FALLS_WITH_WIDTH)
                .then(|| theory(&line, members, variants))
                .flatten();
            series.push(line);
            series.extend(theory);
        }
        Chart {
            file: format!("{}-{setting}.svg", metric.name),
            title: format!("{} against {setting}", metric.name),
            along: setting.clone(),
            up: metric.name.into(),
            series,
            names,
        }
    };
    settings(cells, variants).iter().map(chart).collect()
}

/// The swept settings, in the order in which methods have them.
fn settings(cells: &[&Cell], variants: &[Variant]) -> Vec<String> {
    let mut settings: Vec<String> = Vec::new();
    for level in cells.iter().flat_map(|cell| &variants[cell.variant].levels) {
        if !settings.contains(&level.setting) {
            settings.push(level.setting.clone());
        }
    }
    settings
}

/// The distance of two maps of unit norm that are opposite: theory's line is drawn up to it.
const FARTHEST: f64 = 2.0;

/// The line `a / width` that meets a series where its noise is widest.
fn theory(line: &Series, members: &[(Level, &Cell)], variants: &[Variant]) -> Option<Series> {
    let widths: Vec<f64> = members
        .iter()
        .filter(|(_, cell)| cell.value.is_some())
        .map(|(_, cell)| width(&variants[cell.variant]))
        .collect::<Option<_>>()?;
    let widest = (0..widths.len()).max_by(|&a, &b| widths[a].total_cmp(&widths[b]))?;
    if widths.iter().all(|&width| width == widths[widest]) {
        return None;
    }
    let constant = line.points[widest].1 * widths[widest];
    let pairs = line.points.iter().zip(&widths);
    let points = pairs.map(|(&(x, _), &width)| (x, constant / width));
    let points = points.filter(|(_, distance)| *distance <= FARTHEST).collect();
    let name = format!("{}: 1/width", line.name);
    Some(Series { dashed: true, beside: true, ..Series::line(name, points) })
}

/// The width of a variant's noise around the input, for the same input in units of their own.
fn width(variant: &Variant) -> Option<f64> {
    let sampler = variant.plan.sampler?;
    Some(match sampler.width {
        WidthRule::Relative { alpha } => alpha,
        WidthRule::Absolute { sigma } => sigma,
        WidthRule::Adaptive { confidence, rule } => {
            sampler.mollifier.width_factor(rule.probability(confidence))
        }
    })
}

/// One metric against another, a line through what differs in the first swept setting alone.
fn traded(
    (along, up): &(&'static str, &'static str),
    cells: &[Cell],
    variants: &[Variant],
) -> Option<Chart> {
    let of = |name: &str| cells.iter().filter(|c| c.metric.name == name).collect::<Vec<&Cell>>();
    let (first, second) = (of(along), of(up));
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let partner = |cell: &Cell| second.iter().find(|other| other.variant == cell.variant)?.value;
    let point = |cell: &Cell| Some((cell.value?, partner(cell)?));
    let (mut series, mut drawn): (Vec<Series>, Vec<usize>) = (Vec::new(), Vec::new());
    for setting in settings(&first, variants) {
        let free: Vec<&Cell> =
            first.iter().copied().filter(|cell| !drawn.contains(&cell.variant)).collect();
        for (name, members) in families(&free, variants, &setting) {
            drawn.extend(members.iter().map(|(_, cell)| cell.variant));
            let points = members.iter().filter_map(|(_, cell)| point(cell)).collect();
            series.push(Series::line(format!("{name} over {setting}"), points));
        }
    }
    for cell in first.iter().filter(|cell| !drawn.contains(&cell.variant)) {
        series.push(Series::line(cell.method.clone(), point(cell).into_iter().collect()));
    }
    Some(Chart {
        file: format!("{up}-against-{along}.svg"),
        title: format!("{up} against {along}"),
        along: (*along).into(),
        up: (*up).into(),
        series,
        names: Vec::new(),
    })
}

impl Chart {
    fn draw(&self) -> Result<String, String> {
        let mut text = String::new();
        let width = WIDTH.max(NAME * self.names.len() as u32) + self.legend_width();
        let area = SVGBackend::with_string(&mut text, (width, HEIGHT)).into_drawing_area();
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
        let mut line = 60;
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
                line += 22;
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
    use super::super::cells;
    use super::super::records::Record;
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

    /// The stability of a method that falls exactly as theory has it lies on theory's line.
    #[test]
    fn theory_meets_what_it_predicts() {
        use clap::Parser;
        let options = ["evaluate", "--methods", "smoothgrad", "--sweep", "alpha=0.1,0.2,0.4"];
        let args = crate::args::EvaluateArgs::parse_from(options);
        let variants = crate::variants::variants(&args.plan, None, &args.sweep, &[]);
        let variants = variants.expect("variants");
        let record = |variant: &Variant, value| Record {
            picture: "a".into(),
            method: variant.name.clone(),
            repeat: 0,
            metric: "stability".into(),
            class: None,
            value: Some(value),
            curve: None,
            reason: None,
        };
        let values = [0.4, 0.2, 0.1];
        let records: Vec<Record> = variants.iter().zip(values).map(|(v, x)| record(v, x)).collect();
        let names: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
        let metrics = [Metric::named("stability").expect("a metric")];
        let cells = cells::cells(&records, &metrics, &names);
        let charts = swept(metrics[0], &cells.iter().collect::<Vec<_>>(), &variants);
        let [chart] = &charts[..] else { panic!("one chart") };
        let [line, theory] = &chart.series[..] else { panic!("two series") };
        assert_eq!(line.points, [(0.1, 0.4), (0.2, 0.2), (0.4, 0.1)]);
        for (a, b) in line.points.iter().zip(&theory.points) {
            assert!((a.1 - b.1).abs() < 1e-12, "{a:?} and {b:?}");
        }
        let text = chart.draw().expect("a drawing");
        assert!(text.contains("stability against alpha") && text.contains("smoothgrad: 1/width"));
        let files: Vec<String> =
            plots(&cells, &variants).expect("plots").into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, ["stability-alpha.svg"]);
    }
}
