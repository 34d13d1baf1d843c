//! Buffers aligned to cache lines. A vector load that crosses a cache line takes twice as long.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The number of `f32` values in a cache line.
const CACHE_LINE: usize = 16;

/// A fixed-length `f32` buffer whose first element is aligned to a cache line.
#[derive(Default)]
pub struct AlignedBuffer {
    values: Vec<f32>,
    first: usize,
    len: usize,
}

impl AlignedBuffer {
    /// Returns a buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + CACHE_LINE];
        let first = values.as_ptr().align_offset(CACHE_LINE * size_of::<f32>());
        // `align_offset` may return `usize::MAX`; the buffer is then left unaligned.
        Self { first: if first < CACHE_LINE { first } else { 0 }, values, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..self.first + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..self.first + self.len]
    }
}

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} f32 values", self.len)
    }
}
