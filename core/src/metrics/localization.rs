//! Whether a map points at the object.

use super::{Segmentation, ranked, selective_search};
use crate::picture::Scale;

/// A rectangle of pixels: columns from `left` to before `right`, rows from `top` to before
/// `bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first column.
    pub left: usize,
    /// The first row.
    pub top: usize,
    /// The column after the last.
    pub right: usize,
    /// The row after the last.
    pub bottom: usize,
}

impl Region {
    /// The pixels inside.
    pub fn area(&self) -> usize {
        self.right.saturating_sub(self.left) * self.bottom.saturating_sub(self.top)
    }

    /// The share of the pixels in one of two regions that is in both: intersection over union.
    pub fn overlap(&self, other: &Region) -> f64 {
        let common = Region {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let both = common.area();
        both as f64 / (self.area() + other.area() - both).max(1) as f64
    }

    /// Whether the pixel in this column and row is inside.
    pub fn holds(&self, column: usize, row: usize) -> bool {
        (self.left..self.right).contains(&column) && (self.top..self.bottom).contains(&row)
    }
}

/// The share of the `k` pixels of highest score that lie in one of `regions`: with `k = 1` the
/// pointing game (Zhang et al., IJCV 126, 2018), a hit or a miss. `scores` has rows of `width`
/// pixels.
///
/// None without pixels, for scores that are all the same, a `k` of 0 or above the number of pixels,
/// or a `width` of 0.
pub fn pointing_game(scores: &[f32], width: usize, regions: &[Region], k: usize) -> Option<f64> {
    if width == 0 || k == 0 || k > scores.len() {
        return None;
    }
    let inside = |pixel: &usize| regions.iter().any(|r| r.holds(pixel % width, pixel / width));
    let hits = ranked(scores)?.into_iter().take(k).filter(inside).count();
    Some(hits as f64 / k as f64)
}

/// The overlap from which on a box counts as found (Everingham et al., IJCV 88, 2010).
const FOUND: f64 = 0.5;

/// The precision of the boxes that a map suggests (section 11.1 of arXiv 2410.07711): the share of
/// [`selective_search`]'s that [overlap](Region::overlap) one of `regions` by half at least. The
/// picture it searches is that of the `scores`, from 0 to their 99th percentile, in 8 bits, with
/// rows of `width` pixels.
///
/// None without pixels, for rows of another length, or scores that are all 0.
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
    let is_found = |found: &&Region| regions.iter().any(|r| r.overlap(found) >= FOUND);
    Some(boxes.iter().filter(is_found).count() as f64 / boxes.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_overlap_and_are_found() {
        let region = |left, right| Region { left, top: 0, right, bottom: 10 };
        assert_eq!(region(0, 10).overlap(&region(0, 10)), 1.0);
        assert_eq!(region(0, 10).overlap(&region(5, 15)), 1.0 / 3.0);
        assert_eq!(region(0, 10).overlap(&region(10, 20)), 0.0);
        let (height, width) = (40, 50);
        let block = Region { left: 20, top: 10, right: 40, bottom: 25 };
        let score = |pixel: usize| f32::from(u8::from(block.holds(pixel % width, pixel / width)));
        let scores: Vec<f32> = (0..height * width).map(score).collect();
        let sharp = Segmentation { scale: 5.0, sigma: 0.0, least: 10 };
        let precision = |regions: &[Region]| box_precision(&scores, width, regions, &sharp);
        // The block, and the whole picture around it.
        assert_eq!(precision(&[block]), Some(0.5));
        assert_eq!(
            precision(&[block, Region { left: 0, top: 0, right: 50, bottom: 40 }]),
            Some(1.0)
        );
        assert_eq!(precision(&[]), Some(0.0));
        assert_eq!(box_precision(&[0.0; 100], 10, &[block], &sharp), None);
    }

    #[test]
    fn a_planted_blob_is_found() {
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
        // Of the peak and its four neighbours the left one and the peak are inside.
        assert_eq!(pointing_game(&scores, width, &[region(8, 20)], 5), Some(0.6));
        assert_eq!(pointing_game(&scores, width, &[], 5), Some(0.0));
        assert_eq!(pointing_game(&scores, width, &[], 0), None);
        assert_eq!(pointing_game(&[0.0; 9], 3, &[region(0, 0)], 1), None);
    }
}
