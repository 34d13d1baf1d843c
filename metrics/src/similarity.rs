//! The similarity of two maps.

use crate::scores::ranked;

/// Computes the L2 distance `||a/||a|| - b/||b|| ||` between two maps scaled to unit norm, from 0 to 2
/// (arXiv 2411.05837). Returns `None` if the lengths differ or if all values of a map are 0.
pub fn unit_distance(a: &[f32], b: &[f32]) -> Option<f64> {
    let norm = |v: &[f32]| v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let (first, second) = (norm(a), norm(b));
    let difference =
        |(&a, &b): (&f32, &f32)| (f64::from(a) / first - f64::from(b) / second).powi(2);
    let distance = a.iter().zip(b).map(difference).sum::<f64>().sqrt();
    (a.len() == b.len() && distance.is_finite()).then_some(distance)
}

/// Computes the cosine similarity `a . b / (||a|| ||b||)` of two maps, from -1 to 1. Returns `None` if the
/// lengths differ or if all values of a map are 0.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    (a.len() == b.len() && cosine.is_finite()).then(|| cosine.clamp(-1.0, 1.0))
}

/// Computes the overlap of the strongest pixels of two maps: the share of a map's pixels of highest score
/// that are also among those of the other map. `share` is the share of the pixels of each map that are
/// compared, at least one pixel (5 % in arXiv 2411.05837).
///
/// Returns `None` if the lengths differ, if there are no pixels, if all scores of a map are the same, or if
/// `share` is not in `(0, 1]`.
pub fn overlap(a: &[f32], b: &[f32], share: f64) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() || !(share > 0.0 && share <= 1.0) {
        return None;
    }
    let count = ((a.len() as f64 * share).round() as usize).max(1);
    let strongest = |scores: &[f32]| {
        let mut mask = vec![false; scores.len()];
        ranked(scores)?.into_iter().take(count).for_each(|pixel| mask[pixel] = true);
        Some(mask)
    };
    let common = strongest(a)?.into_iter().zip(strongest(b)?).filter(|&(a, b)| a && b).count();
    Some(common as f64 / count as f64)
}

/// The height and width of the windows of SSIM, in pixels.
const WINDOW: usize = 7;

/// Computes the structural similarity (SSIM) of two maps of `height` x `width` pixels (Wang et al., IEEE
/// Transactions on Image Processing 13, 2004): the mean over all windows of 7 x 7 pixels of
///
/// ```text
/// (2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))
/// C1 = (0.01 R)^2, C2 = (0.03 R)^2
/// ```
///
/// with the means `m`, the unbiased variances `s^2`, the unbiased covariance `s_ab` and the joint range `R`
/// of both maps, as in `skimage.metrics.structural_similarity`.
///
/// Returns `None` if the maps do not have this shape, if they are smaller than a window, or if all values
/// are equal.
pub fn ssim(a: &[f32], b: &[f32], height: usize, width: usize) -> Option<f64> {
    let pixels = height.checked_mul(width)?;
    if a.len() != pixels || b.len() != pixels || height.min(width) < WINDOW {
        return None;
    }
    let values = || a.iter().chain(b).map(|&value| f64::from(value));
    let range = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let n = (WINDOW * WINDOW) as f64;
    let window = |top: usize, left: usize| {
        let mut sums = [0.0f64; 5];
        for row in top..top + WINDOW {
            for pixel in row * width + left..row * width + left + WINDOW {
                let (a, b) = (f64::from(a[pixel]), f64::from(b[pixel]));
                let terms = [a, b, a * a, b * b, a * b];
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
        }
        let [mean_a, mean_b, aa, bb, ab] = sums.map(|sum| sum / n);
        let unbiased = n / (n - 1.0);
        let variance = |square: f64, mean: f64| unbiased * (square - mean * mean);
        let covariance = unbiased * (ab - mean_a * mean_b);
        let numerator = (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2);
        let denominator = (mean_a * mean_a + mean_b * mean_b + c1)
            * (variance(aa, mean_a) + variance(bb, mean_b) + c2);
        numerator / denominator
    };
    let (rows, columns) = (height - WINDOW + 1, width - WINDOW + 1);
    let sum: f64 = (0..rows)
        .flat_map(|top| (0..columns).map(move |left| (top, left)))
        .map(|(t, l)| window(t, l))
        .sum();
    let mean = sum / (rows * columns) as f64;
    mean.is_finite().then_some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_overlap_and_ssim_in_closed_form() {
        let close = |value: Option<f64>, expected: f64| {
            assert!((value.expect("a value") - expected).abs() < 1e-12, "{value:?} for {expected}");
        };
        close(unit_distance(&[1.0, 0.0], &[0.0, 3.0]), 2f64.sqrt());
        close(unit_distance(&[1.0, 2.0], &[2.0, 4.0]), 0.0);
        close(unit_distance(&[1.0, 2.0], &[-1.0, -2.0]), 2.0);
        assert_eq!(unit_distance(&[0.0, 0.0], &[1.0, 0.0]), None);
        let ramp: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let shifted: Vec<f32> = (0..100).map(|i| ((i + 2) % 100) as f32).collect();
        close(overlap(&ramp, &ramp, 0.05), 1.0);
        close(overlap(&ramp, &shifted, 0.05), 0.6);
        close(overlap(&ramp, &shifted, 1.0), 1.0);
        assert_eq!(overlap(&ramp, &shifted, 0.0), None);
        assert_eq!(overlap(&ramp, &[0.0; 100], 0.05), None);
        close(ssim(&ramp, &ramp, 10, 10), 1.0);
        assert_eq!(ssim(&ramp, &ramp, 20, 5), None);
        assert_eq!(ssim(&[1.0; 49], &[1.0; 49], 7, 7), None);
    }
}
