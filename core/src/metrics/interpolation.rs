//! Pictures of which only some pixels are known.

use spade::handles::FixedVertexHandle;
use spade::{DelaunayTriangulation, FloatTriangulation, HasPosition, Point2, Triangulation};

use crate::Error;

/// A picture of 8 bits, row by row, each pixel with its channels side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// `height * width * channels` values.
    pub values: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}

/// A known pixel.
struct Known {
    place: Point2<f64>,
    pixel: usize,
}

impl HasPosition for Known {
    type Scalar = f64;

    fn position(&self) -> Point2<f64> {
        self.place
    }
}

/// `picture` with every pixel that `known` does not mark interpolated linearly between the three
/// known ones around it, over their Delaunay triangulation, and rounded, a half to even. The four
/// corners always count as known.
///
/// This is `create_blurred_image` of PAIR's `saliency` (Kapishnikov et al., arXiv 1906.02825);
/// where several triangulations are Delaunay's, as on a grid they often are, it may have another.
///
/// # Errors
///
/// [`Error::Information`] when there is no triangulation.
pub fn interpolated(picture: &Bytes, known: &[bool]) -> Result<Bytes, Error> {
    let Bytes { height, width, channels, .. } = *picture;
    let corners = [0, width - 1, (height - 1) * width, height * width - 1];
    let is_known = |pixel: usize| known[pixel] || corners.contains(&pixel);
    let place = |pixel: usize| Point2::new((pixel % width) as f64, (pixel / width) as f64);
    let points: Vec<Known> = (0..height * width)
        .filter(|&pixel| is_known(pixel))
        .map(|pixel| Known { place: place(pixel), pixel })
        .collect();
    let mut values = picture.values.clone();
    let mesh = DelaunayTriangulation::<Known>::bulk_load_stable(points)
        .map_err(|error| Error::Information(format!("the triangulation failed: {error}")))?;
    let barycentric = mesh.barycentric();
    let mut weights: Vec<(FixedVertexHandle, f64)> = Vec::new();
    for pixel in (0..height * width).filter(|&pixel| !is_known(pixel)) {
        barycentric.get_weights(place(pixel), &mut weights);
        for channel in 0..channels {
            let value = |vertex: FixedVertexHandle| {
                f64::from(picture.values[mesh.vertex(vertex).data().pixel * channels + channel])
            };
            let sum: f64 = weights.iter().map(|&(vertex, weight)| weight * value(vertex)).sum();
            values[pixel * channels + channel] = sum.round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }
    Ok(Bytes { values, ..*picture })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(picture: &Bytes, known: &[bool]) -> Bytes {
        interpolated(picture, known).expect("a picture")
    }

    /// A plane is linear, so that any triangulation gives it back.
    #[test]
    fn a_plane_comes_back_from_few_pixels() {
        let (height, width) = (20, 30);
        let plane = |pixel: usize| [(2 * (pixel % width) + 5 * (pixel / width)) as u8, 7];
        let values: Vec<u8> = (0..height * width).flat_map(plane).collect();
        let picture = Bytes { values, height, width, channels: 2 };
        let known: Vec<bool> = (0..height * width).map(|pixel| pixel % 37 == 5).collect();
        assert_eq!(shown(&picture, &known), picture);
        assert_eq!(shown(&picture, &vec![false; height * width]), picture);
    }

    #[test]
    fn what_is_known_stays_and_the_rest_does_not() {
        let values = vec![0, 0, 0, 0, 200, 0, 0, 0, 0];
        let picture = Bytes { values, height: 3, width: 3, channels: 1 };
        assert_eq!(shown(&picture, &[true; 9]), picture);
        assert_eq!(shown(&picture, &[false; 9]).values, [0; 9]);
        let centre: Vec<bool> = (0..9).map(|pixel| pixel == 4).collect();
        assert_eq!(shown(&picture, &centre), picture);
    }

    #[test]
    fn lines_and_single_pixels_are_no_trouble() {
        for (height, width) in [(1, 1), (1, 7), (7, 1), (2, 2)] {
            let values: Vec<u8> = (0..height * width).map(|pixel| 10 * pixel as u8).collect();
            let picture = Bytes { values, height, width, channels: 1 };
            assert_eq!(shown(&picture, &vec![false; height * width]), picture);
        }
    }
}
