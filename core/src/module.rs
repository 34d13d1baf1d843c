//! burn modules and functions as models.

use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::{Activations, Error, Layer, Model, Parameter};

/// A burn module, or any function of burn tensors, as a [`Model`]. `RANK` is the rank of a batch.
///
/// A module must not be in training mode: its dropout layers are then active when gradients are tracked, and
/// its batch normalizations use and update the statistics of the batch. [`ModuleModel::of`] ends training
/// mode; a function that captures a module in training mode is an error when it is first run.
pub struct ModuleModel<const RANK: usize> {
    shape: Vec<usize>,
    device: Device,
    parameters: Vec<Parameter>,
    forward: Forward<RANK>,
    parts: Option<Parts<RANK>>,
    /// Whether the function gives the same logits with and without gradient tracking, once tried.
    is_consistent: OnceLock<bool>,
}

/// The function from a batch and the parameters to logits.
type Forward<const RANK: usize> =
    Box<dyn Fn(Tensor<RANK>, &[Tensor<1>]) -> Tensor<2> + Send + Sync>;

/// A model in two parts, with a layer between them.
struct Parts<const RANK: usize> {
    layer: Layer,
    features: Arc<dyn Fn(Tensor<RANK>) -> Tensor<4> + Send + Sync>,
    head: Arc<dyn Fn(Tensor<4>) -> Tensor<2> + Send + Sync>,
}

impl<const RANK: usize> ModuleModel<RANK> {
    /// The `module` outside training mode. Samples have the `shape`, of `RANK - 1` axes; the weights are on
    /// `device`; `forward` maps the module and a batch `[n, ...shape]` to logits `[n, classes]`.
    ///
    /// # Panics
    ///
    /// Panics if `shape` does not have `RANK - 1` axes.
    pub fn of<M: Module + Sync + 'static>(
        module: &M,
        shape: &[usize],
        device: &Device,
        forward: impl Fn(&M, Tensor<RANK>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        let module = module.valid();
        Self::new(shape, device, move |batch| forward(&module, batch))
    }

    /// The function `forward` from batches `[n, ...shape]` to logits `[n, classes]`.
    ///
    /// # Panics
    ///
    /// Panics if `shape` does not have `RANK - 1` axes.
    pub fn new(
        shape: &[usize],
        device: &Device,
        forward: impl Fn(Tensor<RANK>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        Self::with_parameters(shape, device, Vec::new(), move |batch, _| forward(batch))
    }

    /// As [`ModuleModel::new`], with a function that also receives the values of the `parameters`, flat and in
    /// their order.
    ///
    /// # Panics
    ///
    /// Panics if `shape` does not have `RANK - 1` axes.
    pub fn with_parameters(
        shape: &[usize],
        device: &Device,
        parameters: Vec<Parameter>,
        forward: impl Fn(Tensor<RANK>, &[Tensor<1>]) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        assert_eq!(shape.len() + 1, RANK, "a sample has one axis less than a batch");
        let (shape, device, forward) = (shape.to_vec(), device.clone(), Box::new(forward));
        Self { shape, device, parameters, forward, parts: None, is_consistent: OnceLock::new() }
    }

    /// The function `head` of the activations `[n, channels, height, width]` that the function `features`
    /// computes from batches `[n, ...shape]`. Class activation maps are those of `layer`, which describes the
    /// activations.
    ///
    /// # Panics
    ///
    /// Panics if `shape` does not have `RANK - 1` axes.
    pub fn in_two_parts(
        shape: &[usize],
        device: &Device,
        layer: Layer,
        features: impl Fn(Tensor<RANK>) -> Tensor<4> + Send + Sync + 'static,
        head: impl Fn(Tensor<4>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        let parts = Parts { layer, features: Arc::new(features), head: Arc::new(head) };
        let (features, head) = (Arc::clone(&parts.features), Arc::clone(&parts.head));
        let whole = Self::new(shape, device, move |batch| head(features(batch)));
        Self { parts: Some(parts), ..whole }
    }

    /// Checks, on the first row of the first batch, that gradient tracking does not change the logits: it does
    /// for a module in training mode.
    fn check_mode(&self, batch: &Tensor<2>, parameters: &[Tensor<1>]) -> Result<(), Error> {
        let is_consistent = match self.is_consistent.get() {
            Some(known) => *known,
            None => {
                let found = self.gives_the_same_tracked(batch, parameters)?;
                *self.is_consistent.get_or_init(|| found)
            }
        };
        if is_consistent {
            return Ok(());
        }
        Err(Error::model(
            "the model answers differently when it is differentiated: a module in it is in training mode; make it with ModuleModel::of, or give module.valid()",
        ))
    }

    fn gives_the_same_tracked(
        &self,
        batch: &Tensor<2>,
        parameters: &[Tensor<1>],
    ) -> Result<bool, Error> {
        let row = untracked(batch.clone().narrow(0, 0, 1));
        let parameters: Vec<_> =
            parameters.iter().map(|values| untracked(values.clone())).collect();
        let logits = |row: Tensor<2>| {
            let logits = (self.forward)(row.reshape(self.dims(1)), &parameters);
            let data = logits.try_into_data().map_err(|error| Error::model(error.to_string()))?;
            let values = data.convert::<f32>().try_into_vec::<f32>();
            values.map_err(|error| Error::model(format!("{error:?}")))
        };
        let plain = logits(row.clone())?;
        let tracked = logits(row.autodiff().require_grad())?;
        let largest = plain.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        // Rounding may differ. Values that are not numbers are refused elsewhere.
        let same = |(a, b): (&f32, &f32)| {
            a == b || a.is_nan() || b.is_nan() || (a - b).abs() <= 1e-3 * largest
        };
        Ok(plain.len() == tracked.len() && plain.iter().zip(&tracked).all(same))
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

    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, Error> {
        let values: Vec<_> =
            self.parameters.iter().map(|parameter| parameter.values.clone()).collect();
        self.forward_with(batch, &values)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn forward_with(&self, batch: Tensor<2>, parameters: &[Tensor<1>]) -> Result<Tensor<2>, Error> {
        self.check_mode(&batch, parameters)?;
        let dims = self.dims(batch.dims()[0]);
        Ok((self.forward)(batch.reshape(dims), parameters))
    }

    fn layers(&self) -> &[Layer] {
        self.parts.as_ref().map_or(&[], |parts| std::slice::from_ref(&parts.layer))
    }

    fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        let Some(Parts { layer, .. }) = &self.parts else {
            return Err(Error::no_layers());
        };
        match name {
            Some(name) if name != layer.name => {
                Err(Error::no_layer(name, std::iter::once(layer.name.as_str())))
            }
            _ => Ok(layer.clone()),
        }
    }

    fn forward_from(
        &self,
        layer: &Layer,
        batch: Tensor<2>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Activations, Error> {
        let Some(parts) = self.parts.as_ref().filter(|parts| parts.layer == *layer) else {
            return Err(Error::no_layers());
        };
        self.check_mode(&batch, parameters.unwrap_or_default())?;
        let dims = self.dims(batch.dims()[0]);
        let activations = (parts.features)(batch.reshape(dims));
        let [rows, channels, height, width] = activations.dims();
        let leaf = untracked(activations).reshape([rows, channels, height * width]);
        let values = leaf.autodiff().require_grad();
        let logits = (parts.head)(values.clone().reshape([rows, channels, height, width]));
        Ok(Activations { values, logits })
    }
}

/// The tensor without gradient tracking.
fn untracked<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
