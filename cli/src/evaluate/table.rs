//! The tables of an evaluation, for a person and for a program.

use super::cells::{Cell, Difference, Scaled, Together};
use super::metric::Better;
use super::records::Record;
use super::value::Summary;

/// A table with a head.
struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn markdown(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let plain = |cell: &String| cell.replace('|', "\\|").replace(['\n', '\r'], " ");
        let line = |cells: &[String]| {
            format!("| {} |\n", cells.iter().map(plain).collect::<Vec<_>>().join(" | "))
        };
        let head: Vec<String> = self.head.iter().map(|name| name.replace('_', " ")).collect();
        let rule = format!("|{}\n", "---|".repeat(head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&head) + &rule + &rows
    }

    fn csv(&self) -> Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.head).map_err(|error| error.to_string())?;
        for row in &self.rows {
            writer.write_record(row).map_err(|error| error.to_string())?;
        }
        writer.into_inner().map_err(|error| error.to_string())
    }
}

/// How a number is written: for a person in so many digits, for a program whole; none as `nothing`.
struct Style {
    digits: Option<usize>,
    nothing: &'static str,
}

const PERSON: Style = Style { digits: Some(5), nothing: "-" };
const PROGRAM: Style = Style { digits: None, nothing: "" };

impl Style {
    fn number(&self, value: Option<f64>) -> String {
        match (value, self.digits) {
            (None, _) => self.nothing.into(),
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

/// A number in so many digits, those before the point included and a 0 there not; the smallest with
/// an exponent.
fn significant(value: f64, digits: usize) -> String {
    let size = value.abs();
    if size != 0.0 && size < 1e-4 {
        return format!("{value:.*e}", digits - 1);
    }
    let whole = if size < 1.0 { 0 } else { size.log10() as usize + 1 };
    format!("{value:.*}", digits.saturating_sub(whole))
}

fn values(cells: &[Cell], style: &Style) -> Table {
    let row = |cell: &Cell| {
        let better = match cell.metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        vec![
            cell.metric.name.into(),
            better.into(),
            cell.method.clone(),
            style.number(cell.value),
            style.number(cell.deviation),
            style.number(cell.spread),
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

fn differences(differences: &[Difference], style: &Style) -> Table {
    let row = |difference: &Difference| {
        vec![
            difference.metric.name.into(),
            difference.first.clone(),
            difference.second.clone(),
            style.number(difference.difference),
            style.p_value(difference.test.map(|test| test.p_value)),
            difference.pictures.to_string(),
        ]
    };
    let head = &["metric", "first", "second", "difference_of_means", "p_value", "pictures"];
    Table { head, rows: differences.iter().map(row).collect() }
}

fn correlations(together: &[Together], style: &Style) -> Table {
    let row = |pair: &Together| {
        vec![
            pair.first.into(),
            pair.second.into(),
            pair.method.clone(),
            style.number(pair.test.map(|test| test.coefficient)),
            style.p_value(pair.test.map(|test| test.p_value)),
            pair.pictures.to_string(),
        ]
    };
    let head = &["first", "second", "method", "spearman", "p_value", "pictures"];
    Table { head, rows: together.iter().map(row).collect() }
}

fn scales(scaled: &[Scaled], style: &Style) -> Table {
    let row = |own: &Scaled| {
        let real = match own.is_real {
            Some(true) => "yes",
            Some(false) => "no",
            None => "too few pictures",
        };
        vec![
            own.measure.into(),
            own.method.clone(),
            style.number(own.models),
            style.number(own.seeds),
            style.number(own.share),
            real.into(),
            own.pictures.to_string(),
        ]
    };
    let head =
        &["measure", "method", "between_models", "between_seeds", "not_noise", "real", "pictures"];
    Table { head, rows: scaled.iter().map(row).collect() }
}

/// What is said below the table of two models.
const ABOUT_MODELS: &str = "\nBetween models: both with the same noise. Between seeds: the first model with two seeds. Not noise: the\nshare of the difference of the models that is the same for two seeds, 1 where it does not depend on the\nnoise, 0 where it is noise alone; real where it is above 0 with p < 0.05.\n";

/// The most lines of what is left out.
const MOST_NAMED: usize = 50;

/// What has no value for one reason: the metrics and the maps, of one picture.
struct LeftOut<'r> {
    picture: &'r str,
    reason: &'r str,
    metrics: Vec<&'r str>,
    methods: Vec<&'r str>,
}

/// What has no value, by picture and reason.
fn left_out(records: &[Record]) -> Vec<LeftOut<'_>> {
    let mut found: Vec<LeftOut> = Vec::new();
    for record in records.iter().filter(|record| record.value.is_none()) {
        let (picture, reason) = (&record.picture, record.reason.as_deref().unwrap_or_default());
        let (metric, method) = (record.metric.as_str(), record.method.as_str());
        let is_same = |known: &LeftOut| known.picture == picture && known.reason == reason;
        match found.iter().rposition(is_same).map(|at| &mut found[at]) {
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
                found.push(LeftOut { picture, reason, metrics, methods });
            }
        }
    }
    found
}

fn named(left_out: &[LeftOut]) -> Table {
    let row = |out: &LeftOut| {
        let cells = [out.picture, &out.metrics.join(", "), &out.methods.join(", "), out.reason];
        cells.map(str::to_owned).to_vec()
    };
    let head = &["picture", "metrics", "methods", "left_out_because"];
    Table { head, rows: left_out.iter().take(MOST_NAMED).map(row).collect() }
}

fn is_median(cell: &Cell) -> bool {
    cell.metric.over_pictures == Summary::MedianCurve
}

/// All tables for a person.
pub fn markdown(
    cells: &[Cell],
    tests: &[Difference],
    together: &[Together],
    scaled: &[Scaled],
    records: &[Record],
) -> String {
    let mut text = values(cells, &PERSON).markdown();
    text += "\nMean over the pictures, its standard deviation over pictures and over seeds.\n";
    let mut medians: Vec<&str> =
        cells.iter().filter(|c| is_median(c)).map(|c| c.metric.name).collect();
    medians.dedup();
    if !medians.is_empty() {
        text += &format!(
            "Of {} the value is the area under the median curve; tests and the deviation over pictures are of the pictures' own areas.\n",
            medians.join(" and ")
        );
    }
    let left_out = left_out(records);
    let more = match left_out.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!("\nAnd {more} more, which are in the results.\n"),
    };
    let models = match scaled {
        [] => String::new(),
        _ => scales(scaled, &PERSON).markdown() + ABOUT_MODELS,
    };
    let sections = [
        ("Paired t-tests between methods", differences(tests, &PERSON).markdown()),
        ("Rank correlations over the pictures", correlations(together, &PERSON).markdown()),
        ("Likeness of the two models' maps", models),
        ("Left out", named(&left_out).markdown() + &more),
    ];
    for (title, table) in sections.iter().filter(|(_, table)| !table.is_empty()) {
        text += &format!("\n{title}:\n\n{table}");
    }
    text
}

/// The tables for a program, each with its file's name; what is not a number is left empty.
pub fn csv(
    cells: &[Cell],
    tests: &[Difference],
    together: &[Together],
    scaled: &[Scaled],
) -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    let tables = [
        ("table.csv", values(cells, &PROGRAM)),
        ("differences.csv", differences(tests, &PROGRAM)),
        ("correlations.csv", correlations(together, &PROGRAM)),
        ("models.csv", scales(scaled, &PROGRAM)),
    ];
    let written = tables.into_iter().filter(|(_, table)| !table.rows.is_empty());
    written.map(|(name, table)| Ok((name, table.csv()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cells;
    use super::super::metric::Metric;
    use super::*;

    #[test]
    fn tables_say_what_was_reached_and_what_is_missing() {
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
        let again = |metric: &str, method: &str| {
            let (metric, method) = (metric.into(), method.into());
            Record { metric, method, ..record("c|d", None) }
        };
        let records = [
            record("a", Some(0.25)),
            record("b", Some(0.5)),
            record("c|d", None),
            again("sparseness", "smoothgrad"),
            again("deletion", "gradient"),
        ];
        let metrics = [Metric::named("sparseness").expect("a metric")];
        let cells = cells::cells(&records, &metrics, &["gradient".to_owned()]);
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
    fn numbers_have_five_digits() {
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
