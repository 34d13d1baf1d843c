//! Memory-mapped files, the only unsafe code of this crate. A mapping avoids copying a model of several
//! gigabytes before its weights are uploaded to the device.
#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The contents of a mapped file, or a part of them.
#[derive(Clone, Debug, Default)]
pub struct Mapped {
    bytes: Bytes,
    /// The mapping that `bytes` point into; `None` for bytes in memory.
    file: Option<Arc<Mmap>>,
}

/// Keeps a mapping alive while slices of it are in use.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// Maps the file `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self::default());
        }
        // SAFETY: the mapping is read-only and private, and its bytes are only read as numbers. Rust also
        // requires that the file does not change while it is mapped, which no program can guarantee:
        // truncating a model file during loading kills the process, as in every program that maps files.
        let file = Arc::new(unsafe { Mmap::map(&file)? });
        Ok(Self { bytes: Bytes::from_owner(Owner(file.clone())), file: Some(file) })
    }

    /// Copies `bytes` into memory.
    pub fn in_memory(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), file: None }
    }

    /// Returns the bytes. A clone of them keeps the mapping alive.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns a part of this file; `bytes` must be a slice of [`bytes`](Self::bytes).
    pub fn part(&self, bytes: Bytes) -> Self {
        Self { bytes, file: self.file.clone() }
    }

    /// Returns the memory of the bytes in `range` to the operating system; the next access reads them from
    /// the file again. Only whole pages are released, because the first and the last page may hold other
    /// bytes.
    pub fn release(&self, range: std::ops::Range<usize>) {
        #[cfg(unix)]
        if let Some(file) = &self.file {
            const PAGE: usize = 1 << 16;
            let base = self.bytes.as_ptr() as usize - file.as_ptr() as usize;
            let from = (base + range.start).next_multiple_of(PAGE);
            let to = (base + range.end) / PAGE * PAGE;
            if from < to {
                // SAFETY: the mapping is read-only and backed by a file, so a released page is read from
                // the file again, with the same contents. A failure only keeps the memory in use.
                let _ = unsafe {
                    file.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from)
                };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}
