//! A map together with the picture.

use attriburn::{Scale, enlarge};

use super::{ColorMap, Plane, strengths};
use crate::raster::Picture;

/// How a map and a picture are put together. `s` is the strength of a value, `|value| / limit`, at most 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// The colours of the map over the lightened picture, with the opacity `s`.
    #[default]
    Blend,
    /// The picture in its own colours, as bright as the map is strong there.
    Mask,
    /// The picture with lines around the regions where `s` exceeds 1/4, 1/2 and 3/4. Noisy maps need a blur first.
    Contour,
}

impl Overlay {
    /// All kinds of overlay with their names.
    pub const ALL: [(Overlay, &'static str); 3] =
        [(Overlay::Blend, "blend"), (Overlay::Mask, "mask"), (Overlay::Contour, "contour")];
}

/// The share of white in the picture under a map: enough for the colours to stand out, and little enough for the
/// picture to stay recognisable.
const LIGHTENED: f32 = 0.45;
/// The brightness of a masked picture where the map is 0.
const MASKED: f32 = 0.12;
/// The strengths at which lines are drawn.
const LEVELS: [f32; 3] = [0.25, 0.5, 0.75];

/// Renders `plane` together with `picture`, which shows the same region at any resolution, in the resolution of the
/// picture. Between the centres of the map's pixels, strengths are interpolated linearly.
///
/// The same warnings are logged as by [`map_picture`](super::map_picture).
pub fn overlay(
    plane: &Plane,
    scale: Scale,
    picture: &Picture,
    kind: Overlay,
    colours: ColorMap,
) -> Picture {
    let (height, width) = (picture.height(), picture.width());
    let strengths = strengths(plane, scale);
    let strengths = enlarge(&strengths, [plane.height(), plane.width()], [height, width]);
    let pixels: Vec<[u8; 3]> = match kind {
        Overlay::Blend => picture
            .pixels()
            .zip(&strengths)
            .map(|(base, &s)| {
                mix(mix(base, [255; 3], LIGHTENED), colours.overlay_colour(s), s.abs())
            })
            .collect(),
        Overlay::Mask => picture
            .pixels()
            .zip(&strengths)
            .map(|(base, &s)| mix([0; 3], base, MASKED + (1.0 - MASKED) * s.abs()))
            .collect(),
        Overlay::Contour => with_contours(picture, &strengths, colours),
    };
    Picture::from_pixels(height, width, pixels.into_iter())
}

/// Draws a line on each pixel at which the strength crosses a level, thicker in larger pictures.
fn with_contours(picture: &Picture, strengths: &[f32], colours: ColorMap) -> Vec<[u8; 3]> {
    let (height, width) = (picture.height(), picture.width());
    let level =
        |s: f32| LEVELS.iter().filter(|&&level| s.abs() >= level).count() as i32 * signum(s);
    let mut pixels: Vec<[u8; 3]> = picture.pixels().collect();
    let reach = height.max(width).div_ceil(250);
    for row in 0..height {
        for column in 0..width {
            let at = row * width + column;
            let own = level(strengths[at]);
            let is_below = |row: usize, column: usize| {
                row < height && column < width && {
                    let other = level(strengths[row * width + column]);
                    other.abs() < own.abs() || other.signum() * own.signum() < 0
                }
            };
            let is_edge = (1..=reach).any(|d| {
                is_below(row + d, column)
                    || is_below(row, column + d)
                    || is_below(row.wrapping_sub(d), column)
                    || is_below(row, column.wrapping_sub(d))
            });
            if own != 0 && is_edge {
                pixels[at] = colours.overlay_colour(strengths[at]);
            }
        }
    }
    pixels
}

fn signum(s: f32) -> i32 {
    if s < 0.0 { -1 } else { 1 }
}

/// The colour at the share `share` of the way from `from` to `to`.
fn mix(from: [u8; 3], to: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let (from, to) = (f32::from(from[channel]), f32::from(to[channel]));
        (from + (to - from) * share).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(height: usize, width: usize) -> Picture {
        Picture::from_pixels(height, width, std::iter::repeat_n([100; 3], height * width))
    }

    fn plane(values: &[f32], height: usize, width: usize) -> Plane {
        Plane::new(values, None, [1, height, width]).expect("a plane")
    }

    #[test]
    fn blend_has_the_opacity_of_the_magnitude() {
        for colours in [ColorMap::SIGNED, ColorMap::UNSIGNED] {
            let plane = plane(&[0.0, 2.0, -2.0, 0.02], 1, 4);
            let scale = Scale::of(plane.values());
            let picture = overlay(&plane, scale, &base(1, 4), Overlay::Blend, colours);
            let pixels: Vec<[u8; 3]> = picture.pixels().collect();
            assert_eq!(pixels[0], [170; 3], "opacity 0: 100 + 0.45 * 155");
            assert_eq!(pixels[1], colours.overlay_colour(1.0), "opacity 1");
            assert_eq!(pixels[2], colours.overlay_colour(-1.0), "opacity 1");
            let change = pixels[3].iter().zip(pixels[0]).map(|(a, b)| a.abs_diff(b)).max();
            assert!(change < Some(15), "{:?}", pixels[3]);
        }
    }

    #[test]
    fn mask_shows_the_picture_where_the_map_is_strong() {
        let plane = plane(&[0.0, 1.0, -1.0, 0.5], 1, 4);
        let scale = Scale::at_percentile(plane.values(), 100.0);
        let picture = overlay(&plane, scale, &base(1, 4), Overlay::Mask, ColorMap::SIGNED);
        let red: Vec<u8> = picture.pixels().map(|pixel| pixel[0]).collect();
        assert_eq!(red, [12, 100, 100, 56]);
    }

    #[test]
    fn contours_run_around_strong_regions_only() {
        let values: Vec<f32> =
            (0..100)
                .map(|i| {
                    if (3..7).contains(&(i / 10)) && (3..7).contains(&(i % 10)) { 1.0 } else { 0.0 }
                })
                .collect();
        let plane = plane(&values, 10, 10);
        let scale = Scale::at_percentile(plane.values(), 100.0);
        let picture = overlay(&plane, scale, &base(10, 10), Overlay::Contour, ColorMap::SIGNED);
        let is_line: Vec<bool> = picture.pixels().map(|pixel| pixel != [100; 3]).collect();
        assert_eq!(is_line.iter().filter(|is_line| **is_line).count(), 12, "the border of 4 x 4");
        assert!(is_line[33] && !is_line[44] && !is_line[22]);
    }

    #[test]
    fn picture_of_another_resolution_is_covered_evenly() {
        let plane = plane(&[0.0, 1.0], 1, 2);
        let scale = Scale::of(plane.values());
        let picture = overlay(&plane, scale, &base(6, 8), Overlay::Blend, ColorMap::SIGNED);
        assert_eq!((picture.height(), picture.width()), (6, 8));
        assert_eq!(picture.pixels().last(), Some(ColorMap::SIGNED.overlay_colour(1.0)));
    }
}
