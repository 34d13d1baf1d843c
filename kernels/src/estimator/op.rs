//! The estimator as an operation on burn's tensors, and its implementations for the backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor};

use super::{CARRY, cpu};

/// Backends that run the estimator.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait EstimatorBackend: Backend {
    /// Returns the state `[4, features]` after the samples `rows` `[n, features]`; see [`Estimator`].
    #[fusion(dtype = state, shape = state)]
    fn update_estimate(state: FloatTensor<Self>, rows: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// A running mean and variance on the device; the [module](super) defines its update.
#[derive(Clone, Debug)]
pub struct Estimator {
    state: Tensor<2>,
}

impl Estimator {
    /// Returns an estimator without samples, for rows of `features` elements.
    pub fn new(features: usize, device: &Device) -> Self {
        Self { state: Tensor::zeros([4, features], device) }
    }

    /// Adds the samples `rows` `[n, features]`, which must be float32 and without autodiff.
    pub fn update(&mut self, rows: Tensor<2>) {
        // Moved out, so that it can be updated in place.
        let state = std::mem::replace(&mut self.state, rows.clone());
        self.state = Tensor::from_dispatch(<Dispatch as EstimatorBackend>::update_estimate(
            state.into_dispatch(),
            rows.into_dispatch(),
        ));
    }

    /// The mean of the samples, `[1, features]`; NaN if there are none.
    pub fn mean(&self) -> Tensor<2> {
        let low = self.state.clone().narrow(0, 2, 1);
        let count = low + self.state.clone().narrow(0, 3, 1) * CARRY;
        let one = count.clone() / count;
        self.state.clone().narrow(0, 0, 1) * one
    }

    /// The state `[4, features]`: mean, sum of squared deviations and the low and the high part of
    /// the count, per element.
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
