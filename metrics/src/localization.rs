//! Localization: the agreement of a map with the bounding boxes of the object.

use attriburn::Scale;

use crate::proposals::selective_search;
use crate::region::Region;
use crate::scores::ranked;
use crate::segmentation::Segmentation;

/// Computes the share of the `k` pixels of highest score that lie in one of `regions`. With `k = 1`, this
/// is the pointing game (Zhang et al., IJCV 126, 2018), a hit or a miss. `scores` is a row-major image of
/// width `width`.
///
/// Returns `None` if there are no pixels, if all scores are the same, if `k` is 0 or larger than the number
/// of pixels, or if `width` is 0.
pub fn pointing_game(scores: &[f32], width: usize, regions: &[Region], k: usize) -> Option<f64> {
    if width == 0 || k == 0 || k > scores.len() {
        return None;
    }
    let inside = |pixel: &usize| regions.iter().any(|r| r.contains(pixel % width, pixel / width));
    let hits = ranked(scores)?.into_iter().take(k).filter(inside).count();
    Some(hits as f64 / k as f64)
}

/// The minimum intersection over union of a correct box (Everingham et al., IJCV 88, 2010).
const MIN_IOU: f64 = 0.5;

/// Computes the precision of the boxes that [`selective_search`] proposes from a map (section 11.1 of arXiv
/// 2410.07711): the share of the boxes whose [intersection over union](Region::iou) with one of `regions`
/// is at least 0.5. The search runs on the `scores` as a grey image of width `width`, scaled so that white
/// is the 99th percentile, in 8 bits.
///
/// Returns `None` if there are no pixels, if the number of scores is not a multiple of `width`, or if all
/// scores are 0.
pub fn box_precision(
    scores: &[f32],
    width: usize,
    regions: &[Region],
    segmentation: &Segmentation,
) -> Option<f64> {
    let scale = Scale::of(scores);
    if scale.limit() == 0.0 {
        return None;
    }
    let byte = |&score: &f32| f64::from((255.0 * scale.strength(score).abs()).round()) / 255.0;
    let grey: Vec<f64> = scores.iter().map(byte).collect();
    let boxes = selective_search(&grey, width, segmentation)?;
    let is_correct = |found: &&Region| regions.iter().any(|r| r.iou(found) >= MIN_IOU);
    Some(boxes.iter().filter(is_correct).count() as f64 / boxes.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_and_box_precision_of_a_block() {
        let region = |left, right| Region { left, top: 0, right, bottom: 10 };
        assert_eq!(region(0, 10).iou(&region(0, 10)), 1.0);
        assert_eq!(region(0, 10).iou(&region(5, 15)), 1.0 / 3.0);
        assert_eq!(region(0, 10).iou(&region(10, 20)), 0.0);
        let (height, width) = (40, 50);
        let block = Region { left: 20, top: 10, right: 40, bottom: 25 };
        let score =
            |pixel: usize| f32::from(u8::from(block.contains(pixel % width, pixel / width)));
        let scores: Vec<f32> = (0..height * width).map(score).collect();
        let unsmoothed = Segmentation { scale: 5.0, sigma: 0.0, min_size: 10 };
        let precision = |regions: &[Region]| box_precision(&scores, width, regions, &unsmoothed);
        // The proposed boxes are the block and the whole image.
        assert_eq!(precision(&[block]), Some(0.5));
        assert_eq!(
            precision(&[block, Region { left: 0, top: 0, right: 50, bottom: 40 }]),
            Some(1.0)
        );
        assert_eq!(precision(&[]), Some(0.0));
        assert_eq!(box_precision(&[0.0; 100], 10, &[block], &unsmoothed), None);
    }

    #[test]
    fn pointing_game_on_a_blob() {
        let (width, height) = (40, 30);
        let score = |pixel: usize| {
            let (x, y) = ((pixel % width) as f32 - 12.0, (pixel / width) as f32 - 20.0);
            (-(x * x + y * y) / 8.0).exp()
        };
        let scores: Vec<f32> = (0..width * height).map(score).collect();
        let region = |left, top| Region { left, top, right: left + 5, bottom: top + 5 };
        assert_eq!(pointing_game(&scores, width, &[region(10, 18)], 5), Some(1.0));
        assert_eq!(pointing_game(&scores, width, &[region(0, 0), region(10, 18)], 1), Some(1.0));
        assert_eq!(pointing_game(&scores, width, &[region(20, 5)], 5), Some(0.0));
        // Three of the five pixels, the peak and two of its four neighbours, lie in the region.
        assert_eq!(pointing_game(&scores, width, &[region(8, 20)], 5), Some(0.6));
        assert_eq!(pointing_game(&scores, width, &[], 5), Some(0.0));
        assert_eq!(pointing_game(&scores, width, &[], 0), None);
        assert_eq!(pointing_game(&[0.0; 9], 3, &[region(0, 0)], 1), None);
    }
}
