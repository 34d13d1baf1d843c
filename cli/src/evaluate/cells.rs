//! From results to what each method reached, and whether methods and metrics go together.

use std::collections::HashMap;

use attriburn::metrics::{Correlation, Paired, paired_t_test, spearman};

use super::metric::{CORRELATED, DIFFERENCE, Metric, SCALED};
use super::records::Record;
use super::value::{Points, Summary, Value, deviation, mean};

/// What a method reached in a metric.
pub struct Cell {
    /// The place of the method among the variants.
    pub variant: usize,
    pub method: String,
    pub metric: &'static Metric,
    /// The pictures put together: the mean over the pictures of the mean over the repeats, or the
    /// area under the median curve.
    pub value: Option<f64>,
    /// The standard deviation over the pictures.
    pub deviation: Option<f64>,
    /// The standard deviation of the repeats' values; none for a single repeat.
    pub spread: Option<f64>,
    pub pictures: usize,
    /// Maps without a value.
    pub failed: usize,
    /// The curves put together.
    pub curve: Option<Points>,
    /// The value of each picture, by its place among all pictures.
    by_picture: Vec<Option<f64>>,
}

/// The difference of two methods in a metric.
pub struct Difference {
    pub metric: &'static Metric,
    pub first: String,
    pub second: String,
    /// The mean of the first less the mean of the second.
    pub difference: Option<f64>,
    pub test: Option<Paired>,
    pub pictures: usize,
}

/// How alike the maps of two models are, beside those of two seeds.
pub struct Scaled {
    pub measure: &'static str,
    pub method: String,
    pub models: Option<f64>,
    pub seeds: Option<f64>,
    /// The share of the models' difference that is not noise.
    pub share: Option<f64>,
    /// Whether this is more than chance; none where that is not known.
    pub is_real: Option<bool>,
    pub pictures: usize,
}

/// Whether two metrics of a method go together, over the pictures.
pub struct Together {
    pub first: &'static str,
    pub second: &'static str,
    pub method: String,
    pub test: Option<Correlation>,
    pub pictures: usize,
}

/// A cell for each metric and method, in this order.
pub fn cells(records: &[Record], metrics: &[&'static Metric], methods: &[String]) -> Vec<Cell> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for record in records {
        let next = places.len();
        places.entry(&record.picture).or_insert(next);
    }
    let mut of: HashMap<(&str, &str), Vec<&Record>> = HashMap::new();
    for record in records {
        of.entry((&record.metric, &record.method)).or_default().push(record);
    }
    let cell = |metric: &'static Metric, (variant, method): (usize, &String)| {
        let own = of.get(&(metric.name, method.as_str())).map_or(&[][..], Vec::as_slice);
        Cell::new(metric, (variant, method), own, &places)
    };
    let methods = || methods.iter().enumerate();
    metrics.iter().flat_map(|metric| methods().map(|method| cell(metric, method))).collect()
}

impl Cell {
    fn new(
        metric: &'static Metric,
        (variant, method): (usize, &String),
        records: &[&Record],
        places: &HashMap<&str, usize>,
    ) -> Self {
        let found: Vec<(&Record, Value)> =
            records.iter().filter_map(|record| Some((*record, record.value()?))).collect();
        let mut by_picture = vec![Vec::new(); places.len()];
        let mut by_repeat: Vec<Vec<&Value>> = Vec::new();
        for (record, value) in &found {
            by_picture[places[record.picture.as_str()]].push(value.number);
            let repeat = record.repeat as usize;
            by_repeat.resize(by_repeat.len().max(repeat + 1), Vec::new());
            by_repeat[repeat].push(value);
        }
        let by_picture: Vec<Option<f64>> = by_picture.into_iter().map(mean).collect();
        let pictures: Vec<f64> = by_picture.iter().flatten().copied().collect();
        let all: Vec<&Value> = found.iter().map(|(_, value)| value).collect();
        let repeats: Vec<f64> =
            by_repeat.iter().filter_map(|values| metric.over_pictures.number(values)).collect();
        let value = match metric.over_pictures {
            Summary::Mean => mean(pictures.iter().copied()),
            Summary::MedianCurve => metric.over_pictures.number(&all),
        };
        Self {
            variant,
            method: method.clone(),
            metric,
            value,
            deviation: deviation(&pictures),
            spread: deviation(&repeats),
            pictures: pictures.len(),
            failed: records.len() - found.len(),
            curve: metric.over_pictures.curve(&all),
            by_picture,
        }
    }

    /// The standard error of the mean over the pictures; none where the value is no mean.
    pub fn error(&self) -> Option<f64> {
        if self.metric.over_pictures != Summary::Mean {
            return None;
        }
        Some(self.deviation? / (self.pictures as f64).sqrt())
    }

    /// The values of the pictures that two cells both have.
    fn both(&self, other: &Cell) -> (Vec<f64>, Vec<f64>) {
        let pairs = self.by_picture.iter().zip(&other.by_picture);
        pairs.filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip()
    }
}

