//! Graph-based segmentation of a grey image.

use petgraph::unionfind::UnionFind;

/// The parameters of a segmentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segmentation {
    /// The scale of observation for pixel values from 0 to 255. A larger scale yields larger segments.
    pub scale: f64,
    /// The standard deviation of the Gaussian that smooths the image before the segmentation, in pixels.
    pub sigma: f64,
    /// The minimum size of a segment, in pixels. Smaller segments are merged with a neighbour.
    pub min_size: usize,
}

impl Segmentation {
    /// The parameters of section 11.1 of arXiv 2410.07711: scale 500, sigma 0.9, at least 10 pixels.
    pub fn adaptgrad() -> Self {
        Self { scale: 500.0, sigma: 0.9, min_size: 10 }
    }

    /// Segments a grey image of width `width` with values from 0 to 1. Returns the label of each pixel's
    /// segment, from 0 (Felzenszwalb and Huttenlocher, IJCV 59, 2004, as in
    /// `skimage.segmentation.felzenszwalb` for three equal channels).
    ///
    /// The weight of an edge is the distance of the colours of its two pixels. Two segments are merged
    /// across an edge whose weight is less than `min(internal + scale / pixels)` over both segments, where
    /// `internal` is the largest weight inside the segment.
    ///
    /// Returns `None` if the number of values is not a multiple of `width`.
    pub fn segments(&self, grey: &[f64], width: usize) -> Option<Vec<usize>> {
        if width == 0 || !grey.len().is_multiple_of(width) {
            return None;
        }
        let smooth = smoothed(grey, width, self.sigma);
        let edges = edges(&smooth, width);
        let scale = self.scale / 255.0;
        let mut sets = UnionFind::<usize>::new(grey.len());
        let mut pixels = vec![1; grey.len()];
        let mut internal = vec![0.0; grey.len()];
        for edge in &edges {
            let (a, b) = (sets.find_mut(edge.from), sets.find_mut(edge.to));
            let threshold = |set: usize| internal[set] + scale / pixels[set] as f64;
            if a != b && edge.weight < threshold(a).min(threshold(b)) {
                sets.union(a, b);
                let (both, merged) = (pixels[a] + pixels[b], sets.find_mut(a));
                (pixels[merged], internal[merged]) = (both, edge.weight);
            }
        }
        for edge in &edges {
            let (a, b) = (sets.find_mut(edge.from), sets.find_mut(edge.to));
            if a != b && pixels[a].min(pixels[b]) < self.min_size {
                sets.union(a, b);
                let (both, merged) = (pixels[a] + pixels[b], sets.find_mut(a));
                pixels[merged] = both;
            }
        }
        Some(labels(&mut sets, grey.len()))
    }
}

/// An edge between two neighbouring pixels.
struct Edge {
    from: usize,
    to: usize,
    weight: f64,
}

/// Returns the edges between all neighbouring pixels, including diagonal neighbours, in ascending order of
/// their weights.
fn edges(grey: &[f64], width: usize) -> Vec<Edge> {
    let height = grey.len() / width;
    let mut edges = Vec::with_capacity(4 * grey.len());
    // Right, down, down and right, up and right.
    for (down, right) in [(0, 1), (1, 0), (1, 1), (-1, 1)] {
        for row in 0..height {
            let Some(to_row) = row.checked_add_signed(down).filter(|&row| row < height) else {
                continue;
            };
            for column in 0..width.saturating_sub(right) {
                let (from, to) = (row * width + column, to_row * width + column + right);
                // The Euclidean distance over three equal channels.
                let square = (grey[from] - grey[to]).powi(2);
                edges.push(Edge { from, to, weight: (square + square + square).sqrt() });
            }
        }
    }
    edges.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    edges
}

/// Returns the label of each pixel's set. Sets are numbered from 0 in the order of their first pixels.
fn labels(sets: &mut UnionFind<usize>, pixels: usize) -> Vec<usize> {
    let mut labels = vec![usize::MAX; pixels];
    let mut next = 0;
    let label = |pixel: usize| {
        let root = sets.find_mut(pixel);
        if labels[root] == usize::MAX {
            (labels[root], next) = (next, next + 1);
        }
        labels[root]
    };
    (0..pixels).map(label).collect()
}

/// The radius of the Gaussian filter, in standard deviations.
const TRUNCATE: f64 = 4.0;

/// Applies a Gaussian filter with mirrored borders, as `scipy.ndimage.gaussian_filter` does.
fn smoothed(grey: &[f64], width: usize, sigma: f64) -> Vec<f64> {
    if sigma <= 0.0 {
        return grey.to_vec();
    }
    let radius = (TRUNCATE * sigma + 0.5) as isize;
    let weight = |offset: isize| (-0.5 * (offset as f64 / sigma).powi(2)).exp();
    let weights: Vec<(isize, f64)> =
        (-radius..=radius).map(|offset| (offset, weight(offset))).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let filter_axis = |grey: &[f64], length: usize, stride: usize| -> Vec<f64> {
        let value = |pixel: usize| {
            let index = pixel / stride % length;
            let first = pixel - index * stride;
            let at =
                |offset: isize| grey[first + mirrored(index as isize + offset, length) * stride];
            weights.iter().map(|&(offset, weight)| weight / sum * at(offset)).sum()
        };
        (0..grey.len()).map(value).collect()
    };
    filter_axis(&filter_axis(grey, grey.len() / width, width), width, 1)
}

/// Mirrors an index beyond the borders back into `0..length`. The pixels at the border are repeated.
fn mirrored(index: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let index = index.rem_euclid(period);
    index.min(period - 1 - index) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bright_block_is_a_segment() {
        let (height, width) = (24, 30);
        let inside =
            |pixel: usize| (5..15).contains(&(pixel / width)) && (8..20).contains(&(pixel % width));
        let grey: Vec<f64> =
            (0..height * width).map(|pixel| if inside(pixel) { 1.0 } else { 0.0 }).collect();
        let unsmoothed = Segmentation { scale: 5.0, sigma: 0.0, min_size: 10 };
        let segments = unsmoothed.segments(&grey, width).expect("segments");
        for (pixel, &segment) in segments.iter().enumerate() {
            assert_eq!(segment, usize::from(inside(pixel)), "pixel {pixel}");
        }
        let coarse = Segmentation { min_size: 200, ..unsmoothed };
        let segments = coarse.segments(&grey, width).expect("segments");
        assert!(segments.iter().all(|&segment| segment == 0));
        assert_eq!(unsmoothed.segments(&grey, 0), None);
        assert_eq!(unsmoothed.segments(&grey, 7), None);
        assert_eq!(unsmoothed.segments(&[], 7), Some(Vec::new()));
    }

    #[test]
    fn borders_are_mirrored() {
        let indices: Vec<usize> = (-4..7).map(|index| mirrored(index, 3)).collect();
        assert_eq!(indices, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        let constant = smoothed(&[0.3; 12], 4, 0.9);
        assert!(constant.iter().all(|value| (value - 0.3).abs() < 1e-12));
    }
}
