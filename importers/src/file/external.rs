//! External weight files in the folder of the model.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use onnx_ir::TensorProto;

use super::Mapped;

/// The folder of a model file and the weight files that have been mapped so far.
pub struct Folder {
    /// `None` for a model in memory.
    path: Option<PathBuf>,
    /// The folder of the model file after resolving symbolic links.
    resolved: Option<PathBuf>,
    /// The contents of the model file.
    model: Mapped,
    /// The mapped weight files by their path relative to `path`.
    mapped: BTreeMap<PathBuf, Mapped>,
}

impl Folder {
    /// Returns the folder of the file `path`, which contains `model`.
    pub fn of(path: &Path, model: Mapped) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let resolved = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()));
        Self { path: Some(folder), resolved, model, mapped: BTreeMap::new() }
    }

    /// Returns the folder of a `model` in memory: external weights cannot be read.
    pub fn in_memory(model: Mapped) -> Self {
        Self { path: None, resolved: None, model, mapped: BTreeMap::new() }
    }

    /// Whether `path`, after resolving symbolic links, lies in the model's folder: either in `folder` or in
    /// the folder that a symbolic link to the model points to.
    fn contains(&self, folder: &Path, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        // The empty path means the current directory.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let inside = |folder: &Path| path.starts_with(folder);
        folder.canonicalize().is_ok_and(|folder| inside(&folder))
            || self.resolved.as_deref().is_some_and(inside)
    }

    /// Returns the paths of the mapped weight files.
    pub fn files(&self) -> Vec<PathBuf> {
        let folder = self.path.as_deref().unwrap_or(Path::new(""));
        self.mapped.keys().map(|file| folder.join(file)).collect()
    }

    /// Returns the total size of the model file and the mapped weight files, in bytes.
    pub fn size(&self) -> usize {
        let external = self.mapped.values().map(|file| file.bytes().len());
        external.fold(self.model.bytes().len(), usize::saturating_add)
    }

    /// Returns the raw data of `tensor`, from an external file or from the model file; `None` if the elements
    /// are stored in a typed field of the message.
    ///
    /// # Errors
    ///
    /// When the external file is missing, too short, or outside the model's folder.
    pub fn bytes(&mut self, tensor: &TensorProto) -> Result<Option<Mapped>, String> {
        let Some(location) = external_entry(tensor, "location") else {
            let raw = &tensor.raw_data;
            return Ok((!raw.is_empty()).then(|| self.model.part(raw.clone())));
        };
        self.read(tensor, Path::new(location)).map(Some).map_err(|reason| {
            format!("the weight {} is stored in the file {location}, {reason}", tensor.name)
        })
    }

    /// Returns the part of the external `file` that holds `tensor`.
    fn read(&mut self, tensor: &TensorProto, file: &Path) -> Result<Mapped, String> {
        let number = |key: &str| match external_entry(tensor, key).map(str::parse::<usize>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => {
                Err(format!("but its external {key} is not a number; export the model again"))
            }
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let is_relative = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !file.components().all(is_relative) {
            return Err("which lies outside the model's folder; store it beside the model".into());
        }
        let Some(folder) = &self.path else {
            return Err("but the model was given as bytes; store it in one file".into());
        };
        if !self.mapped.contains_key(file) {
            let bytes = self.map(folder, file)?;
            self.mapped.insert(file.to_owned(), bytes);
        }
        let mapped = &self.mapped[file];
        let bytes = mapped.bytes();
        let end = length.map_or(bytes.len(), |length| offset.saturating_add(length));
        if offset > end || end > bytes.len() {
            return Err("which is too short for it; copy the file again".into());
        }
        Ok(mapped.part(bytes.slice(offset..end)))
    }

    /// Maps the weight file `file` of the model's `folder`.
    fn map(&self, folder: &Path, file: &Path) -> Result<Mapped, String> {
        let path = folder.join(file);
        if !path.is_file() {
            return Err("which is not there; keep it beside the model".into());
        }
        if !self.contains(folder, &path) {
            return Err(
                "which is a link that leads out of the model's folder; store it beside the model"
                    .into(),
            );
        }
        Mapped::open(&path).map_err(|error| format!("which cannot be read: {error}"))
    }
}

/// Returns the value of `key` in the tensor's external-data entries.
fn external_entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}
