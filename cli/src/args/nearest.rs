//! Suggestions for mistyped names.

/// Returns the three `names` most similar to `typed`, in quotation marks. `typed` must be in lower case.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let similarity = |name: &str| {
        let name = name.to_lowercase();
        let contains = if name.contains(typed) { 1.0 } else { 0.0 };
        contains + strsim::jaro_winkler(&name, typed)
    };
    let mut ranked: Vec<(f64, &str)> = names.map(|name| (similarity(name), name)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(3).map(|(_, name)| format!("{name:?}")).collect()
}
