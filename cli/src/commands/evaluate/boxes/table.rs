//! CSV files of boxes.

use std::collections::HashMap;
use std::path::Path;

use super::object::Object;

/// The objects by the name of their image.
pub type Table = HashMap<String, Vec<Object>>;

/// The required columns.
const COLUMNS: [&str; 5] = ["picture", "left", "top", "right", "bottom"];

/// A row of a CSV file.
#[derive(serde::Deserialize)]
struct Row {
    picture: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    #[serde(default)]
    label: Option<String>,
}

/// Reads a CSV file of boxes.
pub fn read(path: &Path) -> Result<Table, String> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    let header = reader.headers().map_err(|error| error.to_string())?;
    if let Some(missing) = COLUMNS.iter().find(|name| !header.iter().any(|column| column == **name))
    {
        return Err(format!(
            "it has no column {missing}; a CSV file of boxes begins with the line {}",
            COLUMNS.join(",")
        ));
    }
    let mut table = Table::new();
    for (i, row) in reader.deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| error.to_string())?;
        let Row { picture, left, top, right, bottom, label } = row;
        let label = label.filter(|label| !label.is_empty());
        let object = Object { label, left, top, right, bottom };
        // Rows count from 1, and the first is the header.
        object.check().map_err(|reason| format!("row {}: {reason}", i + 2))?;
        let without_dot = Path::new(&picture).strip_prefix(".").map(Path::to_owned);
        let picture = without_dot.map_or(picture, |path| path.to_string_lossy().into_owned());
        table.entry(picture).or_default().push(object);
    }
    Ok(table)
}

/// Returns the keys under which `table` has the boxes of an image. The longest key that is the end of the
/// image's path and contains a folder wins, else every key that is the file name with or without its
/// extension.
pub fn keys(table: &Table, image: &Path) -> Vec<String> {
    let length = |key: &String| Path::new(key).components().count();
    let paths = table.keys().filter(|key| length(key) > 1 && image.ends_with(key));
    if let Some(path) = paths.max_by_key(|key| length(key)) {
        return vec![path.clone()];
    }
    let names = [image.file_name(), image.file_stem()].into_iter().flatten();
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.dedup();
    names.into_iter().filter(|name| table.contains_key(name)).collect()
}
