//! The plots of an evaluation: the selection of the values that each chart shows.

mod chart;

use std::cmp::Ordering;

use attriburn::WidthRule;

use crate::aggregate::Cell;
use crate::error::Error;
use crate::metric::Metric;
use crate::registry::{INVERSE_TO_WIDTH, PLOTTED_PAIRS};
use crate::variant::{Level, Variant};

use chart::{Chart, Series};

/// Returns all plots as SVG, each with its file name.
///
/// | plot | for |
/// |---|---|
/// | the curve of each method | each metric with curves |
/// | the value against a swept setting | each metric and swept setting |
/// | the value of each method | each metric, if no setting is swept |
/// | one metric against another | stability and fidelity |
///
/// # Errors
///
/// Returns an error if a plot cannot be drawn.
pub fn plots(cells: &[Cell], variants: &[Variant]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for cell in cells {
        if !metrics.iter().any(|metric| metric.name == cell.metric.name) {
            metrics.push(cell.metric);
        }
    }
    let mut charts: Vec<Chart> = Vec::new();
    for metric in metrics {
        let cells: Vec<&Cell> = cells.iter().filter(|c| c.metric.name == metric.name).collect();
        charts.extend(curve_chart(metric, &cells));
        let sweep_charts = sweep_charts(metric, &cells, variants);
        match sweep_charts.is_empty() {
            true => charts.push(method_chart(metric, &cells)),
            false => charts.extend(sweep_charts),
        }
    }
    charts.extend(PLOTTED_PAIRS.iter().filter_map(|pair| pair_chart(pair, cells, variants)));
    let filled =
        charts.into_iter().filter(|chart| chart.series.iter().any(|s| !s.points.is_empty()));
    filled
        .map(|chart| Ok((chart.file.clone(), chart.draw().map_err(Error::output)?.into_bytes())))
        .collect()
}

/// Returns the chart of the curves of all methods; `None` for a metric without curves.
fn curve_chart(metric: &Metric, cells: &[&Cell]) -> Option<Chart> {
    let [horizontal, vertical] = metric.axes?;
    let line = |cell: &&Cell| Some(Series::line(cell.method.clone(), cell.curve.clone()?));
    Some(Chart {
        file: format!("{}-curve.svg", metric.name),
        title: metric.name.into(),
        horizontal: horizontal.into(),
        vertical: vertical.into(),
        series: cells.iter().filter_map(line).collect(),
        categories: Vec::new(),
    })
}

/// Returns the chart of the value of each method, with its standard error.
fn method_chart(metric: &Metric, cells: &[&Cell]) -> Chart {
    let point = |(x, cell): (usize, &&Cell)| {
        let points = cell.value.map(|value| (x as f64, value)).into_iter().collect();
        let errors = cell.error().map(|error| vec![error]);
        Series { errors, ..Series::line(String::new(), points) }
    };
    Chart {
        file: format!("{}.svg", metric.name),
        title: metric.name.into(),
        horizontal: String::new(),
        vertical: format!("{}, with its standard error over images", metric.name),
        series: cells.iter().enumerate().map(point).collect(),
        categories: cells.iter().map(|cell| cell.method.clone()).collect(),
    }
}

/// Splits the level of `setting` from a variant: returns the name of the variant without the level, and the
/// level. `None` if the variant does not have the setting.
fn split_level(variant: &Variant, setting: &str) -> Option<(String, Level)> {
    let level = variant.levels.iter().find(|level| level.setting == setting)?;
    let others = variant.levels.iter().filter(|other| other.setting != setting);
    let others = others.map(|other| format!(" {}={}", other.setting, other.value));
    Some((variant.method.clone() + &others.collect::<String>(), level.clone()))
}

/// Groups the cells that differ only in `setting`. Each group has the name of the variants without the
/// setting, and the cells with their levels. Levels that are numbers are sorted.
fn group_by_other_settings<'c>(
    cells: &[&'c Cell],
    variants: &[Variant],
    setting: &str,
) -> Vec<(String, Vec<(Level, &'c Cell)>)> {
    let mut groups: Vec<(String, Vec<(Level, &Cell)>)> = Vec::new();
    for &cell in cells {
        let Some((name, level)) = split_level(&variants[cell.variant], setting) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push((level, cell)),
            None => groups.push((name, vec![(level, cell)])),
        }
    }
    for (_, members) in &mut groups {
        let number = |member: &(Level, &Cell)| member.0.number();
        if members.iter().all(|member| number(member).is_some()) {
            members.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
        }
    }
    groups
}

