//! Noise on the parameters of a model, by the [noise kernel](crate::noise) with an unbounded domain.

use burn::tensor::Tensor;

use crate::noise::{Batch, Points, Row, noise};
use crate::streams::PARAMETERS;
use crate::{Boundary, Domain, Mollifier, Noise, Width};

/// The address of a draw of a parameter in the random stream [`PARAMETERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterAddress {
    /// The key of the generator.
    pub seed: u64,
    /// The index of the parameter in the model.
    pub parameter: u32,
    /// The index of the draw.
    pub draw: u32,
}

/// Computes `parameter + sigma * quantile(word)` elementwise, in one launch. With the width
/// `sigma = scale * parameter` and a Gaussian `mollifier`, this is NoiseGrad (Bykov et al., AAAI 2022).
///
/// ```text
/// word = philox(counter = (e mod q, draw, parameter, PARAMETERS), key = seed)[e / q]
/// q = ceil(elements / 4)
/// ```
///
/// `parameter` must be float32 and without autodiff. The original tensor is not modified.
///
/// # Panics
///
/// If `width` is relative to a domain ([`Width::Relative`] or [`Width::Adaptive`]): parameters have no
/// domain.
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
    assert!(
        matches!(width, Width::Proportional(_) | Width::Absolute(_)),
        "{width:?} requires a domain, which parameters do not have; use Width::Proportional or Width::Absolute"
    );
    let noise_settings = Noise { mollifier, width, boundary: Boundary::Free };
    let unbounded = [Domain::uniform(f32::MIN, f32::MAX)];
    let row = Row { node: address.parameter, ..Row::sample(address.draw) };
    let batch = Batch { seed: address.seed, stream: PARAMETERS, rows: vec![row] };
    let points = Points::at(parameter.reshape([1, elements]));
    noise(&points, Some(&noise_settings), &unbounded, &batch).reshape(shape)
}
