//! Rectangles of pixels.

/// A rectangle of pixels: the columns `left..right` and the rows `top..bottom`.
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
    /// The number of pixels inside.
    pub fn area(&self) -> usize {
        self.right.saturating_sub(self.left) * self.bottom.saturating_sub(self.top)
    }

    /// The intersection over union of two regions, from 0 to 1.
    pub fn iou(&self, other: &Region) -> f64 {
        let intersection = Region {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let intersection = intersection.area();
        intersection as f64 / (self.area() + other.area() - intersection).max(1) as f64
    }

    /// Whether the pixel at this column and row is inside.
    pub fn contains(&self, column: usize, row: usize) -> bool {
        (self.left..self.right).contains(&column) && (self.top..self.bottom).contains(&row)
    }
}
