//! Noise on a model's parameters: the [noise kernel](crate::noise) with a multiplicative width.

use burn::tensor::Tensor;

use crate::noise::{Domain, PARAMETERS, noise};
use crate::{Address, Boundary, Mollifier, Noise, Width};

/// Which draw of which parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterAddress {
    /// The key of the generator.
    pub seed: u64,
    /// The parameter's number in its model.
    pub parameter: u32,
    /// The number of the draw.
    pub draw: u32,
}

/// `parameter * (1 + scale * quantile(word))` element by element, in one launch: NoiseGrad (Bykov
/// et al., AAAI 2022), for which `mollifier` is Gaussian.
///
/// ```text
/// word = philox(counter = (e mod q, draw, parameter, PARAMETERS), key = seed)[e / q]
/// q = ceil(elements / 4)
/// ```
///
/// `parameter` must be float32 and without autodiff. It is not changed.
pub fn perturb<const D: usize>(
    parameter: Tensor<D>,
    mollifier: Mollifier,
    scale: f32,
    address: ParameterAddress,
) -> Tensor<D> {
    let shape = parameter.shape();
    let elements = shape.num_elements();
    if elements == 0 {
        return parameter;
    }
    let kind = Noise { mollifier, width: Width::Proportional(scale), boundary: Boundary::Free };
    let unbounded = Domain { lower: vec![f32::MIN], upper: vec![f32::MAX], inner: elements };
    let at = Address {
        seed: address.seed,
        stream: PARAMETERS,
        node: address.parameter,
        first: address.draw.into(),
        rows: 1,
    };
    noise(parameter.reshape([1, elements]), &kind, &unbounded, &at).reshape(shape)
}
