//! Adversarial pixels: the number of pixels that must change until the class is lost.

use attriburn::{Explainer, Input, Target};

use crate::error::Error;
use crate::scores::{check_map, pixel_scores, ranked, values_of};

/// The result of changing the pixels of an input one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdversarialPixels {
    /// The probability of the class fell below the threshold after this number of changed pixels.
    BelowThreshold(usize),
    /// The probability of the class did not fall below the threshold. The number of changed pixels.
    AboveThreshold(usize),
}

/// The number of inputs in a batch. Each input has one more changed pixel than the one before.
const BATCH: usize = 32;

/// Changes the pixels of `input` one by one, in descending order of the `map`'s [`pixel_scores`], until the
/// probability of `class` is below `threshold` (0.5 in section 11.2 of arXiv 2410.07711).
///
/// A changed pixel has each of its values at a bound of the domain: at the lower bound if the `gradient` of
/// the original input is positive, and at the upper bound if it is negative. Values whose gradient is 0 do
/// not change. At most `max_pixels` pixels of the input's [image](Input::picture_shape) are changed.
///
/// # Errors
///
/// Returns an error if the model fails or has no probabilities, the map has the same score at every pixel, the
/// gradient does not have the size of the input, or the map has neither this size nor one value for each pixel.
pub fn adversarial_pixels(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    map: &[f32],
    gradient: &[f32],
    threshold: f64,
    max_pixels: usize,
) -> Result<AdversarialPixels, Error> {
    let features = input.values().len();
    check_map(map, input)?;
    if gradient.len() != features {
        return Err(Error::size(gradient.len(), input.shape()));
    }
    let original = explainer.predict(input)?;
    original.score(&Target::Index(class))?;
    if original.probability(class).ok_or_else(Error::no_probability)? < threshold {
        return Ok(AdversarialPixels::BelowThreshold(0));
    }
    let scores = pixel_scores(map, input.picture_shape());
    let pixels = scores.len();
    let order = ranked(&scores).ok_or_else(Error::no_order)?;
    let order = &order[..max_pixels.min(pixels)];
    let mut values = input.values().to_vec();
    let mut changed = 0;
    for chunk in order.chunks(BATCH) {
        let mut inputs = Vec::with_capacity(chunk.len());
        for &pixel in chunk {
            for value in values_of(pixel, pixels, features) {
                let (lower, upper) = input.bounds(value);
                match gradient[value] {
                    slope if slope > 0.0 => values[value] = lower,
                    slope if slope < 0.0 => values[value] = upper,
                    _ => {}
                }
            }
            inputs.push(input.with_values(values.clone())?);
        }
        for prediction in explainer.predict_all(&inputs.iter().collect::<Vec<_>>()) {
            changed += 1;
            if prediction?.probability(class).ok_or_else(Error::no_probability)? < threshold {
                return Ok(AdversarialPixels::BelowThreshold(changed));
            }
        }
    }
    Ok(AdversarialPixels::AboveThreshold(changed))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use attriburn::{Domain, ModuleModel};

    #[test]
    fn number_of_pixels_for_a_linear_model() {
        let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| {
            let sum = x.sum_dim(1);
            Tensor::cat(vec![sum.clone(), sum * 0.0], 1)
        });
        // The sum falls by 1.9, 1.5, 1.2 and 1.1 as the values are set to -1 one by one.
        let values = vec![0.5, 0.2, 0.9, 0.1];
        let input = Input::new(values, &[4], Domain::uniform(-1.0, 1.0)).expect("an input");
        let explainer = Explainer::new(&model);
        let count_with_gradient = |gradient: [f32; 4], map: [f32; 4], threshold, max_pixels| {
            adversarial_pixels(&explainer, &input, 0, &map, &gradient, threshold, max_pixels)
                .expect("a count")
        };
        let count =
            |map, threshold, max_pixels| count_with_gradient([1.0; 4], map, threshold, max_pixels);
        let best = input.values().to_vec().try_into().expect("four values");
        assert_eq!(count(best, 0.5, 4), AdversarialPixels::BelowThreshold(1));
        assert_eq!(count([2.0, 3.0, 0.0, 4.0], 0.5, 4), AdversarialPixels::BelowThreshold(2));
        // The value with the highest score has the gradient 0 and does not change.
        let without_the_best = count_with_gradient([1.0, 1.0, 0.0, 1.0], best, 0.5, 4);
        assert_eq!(without_the_best, AdversarialPixels::BelowThreshold(3));
        assert_eq!(count(best, 0.01, 3), AdversarialPixels::AboveThreshold(3));
        assert_eq!(count(best, 0.9, 4), AdversarialPixels::BelowThreshold(0));
    }
}
