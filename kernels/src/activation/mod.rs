//! Activations as differentiable operations on burn's tensors. The backward pass saves only the input.

mod formulas;
mod function;
mod op;

pub use function::Activation;
pub(crate) use function::{GELU_CUBIC, SQRT_2_OVER_PI};
pub use op::{ActivationBackend, activate};
