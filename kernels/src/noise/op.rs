//! The noise kernel as an operation on tensors, and its implementations for burn's backends.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::{DType, Shape};
use burn::tensor::{Element, FloatDType, Int, Tensor, TensorData, bf16, f16};

use super::{Address, Domain, Noise, cpu};

/// Backends that run the noise kernel.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait NoiseBackend: Backend {
    /// Noisy rows `[address.rows, features]` from `nodes` `[k, features]`; see [`noise_in`].
    #[fusion(dtype = DType::from(*dtype), shape = Shape::new([address.rows, nodes[1]]))]
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;

    /// Random words `[address.rows, features]` as `nodes` `[k, features]`; see [`random_words`].
    #[fusion(dtype = DType::U32, shape = Shape::new([address.rows, nodes[1]]))]
    fn random_words(nodes: FloatTensor<Self>, address: Address) -> IntTensor<Self>;
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
    noise_in(FloatDType::F32, nodes, noise, domain, address)
}

/// [`noise`] in `dtype`: float32, float16 or bfloat16. It is computed as in float32 and rounded
/// to the nearest value once, when it is written.
///
/// # Panics
///
/// As [`noise`], and when the device cannot compute in `dtype` (`Device::supports_dtype`).
pub fn noise_in(
    dtype: FloatDType,
    nodes: Tensor<2>,
    noise: &Noise,
    domain: &Domain,
    address: &Address,
) -> Tensor<2> {
    let known = matches!(dtype, FloatDType::F32 | FloatDType::F16 | FloatDType::BF16);
    assert!(known && nodes.device().supports_dtype(dtype), "the device has no {dtype:?}");
    assert_eq!(domain.lower.len(), domain.upper.len(), "bounds come in pairs");
    assert!(!domain.lower.is_empty() && domain.inner > 0, "a domain has channels");
    assert!(nodes.dims()[0] > 0, "a path has nodes");
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::noisy_rows(
        nodes.into_dispatch(),
        *noise,
        domain.clone(),
        *address,
        dtype,
    ))
}

/// The random words `[address.rows, features]` behind the noise on `nodes`, as unsigned 32-bit
/// integers: exactly the same on every device.
///
/// # Panics
///
/// When `nodes` has no rows.
pub fn random_words(nodes: Tensor<2>, address: &Address) -> Tensor<2, Int> {
    assert!(nodes.dims()[0] > 0, "a path has nodes");
    let nodes = nodes.into_dispatch();
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::random_words(nodes, *address))
}

impl NoiseBackend for Flex {
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        let nodes = nodes.to_contiguous();
        let features = nodes.layout().shape()[1];
        let values = nodes.as_slice::<f32>().expect("contiguous float32 nodes");
        FloatTensor::<Self>::from_data(match dtype {
            FloatDType::F16 => rows::<f16>(values, features, &noise, &domain, &address),
            FloatDType::BF16 => rows::<bf16>(values, features, &noise, &domain, &address),
            _ => rows::<f32>(values, features, &noise, &domain, &address),
        })
    }

    fn random_words(nodes: FloatTensor<Self>, address: Address) -> IntTensor<Self> {
        let shape = nodes.layout().shape();
        let words = cpu::words(shape[1], shape[0], &address);
        IntTensor::<Self>::from_data(TensorData::new(words, [address.rows, shape[1]]))
    }
}

fn rows<T: cpu::Value + Element>(
    nodes: &[f32],
    features: usize,
    noise: &Noise,
    domain: &Domain,
    address: &Address,
) -> TensorData {
    let mut rows = vec![T::ZERO; address.rows * features];
    cpu::fill(&mut rows, nodes, features, noise, domain, address);
    TensorData::new(rows, [address.rows, features])
}

#[cfg(feature = "cubecl")]
impl NoiseBackend for burn_cubecl::CubeBackend {
    fn noisy_rows(
        nodes: FloatTensor<Self>,
        noise: Noise,
        domain: Domain,
        address: Address,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        super::device::launch(nodes, &noise, &domain, &address, dtype)
    }

    fn random_words(nodes: FloatTensor<Self>, address: Address) -> IntTensor<Self> {
        super::device::launch_words(nodes, &address)
    }
}
