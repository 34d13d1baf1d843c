//! Resizing with the exact arithmetic of Pillow. Filters widen when the picture is scaled down
//! (antialiasing).
//!
//! Most models were trained on pictures that Pillow resized, so the result is the same bit for bit: the
//! weights are computed in double precision, normalised, and rounded to 22 fractional bits. The horizontal
//! pass comes first and is rounded to 8 bits; the vertical pass follows. The order matters: with the
//! vertical pass first, every seventh value differs by one level. (Pillow 13.0 runs the vertical pass first
//! if that needs less work; earlier versions always run the horizontal pass first.)
//!
//! Only the pixels inside the crop are computed, so a picture with an extreme aspect ratio costs no more
//! than a square one.

use std::f64::consts::PI;
use std::ops::Range;

use crate::raster::Picture;

/// The filter of a resize: the weight of a source pixel at the distance `x` from the centre of the target
/// pixel. The unit of `x` is a pixel of the larger of the two pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The value of the nearest pixel.
    Nearest,
    /// `1` for `-1/2 < x <= 1/2`: the mean of the source pixels under a target pixel.
    Box,
    /// `1 - |x|` for `|x| < 1`.
    #[default]
    Bilinear,
    /// A raised cosine times `sin(pi x) / (pi x)` for `|x| < 1`: `0.54 + 0.46 cos(pi x)`.
    Hamming,
    /// Keys' cubic with `a = -1/2`, for `|x| < 2`.
    Bicubic,
    /// `sinc(x) sinc(x / 3)` for `|x| < 3`.
    Lanczos,
}

impl Interpolation {
    /// All filters with their names.
    pub const ALL: [(Interpolation, &'static str); 6] = [
        (Interpolation::Nearest, "nearest"),
        (Interpolation::Box, "box"),
        (Interpolation::Bilinear, "bilinear"),
        (Interpolation::Hamming, "hamming"),
        (Interpolation::Bicubic, "bicubic"),
        (Interpolation::Lanczos, "lanczos"),
    ];

    /// The name of the filter.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(filter, _)| *filter == self).map_or("", |(_, name)| name)
    }

    /// The radius of the filter's support.
    fn support(self) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::Box => 0.5,
            Interpolation::Bilinear | Interpolation::Hamming => 1.0,
            Interpolation::Bicubic => 2.0,
            Interpolation::Lanczos => 3.0,
        }
    }

    /// The weight at the distance `x`; 0 outside the support.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| match x * PI {
            0.0 => 1.0,
            x => x.sin() / x,
        };
        match self {
            Interpolation::Nearest | Interpolation::Box => {
                if x > -0.5 && x <= 0.5 {
                    1.0
                } else {
                    0.0
                }
            }
            Interpolation::Bilinear => (1.0 - x.abs()).max(0.0),
            Interpolation::Hamming => match x.abs() {
                0.0 => 1.0,
                x if x >= 1.0 => 0.0,
                x => (x * PI).sin() / (x * PI) * (0.54 + 0.46 * (x * PI).cos()),
            },
            Interpolation::Bicubic => {
                const A: f64 = -0.5;
                match x.abs() {
                    x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
                    x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
                    _ => 0.0,
                }
            }
            Interpolation::Lanczos => match x {
                x if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
                _ => 0.0,
            },
        }
    }
}

