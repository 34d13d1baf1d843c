//! A segment as a differentiable operation on burn's tensors.

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
    /// Computes the outputs of the samples `x`; see [`frozen`]. If `kept` is given, the tapes for the
    /// backward pass are stored in it.
    fn frozen_forward(
        x: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Option<Slot>,
    ) -> FloatTensor<Self>;

    /// Computes the gradient with respect to the samples.
    fn frozen_gradient(
        gradient: FloatTensor<Self>,
        segment: Arc<Segment>,
        kept: Slot,
    ) -> FloatTensor<Self>;
}

/// A slot in which the forward pass stores the tapes for the backward pass.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Tapes>>>);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tapes of a batch")
    }
}

/// Computes the outputs of `segment` for the samples `x` on the CPU. The first axis of `x` and of the result
/// is the batch. The operation is differentiable with respect to `x`.
///
/// # Panics
///
/// If the samples do not have the shape of the segment's input, or if `x` is not on the CPU.
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
            "the samples do not have the shape of the segment's input"
        );
        let values = x.as_slice::<f32>().expect("contiguous float32 samples");
        let y = match kept {
            Some(kept) => {
                let (y, tapes) = segment.forward(values);
                *kept.0.lock().expect("no thread panicked while it held the tapes") = Some(tapes);
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
        let mut kept = kept.0.lock().expect("no thread panicked while it held the tapes");
        let tapes = kept.as_mut().expect("the forward pass has stored its tapes");
        let x = segment.backward(values, tapes);
        FloatTensor::<Self>::from_data(TensorData::new(x, shape_of(count, segment.input())))
    }
}

/// The shape of a batch of `count` samples.
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
        let slot = Some(kept.clone());
        let y = B::frozen_forward(x.into_primitive(), Arc::clone(&segment), slot);
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
        unimplemented!("second derivatives of a frozen segment are not supported")
    }
}
