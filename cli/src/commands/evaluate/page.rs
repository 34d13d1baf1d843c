//! The page of an evaluation: tables with errors, differences, curves, and the images with the best and the worst
//! values.

use std::collections::{BTreeMap, HashMap};

use attriburn::Scale;
use attriburn_evaluate::{Better, Cell, Difference, Metric, Record};
use attriburn_picture::{Overlay, overlay};
use attriburn_report::{
    self as report, Curves, EvaluationPage, Extreme, Line, MetricRow, MetricSection,
    PairedDifference, Rank, Thumbnail,
};

use super::job::Job;
use crate::output::display::{default_colours, has_sign};
use crate::output::figures::plane;
use crate::output::maps::MethodMap;
use crate::output::pages::{command_of, counted, encoded, model_name, settings, shortened};
use crate::output::report::warnings;

/// The number of images with the best values, and of images with the worst values, of each method.
const EXTREMES: usize = 2;
/// The maximum number of maps that are computed again for the page.
const MAX_THUMBNAILS: usize = 24;
/// The number of maps of an evaluation for each map that is computed again, so that the page costs little.
const MAPS_PER_THUMBNAIL: usize = 8;
/// The number of maps that are computed again for the page of a small evaluation.
const MIN_THUMBNAILS: usize = 2;
/// The longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: usize = 224;

/// Returns the page of an evaluation.
pub fn page(job: &Job, records: &[Record], cells: &[Cell], differences: &[Difference]) -> String {
    let maps = job.sources.len() * job.maps_per_image() / MAPS_PER_THUMBNAIL;
    let space = maps.clamp(MIN_THUMBNAILS, MAX_THUMBNAILS);
    let mut gallery = Gallery { job, space, thumbnails: Vec::new(), known: BTreeMap::new() };
    let by_cell = ByCell::new(records);
    let section = |metric: &&'static Metric| section(metric, &by_cell, cells, differences);
    let mut metrics: Vec<MetricSection> = job.metrics.iter().map(section).collect();
    for extreme in metrics.iter_mut().flat_map(|metric| &mut metric.extremes) {
        extreme.thumbnail = gallery.thumbnail(&extreme.image, &extreme.method, records);
    }
    let page = EvaluationPage {
        title: format!(
            "{} on {}, with {}",
            counted(job.setup.variants.len(), "method"),
            counted(job.sources.len(), "image"),
            model_name(&job.setup.model_file)
        ),
        command: command_of(&job.args.options.arguments),
        settings: settings(&job.setup, &job.args.options.values),
        warnings: warnings(),
        metrics,
        thumbnails: gallery.thumbnails,
    };
    page.html()
}

/// The records of each metric and method.
struct ByCell<'r>(HashMap<&'r str, HashMap<&'r str, Vec<&'r Record>>>);

impl<'r> ByCell<'r> {
    fn new(records: &'r [Record]) -> Self {
        let mut by_metric: HashMap<&str, HashMap<&str, Vec<&Record>>> = HashMap::new();
        for record in records {
            let by_method = by_metric.entry(&record.metric).or_default();
            by_method.entry(&record.method).or_default().push(record);
        }
        Self(by_metric)
    }

    fn records(&self, cell: &Cell) -> &[&'r Record] {
        let by_method = self.0.get(cell.metric.name);
        let records = by_method.and_then(|by_method| by_method.get(cell.method.as_str()));
        records.map_or(&[], Vec::as_slice)
    }
}

fn section(
    metric: &'static Metric,
    by_cell: &ByCell,
    cells: &[Cell],
    differences: &[Difference],
) -> MetricSection {
    let cells = || cells.iter().filter(|cell| cell.metric.name == metric.name);
    let row = |cell: &Cell| {
        let mut reasons: Vec<String> =
            by_cell.records(cell).iter().filter_map(|record| record.reason.clone()).collect();
        reasons.sort();
        reasons.dedup();
        let count = reasons.len();
        MetricRow {
            method: cell.method.clone(),
            mean: cell.value,
            standard_error: cell.error(),
            count: cell.pictures,
            missing: cell.failed,
            reasons: shortened(reasons, count),
        }
    };
    let paired = differences.iter().filter(|difference| difference.metric.name == metric.name);
    let paired = paired.filter_map(|difference| {
        Some(PairedDifference {
            first: difference.first.clone(),
            second: difference.second.clone(),
            mean: difference.difference?,
            standard_error: difference.error(),
            p: difference.test.map(|test| test.p_value),
            count: difference.pictures,
        })
    });
    let line =
        |cell: &Cell| Some(Line { method: cell.method.clone(), points: cell.curve.clone()? });
    let curves = metric.axes.map(|[x_label, y_label]| Curves {
        x_label: x_label.to_owned(),
        y_label: y_label.to_owned(),
        lines: cells().filter_map(line).collect(),
    });
    MetricSection {
        name: metric.name.to_owned(),
        explanation: sentence(metric.summary),
        better: match metric.better {
            Better::Higher => report::Better::Higher,
            Better::Lower => report::Better::Lower,
        },
        rows: cells().map(row).collect(),
        differences: paired.collect(),
        curves,
        extremes: cells()
            .flat_map(|cell| extremes(metric, &cell.method, by_cell.records(cell)))
            .collect(),
    }
}