/// The settings that determine the width of the noise.
const WIDTH_SETTINGS: [&str; 3] = ["alpha", "sigma", "confidence"];

/// Returns a chart for each swept setting: the value of the metric against the setting, the prediction of
/// theory, and horizontal lines for the methods without swept settings.
fn sweep_charts(metric: &Metric, cells: &[&Cell], variants: &[Variant]) -> Vec<Chart> {
    let chart = |setting: &String| {
        let groups = group_by_other_settings(cells, variants, setting);
        let numbers: Option<Vec<Vec<f64>>> = groups
            .iter()
            .map(|(_, members)| members.iter().map(|(level, _)| level.number()).collect())
            .collect();
        // The values of a setting that are not numbers are categories.
        let categories: Vec<String> = match (&numbers, groups.first()) {
            (None, Some((_, members))) => members.iter().map(|(l, _)| l.value.clone()).collect(),
            _ => Vec::new(),
        };
        let mut series = Vec::new();
        for (index, (name, members)) in groups.iter().enumerate() {
            let x = |i: usize| numbers.as_ref().map_or(i as f64, |numbers| numbers[index][i]);
            let measured = members.iter().enumerate().filter(|(_, (_, cell))| cell.value.is_some());
            let (points, errors) = measured
                .map(|(i, (_, c))| {
                    ((x(i), c.value.unwrap_or_default()), c.error().unwrap_or_default())
                })
                .unzip();
            let line = Series { errors: Some(errors), ..Series::line(name.clone(), points) };
            let theory = (metric.name == INVERSE_TO_WIDTH
                && WIDTH_SETTINGS.contains(&setting.as_str()))
            .then(|| theory_line(&line, members, variants))
            .flatten();
            series.push(line);
            series.extend(theory);
        }
        let without_sweep = cells.iter().filter(|cell| variants[cell.variant].levels.is_empty());
        let x_range = x_range(&series);
        series.extend(without_sweep.filter_map(|cell| {
            let (value, (first, last)) = (cell.value?, x_range?);
            Some(Series::line(cell.method.clone(), vec![(first, value), (last, value)]))
        }));
        Chart {
            file: format!("{}-{setting}.svg", metric.name),
            title: format!("{} against {setting}", metric.name),
            horizontal: setting.clone(),
            vertical: metric.name.into(),
            series,
            categories,
        }
    };
    swept_settings(cells, variants).iter().map(chart).collect()
}

/// Returns the minimum and maximum `x` of all series; `None` without points.
fn x_range(series: &[Series]) -> Option<(f64, f64)> {
    let xs = || series.iter().flat_map(|series| &series.points).map(|&(x, _)| x);
    Some((xs().min_by(f64::total_cmp)?, xs().max_by(f64::total_cmp)?))
}

/// Returns the swept settings of the cells' variants, in the order of their first use.
fn swept_settings(cells: &[&Cell], variants: &[Variant]) -> Vec<String> {
    let mut settings: Vec<String> = Vec::new();
    for level in cells.iter().flat_map(|cell| &variants[cell.variant].levels) {
        if !settings.contains(&level.setting) {
            settings.push(level.setting.clone());
        }
    }
    settings
}

/// The number of segments of the theory line.
const THEORY_STEPS: usize = 100;
/// The minimum height of the theory line, as a multiple of the value at the widest noise.
const MIN_THEORY_RISE: f64 = 1.1;

/// Returns the line `a / width`, with `a` chosen such that the line meets a series at its widest noise. The
/// line ends at the maximum of the series. `None` if the mollifiers differ or the series has a single
/// position.
fn theory_line(line: &Series, members: &[(Level, &Cell)], variants: &[Variant]) -> Option<Series> {
    let samplers = || members.iter().map(|(_, cell)| variants[cell.variant].plan.sampler);
    let sampler = samplers().next()??;
    if samplers().flatten().any(|other| other.mollifier != sampler.mollifier) {
        return None;
    }
    // The width of the noise at a level, up to a factor that depends only on the input.
    let width = |level: f64| match sampler.width {
        WidthRule::Relative { .. } | WidthRule::Absolute { .. } => level,
        WidthRule::Adaptive { rule, .. } => sampler.mollifier.width_factor(rule.probability(level)),
        _ => level,
    };
    let (first, last) = x_range(std::slice::from_ref(line))?;
    let by_width = |a: &&(f64, f64), b: &&(f64, f64)| width(a.0).total_cmp(&width(b.0));
    let &(widest, value_at_widest) = line.points.iter().max_by(by_width)?;
    if first == last {
        return None;
    }
    let top = line
        .points
        .iter()
        .map(|&(_, value)| value)
        .fold(MIN_THEORY_RISE * value_at_widest, f64::max);
    let level = |step: usize| first + (last - first) * step as f64 / THEORY_STEPS as f64;
    let points =
        (0..=THEORY_STEPS).map(level).map(|x| (x, value_at_widest * width(widest) / width(x)));
    let points = points.filter(|(_, value)| *value <= top * (1.0 + 1e-9)).collect();
    let name = format!("{}: 1/width", line.name);
    Some(Series { dashed: true, same_colour: true, ..Series::line(name, points) })
}

