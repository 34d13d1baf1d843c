//! The estimator as an operation on tensors, and its implementations for burn's backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};

use super::cpu;

/// Backends that run the estimator.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait EstimatorBackend: Backend {
    /// The state `[3, features]` after the samples `rows` `[n, features]`; see [`Estimator`].
    #[fusion(dtype = state, shape = state)]
    fn update_estimate(state: FloatTensor<Self>, rows: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// A running mean and variance on the device; the [module](super) defines its update.
#[derive(Clone, Debug)]
pub struct Estimator {
    state: Tensor<2>,
}

impl Estimator {
    /// No samples yet, of rows of `features` elements.
    pub fn new(features: usize, device: &Device) -> Self {
        Self { state: Tensor::zeros([3, features], device) }
    }

    /// With the samples `rows` `[n, features]` taken in, float32 and without autodiff.
    #[must_use]
    pub fn update(self, rows: Tensor<2>) -> Self {
        Self {
            state: Tensor::from_dispatch(<Dispatch as EstimatorBackend>::update_estimate(
                self.state.into_dispatch(),
                rows.into_dispatch(),
            )),
        }
    }

    /// The number of samples taken in, `[1, 1]`.
    pub fn count(&self) -> Tensor<2> {
        self.state.clone().slice([2..3, 0..1])
    }

    /// The state `[3, features]`: mean, sum of squared deviations and count per element.
    pub fn into_state(self) -> Tensor<2> {
        self.state
    }
}

impl EstimatorBackend for Flex {
    fn update_estimate(mut state: FloatTensor<Self>, rows: FloatTensor<Self>) -> FloatTensor<Self> {
        let rows = rows.to_contiguous();
        let features = rows.layout().shape()[1];
        let values = rows.as_slice::<f32>().expect("contiguous float32 rows");
        cpu::update(state.storage_mut::<f32>(), values, features);
        state
    }
}

#[cfg(feature = "cubecl")]
impl EstimatorBackend for burn_cubecl::CubeBackend {
    fn update_estimate(state: FloatTensor<Self>, rows: FloatTensor<Self>) -> FloatTensor<Self> {
        super::device::launch(state, rows)
    }
}
