//! Units: operations with the operations that are fused into them.

use std::sync::Arc;

use super::super::build::{MatMulViews, Normalization, Value, ViewCopy};
use super::super::depthwise::PackedDepthwise;
use super::super::pack::PackedConvolution;
use super::super::phase::Phase;
use super::super::segment::Record;
use super::super::window::Window;
use crate::Activation;

/// An operation together with the operations that are fused into its epilogue.
pub struct Unit {
    pub kind: UnitKind,
    pub inputs: Vec<Value>,
    /// The value that is added to the result before the activation.
    pub addend: Option<Value>,
    pub activation: Activation,
    pub output: Value,
    /// The record of the activation's derivative.
    pub record: Option<Record>,
}

/// The main operation of a unit.
pub enum UnitKind {
    Convolution {
        forward: Arc<PackedConvolution>,
        backward: Arc<PackedConvolution>,
        bias: Vec<f32>,
        /// The scale of each channel after sum and bias, if these must stay exact integers.
        scale: Vec<f32>,
        /// The block size of the input gradient in space-to-depth layout; 1 for the normal layout.
        block_size: usize,
    },
    Depthwise {
        forward: Arc<PackedDepthwise>,
        backward: Arc<PackedDepthwise>,
        bias: Vec<f32>,
        scale: Vec<f32>,
    },
    /// The first input, plus the second one if there is one.
    Add,
    Multiply,
    MaxPool {
        window: Window,
        /// The offset of the taps in the bytes of the tape.
        bytes: usize,
    },
    MeanPool {
        window: Window,
        counts_padding: bool,
    },
    SpatialSum(f32),
    Normalize {
        normalization: Arc<Normalization>,
        /// The offset of the saved values in the floats of the tape.
        floats: usize,
    },
    Softmax,
    MatMul(MatMulViews),
    Copy(Vec<ViewCopy>),
}

impl Unit {
    /// The values that the backward pass reads.
    pub fn values_for_backward(&self) -> Vec<Value> {
        match self.kind {
            UnitKind::Multiply | UnitKind::MatMul(_) => self.inputs.clone(),
            UnitKind::Softmax => vec![self.output],
            _ => Vec::new(),
        }
    }
}

impl UnitKind {
    /// The phases of a convolution, forward and backward; none for other units.
    pub fn phases(&self) -> [Vec<&Phase>; 2] {
        match self {
            Self::Convolution { forward, backward, .. } => {
                [forward, backward].map(|packed| packed.phases.iter().collect())
            }
            Self::Depthwise { forward, backward, .. } => [forward, backward]
                .map(|packed| packed.phases.iter().map(|(phase, _)| phase).collect()),
            _ => [Vec::new(), Vec::new()],
        }
    }
}
