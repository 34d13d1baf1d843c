//! Files that appear whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What the name of a file begins with until it is whole.
const UNFINISHED: &str = ".attriburn-";

/// Whether any file was written.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether this program has written any file.
pub fn any_written() -> bool {
    WRITTEN.load(Ordering::Relaxed)
}

/// Removes what a program that was killed did not finish in a folder.
pub fn remove_unfinished(folder: &Path) {
    let is_unfinished =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(UNFINISHED);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(is_unfinished) {
        // It is in nobody's way where it cannot be removed.
        let _ = std::fs::remove_file(entry.path());
    }
}

/// Makes the folder and checks that files can be made in it.
pub fn make_folder(folder: &Path) -> Result<(), String> {
    let made = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    made.map(drop).map_err(|error| {
        format!(
            "the output folder {} cannot be written: {error}; choose another with --out",
            folder.display()
        )
    })
}

/// Removes `folder/name`, where it is there.
pub fn remove(folder: &Path, name: &str) -> Result<(), String> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be written anew: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes `bytes` to `folder/name`, beside it first and then renamed; returns the path.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let attempt = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
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
