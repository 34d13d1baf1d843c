//! The classifier as the engine sees it: flat rows in, one logit per class out.

use burn::tensor::{Device, Tensor};

/// A differentiable classifier.
///
/// Samples are flat rows, so that images, vectors and series need no code of their own; only the
/// model knows the shape of a sample.
pub trait Model: Send + Sync {
    /// The shape of one sample, without the batch axis: `[3, 224, 224]`.
    fn input_shape(&self) -> &[usize];

    /// The device that holds the weights, without autodiff.
    fn device(&self) -> &Device;

    /// Logits `[n, classes]` of the flat rows `batch` `[n, features]`, recorded for
    /// differentiation when `batch` is tracked.
    ///
    /// # Errors
    ///
    /// When the batch cannot be run.
    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, ModelError>;

    /// The largest batch the model accepts, where it has such a limit.
    fn max_batch(&self) -> Option<usize> {
        None
    }

    /// Bytes that one sample takes up during a forward and backward pass, where that is known:
    /// what a batch is cut by.
    fn bytes_per_sample(&self) -> Option<u64> {
        None
    }
}

/// Why a model could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    message: String,
    out_of_memory: bool,
}

impl ModelError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), out_of_memory: false }
    }

    /// An error that a smaller batch may mend, for want of memory.
    pub fn out_of_memory(message: impl Into<String>) -> Self {
        Self { message: message.into(), out_of_memory: true }
    }

    /// Whether a smaller batch may mend it.
    pub fn is_out_of_memory(&self) -> bool {
        self.out_of_memory
    }
}

/// A burn module, or any function on burn tensors, as a [`Model`]. `RANK` counts the batch axis.
pub struct ModuleModel<const RANK: usize> {
    shape: Vec<usize>,
    device: Device,
    forward: Box<dyn Fn(Tensor<RANK>) -> Tensor<2> + Send + Sync>,
}

impl<const RANK: usize> ModuleModel<RANK> {
    /// A model that takes samples of `shape` (`RANK - 1` axes), whose weights lie on `device` and
    /// whose `forward` maps `[n, ...shape]` to logits `[n, classes]`.
    ///
    /// # Panics
    ///
    /// When `shape` does not have `RANK - 1` axes.
    pub fn new(
        shape: &[usize],
        device: &Device,
        forward: impl Fn(Tensor<RANK>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        assert_eq!(shape.len() + 1, RANK, "a sample has one axis less than a batch");
        Self { shape: shape.to_vec(), device: device.clone(), forward: Box::new(forward) }
    }
}

impl<const RANK: usize> Model for ModuleModel<RANK> {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, ModelError> {
        let mut dims = [batch.dims()[0]; RANK];
        dims[1..].copy_from_slice(&self.shape);
        Ok((self.forward)(batch.reshape(dims)))
    }
}
