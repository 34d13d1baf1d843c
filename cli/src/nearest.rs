//! Near matches for what was mistyped.

/// The three of `names` that are nearest to `wanted`, which is in lower case.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let contains = if name.contains(wanted) { 1.0 } else { 0.0 };
        contains + strsim::jaro_winkler(&name, wanted)
    };
    let mut ranked: Vec<(f64, &str)> = names.map(|name| (likeness(name), name)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(3).map(|(_, name)| format!("{name:?}")).collect()
}
