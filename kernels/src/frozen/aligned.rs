//! Numbers that begin where a line of the cache does. A register that is read across two lines takes
//! twice as long.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The numbers of a line.
const LINE: usize = 16;

/// A list of numbers of a fixed length.
#[derive(Default)]
pub struct Aligned {
    values: Vec<f32>,
    first: usize,
    len: usize,
}

impl Aligned {
    /// So many zeros.
    pub fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + LINE];
        let first = values.as_ptr().align_offset(LINE * size_of::<f32>());
        // Where an address tells nothing, any beginning is right.
        Self { first: if first < LINE { first } else { 0 }, values, len }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..self.first + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..self.first + self.len]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut own = Self::zeros(self.len);
        own.copy_from_slice(self);
        own
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} numbers", self.len)
    }
}
