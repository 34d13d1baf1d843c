//! Noise on a model's parameters: the [noise kernel](crate::noise) without a domain.

use burn::tensor::Tensor;

use crate::noise::{Batch, Domain, PARAMETERS, Points, Row, noise};
use crate::{Boundary, Mollifier, Noise, Width};

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

/// `parameter + sigma * quantile(word)` element by element, in one launch: with the width
/// `sigma = scale * parameter` and a Gaussian `mollifier`, NoiseGrad (Bykov et al., AAAI 2022).
///
/// ```text
/// word = philox(counter = (e mod q, draw, parameter, PARAMETERS), key = seed)[e / q]
/// q = ceil(elements / 4)
/// ```
///
/// `parameter` must be float32 and without autodiff. It is not changed.
///
/// # Panics
///
/// For a `width` that asks for a domain: parameters have none.
pub fn perturb<const D: usize>(
    parameter: Tensor<D>,
    mollifier: Mollifier,
    width: Width,
    address: ParameterAddress,
) -> Tensor<D> {
    let shape = parameter.shape();
    let elements = shape.num_elements();
    if elements == 0 {
        return parameter;
    }
    assert!(matches!(width, Width::Proportional(_) | Width::Absolute(_)), "{width:?}");
    let kind = Noise { mollifier, width, boundary: Boundary::Free };
    let unbounded = Domain::new(vec![f32::MIN], vec![f32::MAX], elements);
    let row = Row { node: address.parameter, ..Row::sample(address.draw) };
    let batch = Batch { seed: address.seed, stream: PARAMETERS, rows: vec![row] };
    let points = Points::at(parameter.reshape([1, elements]));
    noise(&points, Some(&kind), &unbounded, &batch).reshape(shape)
}
