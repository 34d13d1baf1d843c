//! Weights that lie in files beside the model.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use onnx_ir::TensorProto;

use super::Mapped;

/// The folder of a model, with the weight files that were mapped so far.
pub struct Folder {
    path: Option<PathBuf>,
    /// Where the model file lies in truth, where it is a link.
    home: Option<PathBuf>,
    /// The model file itself.
    model: Mapped,
    mapped: BTreeMap<PathBuf, Mapped>,
}

impl Folder {
    /// The folder of the `model` in the file `path`.
    pub fn of(path: &Path, model: Mapped) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let home = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()));
        Self { path: Some(folder), home, model, mapped: BTreeMap::new() }
    }

    /// No folder: the `model` is no file.
    pub fn none(model: Mapped) -> Self {
        Self { path: None, home: None, model, mapped: BTreeMap::new() }
    }

    /// Whether `path` lies in the model's folder, also where links lead: the one that was named, or the
    /// one that a link to the model leads to.
    fn holds(&self, folder: &Path, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        // The empty path is the folder in which the program runs.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let inside = |folder: &Path| path.starts_with(folder);
        folder.canonicalize().is_ok_and(|folder| inside(&folder))
            || self.home.as_deref().is_some_and(inside)
    }

    /// The paths of the weight files that were mapped.
    pub fn files(&self) -> Vec<PathBuf> {
        let folder = self.path.as_deref().unwrap_or(Path::new(""));
        self.mapped.keys().map(|file| folder.join(file)).collect()
    }

    /// The bytes of the model and of the weight files that were mapped.
    pub fn size(&self) -> usize {
        let beside = self.mapped.values().map(|file| file.bytes().len());
        beside.fold(self.model.bytes().len(), usize::saturating_add)
    }

    /// The bytes of `tensor`, in a file beside the model or in the model itself; `None` where its
    /// numbers are spelled out in the message.
    ///
    /// # Errors
    ///
    /// When that file is missing, too short, or outside the model's folder.
    pub fn bytes(&mut self, tensor: &TensorProto) -> Result<Option<Mapped>, String> {
        let Some(location) = entry(tensor, "location") else {
            let inside = &tensor.raw_data;
            return Ok((!inside.is_empty()).then(|| self.model.part(inside.clone())));
        };
        self.read(tensor, Path::new(location)).map(Some).map_err(|reason| {
            format!("the weight {} lies in the file {location}, {reason}", tensor.name)
        })
    }

    fn read(&mut self, tensor: &TensorProto, file: &Path) -> Result<Mapped, String> {
        let number = |key: &str| match entry(tensor, key).map(str::parse::<usize>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(format!("but its {key} is not a number; export the model again")),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !file.components().all(inside) {
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
            return Err("which is too short; copy it again".into());
        }
        Ok(mapped.part(bytes.slice(offset..end)))
    }

    /// A file of the model's folder.
    fn map(&self, folder: &Path, file: &Path) -> Result<Mapped, String> {
        let path = folder.join(file);
        if !path.is_file() {
            return Err("which is not there; keep it beside the model".into());
        }
        if !self.holds(folder, &path) {
            return Err(
                "which is a link that leads out of the model's folder; store it beside the model"
                    .into(),
            );
        }
        Mapped::open(&path).map_err(|error| format!("which cannot be read: {error}"))
    }
}

/// Where a weight's data lie, by `key`.
fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}
