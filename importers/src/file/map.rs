//! The one place with unsafe code: files are mapped into memory, so that a model of several
//! gigabytes is not copied before its weights go to the device.
#![allow(unsafe_code)]

use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

/// The contents of the file `path`.
///
/// # Errors
///
/// Those of opening and mapping it.
pub fn read_only(path: &Path) -> std::io::Result<Bytes> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is read-only and private, and its bytes are only ever read as numbers.
    // Rust asks that nobody changes the file meanwhile, which no program can promise of a file;
    // whoever cuts a model while it is loaded ends the program, as with every tool that maps files.
    Ok(Bytes::from_owner(unsafe { Mmap::map(&file)? }))
}
