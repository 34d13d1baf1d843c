//! The memory for computing samples: arenas, and the tapes that keep values for the backward pass.

use std::sync::{Arc, Mutex};

use super::aligned::AlignedBuffer;

/// The buffers for computing one sample.
#[derive(Debug)]
pub struct Arena {
    pub(super) buffers: Vec<AlignedBuffer>,
    /// The workspace of a single step.
    pub(super) workspace: AlignedBuffer,
    /// The tape of a forward pass without a backward pass: images, but no records.
    pub(super) scores: Option<Tape>,
}

impl Arena {
    pub(super) fn new(sizes: &[usize]) -> Self {
        let buffers = sizes.iter().map(|&len| AlignedBuffer::zeros(len)).collect();
        Self { buffers, workspace: AlignedBuffer::default(), scores: None }
    }
}

/// The size of the values of a sample that are saved for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct TapeSize {
    pub bytes: usize,
    pub floats: usize,
    /// The number of elements of each image that is saved completely.
    pub images: Vec<usize>,
}

/// The values of one sample that the forward pass saves for the backward pass.
#[derive(Debug)]
pub struct Tape {
    /// Slope selectors of activations, and the taps of max pooling.
    pub(super) bytes: Vec<u8>,
    /// Derivatives of activations, and the values saved by normalizations.
    pub(super) floats: AlignedBuffer,
    /// Complete images.
    pub(super) images: Vec<AlignedBuffer>,
}

impl Tape {
    pub(super) fn new(size: &TapeSize) -> Self {
        Self {
            bytes: vec![0; size.bytes],
            floats: AlignedBuffer::zeros(size.floats),
            images: size.images.iter().map(|&len| AlignedBuffer::zeros(len)).collect(),
        }
    }

    /// A tape with the images alone.
    pub(super) fn without_records(size: &TapeSize) -> Self {
        Self::new(&TapeSize { bytes: 0, floats: 0, images: size.images.clone() })
    }

    pub(super) fn fits(&self, size: &TapeSize) -> bool {
        let images = self.images.iter().map(|image| image.len());
        self.bytes.len() == size.bytes
            && self.floats.len() == size.floats
            && images.eq(size.images.iter().copied())
    }
}

/// The tapes of a batch. Their memory is reused after the drop.
#[derive(Debug)]
pub struct Tapes {
    pub(super) samples: Vec<Tape>,
    /// Unused tapes of the segment, to which the memory returns.
    pub(super) free: Arc<Mutex<Vec<Tape>>>,
}

impl Drop for Tapes {
    fn drop(&mut self) {
        if let Ok(mut free) = self.free.lock() {
            free.append(&mut self.samples);
        }
    }
}
