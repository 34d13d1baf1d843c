//! Summaries of records: the value of each metric for each method, paired tests between methods, and
//! correlations between metrics.

use std::collections::HashMap;

use attriburn_metrics::{Correlation, PairedTest, paired_t_test, spearman};

use crate::metric::Metric;
use crate::record::Record;
use crate::registry::{CORRELATED, DIFFERENCE, MODEL_SIMILARITIES};
use crate::value::{Points, Summary, Value, deviation, mean};

/// The summary of one metric for one method, over all images.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The index of the method among the variants.
    pub variant: usize,
    /// The name of the variant.
    pub method: String,
    /// The metric.
    pub metric: &'static Metric,
    /// The mean over images of the mean over repeats, or the area under the median curve.
    pub value: Option<f64>,
    /// The standard deviation over the images.
    pub deviation: Option<f64>,
    /// The standard deviation over the repeats, each summarized over the images; `None` for a single repeat.
    pub spread: Option<f64>,
    /// The number of images with a value.
    pub pictures: usize,
    /// The number of maps without a value.
    pub failed: usize,
    /// The summary of the curves; `None` for a metric without a curve.
    pub curve: Option<Points>,
    /// The value of each image, the mean over its repeats, in the order of the images.
    by_image: Vec<Option<f64>>,
}

/// The paired comparison of two methods by one metric.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The metric.
    pub metric: &'static Metric,
    /// The name of the first variant.
    pub first: String,
    /// The name of the second variant.
    pub second: String,
    /// The mean of the first variant minus the mean of the second, over the images with a value for both.
    pub difference: Option<f64>,
    /// The paired t-test.
    pub test: Option<PairedTest>,
    /// The standard deviation of the differences over the images; `None` for fewer than two.
    pub deviation: Option<f64>,
    /// The number of images with a value for both variants.
    pub pictures: usize,
}

/// The similarity of two models' maps, compared with the similarity of one model's maps for two seeds.
#[derive(Clone, Debug)]
pub struct ModelSimilarity {
    /// The name of the similarity metric.
    pub measure: &'static str,
    /// The name of the variant.
    pub method: String,
    /// The similarity of the maps of the two models.
    pub models: Option<f64>,
    /// The similarity of the maps of the two seeds.
    pub seeds: Option<f64>,
    /// The share of the difference between the models that is not noise.
    pub share: Option<f64>,
    /// Whether the share is significantly above 0; `None` if there are too few images.
    pub is_real: Option<bool>,
    /// The number of images.
    pub pictures: usize,
}

/// The rank correlation of two metrics over the images, for one method.
#[derive(Clone, Debug)]
pub struct MetricCorrelation {
    /// The first metric.
    pub first: &'static str,
    /// The second metric.
    pub second: &'static str,
    /// The name of the variant.
    pub method: String,
    /// Spearman's rank correlation and its test.
    pub test: Option<Correlation>,
    /// The number of images with a value of both metrics.
    pub pictures: usize,
}

/// Returns the summary of every pair of a metric and a method, ordered by metric, then by method.
pub fn cells(records: &[Record], metrics: &[&'static Metric], methods: &[String]) -> Vec<Cell> {
    let mut image_indices: HashMap<&str, usize> = HashMap::new();
    for record in records {
        let next = image_indices.len();
        image_indices.entry(&record.picture).or_insert(next);
    }
    let mut by_cell: HashMap<(&str, &str), Vec<&Record>> = HashMap::new();
    for record in records {
        by_cell.entry((&record.metric, &record.method)).or_default().push(record);
    }
    let cell = |metric: &'static Metric, (variant, method): (usize, &String)| {
        let records = by_cell.get(&(metric.name, method.as_str())).map_or(&[][..], Vec::as_slice);
        Cell::new(metric, (variant, method), records, &image_indices)
    };
    let methods = || methods.iter().enumerate();
    metrics.iter().flat_map(|metric| methods().map(|method| cell(metric, method))).collect()
}

