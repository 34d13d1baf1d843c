//! Planning: from the operations of a builder to the steps of a segment. Activations and additions are fused
//! into the preceding operation, and every image is assigned a buffer.

mod backward;
mod buffers;
mod forward;
mod fuse;
mod layout;
mod unit;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::arena::TapeSize;
use super::build::{Builder, Value};
use super::segment::Segment;
use super::tile::Level;
use backward::backward;
use buffers::Buffers;
use forward::forward;
use fuse::fuse;
use layout::Layout;

impl Segment {
    /// Plans the segment from the input of `builder` to `output`, for the instruction set of this processor.
    /// The weights are read and packed one convolution at a time, so that they are never held twice.
    ///
    /// # Panics
    ///
    /// If the first axis of `output` is not the batch; see [`Builder::begins_with_batch`].
    pub fn new(builder: Builder, output: Value) -> Self {
        Self::at(builder, output, Level::detected())
    }

    /// Like [`Segment::new`], with the instruction set `level`.
    pub fn at(builder: Builder, output: Value, level: Level) -> Self {
        plan(builder, output, level)
    }
}

/// Plans the segment of `builder` from its input to `output`.
fn plan(mut builder: Builder, output: Value, level: Level) -> Segment {
    let mut tape = TapeSize::default();
    let output = builder.materialized(output).expect("the first axis of the output is the batch");
    let units = fuse(&mut builder, output, level, &mut tape);
    let builder = &builder;
    let layout = Layout::new(builder, &units);
    let mut buffers = Buffers::default();
    let (forward, saved) = forward(builder, &units, &layout, output, &mut buffers, &mut tape);
    buffers.release_all();
    let backward = backward(builder, &units, &layout, output, &mut buffers, &saved);
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
