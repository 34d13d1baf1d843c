//! Options that take one of a table's names, so that help, errors and completions list them.

use std::sync::LazyLock;

use attriburn::Method;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::evaluate::{METRICS, Metric};

/// Takes the name of an entry of `table`.
pub fn one_of<T: Copy + Send + Sync + 'static>(
    table: &'static [(T, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let names = table.iter().map(|(_, name)| PossibleValue::new(*name));
    PossibleValuesParser::new(names).try_map(|name| {
        let found = table.iter().find(|(_, own)| *own == name).map(|(value, _)| *value);
        found.ok_or_else(|| format!("there is no {name:?}"))
    })
}

/// Takes the name of a method.
pub fn method() -> impl TypedValueParser<Value = Method> {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| Method::all().iter().map(Method::name).collect());
    let values = NAMES.iter().map(|name| PossibleValue::new(name.as_str()));
    PossibleValuesParser::new(values)
        .try_map(|name| Method::named(&name).ok_or_else(|| format!("there is no {name:?}")))
}

/// Takes the name of a metric.
pub fn metric() -> impl TypedValueParser<Value = &'static Metric> {
    let names = METRICS.iter().map(|metric| PossibleValue::new(metric.name));
    PossibleValuesParser::new(names)
        .try_map(|name| Metric::named(&name).ok_or_else(|| format!("there is no {name:?}")))
}