/// The paired tests between all methods of each metric, over the pictures that both have.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let pairs = cells.iter().enumerate().flat_map(|(i, a)| {
        cells[i + 1..].iter().filter(|b| b.metric.name == a.metric.name).map(move |b| (a, b))
    });
    let difference = |(a, b): (&Cell, &Cell)| {
        let (first, second) = a.both(b);
        Difference {
            metric: a.metric,
            first: a.method.clone(),
            second: b.method.clone(),
            difference: mean(first.iter().zip(&second).map(|(a, b)| a - b)),
            test: paired_t_test(&first, &second),
            pictures: first.len(),
        }
    };
    pairs.map(difference).collect()
}

/// The least probability at which a difference counts as chance.
const CHANCE: f64 = 0.05;

/// The likeness of models beside that of seeds, and whether the models' maps differ by more than noise:
/// whether the share of the difference that is not noise is above 0, by the t-test over the pictures.
pub fn scaled(cells: &[Cell]) -> Vec<Scaled> {
    let of = |metric: &str, variant: usize| {
        cells.iter().find(|cell| cell.metric.name == metric && cell.variant == variant)
    };
    let own = |(measure, seeds): (&'static str, &str), variant| {
        let (models, seeds) = (of(measure, variant)?, of(seeds, variant)?);
        let difference = of(DIFFERENCE, variant)?;
        let shares: Vec<f64> = difference.by_picture.iter().flatten().copied().collect();
        let share = mean(shares.iter().copied());
        let is_real = match paired_t_test(&shares, &vec![0.0; shares.len()]) {
            Some(test) => Some(test.difference > 0.0 && test.p_value < CHANCE),
            // Without noise all shares are 1, and those of equal models 0.
            None => share.and_then(|share| match share {
                share if share > 1.0 - 1e-9 => Some(true),
                0.0 => Some(false),
                _ => None,
            }),
        };
        Some(Scaled {
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
    let pairs = SCALED.into_iter().flat_map(|pair| (0..variants).map(move |v| (pair, v)));
    pairs.filter_map(|(pair, variant)| own(pair, variant)).collect()
}

/// The rank correlations, over the pictures, of the metrics that are tested for it.
pub fn together(cells: &[Cell]) -> Vec<Together> {
    let of = |metric: &str, variant: usize| {
        cells.iter().find(|cell| cell.metric.name == metric && cell.variant == variant)
    };
    let variants = cells.iter().map(|cell| cell.variant).max().map_or(0, |last| last + 1);
    let test = |(first, second): &(&'static str, &'static str), variant| {
        let (a, b) = (of(first, variant)?, of(second, variant)?);
        let (x, y) = a.both(b);
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let test = spearman(&single(&x), &single(&y));
        Some(Together { first, second, method: a.method.clone(), test, pictures: x.len() })
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

    fn named(names: &[&str]) -> Vec<&'static Metric> {
        names.iter().map(|name| Metric::named(name).expect("a metric")).collect()
    }

    #[test]
    fn means_spreads_and_failures() {
        let of =
            |picture, method, repeat, value| record("sparseness", picture, method, repeat, value);
        let records = [
            of("a", "gradient", 0, Some(1.0)),
            of("a", "adaptgrad", 0, Some(2.0)),
            of("a", "adaptgrad", 1, Some(4.0)),
            of("b", "gradient", 0, Some(3.0)),
            of("b", "adaptgrad", 0, Some(8.0)),
            of("b", "adaptgrad", 1, Some(8.0)),
            of("c", "gradient", 0, Some(9.0)),
            of("c", "adaptgrad", 0, None),
            of("c", "adaptgrad", 1, None),
        ];
        let methods = ["gradient".to_owned(), "adaptgrad".to_owned()];
        let cells = cells(&records, &named(&["sparseness"]), &methods);
        let [plain, adapt] = &cells[..] else { panic!("two cells") };
        assert_eq!((plain.pictures, plain.failed, plain.spread), (3, 0, None));
        assert!((plain.value.expect("a mean") - 13.0 / 3.0).abs() < 1e-12);
        assert_eq!((adapt.value, adapt.pictures, adapt.failed), (Some(5.5), 2, 2));
        // The repeats' means are 5 and 6.
        assert!((adapt.spread.expect("a spread") - 0.5f64.sqrt()).abs() < 1e-12);
        let differences = differences(&cells);
        let [difference] = &differences[..] else { panic!("one pair") };
        assert_eq!(difference.pictures, 2);
        assert!((difference.test.expect("a test").difference + 3.5).abs() < 1e-12);
        assert!(together(&cells).is_empty());
    }

    #[test]
    fn metrics_that_fall_together_are_found() {
        let methods = ["smoothgrad".to_owned()];
        let mut records = Vec::new();
        for (i, picture) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let (rise, fall) = (i as f64, -((i * i) as f64));
            let value = (i != 4).then_some(fall);
            records.push(record("sparseness", picture, "smoothgrad", 0, Some(rise)));
            records.push(record("out-of-domain-share", picture, "smoothgrad", 0, value));
        }
        let cells = cells(&records, &named(&["sparseness", "out-of-domain-share"]), &methods);
        let together = together(&cells);
        let [pair] = &together[..] else { panic!("one pair") };
        assert_eq!((pair.first, pair.second), ("sparseness", "out-of-domain-share"));
        assert_eq!((pair.test.expect("a test").coefficient, pair.pictures), (-1.0, 4));
    }
}
