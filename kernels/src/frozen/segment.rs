//! A planned segment: the steps of the forward and the backward pass over numbered buffers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::aligned::AlignedBuffer;
use super::arena::{Arena, Tape, TapeSize};
use super::build::Normalization;
use super::depthwise::PackedDepthwise;
use super::image::Image;
use super::matmul::MatMul;
use super::pack::PackedConvolution;
use super::pixel_loop::PixelLoop;
use super::strided_copy::StridedCopy;
use super::tile::Level;
use super::window::Window;
use super::winograd::Winograd;
use crate::Activation;

/// A subgraph with constant weights that maps one tensor to another, and its input gradient.
#[derive(Debug)]
pub struct Segment {
    pub(super) level: Level,
    /// The shape of an input sample.
    pub(super) input: Vec<usize>,
    /// The shape of an output sample.
    pub(super) output: Vec<usize>,
    pub(super) forward: Vec<Step>,
    pub(super) backward: Vec<Step>,
    /// Constant images.
    pub(super) constants: Vec<AlignedBuffer>,
    /// The number of elements of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) tape: TapeSize,
    /// Whether convolutions use Winograd's algorithm where it is faster.
    pub(super) winograd: AtomicBool,
    /// Unused arenas, whose memory is reused.
    pub(super) arenas: Mutex<Vec<Arena>>,
    /// Unused tapes, whose memory is reused.
    pub(super) tapes: Arc<Mutex<Vec<Tape>>>,
}

/// The storage of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A buffer of the arena.
    Buffer(usize),
    /// An image on the tape.
    Tape(usize),
    /// A constant of the segment.
    Constant(usize),
}

/// The operation of a step.
#[derive(Clone, Debug)]
pub(super) enum StepKind {
    /// Copies an input sample, or the gradient of an output sample, to an image.
    Load(ExternalLayout),
    /// Copies an image to an output sample, or to the gradient of an input sample.
    Store(ExternalLayout),
    /// Sets an image to zero.
    Zero,
    Convolve {
        packed: Arc<PackedConvolution>,
        pixel_loops: Vec<PixelLoop>,
        /// The Winograd form, if it is faster.
        winograd: Option<Arc<Winograd>>,
    },
    Depthwise {
        packed: Arc<PackedDepthwise>,
        pixel_loops: Vec<PixelLoop>,
    },
    /// Elementwise `factor x gate`. The first source is `x`, the second one the gate; both are optional.
    Map {
        pixel_loop: PixelLoop,
        factor: f32,
        gate: Option<PixelLoop>,
    },
    /// The sum over the pixels of the first source, multiplied by the second source if there is one.
    SpatialSum {
        factor: f32,
    },
    MaxPool {
        window: Window,
        /// The offset of the taps in the bytes of the tape.
        bytes: usize,
    },
    MaxPoolGradient {
        window: Window,
        bytes: usize,
    },
    MeanPool {
        window: Window,
        counts_padding: bool,
    },
    MeanPoolGradient {
        window: Window,
        counts_padding: bool,
    },
    Normalize {
        normalization: Arc<Normalization>,
        /// The offset of the saved values in the floats of the tape.
        floats: usize,
    },
    NormalizeGradient {
        normalization: Arc<Normalization>,
        floats: usize,
        pixel_loop: PixelLoop,
    },
    /// Softmax over the channels of each pixel.
    Softmax,
    SoftmaxGradient {
        pixel_loop: PixelLoop,
    },
    /// The matrix product of the two sources.
    MatMul(MatMul),
    Copy(StridedCopy),
}

/// The memory layout of a sample outside the segment.
#[derive(Clone, Debug)]
pub(super) enum ExternalLayout {
    /// `[channels, height, width]` of size `dims`; a pixel of the image holds a block of `block_size` by
    /// `block_size` pixels (see [`Image::store`]).
    Nchw { block_size: usize, dims: [usize; 3] },
    /// Any other layout.
    Strided(StridedCopy),
}

impl ExternalLayout {
    /// Returns the layout with a block size of 1.
    pub fn without_blocks(self) -> Self {
        match self {
            Self::Nchw { dims, .. } => Self::Nchw { block_size: 1, dims },
            Self::Strided(copy) => Self::Strided(copy),
        }
    }
}

/// A step of the forward or backward pass.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub kind: StepKind,
    /// The images that the step reads.
    pub sources: Vec<(Location, Image)>,
    /// The image that the step writes.
    pub to: (Location, Image),
    /// Whether the halo is set to zero first.
    pub clear: bool,
    pub epilogue: EpiloguePlan,
}

/// The image that an epilogue adds.
#[derive(Clone, Copy, Debug)]
pub(super) enum AddendPlan {
    Nothing,
    /// The present content of the output.
    Output,
    Other(Location),
}

/// The part of the tape that holds the derivative of an activation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record {
    Bytes { first: usize, slopes: [f32; 2] },
    Floats { first: usize },
}

/// The epilogue of a step; see [`Epilogue`](super::epilogue::Epilogue).
#[derive(Clone, Debug)]
pub(super) struct EpiloguePlan {
    pub bias: Vec<f32>,
    pub scale: Vec<f32>,
    pub addend: AddendPlan,
    pub activation: Activation,
    /// The record to which the derivative of the activation is written.
    pub record: Option<Record>,
    /// The record of the derivative by which the sum is multiplied.
    pub derivative: Option<Record>,
}

impl Segment {
    /// Makes convolutions with 3 by 3 kernels use Winograd's algorithm where it is faster. It needs a quarter
    /// of the multiplications and four times the memory for the weights, and its rounding errors are about
    /// twice as large (around 1e-6 of the largest value).
    pub fn use_winograd(&self) {
        self.winograd.store(true, Ordering::Relaxed);
    }

    /// The shape of an input sample.
    pub fn input(&self) -> &[usize] {
        &self.input
    }

    /// The shape of an output sample.
    pub fn output(&self) -> &[usize] {
        &self.output
    }

    /// The memory that a sample needs at most, in bytes: its tape and the buffers in which it is computed.
    pub fn bytes_per_sample(&self) -> usize {
        let images: usize = self.tape.images.iter().sum();
        let buffers: usize = self.buffers.iter().sum();
        self.tape.bytes + 4 * (self.tape.floats + images + buffers)
    }
}
