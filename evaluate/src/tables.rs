//! The tables of an evaluation: Markdown for people, CSV for programs.

use crate::aggregate::{Cell, Difference, MetricCorrelation, ModelSimilarity};
use crate::error::Error;
use crate::metric::Better;
use crate::record::Record;
use crate::value::Summary;

/// A table with column heads.
struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn markdown(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let escape = |cell: &String| cell.replace('|', "\\|").replace(['\n', '\r'], " ");
        let line = |cells: &[String]| {
            format!("| {} |\n", cells.iter().map(escape).collect::<Vec<_>>().join(" | "))
        };
        let head: Vec<String> = self.head.iter().map(|name| name.replace('_', " ")).collect();
        let separator = format!("|{}\n", "---|".repeat(head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&head) + &separator + &rows
    }

    fn csv(&self) -> Result<Vec<u8>, Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.head).map_err(Error::output)?;
        for row in &self.rows {
            writer.write_record(row).map_err(Error::output)?;
        }
        writer.into_inner().map_err(Error::output)
    }
}

/// The format of numbers in a table.
struct NumberFormat {
    /// The number of significant digits; `None` for all digits.
    digits: Option<usize>,
    /// The text of a missing number.
    missing: &'static str,
}

const FOR_PEOPLE: NumberFormat = NumberFormat { digits: Some(5), missing: "-" };
const FOR_PROGRAMS: NumberFormat = NumberFormat { digits: None, missing: "" };

impl NumberFormat {
    fn number(&self, value: Option<f64>) -> String {
        match (value, self.digits) {
            (None, _) => self.missing.into(),
            (Some(value), Some(digits)) => significant(value, digits),
            (Some(value), None) => value.to_string(),
        }
    }

    fn p_value(&self, value: Option<f64>) -> String {
        match (value, self.digits) {
            (Some(value), Some(_)) => format!("{value:.2e}"),
            _ => self.number(value),
        }
    }
}

/// Formats a number with about `digits` significant digits, not counting a single 0 before the decimal point.
/// Numbers below 1e-4 have an exponent.
fn significant(value: f64, digits: usize) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude < 1e-4 {
        return format!("{value:.*e}", digits - 1);
    }
    let digits_before_point = if magnitude < 1.0 { 0 } else { magnitude.log10() as usize + 1 };
    format!("{value:.*}", digits.saturating_sub(digits_before_point))
}

fn value_table(cells: &[Cell], format: &NumberFormat) -> Table {
    let row = |cell: &Cell| {
        let better = match cell.metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        vec![
            cell.metric.name.into(),
            better.into(),
            cell.method.clone(),
            format.number(cell.value),
            format.number(cell.deviation),
            format.number(cell.spread),
            cell.pictures.to_string(),
            cell.failed.to_string(),
        ]
    };
    let head = &[
        "metric",
        "better",
        "method",
        "value",
        "over_pictures",
        "over_seeds",
        "pictures",
        "failed",
    ];
    Table { head, rows: cells.iter().map(row).collect() }
}

fn difference_table(differences: &[Difference], format: &NumberFormat) -> Table {
    let row = |difference: &Difference| {
        vec![
            difference.metric.name.into(),
            difference.first.clone(),
            difference.second.clone(),
            format.number(difference.difference),
            format.p_value(difference.test.map(|test| test.p_value)),
            difference.pictures.to_string(),
        ]
    };
    let head = &["metric", "first", "second", "difference_of_means", "p_value", "pictures"];
    Table { head, rows: differences.iter().map(row).collect() }
}

fn correlation_table(correlations: &[MetricCorrelation], format: &NumberFormat) -> Table {
    let row = |pair: &MetricCorrelation| {
        vec![
            pair.first.into(),
            pair.second.into(),
            pair.method.clone(),
            format.number(pair.test.map(|test| test.coefficient)),
            format.p_value(pair.test.map(|test| test.p_value)),
            pair.pictures.to_string(),
        ]
    };
    let head = &["first", "second", "method", "spearman", "p_value", "pictures"];
    Table { head, rows: correlations.iter().map(row).collect() }
}