impl Cell {
    fn new(
        metric: &'static Metric,
        (variant, method): (usize, &String),
        records: &[&Record],
        image_indices: &HashMap<&str, usize>,
    ) -> Self {
        let measured: Vec<(&Record, Value)> =
            records.iter().filter_map(|record| Some((*record, record.value()?))).collect();
        let mut by_image = vec![Vec::new(); image_indices.len()];
        let mut by_repeat: Vec<Vec<&Value>> = Vec::new();
        for (record, value) in &measured {
            by_image[image_indices[record.picture.as_str()]].push(value.number);
            let repeat = record.repeat as usize;
            by_repeat.resize(by_repeat.len().max(repeat + 1), Vec::new());
            by_repeat[repeat].push(value);
        }
        let by_image: Vec<Option<f64>> = by_image.into_iter().map(mean).collect();
        let image_means: Vec<f64> = by_image.iter().flatten().copied().collect();
        let all: Vec<&Value> = measured.iter().map(|(_, value)| value).collect();
        let repeat_values: Vec<f64> =
            by_repeat.iter().filter_map(|values| metric.over_pictures.number(values)).collect();
        let value = match metric.over_pictures {
            Summary::Mean => mean(image_means.iter().copied()),
            Summary::MedianCurve => metric.over_pictures.number(&all),
        };
        Self {
            variant,
            method: method.clone(),
            metric,
            value,
            deviation: deviation(&image_means),
            spread: deviation(&repeat_values),
            pictures: image_means.len(),
            failed: records.len() - measured.len(),
            curve: metric.over_pictures.curve(&all),
            by_image,
        }
    }

    /// Returns the standard error of the mean over images; `None` for a median curve.
    pub fn error(&self) -> Option<f64> {
        if self.metric.over_pictures != Summary::Mean {
            return None;
        }
        Some(self.deviation? / (self.pictures as f64).sqrt())
    }

    /// Returns the values of both cells, for the images with a value in both.
    fn paired_values(&self, other: &Cell) -> (Vec<f64>, Vec<f64>) {
        let pairs = self.by_image.iter().zip(&other.by_image);
        pairs.filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip()
    }
}

impl Difference {
    /// Returns the standard error of the mean difference.
    pub fn error(&self) -> Option<f64> {
        Some(self.deviation? / (self.pictures as f64).sqrt())
    }
}

/// Compares every pair of methods by each metric, over the images with a value for both methods.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let pairs = cells.iter().enumerate().flat_map(|(i, a)| {
        cells[i + 1..].iter().filter(|b| b.metric.name == a.metric.name).map(move |b| (a, b))
    });
    let difference = |(a, b): (&Cell, &Cell)| {
        let (first, second) = a.paired_values(b);
        let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
        Difference {
            metric: a.metric,
            first: a.method.clone(),
            second: b.method.clone(),
            difference: mean(differences.iter().copied()),
            test: paired_t_test(&first, &second),
            deviation: deviation(&differences),
            pictures: first.len(),
        }
    };
    pairs.map(difference).collect()
}

/// The significance level.
const SIGNIFICANCE: f64 = 0.05;

/// Returns the similarity of the models and of the seeds for each method, and whether the maps of the models
/// differ by more than noise. They do if the share of the difference that is not noise is significantly above
/// 0 in a t-test over the images.
pub fn model_similarities(cells: &[Cell]) -> Vec<ModelSimilarity> {
    let cell = |metric: &str, variant: usize| {
        cells.iter().find(|cell| cell.metric.name == metric && cell.variant == variant)
    };
    let similarity = |(measure, seeds): (&'static str, &str), variant| {
        let (models, seeds) = (cell(measure, variant)?, cell(seeds, variant)?);
        let difference = cell(DIFFERENCE, variant)?;
        let shares: Vec<f64> = difference.by_image.iter().flatten().copied().collect();
        let share = mean(shares.iter().copied());
        let is_real = match paired_t_test(&shares, &vec![0.0; shares.len()]) {
            Some(test) => Some(test.difference > 0.0 && test.p_value < SIGNIFICANCE),
            // A t-test is undefined if all shares are equal: 1 for methods without noise, 0 for equal models.
            None => share.and_then(|share| match share {
                share if share > 1.0 - 1e-9 => Some(true),
                0.0 => Some(false),
                _ => None,
            }),
        };
        Some(ModelSimilarity {
            measure,
            method: models.method.clone(),
            models: models.value,
            seeds: seeds.value,
            share,
            is_real,
            pictures: models.pictures,
        })
    };
    let variants = cells.iter().map(|cell| cell.variant).max().map_or(0, |last| last + 1);
    let pairs =
        MODEL_SIMILARITIES.into_iter().flat_map(|pair| (0..variants).map(move |v| (pair, v)));
    pairs.filter_map(|(pair, variant)| similarity(pair, variant)).collect()
}

