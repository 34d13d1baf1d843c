//! Regions of a grey picture that belong together.

use petgraph::unionfind::UnionFind;

/// How fine a segmentation is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segmentation {
    /// Larger ones give larger segments; divided by 255, as it is for pixels from 0 to 255.
    pub scale: f64,
    /// The width of the Gaussian that the picture is smoothed with first, in pixels.
    pub sigma: f64,
    /// Pixels of the smallest segment; smaller ones join a neighbour.
    pub least: usize,
}

impl Segmentation {
    /// Scale 500, sigma 0.9, at least 10 pixels (section 11.1 of arXiv 2410.07711).
    pub fn adaptgrad() -> Self {
        Self { scale: 500.0, sigma: 0.9, least: 10 }
    }

    /// The segment of each pixel of a grey picture with rows of `width` values, numbered from 0
    /// (Felzenszwalb and Huttenlocher, IJCV 59, 2004, as `skimage.segmentation.felzenszwalb` has
    /// it for three channels that are equal).
    ///
    /// Two segments join across an edge that costs less than `min(inner + scale / pixels)` of both,
    /// where an edge costs the distance of its pixels' colours, and `inner` is the dearest edge
    /// inside. None for rows of another length.
    pub fn segments(&self, grey: &[f64], width: usize) -> Option<Vec<usize>> {
        if width == 0 || !grey.len().is_multiple_of(width) {
            return None;
        }
        let smooth = smoothed(grey, width, self.sigma);
        let edges = edges(&smooth, width);
        let scale = self.scale / 255.0;
        let mut sets = UnionFind::<usize>::new(grey.len());
        let mut pixels = vec![1; grey.len()];
        let mut inner = vec![0.0; grey.len()];
        for edge in &edges {
            let (a, b) = (sets.find_mut(edge.from), sets.find_mut(edge.to));
            let room = |set: usize| inner[set] + scale / pixels[set] as f64;
            if a != b && edge.cost < room(a).min(room(b)) {
                sets.union(a, b);
                let (both, joined) = (pixels[a] + pixels[b], sets.find_mut(a));
                (pixels[joined], inner[joined]) = (both, edge.cost);
            }
        }
        for edge in &edges {
            let (a, b) = (sets.find_mut(edge.from), sets.find_mut(edge.to));
            if a != b && pixels[a].min(pixels[b]) < self.least {
                sets.union(a, b);
                let (both, joined) = (pixels[a] + pixels[b], sets.find_mut(a));
                pixels[joined] = both;
            }
        }
        Some(numbered(&mut sets, grey.len()))
    }
}

/// Two neighbouring pixels.
struct Edge {
    from: usize,
    to: usize,
    cost: f64,
}

/// All pairs of neighbours, diagonal ones too, the cheapest first.
fn edges(grey: &[f64], width: usize) -> Vec<Edge> {
    let height = grey.len() / width;
    let mut edges = Vec::with_capacity(4 * grey.len());
    // Right, down, down and right, up and right.
    for (down, right) in [(0, 1), (1, 0), (1, 1), (-1, 1)] {
        for row in 0..height {
            let Some(other) = row.checked_add_signed(down).filter(|&other| other < height) else {
                continue;
            };
            for column in 0..width.saturating_sub(right) {
                let (from, to) = (row * width + column, other * width + column + right);
                let square = (grey[from] - grey[to]).powi(2);
                edges.push(Edge { from, to, cost: (square + square + square).sqrt() });
            }
        }
    }
    edges.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    edges
}

/// Numbers from 0 in the order of each set's first pixel.
fn numbered(sets: &mut UnionFind<usize>, pixels: usize) -> Vec<usize> {
    let mut numbers = vec![usize::MAX; pixels];
    let mut next = 0;
    let number = |pixel: usize| {
        let root = sets.find_mut(pixel);
        if numbers[root] == usize::MAX {
            (numbers[root], next) = (next, next + 1);
        }
        numbers[root]
    };
    (0..pixels).map(number).collect()
}

/// Widths of the Gaussian after which it is cut off.
const REACH: f64 = 4.0;

/// A Gaussian blur, the picture mirrored at its borders, as `scipy.ndimage.gaussian_filter`.
fn smoothed(grey: &[f64], width: usize, sigma: f64) -> Vec<f64> {
    if sigma <= 0.0 {
        return grey.to_vec();
    }
    let reach = (REACH * sigma + 0.5) as isize;
    let weight = |offset: isize| (-0.5 * (offset as f64 / sigma).powi(2)).exp();
    let weights: Vec<(isize, f64)> = (-reach..=reach).map(|at| (at, weight(at))).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let along = |grey: &[f64], length: usize, stride: usize| -> Vec<f64> {
        let value = |pixel: usize| {
            let place = pixel / stride % length;
            let first = pixel - place * stride;
            let at =
                |offset: isize| grey[first + mirrored(place as isize + offset, length) * stride];
            weights.iter().map(|&(offset, weight)| weight / sum * at(offset)).sum()
        };
        (0..grey.len()).map(value).collect()
    };
    along(&along(grey, grey.len() / width, width), width, 1)
}

/// A place beyond the borders as the place whose mirror image it is.
fn mirrored(place: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let place = place.rem_euclid(period);
    place.min(period - 1 - place) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bright_block_is_a_segment() {
        let (height, width) = (24, 30);
        let inside =
            |pixel: usize| (5..15).contains(&(pixel / width)) && (8..20).contains(&(pixel % width));
        let grey: Vec<f64> =
            (0..height * width).map(|pixel| if inside(pixel) { 1.0 } else { 0.0 }).collect();
        let sharp = Segmentation { scale: 5.0, sigma: 0.0, least: 10 };
        let segments = sharp.segments(&grey, width).expect("segments");
        for (pixel, &segment) in segments.iter().enumerate() {
            assert_eq!(segment, usize::from(inside(pixel)), "pixel {pixel}");
        }
        let coarse = Segmentation { least: 200, ..sharp };
        let segments = coarse.segments(&grey, width).expect("segments");
        assert!(segments.iter().all(|&segment| segment == 0));
        assert_eq!(sharp.segments(&grey, 0), None);
        assert_eq!(sharp.segments(&grey, 7), None);
        assert_eq!(sharp.segments(&[], 7), Some(Vec::new()));
    }

    #[test]
    fn borders_are_mirrored() {
        let places: Vec<usize> = (-4..7).map(|place| mirrored(place, 3)).collect();
        assert_eq!(places, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        let flat = smoothed(&[0.3; 12], 4, 0.9);
        assert!(flat.iter().all(|value| (value - 0.3).abs() < 1e-12));
    }
}
