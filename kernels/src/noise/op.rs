//! The noise kernel as an operation on tensors, and its implementations for burn's backends.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::{DType, Shape};
use burn::tensor::{Int, Tensor, TensorData};

use super::{Batch, Domain, Noise, cpu};

/// The inputs of a batch, and where the paths to them begin. Float32, without autodiff.
#[derive(Clone, Debug)]
pub struct Points {
    /// `[inputs, features]`.
    pub inputs: Tensor<2>,
    /// `[inputs, features]`; none where rows lie at the inputs.
    pub baselines: Option<Tensor<2>>,
}

impl Points {
    /// Rows that lie at the inputs.
    pub fn at(inputs: Tensor<2>) -> Self {
        Self { inputs, baselines: None }
    }
}

/// What is done to a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// The noise; none where the rows are the points themselves.
    pub noise: Option<Noise>,
    /// Whether rows lie on paths.
    pub on_paths: bool,
}

/// Backends that run the noise kernel.
#[backend_extension(Cube: cfg(feature = "cubecl"), Flex, Fusion: cfg(feature = "fusion"))]
pub trait NoiseBackend: Backend {
    /// The rows `[rows, features]` of a batch; see [`noise`]. `baselines` are not read where rows do not lie on
    /// paths.
    #[fusion(dtype = DType::F32, shape = Shape::new([batch.rows.len(), inputs[1]]))]
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: Kind,
        domain: Domain,
        batch: Batch,
    ) -> FloatTensor<Self>;

    /// The random words `[rows, features]` behind them; see [`random_words`].
    #[fusion(dtype = DType::U32, shape = Shape::new([batch.rows.len(), inputs[1]]))]
    fn random_words(inputs: FloatTensor<Self>, batch: Batch) -> IntTensor<Self>;
}

/// The rows `[batch.rows, features]` in one launch, with noise or as the points themselves. The [module](super)
/// defines each element.
///
/// # Panics
///
/// When the domain does not have as many bounds as there are inputs, the batch has no row, or one is of an input
/// that is not there.
pub fn noise(points: &Points, noise: Option<&Noise>, domain: &Domain, batch: &Batch) -> Tensor<2> {
    let [count, _] = points.inputs.dims();
    assert_eq!(domain.lower.len(), domain.upper.len(), "bounds come in pairs");
    assert_eq!(domain.lower.len(), count * domain.channels, "each input has a domain");
    assert!(domain.channels > 0 && domain.inner > 0, "a domain has channels");
    check(count, batch);
    let kind = Kind { noise: noise.copied(), on_paths: points.baselines.is_some() };
    let baselines = points.baselines.as_ref().unwrap_or(&points.inputs);
    assert_eq!(baselines.dims(), points.inputs.dims(), "each input has a baseline");
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::noisy_rows(
        points.inputs.clone().into_dispatch(),
        baselines.clone().into_dispatch(),
        kind,
        domain.clone(),
        batch.clone(),
    ))
}

/// The random words `[batch.rows, features]` behind the noise on `inputs`, as unsigned 32-bit integers: exactly
/// the same on every device.
///
/// # Panics
///
/// When the batch has no row, or one is of an input that is not there.
pub fn random_words(inputs: Tensor<2>, batch: &Batch) -> Tensor<2, Int> {
    check(inputs.dims()[0], batch);
    let inputs = inputs.into_dispatch();
    Tensor::from_dispatch(<Dispatch as NoiseBackend>::random_words(inputs, batch.clone()))
}

fn check(inputs: usize, batch: &Batch) {
    assert!(!batch.rows.is_empty(), "a batch has rows");
    assert!(batch.rows.iter().all(|row| row.input < inputs), "rows are of inputs that are there");
}

impl NoiseBackend for Flex {
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: Kind,
        domain: Domain,
        batch: Batch,
    ) -> FloatTensor<Self> {
        let (inputs, baselines) = (inputs.to_contiguous(), baselines.to_contiguous());
        let features = inputs.layout().shape()[1];
        let lines = cpu::Lines {
            inputs: inputs.as_slice::<f32>().expect("contiguous float32 inputs"),
            baselines: kind
                .on_paths
                .then(|| baselines.as_slice::<f32>().expect("contiguous float32 baselines")),
            features,
        };
        let mut rows = vec![0.0; batch.rows.len() * features];
        cpu::fill(&mut rows, &lines, kind.noise.as_ref(), &domain, &batch);
        FloatTensor::<Self>::from_data(TensorData::new(rows, [batch.rows.len(), features]))
    }

    fn random_words(inputs: FloatTensor<Self>, batch: Batch) -> IntTensor<Self> {
        let features = inputs.layout().shape()[1];
        let words = cpu::words(features, &batch);
        IntTensor::<Self>::from_data(TensorData::new(words, [batch.rows.len(), features]))
    }
}

#[cfg(feature = "cubecl")]
impl NoiseBackend for burn_cubecl::CubeBackend {
    fn noisy_rows(
        inputs: FloatTensor<Self>,
        baselines: FloatTensor<Self>,
        kind: Kind,
        domain: Domain,
        batch: Batch,
    ) -> FloatTensor<Self> {
        super::device::launch(inputs, baselines, &kind, &domain, &batch)
    }

    fn random_words(inputs: FloatTensor<Self>, batch: Batch) -> IntTensor<Self> {
        super::device::launch_words(inputs, &batch)
    }
}
