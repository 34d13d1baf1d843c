//! Atomic writing of files: a file is complete or absent.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The names and contents of files to write.
pub type Contents = Vec<(String, Vec<u8>)>;

/// The prefix of the names of temporary files.
const TEMPORARY_PREFIX: &str = ".attriburn-";

static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Returns whether this process has written any file.
pub fn any_written() -> bool {
    WRITTEN.load(Ordering::Relaxed)
}

/// Records that a file was written without [`write`].
pub fn note_written() {
    WRITTEN.store(true, Ordering::Relaxed);
}

/// Removes the temporary files that a killed process left in `folder`.
pub fn remove_temporary_files(folder: &Path) {
    let is_temporary = |entry: &std::fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(is_temporary) {
        // A file that cannot be removed does no harm.
        let _ = std::fs::remove_file(entry.path());
    }
}

/// Creates `folder` and checks that files can be written to it.
pub fn create_folder(folder: &Path) -> Result<(), String> {
    let probe = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    probe.map(drop).map_err(|error| {
        format!(
            "the output folder {} cannot be written: {error}; choose another with --out",
            folder.display()
        )
    })
}

/// Removes `folder/name`, if it exists.
pub fn remove(folder: &Path, name: &str) -> Result<(), String> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be overwritten: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes `bytes` to a temporary file, renames it to `folder/name` and returns the path.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let attempt = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => {
            WRITTEN.store(true, Ordering::Relaxed);
            Ok(path)
        }
        Err(error) => Err(format!("{} cannot be written: {error}", path.display())),
    }
}