/// Resizes `picture` to `target` (height, width), and returns only the given `rows` and `columns` of the
/// result.
///
/// The ranges must lie within `target`, and no side of `picture` or `target` may be 0.
pub(super) fn resize_window(
    picture: &Picture,
    interpolation: Interpolation,
    target: (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
) -> Picture {
    let (height, width) = (rows.len(), columns.len());
    let vertical = axis_weights(interpolation, picture.height(), target.0, rows);
    let horizontal = axis_weights(interpolation, picture.width(), target.1, columns);

    let first = vertical.iter().map(|taps| taps.first).min().unwrap_or(0);
    let end = vertical.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or(0);
    let resized_rows: Vec<u8> =
        (first..end).flat_map(|row| resized_row(row_of(picture, row), &horizontal)).collect();
    let resized_rows: Vec<&[u8]> = resized_rows.chunks_exact((width * 3).max(1)).collect();

    let bytes: Vec<u8> = vertical
        .iter()
        .flat_map(|taps| {
            weighted_sum(&resized_rows[taps.first - first..][..taps.weights.len()], &taps.weights)
        })
        .collect();
    Picture::from_pixels(height, width, bytes.as_chunks::<3>().0.iter().copied())
}

impl Picture {
    /// The picture in a smaller resolution: the largest with the same proportions whose sides have at most `max_side`
    /// pixels. A picture that fits is returned as it is.
    #[must_use]
    pub fn fit_within(&self, max_side: usize) -> Picture {
        let longest = self.height().max(self.width());
        if longest <= max_side || self.rgb().is_empty() {
            return self.clone();
        }
        let scaled = |side: usize| (side * max_side / longest).max(1);
        let target = (scaled(self.height()), scaled(self.width()));
        resize_window(self, Interpolation::Box, target, 0..target.0, 0..target.1)
    }
}

/// The source pixels along one axis that contribute to one target pixel, with their weights.
struct Taps {
    /// The index of the first contributing source pixel.
    first: usize,
    /// The weights of the source pixels from `first` on, in units of 2^-22. They sum to about 1.
    weights: Vec<i32>,
}

const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// Computes the weights along one axis for the target pixels in `window`, if `source` pixels are resized to
/// `target` pixels.
///
/// Target pixel `i` is centred at `(i + 1/2) s` in the source, with `s = source / target`. The support of
/// the filter is scaled by `max(s, 1)`.
fn axis_weights(
    interpolation: Interpolation,
    source: usize,
    target: usize,
    window: Range<usize>,
) -> Vec<Taps> {
    let scale = source as f64 / target as f64;
    if interpolation == Interpolation::Nearest {
        return nearest(scale, source, window);
    }
    let filter_scale = scale.max(1.0);
    let (support, inverse_scale) = (interpolation.support() * filter_scale, 1.0 / filter_scale);
    window
        .map(|pixel| {
            let centre = (pixel as f64 + 0.5) * scale;
            // As in Pillow, the casts truncate towards zero; negative values saturate at zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(source);
            let weights: Vec<f64> = (first..end)
                .map(|tap| interpolation.weight((tap as f64 - centre + 0.5) * inverse_scale))
                .collect();
            let total: f64 = weights.iter().sum();
            let weights = weights.iter().map(|weight| fixed_point(weight / total)).collect();
            Taps { first, weights }
        })
        .collect()
}

/// Returns the source pixel under the centre of each target pixel, with weight 1. The position of the
/// centre is accumulated from pixel to pixel, because Pillow does the same and the rounding depends on it.
fn nearest(scale: f64, source: usize, window: Range<usize>) -> Vec<Taps> {
    let mut centre = scale * 0.5;
    let mut taps = Vec::with_capacity(window.len());
    for pixel in 0..window.end {
        if pixel >= window.start {
            let first = (centre as usize).min(source - 1);
            taps.push(Taps { first, weights: vec![1 << FRACTION_BITS] });
        }
        centre += scale;
    }
    taps
}

fn fixed_point(weight: f64) -> i32 {
    let half = if weight < 0.0 { -0.5 } else { 0.5 };
    (weight * f64::from(1 << FRACTION_BITS) + half) as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

fn row_of(picture: &Picture, row: usize) -> &[u8] {
    let length = picture.width() * 3;
    &picture.rgb()[row * length..][..length]
}

/// The horizontal pass: resizes one row.
fn resized_row(row: &[u8], horizontal: &[Taps]) -> impl Iterator<Item = u8> {
    let (pixels, _) = row.as_chunks::<3>();
    horizontal.iter().flat_map(move |taps| {
        let mut sums = [HALF; 3];
        for (pixel, weight) in pixels[taps.first..].iter().zip(&taps.weights) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        sums.map(to_byte)
    })
}

/// The vertical pass: computes one target row as the weighted sum of `rows`.
fn weighted_sum(rows: &[&[u8]], weights: &[i32]) -> Vec<u8> {
    let length = rows.first().map_or(0, |row| row.len());
    let mut sums = vec![HALF; length];
    for (row, weight) in rows.iter().zip(weights) {
        for (sum, value) in sums.iter_mut().zip(*row) {
            *sum += i32::from(*value) * weight;
        }
    }
    sums.into_iter().map(to_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(height: usize, width: usize) -> Picture {
        let value =
            |y: usize, x: usize, c: usize| ((x * 37 + y * 91 + c * 53 + x * y * 5) % 256) as u8;
        let pixels = (0..height * width).map(|i| [0, 1, 2].map(|c| value(i / width, i % width, c)));
        Picture::from_pixels(height, width, pixels)
    }

    /// The expected bytes are those of `Image.fromarray(pattern).resize((width, height), BILINEAR)` in
    /// Pillow 12.0.
    #[test]
    fn bilinear_resize_matches_pillow_bit_for_bit() {
        #[derive(Debug)]
        struct Case {
            source: (usize, usize),
            target: (usize, usize),
            bytes: &'static [u8],
        }
        #[rustfmt::skip]
        let cases = [
            Case { source: (7, 5), target: (3, 4), bytes: &[
                88, 128, 140, 114, 135, 142, 130, 119, 126, 96, 121, 174, 102, 140, 121, 126, 119, 130,
                116, 135, 120, 141, 111, 126, 109, 162, 119, 100, 130, 113, 141, 118, 132, 123, 153, 124] },
            Case { source: (3, 4), target: (5, 6), bytes: &[
                0, 53, 106, 19, 72, 125, 43, 96, 149, 68, 121, 174, 93, 146, 199, 111, 164, 217,
                36, 89, 142, 56, 109, 162, 82, 135, 171, 108, 161, 129, 134, 136, 138, 153, 104, 157,
                91, 144, 197, 112, 165, 218, 140, 193, 203, 168, 221, 61, 196, 121, 46, 217, 14, 67,
                146, 199, 98, 168, 145, 121, 172, 98, 133, 100, 127, 95, 105, 107, 108, 127, 78, 131,
                182, 235, 32, 206, 131, 56, 194, 34, 87, 55, 65, 118, 44, 97, 150, 67, 120, 173] },
            Case { source: (9, 2), target: (2, 3), bytes: &[
                94, 147, 121, 109, 132, 129, 124, 116, 136, 122, 135, 138, 112, 143, 128, 101, 151, 117] },
        ];
        for case in cases {
            let picture = pattern(case.source.0, case.source.1);
            let resized = resize_window(
                &picture,
                Interpolation::Bilinear,
                case.target,
                0..case.target.0,
                0..case.target.1,
            );
            assert_eq!(resized.rgb(), case.bytes, "{case:?}");
        }
    }

    #[test]
    fn window_equals_that_part_of_the_whole_result() {
        let picture = pattern(23, 31);
        let whole = resize_window(&picture, Interpolation::Lanczos, (11, 40), 0..11, 0..40);
        let window = resize_window(&picture, Interpolation::Lanczos, (11, 40), 3..9, 17..22);
        let part = (3..9).flat_map(|y| (17..22).map(move |x| y * 40 + x));
        for (index, pixel) in part.zip(window.pixels()) {
            assert_eq!(whole.pixels().nth(index), Some(pixel), "pixel {index}");
        }
    }

    #[test]
    fn large_picture_is_made_to_fit() {
        let picture = Picture::new(10, 40, vec![90; 10 * 40 * 3]).unwrap();
        let small = picture.fit_within(20);
        assert_eq!((small.height(), small.width(), small.rgb()[0]), (5, 20, 90));
        assert_eq!(picture.fit_within(40), picture);
    }

    #[test]
    fn resize_to_the_same_size_is_the_identity() {
        let picture = pattern(6, 9);
        for (filter, name) in Interpolation::ALL {
            assert_eq!(resize_window(&picture, filter, (6, 9), 0..6, 0..9), picture, "{name}");
        }
    }
}
