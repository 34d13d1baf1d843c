//! Whether a map points at the object.

use super::order;

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
    /// Whether the pixel in this column and row is inside.
    pub fn holds(&self, column: usize, row: usize) -> bool {
        (self.left..self.right).contains(&column) && (self.top..self.bottom).contains(&row)
    }
}

/// The share of the `k` pixels of highest score that lie in one of `regions`: with `k = 1` the
/// pointing game (Zhang et al., IJCV 126, 2018), a hit or a miss. `scores` has rows of `width`
/// pixels.
///
/// None without pixels, for a `k` of 0 or above the number of pixels, or a `width` of 0.
pub fn pointing_game(scores: &[f32], width: usize, regions: &[Region], k: usize) -> Option<f64> {
    if width == 0 || k == 0 || k > scores.len() {
        return None;
    }
    let inside = |pixel: &usize| regions.iter().any(|r| r.holds(pixel % width, pixel / width));
    let hits = order(scores).into_iter().take(k).filter(inside).count();
    Some(hits as f64 / k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
