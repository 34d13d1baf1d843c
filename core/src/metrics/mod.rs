//! What the papers measure of maps.
//!
//! | metric | what it says | better | where |
//! |---|---|---|---|
//! | Sparseness | how few pixels hold the map | higher | [`gini`] |
//! | Insertion, deletion | how fast the probability comes and goes with the pixels in the map's order | higher, lower | [`insertion`], [`deletion`] |
//! | Consistency, Invariance | rank correlation with the map of another model | lower, higher | [`spearman`] |
//! | SIC, AIC | how fast the model's performance comes with the picture's information | higher | `reveal`, with the feature `information` |
//! | Cascade | rank correlation with the map of the model as its layers are randomized | lower | [`Cascade`] |
//! | Pointing game | whether the strongest pixels lie on the object | higher | [`pointing_game`] |
//! | Box precision | how many of the boxes that a map suggests are the object's | higher | [`box_precision`] |
//! | Adversarial pixels | how many pixels in the map's order change the model's mind | lower | [`adversarial_pixels`] |
//! | Out-of-domain share and amount | how much noise is drawn where no input lies | lower | [`OutOfDomain`] |
//! | Paired t-test | whether two methods differ on the same pictures | | [`paired_t_test`] |
//! | Distance, cosine, overlap, SSIM | how alike two maps are | | [`unit_distance`], [`cosine`], [`overlap`], [`ssim`] |
//!
//! A pixel's score is `|sum over channels|` of a map `[channels, height, width]`, and `|value|` of
//! any other: [`pixel_scores`].

mod adversarial;
mod faithfulness;
#[cfg(feature = "information")]
mod information;
#[cfg(feature = "information")]
mod interpolation;
mod localization;
mod out_of_domain;
mod paired;
mod proposals;
mod randomization;
mod rank;
mod segmentation;
mod similarity;
mod sparseness;

pub use adversarial::{AdversarialPixels, adversarial_pixels};
pub use faithfulness::{Curve, deletion, insertion};
#[cfg(feature = "information")]
pub use information::{InformationCurve, LEAST, Revealed, Revealing, Unusable, reveal};
pub use localization::{Region, box_precision, pointing_game};
pub use out_of_domain::OutOfDomain;
pub use paired::{Paired, paired_t_test};
pub use proposals::selective_search;
pub use randomization::{Cascade, Randomized, Stage};
pub use rank::{Correlation, ranks, spearman};
pub use segmentation::Segmentation;
pub use similarity::{cosine, overlap, ssim, unit_distance};
pub use sparseness::gini;

/// The score of each pixel: `|sum over channels|` for a shape `[channels, height, width]`, and of
/// any other shape `|value|`, each value a pixel of its own.
pub fn pixel_scores(map: &[f32], shape: &[usize]) -> Vec<f32> {
    let &[channels, height, width] = shape else {
        return map.iter().map(|value| value.abs()).collect();
    };
    let pixels = height * width;
    let sum = |pixel: usize| -> f64 {
        (0..channels).map(|channel| f64::from(map[channel * pixels + pixel])).sum()
    };
    (0..pixels).map(|pixel| sum(pixel).abs() as f32).collect()
}

/// The pixels from the highest score to the lowest; of equal ones the first comes first.
pub fn order(scores: &[f32]) -> Vec<usize> {
    let mut pixels: Vec<usize> = (0..scores.len()).collect();
    pixels.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    pixels
}

/// The [`order`] of the pixels, where the scores are not all the same.
fn ranked(scores: &[f32]) -> Option<Vec<usize>> {
    (!is_even(scores)).then(|| order(scores))
}

/// Whether there are several scores, all the same.
fn is_even(scores: &[f32]) -> bool {
    scores.len() > 1 && scores.iter().all(|score| *score == scores[0])
}

/// The area under the points `(x, y)` by the trapezoid rule.
fn area(x: &[f64], y: &[f64]) -> f64 {
    let sides = x.windows(2).zip(y.windows(2));
    sides.map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum()
}

/// The values of one pixel, over the channels, in an input with `pixels` of them.
fn values_of(pixel: usize, pixels: usize, features: usize) -> impl Iterator<Item = usize> {
    (pixel..features).step_by(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_summed_over_channels() {
        let map = [1.0, -2.0, 3.0, 0.5, -4.0, 3.0];
        assert_eq!(pixel_scores(&map, &[2, 1, 3]), [1.5, 6.0, 6.0]);
        assert_eq!(pixel_scores(&map, &[6]), [1.0, 2.0, 3.0, 0.5, 4.0, 3.0]);
        assert_eq!(order(&[1.5, 6.0, 6.0]), [1, 2, 0]);
        assert!(values_of(1, 3, 6).eq([1, 4]));
    }
}
