//! The plots of an evaluation: what is drawn of which values.

mod chart;

use std::cmp::Ordering;

use attriburn::WidthRule;

use super::cells::Cell;
use super::metric::{FALLS_WITH_WIDTH, Metric, TRADED};
use crate::plans::{Level, Variant};

use chart::{Chart, Series};

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

/// The cells that differ in `setting` alone, with their levels, numbers from the least on, under
/// what they have in common.
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
    for (_, members) in &mut families {
        let number = |member: &(Level, &Cell)| member.0.number();
        if members.iter().all(|member| number(member).is_some()) {
            members.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
        }
    }
    families
}

/// The settings that are the width of the noise.
const WIDTHS: [&str; 3] = ["alpha", "sigma", "confidence"];

/// A chart for each swept setting: a metric's value against it, theory's line beside it, and level
/// lines for the methods without any swept setting.
fn swept(metric: &Metric, cells: &[&Cell], variants: &[Variant]) -> Vec<Chart> {
    let chart = |setting: &String| {
        let families = families(cells, variants, setting);
        let numbers: Option<Vec<Vec<f64>>> = families
            .iter()
            .map(|(_, members)| members.iter().map(|(level, _)| level.number()).collect())
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
            let theory = (metric.name == FALLS_WITH_WIDTH && WIDTHS.contains(&setting.as_str()))
                .then(|| theory(&line, members, variants))
                .flatten();
            series.push(line);
            series.extend(theory);
        }
        let steady = cells.iter().filter(|cell| variants[cell.variant].levels.is_empty());
        let ends = ends(&series);
        series.extend(steady.filter_map(|cell| {
            let (value, (first, last)) = (cell.value?, ends?);
            Some(Series::line(cell.method.clone(), vec![(first, value), (last, value)]))
        }));
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

/// The first and last place along; none where nothing is drawn.
fn ends(series: &[Series]) -> Option<(f64, f64)> {
    let places = || series.iter().flat_map(|series| &series.points).map(|&(x, _)| x);
    Some((places().min_by(f64::total_cmp)?, places().max_by(f64::total_cmp)?))
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

/// Points of theory's line.
const STEPS: usize = 100;
/// How far up theory's line goes at least, next to where it begins.
const RISE: f64 = 1.1;

/// The line `a / width` that meets a series where its noise is widest, as far up as the series is.
fn theory(line: &Series, members: &[(Level, &Cell)], variants: &[Variant]) -> Option<Series> {
    let samplers = || members.iter().map(|(_, cell)| variants[cell.variant].plan.sampler);
    let sampler = samplers().next()??;
    if samplers().flatten().any(|other| other.mollifier != sampler.mollifier) {
        return None;
    }
    // The width of noise of a level, for the same input, in units of its own.
    let width = |level: f64| match sampler.width {
        WidthRule::Relative { .. } | WidthRule::Absolute { .. } => level,
        WidthRule::Adaptive { rule, .. } => sampler.mollifier.width_factor(rule.probability(level)),
    };
    let (least, most) = ends(std::slice::from_ref(line))?;
    let by_width = |a: &&(f64, f64), b: &&(f64, f64)| width(a.0).total_cmp(&width(b.0));
    let &(widest, reached) = line.points.iter().max_by(by_width)?;
    if least == most {
        return None;
    }
    let top = line.points.iter().map(|&(_, value)| value).fold(RISE * reached, f64::max);
    let level = |step: usize| least + (most - least) * step as f64 / STEPS as f64;
    let points = (0..=STEPS).map(level).map(|x| (x, reached * width(widest) / width(x)));
    let points = points.filter(|(_, distance)| *distance <= top * (1.0 + 1e-9)).collect();
    let name = format!("{}: 1/width", line.name);
    Some(Series { dashed: true, beside: true, ..Series::line(name, points) })
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

#[cfg(test)]
mod tests {
    use super::super::cells;
    use super::super::records::Record;
    use super::*;

    /// The stability of a method that falls exactly as theory has it lies on theory's line.
    #[test]
    fn theory_meets_what_it_predicts() {
        use clap::Parser;
        let options =
            ["evaluate", "--methods", "smoothgrad,gradient", "--sweep", "alpha=0.4,0.1,0.2"];
        let args = crate::args::EvaluateArgs::parse_from(options);
        let variants = crate::plans::variants(&args.plan, None, &args.sweep);
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
        let cells = cells::cells(&records, &metrics, &names);
        let charts = swept(metrics[0], &cells.iter().collect::<Vec<_>>(), &variants);
        let [chart] = &charts[..] else { panic!("one chart") };
        let [line, theory, steady] = &chart.series[..] else { panic!("three series") };
        assert_eq!(line.points, [(0.1, 0.4), (0.2, 0.2), (0.4, 0.1)]);
        assert_eq!(steady.points, [(0.1, 0.3), (0.4, 0.3)]);
        assert_eq!(theory.points.len(), STEPS + 1);
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
