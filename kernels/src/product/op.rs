//! The product as an operation on tensors, with its own backward pass.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, binary};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensor, Flex, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::Shape;
use burn::tensor::TensorData;

/// Backends that multiply matrices.
#[backend_extension(
    Autodiff,
    Cube: cfg(feature = "cubecl"),
    Flex,
    Fusion: cfg(feature = "fusion")
)]
pub trait ProductBackend: Backend {
    /// The product; see [`multiply`].
    #[fusion(dtype = a, shape = output(a, b))]
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// What TF32 holds of every number, and the rest; see [`split`].
    #[fusion(meta = |x| (x.clone(), x.clone()))]
    fn taken_apart(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// The product of the last two axes of `a` `[..., rows, inner]` and `b` `[..., inner, columns]`, whose
/// other axes are the same. It can be differentiated.
///
/// # Panics
///
/// When the shapes do not fit.
pub fn multiply(a: DispatchTensor, b: DispatchTensor) -> DispatchTensor {
    <Dispatch as ProductBackend>::matrix_product(a, b)
}

/// What TF32 holds of every number, its first 11 significant bits, and the rest: their sum is the number.
/// The rest of what is not finite is 0. No gradient passes.
pub fn split(x: DispatchTensor) -> (DispatchTensor, DispatchTensor) {
    <Dispatch as ProductBackend>::taken_apart(x)
}

/// The shape of a product.
#[cfg(feature = "fusion")]
fn output(a: &Shape, b: &Shape) -> Shape {
    let last = a.num_dims() - 1;
    let mut dims = a.to_vec();
    dims[last] = b[last];
    Shape::from(dims)
}

impl ProductBackend for Flex {
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(a, b)
    }

    fn taken_apart(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        const REST: u32 = 0x1FFF;
        let held = |x: f32| match x.is_finite() {
            true => f32::from_bits(x.to_bits() & !REST),
            false => x,
        };
        let x = x.to_contiguous();
        let shape = x.layout().shape().clone();
        let numbers = x.as_slice::<f32>().expect("contiguous float32 numbers");
        let rest = |x: &f32| if x.is_finite() { x - held(*x) } else { 0.0 };
        let own =
            |part: Vec<f32>| FloatTensor::<Self>::from_data(TensorData::new(part, shape.clone()));
        let high = own(numbers.iter().map(|&x| held(x)).collect());
        let low = own(numbers.iter().map(rest).collect());
        (high, low)
    }
}

#[cfg(feature = "cubecl")]
impl ProductBackend for burn_cubecl::CubeBackend {
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        super::device::in_float32(a, b, Self::float_matmul)
    }

    fn taken_apart(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        super::device::split(x).into()
    }
}

#[derive(Debug)]
struct Multiplied;

impl<B: ProductBackend> Backward<B, 2> for Multiplied {
    type State = [Option<NodeId>; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [a, b] = ops.state.map(|id| {
            let factor = id.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
            factor.map(B::float_transpose)
        });
        let is_kept = "the other factor of one that has a gradient is kept";
        binary::<B, _, _>(
            ops.parents,
            ops.node,
            grads,
            |gradient| B::matrix_product(gradient, b.expect(is_kept)),
            |gradient| B::matrix_product(a.expect(is_kept), gradient),
        );
    }
}

impl<B: ProductBackend, C: CheckpointStrategy> ProductBackend for Autodiff<B, C> {
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let [of_a, of_b] = [a.is_tracked(), b.is_tracked()];
        match Multiplied.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [of_b.then(|| prep.checkpoint(&a)), of_a.then(|| prep.checkpoint(&b))];
                prep.finish(state, B::matrix_product(a.into_primitive(), b.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::matrix_product(a.into_primitive(), b.into_primitive()))
            }
        }
    }

    fn taken_apart(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (high, low) = B::taken_apart(x.into_primitive());
        (FloatTensor::<Self>::new(high), FloatTensor::<Self>::new(low))
    }
}
