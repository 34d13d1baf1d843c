//! The classifier as the engine sees it: flat rows in, one score per class out.

use burn::tensor::{Device, Tensor};

use crate::Error;

/// A differentiable classifier.
///
/// Samples are flat rows, so images, vectors and series need no code of their own. Only the model knows the
/// shape of a sample.
pub trait Model: Send + Sync {
    /// The shape of one sample, without the batch axis: `[3, 224, 224]`.
    fn input_shape(&self) -> &[usize];

    /// The device that holds the weights, without autodiff.
    fn device(&self) -> &Device;

    /// The logits `[n, classes]` of the flat rows `batch` `[n, features]`, differentiable if `batch` is tracked.
    ///
    /// # Errors
    ///
    /// Returns [`Error::model`] or [`Error::out_of_memory`] if the batch cannot be run.
    fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, Error>;

    /// The function from scores to probabilities; `None` if the scores are no logits.
    fn link(&self) -> Option<Link> {
        Some(Link::Softmax)
    }

    /// The parameters that noise can be put on; empty if the model does not expose any.
    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    /// As [`Model::forward`], with other values of the parameters: flat, in the order of
    /// [`Model::parameters`], differentiable where they are tracked. The model's own values do not change.
    ///
    /// # Errors
    ///
    /// Returns an error if the batch cannot be run, or the model does not expose its parameters.
    fn forward_with(&self, batch: Tensor<2>, parameters: &[Tensor<1>]) -> Result<Tensor<2>, Error> {
        if parameters.is_empty() && self.parameters().is_empty() {
            return self.forward(batch);
        }
        Err(Error::no_parameters())
    }

    /// The layers at which class activation maps are common, in execution order; empty if the model exposes
    /// none. [`Model::layer`] may know others.
    fn layers(&self) -> &[Layer] {
        &[]
    }

    /// The layer called `name` or, without a name, the last layer whose gradients concern more than a few
    /// positions: the input of the global pooling of a convolutional network, the input of the last attention
    /// of a transformer that reads one token.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such layer.
    fn layer(&self, name: Option<&str>) -> Result<Layer, Error> {
        let _ = name;
        Err(Error::no_layers())
    }

    /// As [`Model::forward`] on a `batch` that is not tracked, or as [`Model::forward_with`] if there are
    /// `parameters`, with the activations of `layer`. The logits depend on the activations alone: values that
    /// do not pass through the layer are constants.
    ///
    /// # Errors
    ///
    /// Returns an error if the batch cannot be run, or there is no such layer.
    fn forward_from(
        &self,
        layer: &Layer,
        batch: Tensor<2>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Activations, Error> {
        let _ = (layer, batch, parameters);
        Err(Error::no_layers())
    }

    /// As [`Model::forward`] on `batches` that are not tracked, or as [`Model::forward_with`] if there are
    /// `parameters`, with derivatives that are averaged over the samples of all batches: see [`Smoothed`].
    ///
    /// # Errors
    ///
    /// Returns an error if a batch is one or cannot be run, or the model cannot average its derivatives.
    fn forward_smoothed(
        &self,
        batches: &mut dyn Iterator<Item = Result<Tensor<2>, Error>>,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Smoothed, Error> {
        let _ = (batches, parameters);
        Err(Error::not_smoothed())
    }

    /// The memory in bytes that [`Model::forward_smoothed`] keeps of each sample until all batches have run.
    ///
    /// # Errors
    ///
    /// Returns an error if the model cannot average its derivatives.
    fn smoothed_bytes_per_sample(&self) -> Result<u64, Error> {
        Err(Error::not_smoothed())
    }

    /// The largest batch that the model accepts, if there is a limit.
    fn max_batch(&self) -> Option<usize> {
        None
    }

    /// The memory of one sample during a forward and backward pass in bytes, if it is known. The engine sizes
    /// batches by it.
    fn bytes_per_sample(&self) -> Option<u64> {
        None
    }
}

/// A tensor inside a model whose elements have positions in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name.
    pub name: String,
    /// The number of channels.
    pub channels: usize,
    /// The number of rows of positions, from the top of the image to its bottom.
    pub height: usize,
    /// The number of columns of positions, from the left to the right.
    pub width: usize,
}

impl Layer {
    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }
}

/// The activations of a layer for `n` samples, and the logits that follow from them.
pub struct Activations {
    /// The activations `[n, channels, positions]`, with the positions row by row. Tracked, and not the result
    /// of a tracked operation, so that the gradient with respect to them is kept.
    pub values: Tensor<3>,
    /// The logits `[n, classes]`.
    pub logits: Tensor<2>,
}

/// The logits of `n` samples as a function of one point that stands for all of them: the derivative passes through
/// the mean Jacobian of each nonlinear part of the model over the samples, instead of through the Jacobians of
/// each sample.
///
/// With parts `f_L ... f_1` in sequence and `x_li` the input of part `l` for sample `i`,
///
/// ```text
/// dlogits_i / dpoint = J_Li (mean_j J_(L-1)j) ... (mean_j J_1j),    J_li = df_l(x_li)/dx_li
/// ```
///
/// and the Jacobian of a linear part is its own mean. Source: SmoothDiff (Hill et al., NeurIPS 2025).
pub struct Smoothed {
    /// The point `[1, features]`: tracked, and not the result of a tracked operation. Its value has no meaning.
    pub point: Tensor<2>,
    /// The logits `[n, classes]` of the samples.
    pub logits: Tensor<2>,
}

/// The function from a classifier's scores to its probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `p_c = exp(s_c) / sum over k of exp(s_k)`: exactly one of the classes is present.
    Softmax,
    /// `p_c = 1 / (1 + exp(-s_c))`: each class is present or not, independently of the others.
    Sigmoid,
}

/// A parameter of a model, in float32.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// The values in row-major order, on the model's device, without autodiff.
    pub values: Tensor<1>,
    /// The index of the layer that the parameter belongs to, counted from the input.
    pub layer: usize,
}
