//! From results to tables.

use std::collections::HashMap;

use mollify::metrics::{Paired, paired_t_test};

use super::metric::{Better, Metric};
use super::records::Record;

/// What a method reached in a metric.
pub struct Cell {
    pub method: String,
    pub metric: String,
    /// The mean over the pictures of the mean over the repeats.
    pub mean: f64,
    /// The standard deviation over the pictures.
    pub deviation: f64,
    /// The standard deviation of the repeats' means; none for a single repeat.
    pub spread: Option<f64>,
    pub pictures: usize,
    /// Maps without a value.
    pub failed: usize,
    /// The value of each picture, by its place among all pictures.
    values: Vec<Option<f64>>,
}

/// The difference of two methods in a metric.
pub struct Difference {
    pub metric: String,
    pub first: String,
    pub second: String,
    pub test: Option<Paired>,
    pub pictures: usize,
}

/// A cell for each metric and method, in this order.
pub fn cells(records: &[Record], metrics: &[&Metric], methods: &[String]) -> Vec<Cell> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for record in records {
        let next = places.len();
        places.entry(&record.picture).or_insert(next);
    }
    let cell = |metric: &str, method: &String| {
        let own = || records.iter().filter(|r| r.metric == metric && r.method == *method);
        let mut by_picture = vec![Vec::new(); places.len()];
        let mut by_repeat: Vec<Vec<f64>> = Vec::new();
        for (record, value) in own().filter_map(|record| Some((record, record.value?))) {
            by_picture[places[record.picture.as_str()]].push(value);
            let repeat = record.repeat as usize;
            by_repeat.resize(by_repeat.len().max(repeat + 1), Vec::new());
            by_repeat[repeat].push(value);
        }
        let values: Vec<Option<f64>> = by_picture.iter().map(|values| mean(values)).collect();
        let means: Vec<f64> = by_repeat.iter().filter_map(|values| mean(values)).collect();
        let found: Vec<f64> = values.iter().flatten().copied().collect();
        Cell {
            method: method.clone(),
            metric: metric.to_owned(),
            mean: mean(&found).unwrap_or(f64::NAN),
            deviation: deviation(&found).unwrap_or(f64::NAN),
            spread: deviation(&means),
            pictures: found.len(),
            failed: own().filter(|record| record.value.is_none()).count(),
            values,
        }
    };
    metrics.iter().flat_map(|metric| methods.iter().map(|m| cell(metric.name, m))).collect()
}

/// The paired tests between all methods of each metric, over the pictures that both have.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let pairs = cells.iter().enumerate().flat_map(|(i, a)| {
        cells[i + 1..].iter().filter(|b| b.metric == a.metric).map(move |b| (a, b))
    });
    let difference = |(a, b): (&Cell, &Cell)| {
        let both = a.values.iter().zip(&b.values).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
        let (first, second): (Vec<f64>, Vec<f64>) = both.unzip();
        Difference {
            metric: a.metric.clone(),
            first: a.method.clone(),
            second: b.method.clone(),
            test: paired_t_test(&first, &second),
            pictures: first.len(),
        }
    };
    pairs.map(difference).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The tables for a person.
pub fn markdown(cells: &[Cell], differences: &[Difference], metrics: &[&Metric]) -> String {
    let number = |value: f64| if value.is_nan() { "-".into() } else { format!("{value:.5}") };
    let mut text = String::from(
        "| metric | better | method | mean | over pictures | over seeds | pictures | failed |\n|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let better = metrics.iter().find(|metric| metric.name == cell.metric);
        let better = match better.map(|metric| metric.better) {
            Some(Better::Higher) => "higher",
            Some(Better::Lower) => "lower",
            None => "",
        };
        text += &format!(
            "| {} | {better} | {} | {} | {} | {} | {} | {} |\n",
            cell.metric,
            cell.method,
            number(cell.mean),
            number(cell.deviation),
            cell.spread.map_or("-".into(), number),
            cell.pictures,
            cell.failed
        );
    }
    text += "\nMean over the pictures, its standard deviation over pictures and over seeds.\n";
    if !differences.is_empty() {
        text += "\n| metric | methods | difference of means | p (paired t-test) | pictures |\n|---|---|---|---|---|\n";
    }
    for difference in differences {
        let (mean, p) = match difference.test {
            Some(test) => (number(test.difference), format!("{:.2e}", test.p_value)),
            None => ("-".into(), "-".into()),
        };
        text += &format!(
            "| {} | {} - {} | {mean} | {p} | {} |\n",
            difference.metric, difference.first, difference.second, difference.pictures
        );
    }
    text
}

/// The first table as comma-separated values; what is not a number is left empty.
pub fn csv(cells: &[Cell]) -> Result<Vec<u8>, String> {
    let number = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["metric", "method", "mean", "over_pictures", "over_seeds", "pictures", "failed"];
    writer.write_record(header).map_err(|error| error.to_string())?;
    for cell in cells {
        let row = [
            cell.metric.clone(),
            cell.method.clone(),
            number(cell.mean),
            number(cell.deviation),
            cell.spread.map_or(String::new(), number),
            cell.pictures.to_string(),
            cell.failed.to_string(),
        ];
        writer.write_record(&row).map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_spreads_and_failures() {
        let record = |picture: &str, method: &str, repeat, value| Record {
            picture: picture.into(),
            method: method.into(),
            repeat,
            metric: "sparseness".into(),
            class: None,
            value,
            reason: None,
        };
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
        let metrics = [Metric::named("sparseness").expect("a metric")];
        let methods = ["gradient".to_owned(), "adaptgrad".to_owned()];
        let cells = cells(&records, &metrics, &methods);
        let [plain, adapt] = &cells[..] else { panic!("two cells") };
        assert_eq!((plain.pictures, plain.failed, plain.spread), (3, 0, None));
        assert!((plain.mean - 13.0 / 3.0).abs() < 1e-12);
        assert_eq!((adapt.mean, adapt.pictures, adapt.failed), (5.5, 2, 2));
        // The repeats' means are 5 and 6.
        assert!((adapt.spread.expect("a spread") - 0.5f64.sqrt()).abs() < 1e-12);
        let differences = differences(&cells);
        let [difference] = &differences[..] else { panic!("one pair") };
        assert_eq!(difference.pictures, 2);
        assert!((difference.test.expect("a test").difference + 3.5).abs() < 1e-12);
        assert!(
            markdown(&cells, &differences, &metrics).contains("| sparseness | higher | gradient |")
        );
        let text = String::from_utf8(csv(&cells).expect("a table")).expect("text");
        assert!(text.contains("sparseness,adaptgrad,5.5,"), "{text}");
    }
}
