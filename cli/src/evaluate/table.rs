//! The tables of an evaluation, for a person and for a program.

use super::cells::{Cell, Difference, Together};
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
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
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

/// How a number is written: for a person in five places, for a program whole; none as `nothing`.
struct Style {
    places: Option<usize>,
    nothing: &'static str,
}

const PERSON: Style = Style { places: Some(5), nothing: "-" };
const PROGRAM: Style = Style { places: None, nothing: "" };

impl Style {
    fn number(&self, value: Option<f64>) -> String {
        match (value, self.places) {
            (None, _) => self.nothing.into(),
            (Some(value), Some(places)) => format!("{value:.places$}"),
            (Some(value), None) => value.to_string(),
        }
    }

    fn p_value(&self, value: Option<f64>) -> String {
        match (value, self.places) {
            (Some(value), Some(_)) => format!("{value:.2e}"),
            _ => self.number(value),
        }
    }
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
            style.number(difference.test.map(|test| test.difference)),
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

/// The most maps without a value that are named.
const MOST_NAMED: usize = 50;

/// The maps without a value, and why.
fn left_out(records: &[Record]) -> Table {
    let row = |record: &Record| {
        let reason = record.reason.as_deref().unwrap_or_default().replace(['|', '\n'], " ");
        vec![record.metric.clone(), record.method.clone(), record.picture.clone(), reason]
    };
    let failed = records.iter().filter(|record| record.value.is_none());
    let head = &["metric", "method", "picture", "left_out_because"];
    Table { head, rows: failed.take(MOST_NAMED).map(row).collect() }
}

/// All tables for a person.
pub fn markdown(
    cells: &[Cell],
    tests: &[Difference],
    together: &[Together],
    records: &[Record],
) -> String {
    let mut text = values(cells, &PERSON).markdown();
    text += "\nMean over the pictures, its standard deviation over pictures and over seeds.\n";
    if cells.iter().any(|cell| cell.metric.summary != Summary::Mean) {
        text += "The value of sic and aic is the area under the median curve instead.\n";
    }
    let failed = records.iter().filter(|record| record.value.is_none()).count();
    let more = match failed.saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!("\nAnd {more} more, which are in the results.\n"),
    };
    let sections = [
        ("Paired t-tests between methods", differences(tests, &PERSON).markdown()),
        ("Rank correlations over the pictures", correlations(together, &PERSON).markdown()),
        ("Left out", left_out(records).markdown() + &more),
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
) -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    let tables = [
        ("table.csv", values(cells, &PROGRAM)),
        ("differences.csv", differences(tests, &PROGRAM)),
        ("correlations.csv", correlations(together, &PROGRAM)),
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
        };
        let records = [record("a", Some(0.25)), record("b", Some(0.5)), record("c", None)];
        let metrics = [Metric::named("sparseness").expect("a metric")];
        let cells = cells::cells(&records, &metrics, &["gradient".to_owned()]);
        let text = markdown(&cells, &[], &[], &records);
        assert!(
            text.contains("| sparseness | higher | gradient | 0.37500 | 0.17678 | - | 2 | 1 |")
        );
        assert!(text.contains("| sparseness | gradient | c | it is   broken |"), "{text}");
        let tables = csv(&cells, &[], &[]).expect("tables");
        let [(name, table)] = &tables[..] else { panic!("one table") };
        assert_eq!(*name, "table.csv");
        let expected = "sparseness,higher,gradient,0.375,0.1767766952966369,,2,1";
        assert_eq!(String::from_utf8_lossy(table).lines().nth(1), Some(expected));
    }
}
