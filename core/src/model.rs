//! The classifier as the engine sees it: flat rows in, one logit per class out.

use std::sync::OnceLock;

use burn::module::Module;
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

    /// How the scores become probabilities; `None` where they do not, as the means over positions.
    fn link(&self) -> Option<Link> {
        Some(Link::Softmax)
    }

    /// The parameters that noise can be put on; none where the model does not keep them apart.
    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    /// As [`Model::forward`], with `parameters` in place of the model's own: flat, in the order
    /// of [`Model::parameters`], recorded where they are tracked. The model's own do not change.
    ///
    /// # Errors
    ///
    /// When the batch cannot be run, or the model does not keep its parameters apart.
    fn forward_with(
        &self,
        batch: Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<Tensor<2>, ModelError> {
        if parameters.is_empty() && self.parameters().is_empty() {
            return self.forward(batch);
        }
        Err(ModelError::new("the model does not keep its parameters apart"))
    }

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

/// The function from a classifier's scores to its probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `p_c = exp(s_c) / sum over k of exp(s_k)`: one of the classes is there.
    Softmax,
    /// `p_c = 1 / (1 + exp(-s_c))`: each class is there or not, whatever the others.
    Sigmoid,
}

/// A parameter of a model, in float32.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in row-major order, on the model's device, without autodiff.
    pub values: Tensor<1>,
    /// The layer it belongs to, counted from the input.
    pub layer: usize,
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
///
/// A module that is in training mode must not be explained: its batch normalizations take the
/// statistics of the batch and change their own, and its dropouts are active, as soon as a sample is
/// differentiated. [`ModuleModel::of`] takes the module out of training mode; a function that was
/// given such a module is refused when it is first run.
pub struct ModuleModel<const RANK: usize> {
    shape: Vec<usize>,
    device: Device,
    parameters: Vec<Parameter>,
    forward: Forward<RANK>,
    /// Whether the function answers tracked samples as it answers others, once that was tried.
    is_the_same: OnceLock<bool>,
}

/// From a batch and the parameters to logits.
type Forward<const RANK: usize> =
    Box<dyn Fn(Tensor<RANK>, &[Tensor<1>]) -> Tensor<2> + Send + Sync>;

impl<const RANK: usize> ModuleModel<RANK> {
    /// The `module`, taken out of training mode, as a model of samples of `shape` (`RANK - 1` axes),
    /// whose weights lie on `device`; `forward` maps it and a batch `[n, ...shape]` to logits
    /// `[n, classes]`.
    ///
    /// # Panics
    ///
    /// When `shape` does not have `RANK - 1` axes.
    pub fn of<M: Module + Sync + 'static>(
        module: &M,
        shape: &[usize],
        device: &Device,
        forward: impl Fn(&M, Tensor<RANK>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        let module = module.valid();
        Self::new(shape, device, move |batch| forward(&module, batch))
    }

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
        Self::with_parameters(shape, device, Vec::new(), move |batch, _| forward(batch))
    }

    /// As [`ModuleModel::new`], of a `forward` that is also given the values of the `parameters`,
    /// flat and in their order.
    ///
    /// # Panics
    ///
    /// When `shape` does not have `RANK - 1` axes.
    pub fn with_parameters(
        shape: &[usize],
        device: &Device,
        parameters: Vec<Parameter>,
        forward: impl Fn(Tensor<RANK>, &[Tensor<1>]) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        assert_eq!(shape.len() + 1, RANK, "a sample has one axis less than a batch");
        let (shape, device) = (shape.to_vec(), device.clone());
        Self { shape, device, parameters, forward: Box::new(forward), is_the_same: OnceLock::new() }
    }

    /// Refuses a function that answers a tracked sample otherwise than the same sample untracked, as
    /// a module in training mode does. It is tried once, on the first row that the model is given.
    fn check_mode(&self, batch: &Tensor<2>, parameters: &[Tensor<1>]) -> Result<(), ModelError> {
        let is_the_same = match self.is_the_same.get() {
            Some(known) => *known,
            None => {
                let found = self.answers_the_same(batch, parameters)?;
                *self.is_the_same.get_or_init(|| found)
            }
        };
        if is_the_same {
            return Ok(());
        }
        Err(ModelError::new(
            "the model answers differently when it is differentiated: a module in it is in training mode; make it with ModuleModel::of, or give module.valid()",
        ))
    }

    fn answers_the_same(
        &self,
        batch: &Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<bool, ModelError> {
        let row = plain(batch.clone().narrow(0, 0, 1));
        let parameters: Vec<_> = parameters.iter().map(|own| plain(own.clone())).collect();
        let answer = |row: Tensor<2>| {
            let logits = (self.forward)(row.reshape(self.dims(1)), &parameters);
            let data =
                logits.try_into_data().map_err(|error| ModelError::new(error.to_string()))?;
            let values = data.convert::<f32>().try_into_vec::<f32>();
            values.map_err(|error| ModelError::new(format!("{error:?}")))
        };
        let untracked = answer(row.clone())?;
        let tracked = answer(row.autodiff().require_grad())?;
        let largest = untracked.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        // Rounding may differ; what is not a number is refused elsewhere.
        let same = |(a, b): (&f32, &f32)| {
            a == b || a.is_nan() || b.is_nan() || (a - b).abs() <= 1e-3 * largest
        };
        Ok(untracked.len() == tracked.len() && untracked.iter().zip(&tracked).all(same))
    }

    fn dims(&self, rows: usize) -> [usize; RANK] {
        let mut dims = [rows; RANK];
        dims[1..].copy_from_slice(&self.shape);
        dims
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
        let own: Vec<_> = self.parameters.iter().map(|own| own.values.clone()).collect();
        self.forward_with(batch, &own)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn forward_with(
        &self,
        batch: Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<Tensor<2>, ModelError> {
        self.check_mode(&batch, parameters)?;
        let dims = self.dims(batch.dims()[0]);
        Ok((self.forward)(batch.reshape(dims), parameters))
    }
}

/// The tensor without autodiff.
fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
