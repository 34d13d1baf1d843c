//! The noise kernel as a tensor operation, and its implementations for burn's backends.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::{DType, Shape};
use burn::tensor::{Tensor, TensorData};

use super::bounds::Bounds;
use super::row_kind::RowKind;
use super::{Batch, Noise, cpu};
use crate::domain::Domain;

/// The inputs of a batch, and the baselines of the paths to them. All tensors are float32, without autodiff.
#[derive(Clone, Debug)]
pub struct Points {
    /// The inputs, of shape `[inputs, features]`.
    pub inputs: Tensor<2>,
    /// The baselines, of shape `[inputs, features]`; `None` if the rows are not on paths.
    pub baselines: Option<Tensor<2>>,
}

impl Points {
    /// Returns the inputs without paths.
    pub fn at(inputs: Tensor<2>) -> Self {
        Self { inputs, baselines: None }
    }
}

/// A backend that runs the noise kernel.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait NoiseBackend: Backend {
    /// Computes the rows `[rows, features]` of a batch; see [`noise`]. The `baselines` are ignored if the
    /// rows are not on paths.
    #[fusion(dtype = DType::F32, shape = Shape::new([batch.rows.len(), inputs[1]]))]
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: RowKind,
        bounds: Bounds,
        batch: Batch,
    ) -> FloatTensor<Self>;
}

/// Computes the rows `[batch.rows, features]` in one launch, with or without noise. The [module](super)
/// defines each element.
///
/// # Panics
///
/// Panics unless there is one domain per input, the channels divide the features, each input has a baseline
/// or none has, the batch has rows, and the input of every row is an index into `points.inputs`.
pub fn noise(
    points: &Points,
    noise: Option<&Noise>,
    domains: &[Domain],
    batch: &Batch,
) -> Tensor<2> {
    let [count, features] = points.inputs.dims();
    assert_eq!(domains.len(), count, "there must be one domain per input");
    check_rows(count, batch);
    let kind = RowKind { noise: noise.copied(), on_paths: points.baselines.is_some() };
    let baselines = points.baselines.as_ref().unwrap_or(&points.inputs);
    assert_eq!(
        baselines.dims(),
        points.inputs.dims(),
        "the baselines must have the shape of the inputs"
    );
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::noisy_rows(
        points.inputs.clone().into_dispatch(),
        baselines.clone().into_dispatch(),
        kind,
        Bounds::new(domains, features),
        batch.clone(),
    ))
}

fn check_rows(inputs: usize, batch: &Batch) {
    assert!(!batch.rows.is_empty(), "a batch must have rows");
    assert!(
        batch.rows.iter().all(|row| row.input < inputs),
        "the input of a row must be less than the number of inputs, {inputs}"
    );
}

impl NoiseBackend for Flex {
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: RowKind,
        bounds: Bounds,
        batch: Batch,
    ) -> FloatTensor<Self> {
        let (inputs, baselines) = (inputs.to_contiguous(), baselines.to_contiguous());
        let features = inputs.layout().shape()[1];
        let sources = cpu::Sources {
            inputs: inputs.as_slice::<f32>().expect("contiguous float32 inputs"),
            baselines: kind
                .on_paths
                .then(|| baselines.as_slice::<f32>().expect("contiguous float32 baselines")),
            features,
        };
        let mut rows = vec![0.0; batch.rows.len() * features];
        cpu::fill(&mut rows, &sources, kind.noise.as_ref(), &bounds, &batch);
        FloatTensor::<Self>::from_data(TensorData::new(rows, [batch.rows.len(), features]))
    }
}

#[cfg(feature = "cubecl")]
impl NoiseBackend for burn_cubecl::CubeBackend {
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: RowKind,
        bounds: Bounds,
        batch: Batch,
    ) -> FloatTensor<Self> {
        super::device::launch(inputs, baselines, &kind, &bounds, &batch)
    }
}
