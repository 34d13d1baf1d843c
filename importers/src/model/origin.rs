//! Where a model was loaded from. Networks that are cut at a layer are compiled from there when they are
//! first used, so that a model does not hold its graph and unpacked weights for them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{ErrorKind, LoadError};
use crate::file::{self, File, Folder, Mapped};

/// The file or the memory that holds a model.
#[derive(Clone, Debug)]
pub enum Origin {
    File {
        path: PathBuf,
        /// The size and the time of the last change when the model was loaded.
        state: Option<(u64, SystemTime)>,
    },
    Memory(Mapped),
}

impl Origin {
    /// The file `path`, as it is now.
    pub fn file(path: &Path) -> Self {
        Origin::File { path: path.to_owned(), state: state_of(path) }
    }

    /// Parses the model.
    ///
    /// # Errors
    ///
    /// See [`file::open`].
    pub fn open(&self) -> Result<File, LoadError> {
        match self {
            Origin::File { path, state } => {
                if state_of(path) != *state {
                    let message = format!("{} has changed since it was loaded", path.display());
                    return Err(LoadError::new(ErrorKind::Io, message));
                }
                file::open(path)
            }
            Origin::Memory(bytes) => file::parse(bytes, Folder::in_memory(bytes.clone())),
        }
    }
}

fn state_of(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
