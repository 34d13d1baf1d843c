//! The layer of a class activation map: which it is, and its gradients.

use burn::tensor::Tensor;

use super::predict::checked;
use crate::error::{Error, error};
use crate::plan::Plan;
use crate::{Activations, Input, Layer, Model};

/// The layer at which `plan` computes its class activation map; `None` for other plans.
///
/// # Errors
///
/// Returns an error if the model does not expose its layers, has none of the plan's name, or takes no images.
pub fn layer_of(model: &dyn Model, plan: &Plan) -> Result<Option<Layer>, Error> {
    plan.cam.as_ref().map(|cam| model.layer(cam.layer.as_deref())).transpose()
}

/// The height and width of `input`, to which the maps of a layer are enlarged.
///
/// # Errors
///
/// Returns an error if the input is no image `[channels, height, width]`.
pub fn image_size(input: &Input) -> Result<[usize; 2], Error> {
    match *input.shape() {
        [_, height, width] => Ok([height, width]),
        ref shape => Err(error!(
            Layer,
            "a class activation map needs inputs of shape [channels, height, width], not {shape:?}"
        )),
    }
}

/// A batch's activations of `layer`, checked.
pub fn activations(
    model: &dyn Model,
    layer: &Layer,
    batch: Tensor<2>,
    parameters: Option<&[Tensor<1>]>,
    classes: usize,
) -> Result<Activations, Error> {
    let rows = batch.dims()[0];
    let Activations { values, logits } = model.forward_from(layer, batch, parameters)?;
    let (found, expected) = (values.dims(), [rows, layer.channels, layer.positions()]);
    if found != expected {
        return Err(Error::model(format!(
            "the layer {:?} has activations of shape {found:?} for {rows} samples; they must be {expected:?}",
            layer.name
        )));
    }
    Ok(Activations { values, logits: checked(logits, rows, Some(classes))? })
}

/// The error of a layer that the output does not depend on.
pub fn no_gradient(layer: &Layer) -> Error {
    error!(
        NoGradient,
        "the model's output does not depend on the layer {:?}, so it has no gradient there",
        layer.name
    )
}