fn similarity_table(similarities: &[ModelSimilarity], format: &NumberFormat) -> Table {
    let row = |similarity: &ModelSimilarity| {
        let real = match similarity.is_real {
            Some(true) => "yes",
            Some(false) => "no",
            None => "too few pictures",
        };
        vec![
            similarity.measure.into(),
            similarity.method.clone(),
            format.number(similarity.models),
            format.number(similarity.seeds),
            format.number(similarity.share),
            real.into(),
            similarity.pictures.to_string(),
        ]
    };
    let head =
        &["measure", "method", "between_models", "between_seeds", "not_noise", "real", "pictures"];
    Table { head, rows: similarities.iter().map(row).collect() }
}

/// The explanation below the table of model similarities.
const MODELS_NOTE: &str = "\nBetween models: similarity of the maps of both models for the same noise. Between seeds: similarity of the\nmaps of the first model for two seeds. Not noise: the share of the difference between the models that is the\nsame for two seeds: 1 if independent of the noise, about 0 if noise alone. Real: whether this share is above\n0 with p < 0.05.\n";

/// The maximum number of rows in the table of missing values.
const MAX_MISSING_ROWS: usize = 50;

/// The missing values of one image for one reason.
struct MissingValues<'r> {
    picture: &'r str,
    reason: &'r str,
    metrics: Vec<&'r str>,
    methods: Vec<&'r str>,
}

/// Returns the missing values, grouped by image and reason.
fn missing_values(records: &[Record]) -> Vec<MissingValues<'_>> {
    let mut groups: Vec<MissingValues> = Vec::new();
    for record in records.iter().filter(|record| record.value.is_none()) {
        let (picture, reason) = (&record.picture, record.reason.as_deref().unwrap_or_default());
        let (metric, method) = (record.metric.as_str(), record.method.as_str());
        let is_same = |known: &MissingValues| known.picture == picture && known.reason == reason;
        match groups.iter().rposition(is_same).map(|at| &mut groups[at]) {
            Some(known) => {
                if !known.metrics.contains(&metric) {
                    known.metrics.push(metric);
                }
                if !known.methods.contains(&method) {
                    known.methods.push(method);
                }
            }
            None => {
                let (metrics, methods) = (vec![metric], vec![method]);
                groups.push(MissingValues { picture, reason, metrics, methods });
            }
        }
    }
    groups
}

fn missing_table(missing: &[MissingValues]) -> Table {
    let row = |group: &MissingValues| {
        let (metrics, methods) = (group.metrics.join(", "), group.methods.join(", "));
        let cells = [group.picture, &metrics, &methods, group.reason];
        cells.map(str::to_owned).to_vec()
    };
    let head = &["picture", "metrics", "methods", "reason"];
    Table { head, rows: missing.iter().take(MAX_MISSING_ROWS).map(row).collect() }
}

fn is_median(cell: &Cell) -> bool {
    cell.metric.over_pictures == Summary::MedianCurve
}

