//! The scores of the pixels of a map, and their order.

use attriburn::Input;

use crate::error::Error;

/// Computes the score of each pixel of an input of this shape: `|sum over channels|` for a shape
/// `[channels, height, width]`, and `|value|` for any other shape, where each value is a pixel. A map may have
/// another number of channels than the input: a class activation map has one.
///
/// # Panics
///
/// Panics if the map has fewer values than the input has pixels.
pub fn pixel_scores(map: &[f32], shape: &[usize]) -> Vec<f32> {
    let &[_, height, width] = shape else {
        return map.iter().map(|value| value.abs()).collect();
    };
    let pixels = height * width;
    assert!(map.len() >= pixels, "a map of {} values for {pixels} pixels", map.len());
    let channels = map.len() / pixels.max(1);
    let sum = |pixel: usize| -> f64 {
        (0..channels).map(|channel| f64::from(map[channel * pixels + pixel])).sum()
    };
    (0..pixels).map(|pixel| sum(pixel).abs() as f32).collect()
}

/// Checks that a map has the size of `input`, or one value for each pixel of an image.
pub(crate) fn check_map(map: &[f32], input: &Input) -> Result<(), Error> {
    let is_plane =
        matches!(*input.picture_shape(), [_, height, width] if map.len() == height * width);
    match is_plane || map.len() == input.values().len() {
        true => Ok(()),
        false => Err(Error::size(map.len(), input.shape())),
    }
}

/// Returns the indices of the pixels in descending order of their scores. Pixels with equal scores keep
/// their order.
pub fn order(scores: &[f32]) -> Vec<usize> {
    let mut pixels: Vec<usize> = (0..scores.len()).collect();
    pixels.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    pixels
}

/// Returns the [`order`] of the pixels, or `None` if all scores are the same.
pub(crate) fn ranked(scores: &[f32]) -> Option<Vec<usize>> {
    (!is_constant(scores)).then(|| order(scores))
}

/// Whether all scores are the same. A single score does not count as constant.
pub(crate) fn is_constant(scores: &[f32]) -> bool {
    scores.len() > 1 && scores.iter().all(|score| *score == scores[0])
}

/// Computes the area under the points `(x, y)` by the trapezoid rule.
pub(crate) fn area(x: &[f64], y: &[f64]) -> f64 {
    let trapezoids = x.windows(2).zip(y.windows(2));
    trapezoids.map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum()
}

/// Returns the indices of the values of one pixel in all channels, in an input with `pixels` pixels and
/// `features` values.
pub(crate) fn values_of(
    pixel: usize,
    pixels: usize,
    features: usize,
) -> impl Iterator<Item = usize> {
    (pixel..features).step_by(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_summed_over_channels_and_ordered() {
        let map = [1.0, -2.0, 3.0, 0.5, -4.0, 3.0];
        assert_eq!(pixel_scores(&map, &[2, 1, 3]), [1.5, 6.0, 6.0]);
        assert_eq!(pixel_scores(&map[..3], &[2, 1, 3]), [1.0, 2.0, 3.0]);
        assert_eq!(pixel_scores(&map, &[6]), [1.0, 2.0, 3.0, 0.5, 4.0, 3.0]);
        assert_eq!(order(&[1.5, 6.0, 6.0]), [1, 2, 0]);
        assert!(values_of(1, 3, 6).eq([1, 4]));
    }
}
