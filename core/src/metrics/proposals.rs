//! Boxes that a picture's segments suggest.

use super::{Region, Segmentation};

/// Bins of the grey values, from 0 to 255.
const GREY_BINS: usize = 25;

/// What is compared of two segments.
#[derive(Clone)]
struct Segment {
    /// The first and last column and row.
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    pixels: usize,
    /// The share of its pixels in each bin of grey.
    grey: [f64; GREY_BINS],
    /// The share of its pixels that none of the neighbours reaches, and that the right one alone
    /// does: the local binary patterns 0 and 1.
    texture: [f64; 2],
}

/// The boxes of selective search (Uijlings et al., IJCV 104, 2013) on a grey picture from 0 to 1
/// with rows of `width` values: those of its segments, and of what their hierarchical grouping
/// makes of them, each once.
///
/// Segments whose boxes overlap are joined, the most alike first. Likeness is that of the Python
/// package `selectivesearch` 0.4, whose settings the AdaptGrad paper's section 11.1 names, for a
/// grey picture of 8 bits in three equal channels: colour (hue and saturation are the same
/// everywhere), texture by local binary patterns of which its bins hold the codes 0 and 1, size and
/// fill. None for rows of another length.
pub fn selective_search(
    grey: &[f64],
    width: usize,
    segmentation: &Segmentation,
) -> Option<Vec<Region>> {
    let labels = segmentation.segments(grey, width)?;
    let mut segments = described(grey, width, &labels);
    let mut pairs: Vec<Pair> = Vec::new();
    for a in 0..segments.len() {
        for b in a + 1..segments.len() {
            if segments[a].holds_a_corner_of(&segments[b]) {
                pairs.push(Pair::new(&segments, a, b, grey.len()));
            }
        }
    }
    // Of pairs that are equally alike the last goes first.
    while let Some(best) = pairs.iter().max_by(|a, b| a.likeness.total_cmp(&b.likeness)) {
        let (i, j) = (best.a, best.b);
        let joined = segments.len();
        segments.push(segments[i].joined(&segments[j]));
        let (gone, kept): (Vec<Pair>, Vec<Pair>) =
            pairs.into_iter().partition(|pair| [pair.a, pair.b].iter().any(|s| [i, j].contains(s)));
        pairs = kept;
        for pair in gone.iter().filter(|pair| (pair.a, pair.b) != (i, j)) {
            let other = if [i, j].contains(&pair.a) { pair.b } else { pair.a };
            let known = |p: &Pair| (p.a, p.b) == (joined, other);
            if !pairs.iter().any(known) {
                pairs.push(Pair::new(&segments, joined, other, grey.len()));
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

/// Two segments that may be joined.
struct Pair {
    a: usize,
    b: usize,
    likeness: f64,
}

impl Pair {
    fn new(segments: &[Segment], a: usize, b: usize, pixels: usize) -> Self {
        Self { a, b, likeness: segments[a].likeness(&segments[b], pixels) }
    }
}

impl Segment {
    fn region(&self) -> Region {
        Region { left: self.left, top: self.top, right: self.right + 1, bottom: self.bottom + 1 }
    }

    /// Whether a corner of the other's box lies inside this one's.
    fn holds_a_corner_of(&self, other: &Segment) -> bool {
        let across = [other.left, other.right].map(|x| self.left < x && x < self.right);
        let down = [other.top, other.bottom].map(|y| self.top < y && y < self.bottom);
        across.contains(&true) && down.contains(&true)
    }

    fn likeness(&self, other: &Segment, pixels: usize) -> f64 {
        let common =
            |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a.min(*b)).sum() };
        // Hue and saturation have all pixels of both in one bin; texture has three equal channels.
        let colour = 2.0 + common(&self.grey, &other.grey);
        let texture = 3.0 * common(&self.texture, &other.texture);
        let (own, all) = ((self.pixels + other.pixels) as f64, pixels as f64);
        let width = self.right.max(other.right) - self.left.min(other.left);
        let height = self.bottom.max(other.bottom) - self.top.min(other.top);
        let fill = 1.0 - ((width * height) as f64 - own) / all;
        colour + texture + (1.0 - own / all) + fill
    }

    fn joined(&self, other: &Segment) -> Segment {
        let (own, others) = (self.pixels as f64, other.pixels as f64);
        let mean = |a: f64, b: f64| (a * own + b * others) / (own + others);
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

/// The segments by their labels, which are numbered by their first pixel.
fn described(grey: &[f64], width: usize, labels: &[usize]) -> Vec<Segment> {
    let nothing = Segment {
        left: usize::MAX,
        top: usize::MAX,
        right: 0,
        bottom: 0,
        pixels: 0,
        grey: [0.0; GREY_BINS],
        texture: [0.0; 2],
    };
    let bytes: Vec<f64> = grey.iter().map(|value| (255.0 * value).round()).collect();
    let mut segments = vec![nothing; labels.iter().max().map_or(0, |last| last + 1)];
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

/// The local binary pattern of a pixel (Ojala et al., PAMI 24, 2002): a bit for each of eight points
/// around it at a distance of 1, from the right one on against the clock, that is not darker. Points
/// between pixels are interpolated bilinearly, and there is 0 beyond the borders.
fn binary_pattern(grey: &[f64], width: usize, pixel: usize) -> usize {
    let height = (grey.len() / width) as isize;
    let (row, column) = ((pixel / width) as isize, (pixel % width) as isize);
    let at = |down: isize, right: isize| {
        let (row, column) = (row + down, column + right);
        let inside = (0..height).contains(&row) && (0..width as isize).contains(&column);
        if inside { grey[row as usize * width + column as usize] } else { 0.0 }
    };
    let near = std::f64::consts::FRAC_1_SQRT_2;
    let between = |down: isize, right: isize| {
        let far = 1.0 - near;
        far * (far * at(0, 0) + near * at(0, right))
            + near * (far * at(down, 0) + near * at(down, right))
    };
    let around = [
        at(0, 1),
        between(-1, 1),
        at(-1, 0),
        between(-1, -1),
        at(0, -1),
        between(1, -1),
        at(1, 0),
        between(1, 1),
    ];
    let centre = grey[pixel];
    around.iter().enumerate().map(|(bit, &value)| usize::from(value >= centre) << bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_a_peak_and_of_a_slope() {
        let peak = [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(binary_pattern(&peak, 3, 4), 0);
        let right = [0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 0.0];
        assert_eq!(binary_pattern(&right, 3, 4), 1);
        assert_eq!(binary_pattern(&[1.0; 9], 3, 4), 255);
    }

    #[test]
    fn a_block_is_proposed() {
        let (height, width) = (40, 50);
        let inside = |pixel: usize| {
            (10..25).contains(&(pixel / width)) && (20..40).contains(&(pixel % width))
        };
        let grey: Vec<f64> =
            (0..height * width).map(|pixel| if inside(pixel) { 1.0 } else { 0.0 }).collect();
        let sharp = Segmentation { scale: 5.0, sigma: 0.0, least: 10 };
        let boxes = selective_search(&grey, width, &sharp).expect("boxes");
        assert!(boxes.contains(&Region { left: 20, top: 10, right: 40, bottom: 25 }), "{boxes:?}");
        assert!(boxes.contains(&Region { left: 0, top: 0, right: 50, bottom: 40 }), "{boxes:?}");
        assert_eq!(boxes.len(), 2);
    }
}
