//! Weights that lie in files beside the model are brought into it.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use onnx_ir::{ModelProto, TensorProto};

use crate::error::{ErrorKind, LoadError};

/// Brings in every such weight; the files, by their names.
///
/// # Errors
///
/// When a file is missing, too short, or outside the model's folder.
pub fn inline(model: &mut ModelProto, path: Option<&Path>) -> Result<Vec<PathBuf>, LoadError> {
    let mut files = HashMap::new();
    let Some(graph) = model.graph.as_mut() else {
        return Ok(Vec::new());
    };
    for tensor in &mut graph.initializer {
        let Some(location) = entry(tensor, "location") else {
            continue;
        };
        let file = PathBuf::from(location);
        let data = read(tensor, &file, path, &mut files).map_err(|reason| {
            let message =
                format!("the weight {} lies in the file {location}, {reason}", tensor.name);
            LoadError::new(ErrorKind::Weights, message)
        })?;
        tensor.raw_data = data.into();
        tensor.external_data.clear();
        tensor.data_location = Default::default();
    }
    let mut files: Vec<PathBuf> = files.into_keys().collect();
    files.sort();
    Ok(files)
}

/// Where a weight's data lie, by `key`.
fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// The bytes of a weight, of a file that is read once.
fn read(
    tensor: &TensorProto,
    file: &Path,
    model: Option<&Path>,
    files: &mut HashMap<PathBuf, Vec<u8>>,
) -> Result<Vec<u8>, String> {
    let number = |key: &str| match entry(tensor, key).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(format!("but its {key} is not a number; export the model again")),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if !file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err("which lies outside the model's folder; store it beside the model".into());
    }
    let Some(model) = model else {
        return Err("but the model was given as bytes; store it in one file".into());
    };
    let path = model.parent().unwrap_or(Path::new("")).join(file);
    if !path.is_file() {
        return Err("which is not there; keep it beside the model".into());
    }
    if !files.contains_key(&path) {
        let bytes =
            std::fs::read(&path).map_err(|error| format!("which cannot be read: {error}"))?;
        files.insert(path.clone(), bytes);
    }
    let bytes = &files[&path];
    let end = length.map_or(bytes.len(), |length| offset.saturating_add(length));
    let part = bytes.get(offset..end);
    part.map(<[u8]>::to_vec).ok_or_else(|| "which is too short; copy it again".into())
}