/// Returns all tables as Markdown.
pub fn markdown(
    cells: &[Cell],
    tests: &[Difference],
    correlations: &[MetricCorrelation],
    similarities: &[ModelSimilarity],
    records: &[Record],
) -> String {
    let mut text = value_table(cells, &FOR_PEOPLE).markdown();
    text += "\nValue: mean over the images. Over pictures, over seeds: standard deviations over the images and over the seeds.\n";
    let mut medians: Vec<&str> =
        cells.iter().filter(|c| is_median(c)).map(|c| c.metric.name).collect();
    medians.dedup();
    if !medians.is_empty() {
        text += &format!(
            "The value of {} is the area under the median curve; the tests and the deviation over pictures use the area of each image.\n",
            medians.join(" and ")
        );
    }
    let missing = missing_values(records);
    let more = match missing.len().saturating_sub(MAX_MISSING_ROWS) {
        0 => String::new(),
        more => format!("\n{more} more rows are left out; the results list all missing values.\n"),
    };
    let models = match similarities {
        [] => String::new(),
        _ => similarity_table(similarities, &FOR_PEOPLE).markdown() + MODELS_NOTE,
    };
    let sections = [
        ("Paired t-tests between methods", difference_table(tests, &FOR_PEOPLE).markdown()),
        (
            "Rank correlations of metrics over the images",
            correlation_table(correlations, &FOR_PEOPLE).markdown(),
        ),
        ("Similarity of the maps of both models", models),
        ("Missing values", missing_table(&missing).markdown() + &more),
    ];
    for (title, table) in sections.iter().filter(|(_, table)| !table.is_empty()) {
        text += &format!("\n{title}:\n\n{table}");
    }
    text
}

/// Returns the tables as CSV, each with its file name. The cell of a missing number is empty.
///
/// # Errors
///
/// Returns an error if a table cannot be written as CSV.
pub fn csv(
    cells: &[Cell],
    tests: &[Difference],
    correlations: &[MetricCorrelation],
    similarities: &[ModelSimilarity],
) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let tables = [
        ("table.csv", value_table(cells, &FOR_PROGRAMS)),
        ("differences.csv", difference_table(tests, &FOR_PROGRAMS)),
        ("correlations.csv", correlation_table(correlations, &FOR_PROGRAMS)),
        ("models.csv", similarity_table(similarities, &FOR_PROGRAMS)),
    ];
    let filled = tables.into_iter().filter(|(_, table)| !table.rows.is_empty());
    filled.map(|(name, table)| Ok((name, table.csv()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate;
    use crate::metric::Metric;

    #[test]
    fn tables_have_values_and_missing_values() {
        let record = |picture: &str, value: Option<f64>| Record {
            picture: picture.into(),
            method: "gradient".into(),
            repeat: 0,
            metric: "sparseness".into(),
            class: None,
            value,
            curve: None,
            reason: value.is_none().then(|| "it is | broken".into()),
            not_applicable: false,
        };
        let missing = |metric: &str, method: &str| {
            let (metric, method) = (metric.into(), method.into());
            Record { metric, method, ..record("c|d", None) }
        };
        let records = [
            record("a", Some(0.25)),
            record("b", Some(0.5)),
            record("c|d", None),
            missing("sparseness", "smoothgrad"),
            missing("deletion", "gradient"),
        ];
        let metrics = [Metric::named("sparseness").expect("a metric")];
        let cells = aggregate::cells(&records, &metrics, &["gradient".to_owned()]);
        let text = markdown(&cells, &[], &[], &[], &records);
        assert!(
            text.contains("| sparseness | higher | gradient | 0.37500 | 0.17678 | - | 2 | 1 |")
        );
        let line = "| c\\|d | sparseness, deletion | gradient, smoothgrad | it is \\| broken |";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("median curve"), "{text}");
        let tables = csv(&cells, &[], &[], &[]).expect("tables");
        let [(name, table)] = &tables[..] else { panic!("one table") };
        assert_eq!(*name, "table.csv");
        let expected = "sparseness,higher,gradient,0.375,0.1767766952966369,,2,1";
        assert_eq!(String::from_utf8_lossy(table).lines().nth(1), Some(expected));
    }

    #[test]
    fn numbers_have_five_significant_digits() {
        let cases = [
            (0.0, "0.00000"),
            (0.026132, "0.02613"),
            (-1.5, "-1.5000"),
            (153.0, "153.00"),
            (2000.0, "2000.0"),
            (123456.7, "123457"),
            (0.0000123456, "1.2346e-5"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value, 5), expected);
        }
    }
}
