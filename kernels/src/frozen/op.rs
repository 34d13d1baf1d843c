//! A segment as an operation on tensors, with its own backward pass.

use std::fmt;
use std::sync::{Arc, Mutex};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensor, Flex, backend_extension};
use burn::tensor::TensorData;

use super::{Segment, Tapes};

/// Backends that run frozen segments.
#[backend_extension(Autodiff, Flex)]
pub trait FrozenBackend: Backend {
    /// The outputs of the samples `x`; see [`frozen`]. What the backward
    /// pass needs is kept where there is a place for it.
    fn frozen_forward(
        x: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Option<Slot>,
    ) -> FloatTensor<Self>;

    /// The gradient with respect to the samples.
    fn frozen_gradient(
        gradient: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Slot,
    ) -> FloatTensor<Self>;
}

/// Where the forward pass leaves what the backward pass reads.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Tapes>>>);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a segment kept of a batch")
    }
}

/// The outputs of `segment` for the samples `x`, of the shape of its input, on the CPU; the batch is the
/// first axis of both. It can be differentiated with respect to `x`.
///
/// # Panics
///
/// When `x` is not of such samples, or not on the CPU.
pub fn frozen(x: DispatchTensor, segment: &Arc<Segment>) -> DispatchTensor {
    <Dispatch as FrozenBackend>::frozen_forward(x, Arc::clone(segment), None)
}

impl FrozenBackend for Flex {
    fn frozen_forward(
        x: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Option<Slot>,
    ) -> FloatTensor<Self> {
        let x = x.to_contiguous();
        let shape = x.layout().shape();
        let count = shape[0];
        assert_eq!(
            shape[1..],
            *segment.input(),
            "a sample's shape depends on the size of the batch"
        );
        let values = x.as_slice::<f32>().expect("contiguous float32 samples");
        let y = match kept {
            Some(kept) => {
                let (y, tapes) = segment.forward(values);
                *kept.0.lock().expect("no thread failed") = Some(tapes);
                y
            }
            None => segment.scores(values),
        };
        FloatTensor::<Self>::from_data(TensorData::new(y, shape_of(count, segment.output())))
    }

    fn frozen_gradient(
        gradient: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Slot,
    ) -> FloatTensor<Self> {
        let gradient = gradient.to_contiguous();
        let count = gradient.layout().shape()[0];
        let values = gradient.as_slice::<f32>().expect("contiguous float32 gradients");
        let mut kept = kept.0.lock().expect("no thread failed");
        let tapes = kept.as_mut().expect("a forward pass before the backward pass");
        let x = segment.backward(values, tapes);
        FloatTensor::<Self>::from_data(TensorData::new(x, shape_of(count, segment.input())))
    }
}

/// The shape of so many samples.
fn shape_of(count: usize, sample: &[usize]) -> Vec<usize> {
    [&[count], sample].concat()
}

#[derive(Debug)]
struct Frozen;

impl<B: FrozenBackend> Backward<B, 1> for Frozen {
    type State = (Arc<Segment>, Slot);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (segment, kept) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            B::frozen_gradient(gradient, segment, kept)
        });
    }
}

impl<B: FrozenBackend, C: CheckpointStrategy> FrozenBackend for Autodiff<B, C> {
    fn frozen_forward(
        x: FloatTensor<Self>,
        segment: Arc<Segment>,
        _kept: Option<Slot>,
    ) -> FloatTensor<Self> {
        let node = x.node();
        let kept = Slot::default();
        let own = Some(kept.clone());
        let y = B::frozen_forward(x.into_primitive(), Arc::clone(&segment), own);
        match Frozen.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((segment, kept), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_gradient(
        _gradient: FloatTensor<Self>,
        _segment: Arc<Segment>,
        _kept: Slot,
    ) -> FloatTensor<Self> {
        unimplemented!("a gradient of a segment is not differentiated again")
    }
}
