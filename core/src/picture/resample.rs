//! Resizing as Pillow does it, bit by bit: filters that widen where a picture shrinks (antialiased).
//!
//! Models were trained on pictures that Pillow resized. So the arithmetic is Pillow's: weights in double precision,
//! normalised, rounded to 22 fractional bits; each row first, rounded to 8 bits, then the columns. The order shows:
//! columns first differs by one level at every seventh value. (Pillow 13.0 takes columns first where that is less
//! work; the versions before it always take rows first.)
//!
//! Only the part that survives the crop is computed, so a very long picture costs no more than a square one.

use std::f64::consts::PI;
use std::ops::Range;

use super::Picture;

/// How a pixel of a resized picture follows from those around its place, with `x` the distance in pixels of
/// the larger of both pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The nearest pixel alone.
    Nearest,
    /// `1` for `-1/2 < x <= 1/2`: the mean of the pixels that one pixel covers.
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
    /// All, by the names that are used for them.
    pub const ALL: [(Interpolation, &'static str); 6] = [
        (Interpolation::Nearest, "nearest"),
        (Interpolation::Box, "box"),
        (Interpolation::Bilinear, "bilinear"),
        (Interpolation::Hamming, "hamming"),
        (Interpolation::Bicubic, "bicubic"),
        (Interpolation::Lanczos, "lanczos"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }

    /// How far the filter reaches to either side.
    fn reach(self) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::Box => 0.5,
            Interpolation::Bilinear | Interpolation::Hamming => 1.0,
            Interpolation::Bicubic => 2.0,
            Interpolation::Lanczos => 3.0,
        }
    }

    /// The filter, within its reach.
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

/// The part of `picture`, resized to `target` (height, width), that lies in `rows` and `columns` of the result.
///
/// The ranges lie within `target`, and no side of `picture` or `target` is 0.
pub(super) fn resize_window(
    picture: &Picture,
    interpolation: Interpolation,
    target: (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
) -> Picture {
    let (height, width) = (rows.len(), columns.len());
    let down = mixes(interpolation, picture.height(), target.0, rows);
    let across = mixes(interpolation, picture.width(), target.1, columns);

    let first = down.iter().map(|mix| mix.first).min().unwrap_or(0);
    let end = down.iter().map(|mix| mix.first + mix.weights.len()).max().unwrap_or(0);
    let narrowed: Vec<u8> =
        (first..end).flat_map(|row| mixed_along_row(row_of(picture, row), &across)).collect();
    let narrowed_rows: Vec<&[u8]> = narrowed.chunks_exact((width * 3).max(1)).collect();

    let mixed = down.iter().flat_map(|mix| {
        mixed_rows(&narrowed_rows[mix.first - first..][..mix.weights.len()], &mix.weights)
    });
    let bytes: Vec<u8> = mixed.collect();
    Picture::from_pixels(height, width, bytes.as_chunks::<3>().0.iter().copied())
}

/// How one pixel of the result is mixed from neighbours along one axis.
struct Mix {
    /// The first source pixel that takes part.
    first: usize,
    /// Weights from there on, in units of 2^-22; they sum to about 1.
    weights: Vec<i32>,
}

const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The mixes for the pixels in `window` when `source` pixels become `target`.
///
/// Pixel `i` of the result is centred at `(i + 1/2) s` in the source, `s = source / target`, and reaches
/// `max(s, 1)` times as far to either side as the filter.
fn mixes(
    interpolation: Interpolation,
    source: usize,
    target: usize,
    window: Range<usize>,
) -> Vec<Mix> {
    let scale = source as f64 / target as f64;
    if interpolation == Interpolation::Nearest {
        return nearest(scale, source, window);
    }
    let stretch = scale.max(1.0);
    let (reach, inverse_stretch) = (interpolation.reach() * stretch, 1.0 / stretch);
    window
        .map(|pixel| {
            let centre = (pixel as f64 + 0.5) * scale;
            // The casts cut towards zero and stop at zero, as wanted.
            let first = (centre - reach + 0.5) as usize;
            let end = ((centre + reach + 0.5) as usize).min(source);
            let heights: Vec<f64> = (first..end)
                .map(|at| interpolation.weight((at as f64 - centre + 0.5) * inverse_stretch))
                .collect();
            let total: f64 = heights.iter().sum();
            let weights = heights.iter().map(|height| fixed_point(height / total)).collect();
            Mix { first, weights }
        })
        .collect()
}

/// The pixel itself that lies under the centre of each. The centres are summed up, as Pillow sums them up.
fn nearest(scale: f64, source: usize, window: Range<usize>) -> Vec<Mix> {
    let mut centre = scale * 0.5;
    let mut found = Vec::with_capacity(window.len());
    for pixel in 0..window.end {
        if pixel >= window.start {
            let first = (centre as usize).min(source - 1);
            found.push(Mix { first, weights: vec![1 << FRACTION_BITS] });
        }
        centre += scale;
    }
    found
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

fn mixed_along_row(row: &[u8], across: &[Mix]) -> impl Iterator<Item = u8> {
    let (pixels, _) = row.as_chunks::<3>();
    across.iter().flat_map(move |mix| {
        let mut sums = [HALF; 3];
        for (pixel, weight) in pixels[mix.first..].iter().zip(&mix.weights) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        sums.map(to_byte)
    })
}

fn mixed_rows(rows: &[&[u8]], weights: &[i32]) -> Vec<u8> {
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
        let pixels =
            (0..height * width).map(|at| [0, 1, 2].map(|c| value(at / width, at % width, c)));
        Picture::from_pixels(height, width, pixels)
    }

    /// What Pillow 12.0 makes of the same pattern: `Image.fromarray(pattern).resize((width, height), BILINEAR)`.
    #[test]
    fn every_byte_is_pillows() {
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
    fn a_window_is_that_part_of_the_whole() {
        let picture = pattern(23, 31);
        let whole = resize_window(&picture, Interpolation::Lanczos, (11, 40), 0..11, 0..40);
        let window = resize_window(&picture, Interpolation::Lanczos, (11, 40), 3..9, 17..22);
        let part = (3..9).flat_map(|y| (17..22).map(move |x| y * 40 + x));
        for (at, pixel) in part.zip(window.pixels()) {
            assert_eq!(whole.pixels().nth(at), Some(pixel), "pixel {at}");
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let picture = pattern(6, 9);
        for (own, name) in Interpolation::ALL {
            assert_eq!(resize_window(&picture, own, (6, 9), 0..6, 0..9), picture, "{name}");
        }
    }
}
