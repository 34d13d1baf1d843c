//! The one place with unsafe code: files are mapped into memory, so that a model of several
//! gigabytes is not copied before its weights go to the device.
#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The contents of a mapped file, or a part of them.
#[derive(Clone, Debug, Default)]
pub struct Mapped {
    bytes: Bytes,
    /// The mapping that holds the bytes; none for bytes in memory.
    file: Option<Arc<Mmap>>,
}

/// What keeps a mapping as long as bytes of it are in use.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// The contents of the file `path`.
    ///
    /// # Errors
    ///
    /// Those of opening and mapping it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self::default());
        }
        // SAFETY: the mapping is read-only and private, and its bytes are only ever read as numbers.
        // Rust asks that nobody changes the file meanwhile, which no program can promise of a file;
        // whoever cuts a model while it is loaded ends the program, as with every tool that maps.
        let file = Arc::new(unsafe { Mmap::map(&file)? });
        Ok(Self { bytes: Bytes::from_owner(Owner(file.clone())), file: Some(file) })
    }

    /// Bytes in memory.
    pub fn in_memory(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes), file: None }
    }

    /// The bytes, which may be kept beyond this value.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// `bytes`, which were taken from these.
    pub fn part(&self, bytes: Bytes) -> Self {
        Self { bytes, file: self.file.clone() }
    }

    /// Gives the memory of bytes that were read back to the system; they are read from the file
    /// again where they are needed again. Whole pages alone: others may hold something else.
    pub fn release(&self, range: std::ops::Range<usize>) {
        #[cfg(unix)]
        if let Some(file) = &self.file {
            const PAGE: usize = 1 << 16;
            let base = self.bytes.as_ptr() as usize - file.as_ptr() as usize;
            let from = (base + range.start).next_multiple_of(PAGE);
            let to = (base + range.end) / PAGE * PAGE;
            if from < to {
                // SAFETY: the mapping is read-only and of a file: what is dropped is read from the
                // file again, and has the same value. That it fails is no harm.
                let _ = unsafe {
                    file.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from)
                };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}
