//! Insertion and deletion.

use attriburn::{Explainer, Input, Prediction, Target};

use crate::error::Error;
use crate::scores::{area, check_map, pixel_scores, ranked, values_of};

/// The probability of a class as pixels are inserted or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The shares of inserted or deleted pixels, from 0 to 1.
    pub shares: Vec<f64>,
    /// The probability of the class at each share.
    pub probabilities: Vec<f64>,
}

impl Curve {
    /// The area under the curve by the trapezoid rule, from 0 to 1.
    pub fn area(&self) -> f64 {
        area(&self.shares, &self.probabilities)
    }
}

/// Computes the deletion curve (Petsiuk, Das and Saenko, BMVC 2018): the probability of `class` as the
/// pixels of `input` are replaced by those of `fill`, in descending order of the `map`'s [`pixel_scores`]
/// and in `steps` equal steps (20 for AdaptGrad's 5 % per step). A good map has a small area. The pixels
/// are those of the input's [image](Input::picture_shape).
///
/// # Errors
///
/// Returns an error if the model fails or has no probabilities, the map has the same score at every pixel,
/// there are no steps, the fill does not have the size of the input, or the map has neither this size nor one
/// value for each pixel.
pub fn deletion(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    map: &[f32],
    fill: &[f32],
    steps: u32,
) -> Result<Curve, Error> {
    curve(explainer, input, class, map, [input.values(), fill], steps)
}

/// Computes the insertion curve, the reverse of [`deletion`]: the pixels of `input` replace those of
/// `fill`. A good map has a large area.
///
/// # Errors
///
/// As [`deletion`].
pub fn insertion(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    map: &[f32],
    fill: &[f32],
    steps: u32,
) -> Result<Curve, Error> {
    curve(explainer, input, class, map, [fill, input.values()], steps)
}

fn curve(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    map: &[f32],
    [from, to]: [&[f32]; 2],
    steps: u32,
) -> Result<Curve, Error> {
    let features = input.values().len();
    if steps == 0 {
        return Err(Error::setting("steps", 0, "at least 1"));
    }
    check_map(map, input)?;
    for len in [from.len(), to.len()] {
        if len != features {
            return Err(Error::size(len, input.shape()));
        }
    }
    let scores = pixel_scores(map, input.picture_shape());
    let pixels = scores.len();
    let order = ranked(&scores).ok_or_else(Error::no_order)?;
    let shares: Vec<f64> = (0..=steps).map(|i| f64::from(i) / f64::from(steps)).collect();
    let mut values = from.to_vec();
    let mut changed = 0;
    let mut inputs = Vec::with_capacity(shares.len());
    for share in &shares {
        let end = (share * pixels as f64).round() as usize;
        for &pixel in &order[changed..end] {
            values_of(pixel, pixels, features).for_each(|value| values[value] = to[value]);
        }
        changed = end;
        inputs.push(input.with_values(values.clone())?);
    }
    let predictions = explainer.predict_all(&inputs.iter().collect::<Vec<_>>());
    let probability = |prediction: Result<Prediction, attriburn::Error>| {
        let prediction = prediction?;
        prediction.score(&Target::Index(class))?;
        prediction.probability(class).ok_or_else(Error::no_probability)
    };
    let probabilities = predictions.into_iter().map(probability).collect::<Result<_, Error>>()?;
    Ok(Curve { shares, probabilities })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::ErrorKind;
    use attriburn::{Domain, ModuleModel};

    /// The logits of the two classes differ by the sum of the values, so the probability after each
    /// replaced value has a closed form.
    #[test]
    fn curves_and_areas_of_a_linear_model() {
        let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| {
            let sum = x.sum_dim(1);
            Tensor::cat(vec![sum.clone(), sum * 0.0], 1)
        });
        let values = vec![2.0, 0.5, 1.0, -1.0];
        let input = Input::new(values, &[4], Domain::uniform(-3.0, 3.0)).expect("an input");
        let explainer = Explainer::new(&model);
        let map = [4.0, 2.0, 3.0, 1.0];
        let curve = deletion(&explainer, &input, 0, &map, &[0.0; 4], 4).expect("a curve");
        let p = |sum: f64| 1.0 / (1.0 + (-sum).exp());
        let expected = [p(2.5), p(0.5), p(-0.5), p(-1.0), p(0.0)];
        for (value, expected) in curve.probabilities.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
        let area = (expected[0] + expected[4]) / 8.0 + expected[1..4].iter().sum::<f64>() / 4.0;
        assert!((curve.area() - area).abs() < 1e-6);
        let curve = insertion(&explainer, &input, 0, &map, &[0.0; 4], 2).expect("a curve");
        let expected = [p(0.0), p(3.0), p(2.5)];
        for (value, expected) in curve.probabilities.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
        // As an image with two channels: pixel 1 (values 0.5 and -1) is deleted before pixel 0.
        let image = input.clone().with_picture_shape(&[2, 1, 2]).expect("an image");
        let curve = deletion(&explainer, &image, 0, &[1.0, 2.0, 1.0, 2.0], &[0.0; 4], 2);
        for (value, expected) in curve.expect("a curve").probabilities.iter().zip([2.5, 3.0, 0.0]) {
            assert!((value - p(expected)).abs() < 1e-6, "{value} for {expected}");
        }
        // A map with one value for each pixel.
        let plane = deletion(&explainer, &image, 0, &[1.0, 2.0], &[0.0; 4], 2).expect("a curve");
        assert!((plane.probabilities[1] - p(3.0)).abs() < 1e-6);
        assert!(deletion(&explainer, &input, 0, &map, &[0.0; 3], 4).is_err());
        assert!(deletion(&explainer, &input, 0, &map, &[0.0; 4], 0).is_err());
        let constant = deletion(&explainer, &input, 0, &[0.0; 4], &[0.0; 4], 4);
        assert_eq!(constant.expect_err("no order").kind(), ErrorKind::NoOrder);
        let single_score =
            ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| x.sum_dim(1));
        let refused = deletion(&Explainer::new(&single_score), &input, 0, &map, &[0.0; 4], 4);
        assert!(refused.expect_err("a single score").to_string().contains("no probability"));
        assert!(deletion(&explainer, &input, 9, &map, &[0.0; 4], 4).is_err());
    }
}
