//! A segment ready to run: two lists of steps over numbered buffers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::aligned::Aligned;
use super::arrange::Move;
use super::build::{Builder, Normalization, Value};
use super::depthwise::Taps;
use super::image::Image;
use super::pack::{Packed, Window};
use super::plan::plan;
use super::product::Multiply;
use super::run::{Arena, Tape};
use super::sweep::Sweep;
use super::tile::Level;
use super::winograd::Winograd;
use crate::Activation;

/// A run of operations with constant weights, from one sample to another; and the gradient of it.
#[derive(Debug)]
pub struct Segment {
    pub(super) level: Level,
    /// The axes of a sample.
    pub(super) input: Vec<usize>,
    pub(super) output: Vec<usize>,
    pub(super) forward: Vec<Step>,
    pub(super) backward: Vec<Step>,
    /// Pictures that never change.
    pub(super) constants: Vec<Aligned>,
    /// The numbers of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) tape: TapeSize,
    /// Whether convolutions take fewer multiplications where they can.
    pub(super) winograd: AtomicBool,
    /// Memory to be used again.
    pub(super) arenas: Mutex<Vec<Arena>>,
    pub(super) tapes: Arc<Mutex<Vec<Tape>>>,
}

/// How much is kept of a sample for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct TapeSize {
    pub bytes: usize,
    pub floats: usize,
    /// Pictures that are kept as a whole.
    pub pictures: Vec<usize>,
}

/// Where a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Buffer(usize),
    Kept(usize),
    Constant(usize),
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// From the sample, or its gradient, to a picture.
    Load(Outside),
    /// From a picture to the sample, or its gradient.
    Store(Outside),
    Zero,
    Convolve {
        packed: Arc<Packed>,
        sweeps: Vec<Sweep>,
        /// The same in fewer multiplications.
        winograd: Option<Arc<Winograd>>,
    },
    Depthwise {
        taps: Arc<Taps>,
        sweeps: Vec<Sweep>,
    },
    /// `factor x gate`; the second source is the gate, where there is one.
    Map {
        sweep: Sweep,
        factor: f32,
        gate: Option<Sweep>,
    },
    /// The sum over the pixels of the first source, times the second where there is one.
    Sum {
        factor: f32,
    },
    Largest {
        window: Window,
        bytes: usize,
    },
    LargestGradient {
        window: Window,
        bytes: usize,
    },
    Mean {
        window: Window,
        counts_padding: bool,
    },
    MeanGradient {
        window: Window,
        counts_padding: bool,
    },
    Normalize {
        own: Arc<Normalization>,
        kept: usize,
    },
    NormalizeGradient {
        own: Arc<Normalization>,
        kept: usize,
        sweep: Sweep,
    },
    /// Over each pixel's channels.
    Softmax,
    SoftmaxGradient {
        sweep: Sweep,
    },
    /// The product of the two sources.
    Product(Multiply),
    Arrange(Move),
}

/// How a sample lies outside.
#[derive(Clone, Debug)]
pub(super) enum Outside {
    /// `dims`, channels first; `side` times `side` pixels lie in one.
    Planes { side: usize, dims: [usize; 3] },
    /// In another order.
    Other(Move),
}

impl Outside {
    /// The same, each pixel of which is one of the picture.
    pub fn whole_pixels(self) -> Self {
        match self {
            Self::Planes { dims, .. } => Self::Planes { side: 1, dims },
            Self::Other(own) => Self::Other(own),
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub work: Work,
    pub sources: Vec<(Place, Image)>,
    pub to: (Place, Image),
    /// Whether the halo must be made zero first.
    pub clear: bool,
    pub finish: FinishPlan,
}

/// What is added.
#[derive(Clone, Copy, Debug)]
pub(super) enum AddedPlan {
    Nothing,
    Own,
    Other(Place),
}

/// Where the derivative of an activation is kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record {
    Bytes { first: usize, slopes: [f32; 2] },
    Floats { first: usize },
}

#[derive(Clone, Debug)]
pub(super) struct FinishPlan {
    pub bias: Vec<f32>,
    pub scale: Vec<f32>,
    pub added: AddedPlan,
    pub activation: Activation,
    /// Where the activation's derivative goes.
    pub keeps: Option<Record>,
    /// The derivative that the sum is multiplied with.
    pub derivative: Option<Record>,
}

impl Segment {
    /// What `builder` has from its input to `output`, for this processor. Weights are packed one
    /// convolution after the other, and let go.
    ///
    /// # Panics
    ///
    /// When the first axis of `output` is not the batch: [`Builder::begins_with_batch`].
    pub fn new(builder: Builder, output: Value) -> Self {
        Self::at(builder, output, Level::detected())
    }

    /// The same with the instructions of `level`.
    pub fn at(builder: Builder, output: Value, level: Level) -> Self {
        plan(builder, output, level)
    }

    /// From now on computes convolutions of 3 by 3 pixels by Winograd's algorithm where that is faster:
    /// a quarter of the multiplications, rounding errors about twice as large (around 1e-6 of the largest
    /// value), and four times the memory for their weights.
    pub fn use_winograd(&self) {
        self.winograd.store(true, Ordering::Relaxed);
    }

    /// The axes of a sample of its input.
    pub fn input(&self) -> &[usize] {
        &self.input
    }

    /// The axes of a sample of its output.
    pub fn output(&self) -> &[usize] {
        &self.output
    }

    /// The bytes that a sample takes at most: what is kept of it for its gradient, and the buffers in
    /// which it is computed.
    pub fn bytes_per_sample(&self) -> usize {
        let pictures: usize = self.tape.pictures.iter().sum();
        let buffers: usize = self.buffers.iter().sum();
        self.tape.bytes + 4 * (self.tape.floats + pictures + buffers)
    }
}
