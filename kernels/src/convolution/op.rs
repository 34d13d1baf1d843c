//! The convolution as a differentiable operation on burn's tensors.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
#[cfg(feature = "fusion")]
use burn::backend::ops::conv::calculate_conv_output_sizes;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchTensor, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

/// Backends that run convolutions.
#[backend_extension(
    Autodiff,
    Cube: cfg(feature = "cubecl"),
    Flex,
    Fusion: cfg(feature = "fusion")
)]
pub trait ConvolutionBackend: Backend {
    /// Computes the convolution of `x`; see [`convolve`].
    #[fusion(dtype = x, shape = output(x, weights, options))]
    fn convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// Computes the gradient with respect to an input of shape `dims`.
    #[fusion(dtype = gradient, shape = Shape::new(*dims))]
    fn convolution_gradient(
        gradient: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        dims: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;
}

/// Computes the convolution of `x` `[n, channels, height, width]` with `weights`
/// `[outputs, channels / groups, rows, columns]`. It is differentiable with respect to `x` alone: the weights
/// are treated as constants and receive no gradient.
///
/// # Panics
///
/// If the shapes do not match.
pub fn convolve(
    x: DispatchTensor,
    weights: DispatchTensor,
    options: ConvOptions<2>,
) -> DispatchTensor {
    <Dispatch as ConvolutionBackend>::convolution(x, weights, options)
}

/// The shape of the output of a convolution.
#[cfg(feature = "fusion")]
fn output(x: &Shape, weights: &Shape, options: &ConvOptions<2>) -> Shape {
    let ConvOptions { stride, padding, dilation, .. } = options;
    let sizes = calculate_conv_output_sizes(&weights[2..], stride, padding, dilation, &x[2..]);
    Shape::new([x[0], weights[0], sizes[0], sizes[1]])
}

impl ConvolutionBackend for Flex {
    fn convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        Self::conv2d(x, weights, None, options)
    }

    fn convolution_gradient(
        gradient: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        dims: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        // The function reads only the shape of the input.
        let device = gradient.device();
        let x = Self::float_zeros(Shape::new(dims), &device, gradient.dtype().into());
        Self::conv2d_x_backward(x, weights, gradient, options)
    }
}

#[cfg(feature = "cubecl")]
impl ConvolutionBackend for burn_cubecl::CubeBackend {
    fn convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        super::device::forward(x, weights, options)
    }

    fn convolution_gradient(
        gradient: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        dims: [usize; 4],
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        super::device::gradient(gradient, weights, dims, &options)
    }
}

#[derive(Debug)]
struct Convolved;

impl<B: ConvolutionBackend> Backward<B, 1> for Convolved {
    type State = (FloatTensor<B>, [usize; 4], ConvOptions<2>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (weights, dims, options) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            B::convolution_gradient(gradient, weights, dims, options)
        });
    }
}

impl<B: ConvolutionBackend, C: CheckpointStrategy> ConvolutionBackend for Autodiff<B, C> {
    fn convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let node = x.node();
        let (x, weights) = (x.into_primitive(), weights.into_primitive());
        let dims = x.shape().dims::<4>();
        match Convolved.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (weights.clone(), dims, options.clone());
                prep.finish(state, B::convolution(x, weights, options))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::convolution(x, weights, options)),
        }
    }

    fn convolution_gradient(
        _gradient: FloatTensor<Self>,
        _weights: FloatTensor<Self>,
        _dims: [usize; 4],
        _options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        unimplemented!("second derivatives of a convolution are not supported")
    }
}
