//! Weights that lie in files beside the model are brought into it.

use std::path::{Component, Path, PathBuf};

use onnx_ir::{ModelProto, TensorProto};

use crate::error::{ErrorKind, LoadError};

/// Brings in every such weight; tells whether there was one.
///
/// # Errors
///
/// When a file is missing, too short, or outside the model's folder.
pub fn inline(model: &mut ModelProto, path: Option<&Path>) -> Result<bool, LoadError> {
    let mut found = false;
    let Some(graph) = model.graph.as_mut() else {
        return Ok(false);
    };
    for tensor in &mut graph.initializer {
        let Some(place) = Place::of(tensor) else {
            continue;
        };
        let data = place.read(path).map_err(|reason| {
            let (name, file) = (&tensor.name, place.file.display());
            let message = format!("the weight {name} lies in the file {file}, {reason}");
            LoadError::new(ErrorKind::Weights, message)
        })?;
        tensor.raw_data = data.into();
        tensor.external_data.clear();
        tensor.data_location = Default::default();
        found = true;
    }
    Ok(found)
}

/// Where a weight lies.
struct Place {
    file: PathBuf,
    offset: usize,
    length: Option<usize>,
}

impl Place {
    fn of(tensor: &TensorProto) -> Option<Self> {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key);
        let number = |key: &str| entry(key).and_then(|entry| entry.value.parse().ok());
        Some(Self {
            file: PathBuf::from(&entry("location")?.value),
            offset: number("offset").unwrap_or(0),
            length: number("length"),
        })
    }

    fn read(&self, model: Option<&Path>) -> Result<Vec<u8>, String> {
        if !self.file.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err("which lies outside the model's folder; store it beside the model".into());
        }
        let Some(model) = model else {
            return Err("but the model was given as bytes; store it in one file".into());
        };
        let file = model.parent().unwrap_or(Path::new("")).join(&self.file);
        if !file.is_file() {
            return Err("which is not there; keep it beside the model".into());
        }
        let bytes =
            std::fs::read(&file).map_err(|error| format!("which cannot be read: {error}"))?;
        let end = self.length.map_or(bytes.len(), |length| self.offset.saturating_add(length));
        let part = bytes.get(self.offset..end);
        part.map(<[u8]>::to_vec).ok_or_else(|| "which is too short; copy it again".into())
    }
}
