//! Value parsers for options that accept a name from a table. Help, errors and completions list these names.

use std::sync::LazyLock;

use attriburn_evaluate::{METRICS, Method, Metric, Table};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Parses the name of an entry of `table`.
pub fn one_of<T: Copy + Send + Sync + 'static>(
    table: &'static [(T, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let names = table.iter().map(|(_, name)| PossibleValue::new(*name));
    PossibleValuesParser::new(names).try_map(|name| {
        let value = table.iter().find(|(_, other)| *other == name).map(|(value, _)| *value);
        value.ok_or_else(|| format!("there is no {name:?}"))
    })
}

/// Parses the name of a method.
pub fn method() -> impl TypedValueParser<Value = Method> {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| Method::all().iter().map(Method::name).collect());
    let values = NAMES.iter().map(|name| PossibleValue::new(name.as_str()));
    PossibleValuesParser::new(values)
        .try_map(|name| Method::named(&name).ok_or_else(|| format!("there is no {name:?}")))
}

/// Parses the name of a metric.
pub fn metric() -> impl TypedValueParser<Value = &'static Metric> {
    let names = METRICS.iter().map(|metric| PossibleValue::new(metric.name));
    PossibleValuesParser::new(names)
        .try_map(|name| Metric::named(&name).ok_or_else(|| format!("there is no {name:?}")))
}

/// Parses the name of a table of a paper.
pub fn paper() -> PossibleValuesParser {
    PossibleValuesParser::new(Table::all().iter().map(|table| PossibleValue::new(&*table.name)))
}