/// Returns a description as a sentence.
fn sentence(summary: &str) -> String {
    let mut characters = summary.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

/// Returns the images with the best and the worst values of a method, means over the repeats.
fn extremes(metric: &Metric, method: &str, records: &[&Record]) -> Vec<Extreme> {
    let mut by_image: Vec<(&str, f64, u32)> = Vec::new();
    for record in records {
        let Some(value) = record.value else { continue };
        match by_image.last_mut().filter(|(image, ..)| *image == record.picture) {
            Some((_, sum, count)) => {
                *sum += value;
                *count += 1;
            }
            None => by_image.push((&record.picture, value, 1)),
        }
    }
    let mut values: Vec<(&str, f64)> =
        by_image.into_iter().map(|(image, sum, count)| (image, sum / f64::from(count))).collect();
    // The best first.
    values.sort_by(|a, b| match metric.better {
        Better::Higher => b.1.total_cmp(&a.1),
        Better::Lower => a.1.total_cmp(&b.1),
    });
    let best = EXTREMES.min(values.len().div_ceil(2));
    let worst = EXTREMES.min(values.len() - best);
    let extreme = |rank: Rank| {
        move |&(image, value): &(&str, f64)| Extreme {
            image: image.to_owned(),
            method: method.to_owned(),
            rank,
            value,
            thumbnail: None,
        }
    };
    let (best, worst) = (&values[..best], &values[values.len() - worst..]);
    let best = best.iter().map(extreme(Rank::Best));
    best.chain(worst.iter().rev().map(extreme(Rank::Worst))).collect()
}

/// The thumbnails of a page.
struct Gallery<'a> {
    job: &'a Job<'a>,
    /// The maximum number of thumbnails.
    space: usize,
    thumbnails: Vec<Thumbnail>,
    /// The index of each thumbnail by image and method; `None` for a map that could not be computed again.
    known: BTreeMap<(String, String), Option<usize>>,
}

impl Gallery<'_> {
    /// Returns the index of the thumbnail of a map. `None` if there are enough thumbnails, or the map cannot be shown.
    fn thumbnail(&mut self, image: &str, method: &str, records: &[Record]) -> Option<usize> {
        let key = (image.to_owned(), method.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() >= self.space {
            return None;
        }
        let class = records
            .iter()
            .find(|record| record.picture == image && record.method == method)
            .and_then(|record| record.class);
        let thumbnail = class.and_then(|class| self.compute(image, method, class));
        let index = thumbnail.map(|thumbnail| {
            self.thumbnails.push(thumbnail);
            self.thumbnails.len() - 1
        });
        self.known.insert(key, index);
        index
    }

    /// Computes a map again, with the seed of the first repeat. `None` if it fails or is no image: the page is
    /// complete without it.
    fn compute(&self, image: &str, method: &str, class: usize) -> Option<Thumbnail> {
        let setup = &self.job.setup;
        let source = self.job.sources.iter().find(|source| source.name() == image)?;
        let variant = setup.variants.iter().find(|variant| variant.name == method)?;
        let loaded = setup.open_with_backdrop(source).ok()?;
        let backdrop = loaded.backdrop.as_ref()?.fit_within(THUMBNAIL_SIDE);
        let map = setup.explainer().explain(&loaded.input, class, &variant.plan).ok()?;
        let map = MethodMap::new(method, &variant.plan, map, setup);
        let plane = plane(&map).ok()??;
        let colours = default_colours(has_sign(map.plan));
        let scale = Scale::of(plane.values());
        let shown = overlay(&plane, scale, &backdrop, Overlay::Blend, colours);
        let (picture, overlay) =
            (encoded(&backdrop, THUMBNAIL_SIDE), encoded(&shown, THUMBNAIL_SIDE));
        Some(Thumbnail { picture: picture.ok()?, overlay: overlay.ok()? })
    }
}
