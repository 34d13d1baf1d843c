//! The matrix product as a differentiable operation on burn's tensors.

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
    /// Computes the product; see [`multiply`].
    #[fusion(dtype = a, shape = output(a, b))]
    fn matrix_product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Splits every value into the part that TF32 represents and the remainder; see [`split`].
    #[fusion(meta = |x| (x.clone(), x.clone()))]
    fn taken_apart(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Computes the matrix product of `a` `[..., rows, inner]` and `b` `[..., inner, columns]` over the last two
/// axes; the other axes must be equal. It is differentiable.
///
/// # Panics
///
/// If the shapes do not match.
pub fn multiply(a: DispatchTensor, b: DispatchTensor) -> DispatchTensor {
    <Dispatch as ProductBackend>::matrix_product(a, b)
}

/// Splits every value into the part that TF32 represents, its first 11 significant bits, and the remainder.
/// The sum of the two is exactly the value. The remainder of a value that is not finite is 0. The operation
/// passes no gradient.
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
        const LOW_BITS: u32 = 0x1FFF;
        let high_part = |x: f32| match x.is_finite() {
            true => f32::from_bits(x.to_bits() & !LOW_BITS),
            false => x,
        };
        let x = x.to_contiguous();
        let shape = x.layout().shape().clone();
        let values = x.as_slice::<f32>().expect("contiguous float32 values");
        let low_part = |x: &f32| if x.is_finite() { x - high_part(*x) } else { 0.0 };
        let from_values =
            |part: Vec<f32>| FloatTensor::<Self>::from_data(TensorData::new(part, shape.clone()));
        let high = from_values(values.iter().map(|&x| high_part(x)).collect());
        let low = from_values(values.iter().map(low_part).collect());
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
        let is_kept = "the other factor is kept if a factor needs a gradient";
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