/// Returns the chart of one metric against another. A line connects the variants that differ only in one
/// swept setting. `None` if a metric was not measured.
fn pair_chart(
    (horizontal, vertical): &(&'static str, &'static str),
    cells: &[Cell],
    variants: &[Variant],
) -> Option<Chart> {
    let cells_of =
        |name: &str| cells.iter().filter(|c| c.metric.name == name).collect::<Vec<&Cell>>();
    let (first, second) = (cells_of(horizontal), cells_of(vertical));
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let second_value =
        |cell: &Cell| second.iter().find(|other| other.variant == cell.variant)?.value;
    let point = |cell: &Cell| Some((cell.value?, second_value(cell)?));
    let (mut series, mut drawn): (Vec<Series>, Vec<usize>) = (Vec::new(), Vec::new());
    for setting in swept_settings(&first, variants) {
        let remaining: Vec<&Cell> =
            first.iter().copied().filter(|cell| !drawn.contains(&cell.variant)).collect();
        for (name, members) in group_by_other_settings(&remaining, variants, &setting) {
            drawn.extend(members.iter().map(|(_, cell)| cell.variant));
            let points = members.iter().filter_map(|(_, cell)| point(cell)).collect();
            series.push(Series::line(format!("{name} over {setting}"), points));
        }
    }
    for cell in first.iter().filter(|cell| !drawn.contains(&cell.variant)) {
        series.push(Series::line(cell.method.clone(), point(cell).into_iter().collect()));
    }
    Some(Chart {
        file: format!("{vertical}-against-{horizontal}.svg"),
        title: format!("{vertical} against {horizontal}"),
        horizontal: (*horizontal).into(),
        vertical: (*vertical).into(),
        series,
        categories: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate;
    use crate::method::Method;
    use crate::record::Record;
    use crate::settings::Settings;
    use crate::sweep::Sweep;

    #[test]
    fn theory_line_meets_a_series_proportional_to_one_over_width() {
        let methods = ["smoothgrad", "gradient"].map(|name| Method::named(name).expect("a method"));
        let sweep = Sweep::parse("alpha=0.4,0.1,0.2").expect("a sweep");
        let variants = crate::variant::variants(&methods, &Settings::default(), &[sweep]);
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
            not_applicable: false,
        };
        let values = [0.1, 0.4, 0.2, 0.3];
        let records: Vec<Record> = variants.iter().zip(values).map(|(v, x)| record(v, x)).collect();
        let names: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
        let metrics = [Metric::named("stability").expect("a metric")];
        let cells = aggregate::cells(&records, &metrics, &names);
        let charts = sweep_charts(metrics[0], &cells.iter().collect::<Vec<_>>(), &variants);
        let [chart] = &charts[..] else { panic!("one chart") };
        let [line, theory, without_sweep] = &chart.series[..] else { panic!("three series") };
        assert_eq!(line.points, [(0.1, 0.4), (0.2, 0.2), (0.4, 0.1)]);
        assert_eq!(without_sweep.points, [(0.1, 0.3), (0.4, 0.3)]);
        assert_eq!(theory.points.len(), THEORY_STEPS + 1);
        for (alpha, distance) in &theory.points {
            assert!((alpha * distance - 0.04).abs() < 1e-12, "{distance} at {alpha}");
        }
        let text = chart.draw().expect("a drawing");
        assert!(text.contains("stability against alpha") && text.contains("smoothgrad: 1/width"));
        let files: Vec<String> =
            plots(&cells, &variants).expect("plots").into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, ["stability-alpha.svg"]);
    }
}
