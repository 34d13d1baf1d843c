//! How many pixels change the model's mind.

use super::{pixel_scores, ranked, values_of};
use crate::{Error, Explainer, Input, Output, Target};

/// What became of an input whose pixels were changed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdversarialPixels {
    /// After so many pixels the class's probability was below the threshold.
    Enough(usize),
    /// It was not, after as many as were tried.
    TooFew(usize),
}

/// Pixels changed before the model is asked again, in one batch.
const AT_ONCE: usize = 32;

/// Changes the pixels of `input` one by one, in the order of the `map`'s [`pixel_scores`], until the
/// probability of `class` is below `threshold` (0.5 in section 11.2 of arXiv 2410.07711): each value
/// of a pixel goes to the bound of the domain against the sign of the clean `gradient`, and stays
/// where that is 0. At most `most` pixels of the input's [picture](Input::picture_shape) are tried.
///
/// # Errors
///
/// As [`Explainer::predict`], [`Error::NoProbability`] of a model without one, [`Error::NoOrder`] of a
/// map that is the same everywhere, and [`Error::Values`] for a map or gradient of another size.
pub fn adversarial_pixels(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    map: &[f32],
    gradient: &[f32],
    threshold: f64,
    most: usize,
) -> Result<AdversarialPixels, Error> {
    let features = input.values().len();
    for len in [map.len(), gradient.len()] {
        if len != features {
            return Err(Error::Values { values: len, shape: input.shape().to_vec() });
        }
    }
    let clean = explainer.predict(input)?;
    explainer.check_output(Output::Probability, &clean)?;
    clean.score(&Target::Index(class))?;
    if clean.probability(class) < threshold {
        return Ok(AdversarialPixels::Enough(0));
    }
    let scores = pixel_scores(map, input.picture_shape());
    let pixels = scores.len();
    let order = ranked(&scores).ok_or(Error::NoOrder)?;
    let order = &order[..most.min(pixels)];
    let mut values = input.values().to_vec();
    let mut changed = 0;
    for chunk in order.chunks(AT_ONCE) {
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
            if prediction?.probability(class) < threshold {
                return Ok(AdversarialPixels::Enough(changed));
            }
        }
    }
    Ok(AdversarialPixels::TooFew(changed))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{Domain, ModuleModel};

    #[test]
    fn pixels_of_a_linear_model_are_counted() {
        let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| {
            let sum = x.sum_dim(1);
            Tensor::cat(vec![sum.clone(), sum * 0.0], 1)
        });
        // The sum falls by 1.9, 1.5, 1.2 and 1.1 as the values go to -1 one by one.
        let values = vec![0.5, 0.2, 0.9, 0.1];
        let input = Input::new(values, &[4], Domain::uniform(-1.0, 1.0)).expect("an input");
        let explainer = Explainer::new(&model);
        let along = |gradient: [f32; 4], map: [f32; 4], threshold, most| {
            adversarial_pixels(&explainer, &input, 0, &map, &gradient, threshold, most)
                .expect("a count")
        };
        let count = |map, threshold, most| along([1.0; 4], map, threshold, most);
        let best = input.values().to_vec().try_into().expect("four values");
        assert_eq!(count(best, 0.5, 4), AdversarialPixels::Enough(1));
        assert_eq!(count([2.0, 3.0, 0.0, 4.0], 0.5, 4), AdversarialPixels::Enough(2));
        // Values without a slope stay.
        let without_the_best = along([1.0, 1.0, 0.0, 1.0], best, 0.5, 4);
        assert_eq!(without_the_best, AdversarialPixels::Enough(3));
        assert_eq!(count(best, 0.01, 3), AdversarialPixels::TooFew(3));
        assert_eq!(count(best, 0.9, 4), AdversarialPixels::Enough(0));
    }
}
