//! The activation as a differentiable operation on burn's tensors.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensor, Flex, backend_extension};

use super::formulas::{derivative, value};
use super::function::Activation;

/// Backends that run activations.
#[backend_extension(
    Autodiff,
    Cube: cfg(feature = "cubecl"),
    Flex,
    Fusion: cfg(feature = "fusion")
)]
pub trait ActivationBackend: Backend {
    /// Computes the activation of every element; see [`activate`].
    #[fusion(default)]
    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        value::<Self>(x, activation)
    }

    /// Computes the gradient with respect to `x` from the `gradient` with respect to the result.
    #[fusion(default)]
    fn activation_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        derivative::<Self>(x, gradient, activation)
    }
}

impl ActivationBackend for Flex {}

#[cfg(feature = "cubecl")]
impl ActivationBackend for burn_cubecl::CubeBackend {}

/// Computes the activation of every element of `x`, of any shape, on any device. It is differentiable.
pub fn activate(x: DispatchTensor, activation: Activation) -> DispatchTensor {
    <Dispatch as ActivationBackend>::activated(x, activation)
}

#[derive(Debug)]
struct Activated;

impl<B: ActivationBackend> Backward<B, 1> for Activated {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, activation) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            B::activation_gradient(x, gradient, activation)
        });
    }
}

impl<B: ActivationBackend, C: CheckpointStrategy> ActivationBackend for Autodiff<B, C> {
    fn activated(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        match Activated.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((x.clone(), activation), B::activated(x, activation))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activated(x, activation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::frozen::reference;

    fn fake_quantize(scale: f32, unit: f32, zero: f32, bits: i32) -> Activation {
        let high = 2f32.powi(bits - 1);
        Activation::FakeQuantize { scale, unit, zero, low: -high, high: high - 1.0 }
    }

    /// Compares values and derivatives with the reference, at points that include every kink.
    #[test]
    fn values_and_derivatives_match_reference() {
        let points: Vec<f32> =
            (-80..=80).map(|at| at as f32 / 8.0).chain([-3.0, 3.0, 6.0, -0.5, 100.0]).collect();
        let all = [
            Activation::Identity,
            Activation::Relu,
            Activation::Clip { low: -0.5, high: 6.0 },
            Activation::Leaky { slope: 0.1 },
            Activation::Sigmoid,
            Activation::Swish { alpha: 1.0 },
            Activation::Swish { alpha: 1.702 },
            Activation::Tanh,
            Activation::GeluTanh,
            Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
            Activation::HardSwish,
            Activation::Gelu,
            Activation::Reciprocal,
            Activation::Root,
            Activation::Length,
            // Ties between levels, and values at and beyond the bounds.
            fake_quantize(0.25, 0.25, 3.0, 4),
            fake_quantize(0.0625, 0.0625, 0.0, 8),
            fake_quantize(0.25, 1.0, -3.0, 8),
        ];
        let device = Device::flex().autodiff();
        for activation in all {
            let x = Tensor::<1>::from_floats(&points[..], &device).require_grad();
            let y = Tensor::<1>::from_dispatch(activate(x.clone().into_dispatch(), activation));
            let factors = Tensor::<1>::from_floats(&points[..], &device).mul_scalar(0.3);
            let gradients = (y.clone() * factors).sum().backward();
            let gradient = x.grad(&gradients).expect("a gradient");
            let read = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().expect("floats");
            let (values, slopes) = (read(y.inner()), read(gradient));
            for ((x, value), slope) in points.iter().zip(values).zip(slopes) {
                let needs_positive =
                    matches!(activation, Activation::Reciprocal | Activation::Root);
                if (needs_positive && *x <= 0.0) || (activation == Activation::Length && *x < 0.0) {
                    continue;
                }
                let (expected, derivative) = reference::at(activation, f64::from(*x));
                let close = |a: f32, b: f64| (f64::from(a) - b).abs() <= 3e-6 * (1.0 + b.abs());
                assert!(
                    close(value, expected),
                    "{activation:?} at {x}: value {value}, expected {expected}"
                );
                let expected = derivative * f64::from(*x) * 0.3;
                assert!(
                    close(slope, expected),
                    "{activation:?} at {x}: gradient {slope}, expected {expected}"
                );
            }
        }
    }
}
