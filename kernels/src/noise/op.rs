//! The noise kernel as an operation on tensors, and its implementations for burn's backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Shape, Tensor, TensorData};

use super::{Address, Domain, Noise, cpu};

/// Backends that run the noise kernel.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait NoiseBackend: Backend {
    /// Noisy rows `[address.rows, features]` from `nodes` `[k, features]`; see [`noise`].
    #[fusion(dtype = nodes, shape = Shape::new([address.rows, nodes[1]]))]
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
    ) -> FloatTensor<Self>;
}

/// Noisy rows `[address.rows, features]` from the nodes of a path `[k, features]` (`k = 1` for a
/// single input), in one launch. The [module](super) defines each element.
///
/// `nodes` must be float32 and without autodiff.
///
/// # Panics
///
/// When `domain` is empty or its number of bounds differs, or `nodes` has no rows.
pub fn noise(nodes: Tensor<2>, noise: &Noise, domain: &Domain, address: &Address) -> Tensor<2> {
    assert_eq!(domain.lower.len(), domain.upper.len(), "bounds come in pairs");
    assert!(!domain.lower.is_empty() && domain.inner > 0, "a domain has channels");
    assert!(nodes.dims()[0] > 0, "a path has nodes");
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::noisy_rows(
        nodes.into_dispatch(),
        *noise,
        domain.clone(),
        *address,
    ))
}

impl NoiseBackend for Flex {
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
    ) -> FloatTensor<Self> {
        let nodes = nodes.to_contiguous();
        let features = nodes.layout().shape()[1];
        let mut rows = vec![0f32; address.rows * features];
        let values = nodes.as_slice::<f32>().expect("contiguous float32 nodes");
        cpu::fill(&mut rows, values, features, &noise, &domain, &address);
        FloatTensor::<Self>::from_data(TensorData::new(rows, [address.rows, features]))
    }
}

#[cfg(feature = "cubecl")]
impl NoiseBackend for burn_cubecl::CubeBackend {
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
    ) -> FloatTensor<Self> {
        super::device::launch(nodes, &noise, &domain, &address)
    }
}
