//! Files that appear whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

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

/// Writes `bytes` to `folder/name`, beside it first and then renamed; returns the path.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let attempt = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => Ok(path),
        Err(error) => Err(format!("{} cannot be written: {error}", path.display())),
    }
}