/// Returns the rank correlation over the images of sparseness and each out-of-domain metric, for each method.
pub fn metric_correlations(cells: &[Cell]) -> Vec<MetricCorrelation> {
    let cell = |metric: &str, variant: usize| {
        cells.iter().find(|cell| cell.metric.name == metric && cell.variant == variant)
    };
    let variants = cells.iter().map(|cell| cell.variant).max().map_or(0, |last| last + 1);
    let test = |(first, second): &(&'static str, &'static str), variant| {
        let (a, b) = (cell(first, variant)?, cell(second, variant)?);
        let (x, y) = a.paired_values(b);
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let test = spearman(&single(&x), &single(&y));
        Some(MetricCorrelation { first, second, method: a.method.clone(), test, pictures: x.len() })
    };
    let pairs = CORRELATED.iter().flat_map(|pair| (0..variants).map(move |v| (pair, v)));
    pairs.filter_map(|(pair, variant)| test(pair, variant)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(
        metric: &str,
        picture: &str,
        method: &str,
        repeat: u32,
        value: Option<f64>,
    ) -> Record {
        Record {
            picture: picture.into(),
            method: method.into(),
            repeat,
            metric: metric.into(),
            class: None,
            value,
            curve: None,
            reason: None,
            not_applicable: false,
        }
    }

    fn metrics(names: &[&str]) -> Vec<&'static Metric> {
        names.iter().map(|name| Metric::named(name).expect("a metric")).collect()
    }

    #[test]
    fn cells_have_means_deviations_over_repeats_and_failures() {
        let record =
            |picture, method, repeat, value| record("sparseness", picture, method, repeat, value);
        let records = [
            record("a", "gradient", 0, Some(1.0)),
            record("a", "adaptgrad", 0, Some(2.0)),
            record("a", "adaptgrad", 1, Some(4.0)),
            record("b", "gradient", 0, Some(3.0)),
            record("b", "adaptgrad", 0, Some(8.0)),
            record("b", "adaptgrad", 1, Some(8.0)),
            record("c", "gradient", 0, Some(9.0)),
            record("c", "adaptgrad", 0, None),
            record("c", "adaptgrad", 1, None),
        ];
        let methods = ["gradient".to_owned(), "adaptgrad".to_owned()];
        let cells = cells(&records, &metrics(&["sparseness"]), &methods);
        let [plain, adapt] = &cells[..] else { panic!("two cells") };
        assert_eq!((plain.pictures, plain.failed, plain.spread), (3, 0, None));
        assert!((plain.value.expect("a mean") - 13.0 / 3.0).abs() < 1e-12);
        assert_eq!((adapt.value, adapt.pictures, adapt.failed), (Some(5.5), 2, 2));
        // The means of the two repeats are 5 and 6.
        assert!((adapt.spread.expect("a deviation over repeats") - 0.5f64.sqrt()).abs() < 1e-12);
        let differences = differences(&cells);
        let [difference] = &differences[..] else { panic!("one pair") };
        assert_eq!(difference.pictures, 2);
        assert!((difference.test.expect("a test").difference + 3.5).abs() < 1e-12);
        assert!(metric_correlations(&cells).is_empty());
    }

    #[test]
    fn opposite_ranks_have_correlation_minus_one() {
        let methods = ["smoothgrad".to_owned()];
        let mut records = Vec::new();
        for (i, picture) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let (rising, falling) = (i as f64, -((i * i) as f64));
            // The last image lacks a value of the second metric.
            let value = (i != 4).then_some(falling);
            records.push(record("sparseness", picture, "smoothgrad", 0, Some(rising)));
            records.push(record("out-of-domain-share", picture, "smoothgrad", 0, value));
        }
        let cells = cells(&records, &metrics(&["sparseness", "out-of-domain-share"]), &methods);
        let correlations = metric_correlations(&cells);
        let [pair] = &correlations[..] else { panic!("one pair") };
        assert_eq!((pair.first, pair.second), ("sparseness", "out-of-domain-share"));
        assert_eq!((pair.test.expect("a test").coefficient, pair.pictures), (-1.0, 4));
    }
}
