//! Box proposals by selective search.

use crate::region::Region;
use crate::segmentation::Segmentation;

/// The number of bins of the grey values from 0 to 255.
const GREY_BINS: usize = 25;

/// The features of a segment that determine its similarity to other segments.
#[derive(Clone)]
struct Segment {
    /// The first column of the bounding box.
    left: usize,
    /// The first row of the bounding box.
    top: usize,
    /// The last column of the bounding box.
    right: usize,
    /// The last row of the bounding box.
    bottom: usize,
    /// The number of pixels.
    pixels: usize,
    /// The normalised histogram of the grey values.
    grey: [f64; GREY_BINS],
    /// The shares of the pixels with the local binary patterns 0 (all neighbours are darker) and 1 (all
    /// neighbours except the right one are darker).
    texture: [f64; 2],
}

/// Proposes boxes by selective search (Uijlings et al., IJCV 104, 2013) on a grey image of width `width`
/// with values from 0 to 1. The boxes are those of the segments and of their hierarchical grouping, without
/// duplicates.
///
/// Segments with overlapping boxes are merged, the most similar pair first. The similarity is that of the
/// Python package `selectivesearch` 0.4, with the settings of the AdaptGrad paper (section 11.1), for an
/// 8-bit grey image in three equal channels. It is the sum of the similarities in colour (hue and
/// saturation are constant), texture (the bins of the package only cover the local binary patterns 0 and
/// 1), size and fill.
///
/// Returns `None` if the number of values is not a multiple of `width`.
pub fn selective_search(
    grey: &[f64],
    width: usize,
    segmentation: &Segmentation,
) -> Option<Vec<Region>> {
    let labels = segmentation.segments(grey, width)?;
    let mut segments = describe(grey, width, &labels);
    let mut pairs: Vec<Pair> = Vec::new();
    for a in 0..segments.len() {
        for b in a + 1..segments.len() {
            if segments[a].contains_corner_of(&segments[b]) {
                pairs.push(Pair::new(&segments, a, b, grey.len()));
            }
        }
    }
    // Of several pairs with the maximum similarity, `max_by` returns the last.
    while let Some(best) = pairs.iter().max_by(|a, b| a.similarity.total_cmp(&b.similarity)) {
        let (i, j) = (best.a, best.b);
        let merged = segments.len();
        segments.push(segments[i].merged(&segments[j]));
        let (removed, kept): (Vec<Pair>, Vec<Pair>) =
            pairs.into_iter().partition(|pair| [pair.a, pair.b].iter().any(|s| [i, j].contains(s)));
        pairs = kept;
        for pair in removed.iter().filter(|pair| (pair.a, pair.b) != (i, j)) {
            let neighbour = if [i, j].contains(&pair.a) { pair.b } else { pair.a };
            let is_present = |p: &Pair| (p.a, p.b) == (merged, neighbour);
            if !pairs.iter().any(is_present) {
                pairs.push(Pair::new(&segments, merged, neighbour, grey.len()));
            }
        }
    }
    let mut regions: Vec<Region> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for segment in &segments {
        let region = segment.region();
        if seen.insert((region.left, region.top, region.right, region.bottom)) {
            regions.push(region);
        }
    }
    Some(regions)
}

/// A pair of segments that can be merged.
struct Pair {
    a: usize,
    b: usize,
    similarity: f64,
}

impl Pair {
    fn new(segments: &[Segment], a: usize, b: usize, pixels: usize) -> Self {
        Self { a, b, similarity: segments[a].similarity(&segments[b], pixels) }
    }
}

impl Segment {
    fn region(&self) -> Region {
        Region { left: self.left, top: self.top, right: self.right + 1, bottom: self.bottom + 1 }
    }

    /// Whether a corner of the other segment's box lies strictly inside the box of this segment.
    fn contains_corner_of(&self, other: &Segment) -> bool {
        let columns = [other.left, other.right].map(|x| self.left < x && x < self.right);
        let rows = [other.top, other.bottom].map(|y| self.top < y && y < self.bottom);
        columns.contains(&true) && rows.contains(&true)
    }

    /// The similarity of two segments in an image with this number of `pixels`.
    fn similarity(&self, other: &Segment, pixels: usize) -> f64 {
        let intersection =
            |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a.min(*b)).sum() };
        // Hue and saturation are constant and contribute 1 each. The three channels have the same texture.
        let colour = 2.0 + intersection(&self.grey, &other.grey);
        let texture = 3.0 * intersection(&self.texture, &other.texture);
        let (both, image) = ((self.pixels + other.pixels) as f64, pixels as f64);
        let width = self.right.max(other.right) - self.left.min(other.left);
        let height = self.bottom.max(other.bottom) - self.top.min(other.top);
        let size = 1.0 - both / image;
        let fill = 1.0 - ((width * height) as f64 - both) / image;
        colour + texture + size + fill
    }

    fn merged(&self, other: &Segment) -> Segment {
        let (pixels, other_pixels) = (self.pixels as f64, other.pixels as f64);
        let mean = |a: f64, b: f64| (a * pixels + b * other_pixels) / (pixels + other_pixels);
        Segment {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
            pixels: self.pixels + other.pixels,
            grey: std::array::from_fn(|bin| mean(self.grey[bin], other.grey[bin])),
            texture: std::array::from_fn(|code| mean(self.texture[code], other.texture[code])),
        }
    }
}

