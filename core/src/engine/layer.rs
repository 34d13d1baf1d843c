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

/// Enlarges `values`, one for each position of `layer`, to `[height, width]` by bilinear interpolation between
/// the centres of the positions, without extrapolation beyond the outermost centres: as OpenCV and PyTorch do
/// with half-pixel centres.
pub fn enlarged(values: &[f32], layer: &Layer, [height, width]: [usize; 2]) -> Vec<f32> {
    let columns = neighbours(layer.width, width);
    let blend = |a: f32, b: f32, share: f64| f64::from(a) + share * (f64::from(b) - f64::from(a));
    let mut enlarged = Vec::with_capacity(height * width);
    for (top, bottom, down) in neighbours(layer.height, height) {
        let (top, bottom) = (&values[top * layer.width..], &values[bottom * layer.width..]);
        enlarged.extend(columns.iter().map(|&(left, right, along)| {
            let (above, below) =
                (blend(top[left], top[right], along), blend(bottom[left], bottom[right], along));
            (above + down * (below - above)) as f32
        }));
    }
    enlarged
}

/// For each of `size` pixels, the two of `cells` cells whose centres it lies between, and the share of the
/// second.
fn neighbours(cells: usize, size: usize) -> Vec<(usize, usize, f64)> {
    let neighbours = |pixel: usize| {
        let place = (pixel as f64 + 0.5) * cells as f64 / size as f64 - 0.5;
        let place = place.clamp(0.0, (cells - 1) as f64);
        let first = place as usize;
        (first, (first + 1).min(cells - 1), place.fract())
    };
    (0..size).map(neighbours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_interpolated_between_the_centres_of_positions() {
        let layer = Layer { name: String::new(), channels: 1, height: 1, width: 2 };
        assert_eq!(enlarged(&[0.0, 1.0], &layer, [1, 4]), [0.0, 0.25, 0.75, 1.0]);
        // The centre of pixel 1 of 6 is at 1.5 / 3 - 0.5 = 0 positions from that of position 0.
        let rows = [0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0].repeat(2);
        for (value, expected) in enlarged(&[0.0, 1.0], &layer, [2, 6]).iter().zip(rows) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
        let square = Layer { height: 2, ..layer };
        assert_eq!(enlarged(&[1.0, 2.0, 3.0, 4.0], &square, [1, 1]), [2.5]);
    }
}
