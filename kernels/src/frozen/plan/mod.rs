//! From operations to steps: activations and sums become part of the convolution in front of them,
//! and every picture gets a buffer.

mod backward;
mod buffers;
mod forward;
mod layout;
mod units;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::build::{Arrangement, Builder, Normalization, Product, Value};
use super::depthwise::Taps;
use super::pack::{Packed, Phase, Window};
use super::segment::{Record, Segment, TapeSize};
use super::tile::Level;
use crate::Activation;
use backward::backward;
use buffers::Buffers;
use forward::forward;
use layout::Layout;
use units::units;

/// An operation with what follows it.
struct Unit {
    kind: Kind,
    inputs: Vec<Value>,
    /// Added to the result before the activation.
    added: Option<Value>,
    activation: Activation,
    output: Value,
    /// Where the activation's derivative is kept.
    record: Option<Record>,
}

/// The units that exist.
enum Kind {
    Convolution {
        forward: Arc<Packed>,
        backward: Arc<Packed>,
        bias: Vec<f32>,
        /// What follows the sum and the bias, where these are exact.
        scale: Vec<f32>,
        /// The pixels to each side that are one of the gradient that it makes.
        side: usize,
    },
    Depthwise {
        forward: Arc<Taps>,
        backward: Arc<Taps>,
        bias: Vec<f32>,
        scale: Vec<f32>,
    },
    /// The first input, with the second one where there is one.
    Sum,
    Multiply,
    Largest {
        window: Window,
        bytes: usize,
    },
    Mean {
        window: Window,
        counts_padding: bool,
    },
    Total(f32),
    Normalize {
        own: Arc<Normalization>,
        kept: usize,
    },
    Softmax,
    Product(Product),
    Arrange(Vec<Arrangement>),
}

impl Unit {
    /// The values that the backward pass reads.
    fn reads_again(&self) -> Vec<Value> {
        match self.kind {
            Kind::Multiply | Kind::Product(_) => self.inputs.clone(),
            Kind::Softmax => vec![self.output],
            _ => Vec::new(),
        }
    }
}

impl Kind {
    /// The phases of a convolution forwards and backwards.
    fn phases(&self) -> [Vec<&Phase>; 2] {
        match self {
            Self::Convolution { forward, backward, .. } => {
                [forward, backward].map(|own| own.phases.iter().collect())
            }
            Self::Depthwise { forward, backward, .. } => {
                [forward, backward].map(|own| own.phases.iter().map(|(phase, _)| phase).collect())
            }
            _ => [Vec::new(), Vec::new()],
        }
    }
}

/// The segment of `builder` from its input to `output`.
pub(super) fn plan(mut builder: Builder, output: Value, level: Level) -> Segment {
    let mut tape = TapeSize::default();
    let output = builder.whole(output).expect("the first axis is the batch");
    let units = units(&mut builder, output, level, &mut tape);
    let builder = &builder;
    let layout = Layout::new(builder, &units);
    let mut buffers = Buffers::default();
    let (forward, places) = forward(builder, &units, &layout, output, &mut buffers, &mut tape);
    buffers.restart();
    let backward = backward(builder, &units, &layout, output, &mut buffers, &places);
    let shape = |value: Value| builder.shape(value).split_off(1);
    Segment {
        level,
        input: shape(Value(0)),
        output: shape(output),
        forward,
        backward,
        constants: layout.constants(builder),
        buffers: buffers.sizes,
        tape,
        winograd: AtomicBool::new(false),
        arenas: Mutex::new(Vec::new()),
        tapes: Arc::new(Mutex::new(Vec::new())),
    }
}