/// Computes the features of each segment. The index of a segment is its label.
fn describe(grey: &[f64], width: usize, labels: &[usize]) -> Vec<Segment> {
    let empty = Segment {
        left: usize::MAX,
        top: usize::MAX,
        right: 0,
        bottom: 0,
        pixels: 0,
        grey: [0.0; GREY_BINS],
        texture: [0.0; 2],
    };
    let bytes: Vec<f64> = grey.iter().map(|value| (255.0 * value).round()).collect();
    let mut segments = vec![empty; labels.iter().max().map_or(0, |last| last + 1)];
    for (pixel, &label) in labels.iter().enumerate() {
        let (segment, column, row) = (&mut segments[label], pixel % width, pixel / width);
        segment.left = segment.left.min(column);
        segment.right = segment.right.max(column);
        segment.top = segment.top.min(row);
        segment.bottom = segment.bottom.max(row);
        segment.pixels += 1;
        let bin = (bytes[pixel] * GREY_BINS as f64 / 255.0) as usize;
        segment.grey[bin.min(GREY_BINS - 1)] += 1.0;
        if let Some(count) = segment.texture.get_mut(binary_pattern(&bytes, width, pixel)) {
            *count += 1.0;
        }
    }
    for segment in &mut segments {
        let pixels = segment.pixels as f64;
        segment.grey.iter_mut().chain(&mut segment.texture).for_each(|count| *count /= pixels);
    }
    segments
}

/// Computes the local binary pattern of a pixel (Ojala et al., PAMI 24, 2002). Each of eight points on a
/// circle of radius 1 has a bit, counterclockwise from the right, which is set if the point is not darker
/// than the pixel. Points between pixels are interpolated bilinearly. The image is padded with 0.
fn binary_pattern(grey: &[f64], width: usize, pixel: usize) -> usize {
    let height = (grey.len() / width) as isize;
    let (row, column) = ((pixel / width) as isize, (pixel % width) as isize);
    let at = |down: isize, right: isize| {
        let (row, column) = (row + down, column + right);
        let inside = (0..height).contains(&row) && (0..width as isize).contains(&column);
        if inside { grey[row as usize * width + column as usize] } else { 0.0 }
    };
    let near = std::f64::consts::FRAC_1_SQRT_2;
    let diagonal = |down: isize, right: isize| {
        let far = 1.0 - near;
        far * (far * at(0, 0) + near * at(0, right))
            + near * (far * at(down, 0) + near * at(down, right))
    };
    let circle = [
        at(0, 1),
        diagonal(-1, 1),
        at(-1, 0),
        diagonal(-1, -1),
        at(0, -1),
        diagonal(1, -1),
        at(1, 0),
        diagonal(1, 1),
    ];
    let centre = grey[pixel];
    circle.iter().enumerate().map(|(bit, &value)| usize::from(value >= centre) << bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_patterns_of_a_peak_an_edge_and_a_constant_image() {
        let peak = [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(binary_pattern(&peak, 3, 4), 0);
        let bright_to_the_right = [0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 0.0];
        assert_eq!(binary_pattern(&bright_to_the_right, 3, 4), 1);
        assert_eq!(binary_pattern(&[1.0; 9], 3, 4), 255);
    }

    #[test]
    fn block_and_whole_image_are_proposed() {
        let (height, width) = (40, 50);
        let inside = |pixel: usize| {
            (10..25).contains(&(pixel / width)) && (20..40).contains(&(pixel % width))
        };
        let grey: Vec<f64> =
            (0..height * width).map(|pixel| if inside(pixel) { 1.0 } else { 0.0 }).collect();
        let unsmoothed = Segmentation { scale: 5.0, sigma: 0.0, min_size: 10 };
        let boxes = selective_search(&grey, width, &unsmoothed).expect("boxes");
        assert!(boxes.contains(&Region { left: 20, top: 10, right: 40, bottom: 25 }), "{boxes:?}");
        assert!(boxes.contains(&Region { left: 0, top: 0, right: 50, bottom: 40 }), "{boxes:?}");
        assert_eq!(boxes.len(), 2);
    }
}
