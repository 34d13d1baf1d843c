//! Linear interpolation of images with few known pixels.

use spade::handles::FixedVertexHandle;
use spade::{DelaunayTriangulation, FloatTriangulation, HasPosition, Point2, Triangulation};

use crate::error::{Error, ErrorKind};

/// An 8-bit image in row-major order with interleaved channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteImage {
    /// The `height * width * channels` values.
    pub values: Vec<u8>,
    /// The height in pixels.
    pub height: usize,
    /// The width in pixels.
    pub width: usize,
    /// The number of channels.
    pub channels: usize,
}

/// A vertex of the triangulation: a known pixel.
struct KnownPixel {
    position: Point2<f64>,
    index: usize,
}

impl HasPosition for KnownPixel {
    type Scalar = f64;

    fn position(&self) -> Point2<f64> {
        self.position
    }
}

/// Interpolates the pixels of `image` that are not marked in `known`. Each is interpolated linearly from
/// the three known pixels around it in their Delaunay triangulation, and rounded half to even. The four
/// corners always count as known.
///
/// This is `create_blurred_image` of PAIR's `saliency` (Kapishnikov et al., arXiv 1906.02825). Points on a
/// grid often have several Delaunay triangulations; the one chosen here may differ from that of PAIR.
///
/// # Errors
///
/// Returns an error if the triangulation fails.
pub fn interpolated(image: &ByteImage, known: &[bool]) -> Result<ByteImage, Error> {
    let ByteImage { height, width, channels, .. } = *image;
    let corners = [0, width - 1, (height - 1) * width, height * width - 1];
    let is_known = |pixel: usize| known[pixel] || corners.contains(&pixel);
    let position = |pixel: usize| Point2::new((pixel % width) as f64, (pixel / width) as f64);
    let vertices: Vec<KnownPixel> = (0..height * width)
        .filter(|&pixel| is_known(pixel))
        .map(|pixel| KnownPixel { position: position(pixel), index: pixel })
        .collect();
    let mut values = image.values.clone();
    let mesh = DelaunayTriangulation::<KnownPixel>::bulk_load_stable(vertices)
        .map_err(|error| triangulation_failed(&error.to_string()))?;
    let barycentric = mesh.barycentric();
    let mut weights: Vec<(FixedVertexHandle, f64)> = Vec::new();
    for pixel in (0..height * width).filter(|&pixel| !is_known(pixel)) {
        barycentric.get_weights(position(pixel), &mut weights);
        for channel in 0..channels {
            let value = |vertex: FixedVertexHandle| {
                f64::from(image.values[mesh.vertex(vertex).data().index * channels + channel])
            };
            let sum: f64 = weights.iter().map(|&(vertex, weight)| weight * value(vertex)).sum();
            values[pixel * channels + channel] = sum.round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }
    Ok(ByteImage { values, ..*image })
}

fn triangulation_failed(reason: &str) -> Error {
    let message = format!(
        "the information in the image cannot be measured: the triangulation failed: {reason}"
    );
    Error::new(ErrorKind::Information, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpolate(image: &ByteImage, known: &[bool]) -> ByteImage {
        interpolated(image, known).expect("an image")
    }

    /// The values are linear in the position, so every triangulation reproduces them.
    #[test]
    fn linear_image_is_reproduced_from_few_pixels() {
        let (height, width) = (20, 30);
        let linear = |pixel: usize| [(2 * (pixel % width) + 5 * (pixel / width)) as u8, 7];
        let values: Vec<u8> = (0..height * width).flat_map(linear).collect();
        let image = ByteImage { values, height, width, channels: 2 };
        let known: Vec<bool> = (0..height * width).map(|pixel| pixel % 37 == 5).collect();
        assert_eq!(interpolate(&image, &known), image);
        assert_eq!(interpolate(&image, &vec![false; height * width]), image);
    }

    #[test]
    fn known_pixels_are_kept_and_others_interpolated() {
        let values = vec![0, 0, 0, 0, 200, 0, 0, 0, 0];
        let image = ByteImage { values, height: 3, width: 3, channels: 1 };
        assert_eq!(interpolate(&image, &[true; 9]), image);
        assert_eq!(interpolate(&image, &[false; 9]).values, [0; 9]);
        let centre: Vec<bool> = (0..9).map(|pixel| pixel == 4).collect();
        assert_eq!(interpolate(&image, &centre), image);
    }

    #[test]
    fn degenerate_sizes_are_interpolated() {
        for (height, width) in [(1, 1), (1, 7), (7, 1), (2, 2)] {
            let values: Vec<u8> = (0..height * width).map(|pixel| 10 * pixel as u8).collect();
            let image = ByteImage { values, height, width, channels: 1 };
            assert_eq!(interpolate(&image, &vec![false; height * width]), image);
        }
    }
}
