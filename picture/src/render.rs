//! Rendering of attribution maps: in a colour map, or as an overlay on the model's input.

use attriburn::Scale;

use crate::error::{Error, ErrorKind};
use crate::raster::Picture;

/// The colour map of a rendered attribution map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A diverging colour map for signed attributions: red increases the target's score, blue decreases it,
    /// and white is zero.
    Signed,
    /// A sequential colour map of `|value|` for attributions without a sign: black is zero, and yellow is the
    /// largest value.
    Absolute,
}

/// Computes the sum over the channels of a `[channels, height, width]` map. Returns `height * width` values
/// in row-major order.
///
/// The values are accumulated in double precision.
///
/// # Errors
///
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are not `channels * height * width` values.
pub fn channel_sum(
    values: &[f32],
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Vec<f32>, Error> {
    let plane = height.saturating_mul(width);
    let subject = "a map with channels";
    check_count(subject, values, plane.saturating_mul(channels), height, width)?;
    let mut sums = vec![0.0f64; plane];
    for channel in values.chunks_exact(plane.max(1)) {
        for (sum, value) in sums.iter_mut().zip(channel) {
            *sum += f64::from(*value);
        }
    }
    Ok(sums.into_iter().map(|sum| sum as f32).collect())
}

/// Renders a `height` x `width` map with one pixel per value. Values are clipped at the limit of the map's
/// [`Scale`].
///
/// The position in the colour map of `style` is linear in `value / limit`. Values that are not finite are
/// rendered as 0, and a warning is logged. A warning is also logged if the map is 0 everywhere; the picture
/// then has the colour of zero throughout.
///
/// # Errors
///
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are not `height * width` values.
pub fn map_picture(
    map: &[f32],
    height: usize,
    width: usize,
    style: Style,
) -> Result<Picture, Error> {
    map_picture_with_scale(map, height, width, style, Scale::of(map))
}

/// Renders a map as [`map_picture`] does, but with the given `scale`, which several maps can share.
///
/// # Errors
///
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if there are not `height * width` values.
pub fn map_picture_with_scale(
    map: &[f32],
    height: usize,
    width: usize,
    style: Style,
    scale: Scale,
) -> Result<Picture, Error> {
    let strengths = strengths(map, height, width, scale)?;
    let pixels = strengths.into_iter().map(|strength| style.colour(strength));
    Ok(Picture::from_pixels(height, width, pixels))
}

/// Renders a map as an overlay on `base`, the cropped picture that the model received. `base` is converted to
/// dimmed grey.
///
/// The opacity of the colour is `min(|value| / limit, 1)`. The map is not smoothed. The same warnings are
/// logged as by [`map_picture`].
///
/// # Errors
///
/// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if `base` is not `height` x `width`, and as [`map_picture`].
pub fn overlay(
    map: &[f32],
    height: usize,
    width: usize,
    base: &Picture,
    style: Style,
) -> Result<Picture, Error> {
    if (base.height(), base.width()) != (height, width) {
        return Err(Error::new(
            ErrorKind::Shape,
            format!(
                "a map of height {height} and width {width} cannot be laid over a picture of height {} and width {}; use the crop that the model received",
                base.height(),
                base.width()
            ),
        ));
    }
    let strengths = strengths(map, height, width, Scale::of(map))?;
    let grey_base = base.grey();
    let pixels = grey_base.pixels().zip(strengths).map(|(grey, strength)| {
        blend(dimmed(grey), style.overlay_colour(strength), strength.abs())
    });
    Ok(Picture::from_pixels(height, width, pixels))
}

/// The part of the diverging colour map that is used on either side of its white centre. The ends of the
/// colour map are so dark that red and blue cannot be distinguished in single pixels.
const DIVERGING_SPAN: f64 = 0.4;

impl Style {
    /// The colour of a strength in [-1, 1] in a map without a base picture.
    fn colour(self, strength: f32) -> [u8; 3] {
        let strength = f64::from(strength);
        let colour = match self {
            Style::Signed => colorous::RED_BLUE.eval_continuous(0.5 - DIVERGING_SPAN * strength),
            Style::Absolute => colorous::INFERNO.eval_continuous(strength.abs()),
        };
        colour.as_array()
    }

    /// The colour of a strength in an overlay. The colour is always saturated, because the opacity shows the
    /// magnitude.
    fn overlay_colour(self, strength: f32) -> [u8; 3] {
        match self {
            Style::Signed if strength < 0.0 => [40, 170, 255],
            Style::Signed => [255, 60, 40],
            Style::Absolute => {
                colorous::INFERNO.eval_continuous(0.45 + 0.5 * f64::from(strength.abs())).as_array()
            }
        }
    }
}

/// Dims a pixel of the base picture of an overlay: dark enough for the colours to stand out, and light
/// enough for the picture to stay recognisable.
fn dimmed(grey: [u8; 3]) -> [u8; 3] {
    grey.map(|value| (f32::from(value) * 0.6) as u8)
}

fn blend(base: [u8; 3], overlay: [u8; 3], opacity: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let (base, overlay) = (f32::from(base[channel]), f32::from(overlay[channel]));
        (base + (overlay - base) * opacity).round() as u8
    })
}

/// Divides each value by the limit of `scale` and clips it to [-1, 1]. Logs a warning for values that are not
/// finite, and for a map that is 0 everywhere.
fn strengths(map: &[f32], height: usize, width: usize, scale: Scale) -> Result<Vec<f32>, Error> {
    check_count("a map", map, height.saturating_mul(width), height, width)?;
    let not_finite = map.iter().filter(|value| !value.is_finite()).count();
    if not_finite > 0 {
        log::warn!(
            "{not_finite} of the map's {} values are not finite and are rendered as 0",
            map.len()
        );
    }
    if scale.limit() == 0.0 {
        log::warn!("the map is 0 everywhere, so its picture has a single colour");
    }
    Ok(map.iter().map(|value| scale.strength(*value)).collect())
}

fn check_count(
    subject: &'static str,
    values: &[f32],
    expected: usize,
    height: usize,
    width: usize,
) -> Result<(), Error> {
    if values.len() == expected {
        return Ok(());
    }
    Err(Error::count(subject, (height, width), expected, values.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey_base(height: usize, width: usize) -> Picture {
        Picture::from_pixels(height, width, std::iter::repeat_n([100, 100, 100], height * width))
    }

    #[test]
    fn channel_sum_adds_the_channels_of_each_pixel() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 0.5, 0.5, 0.5, 0.5];
        assert_eq!(channel_sum(&values, 3, 2, 2).unwrap(), [11.5, 22.5, 33.5, 44.5]);
        let error = channel_sum(&values, 3, 2, 3).unwrap_err().to_string();
        assert_eq!(
            error,
            "a map with channels of height 2 and width 3 needs 18 values, but 12 were given"
        );
        assert!(channel_sum(&[], 3, 0, 5).unwrap().is_empty());
    }

    #[test]
    fn signed_style_is_red_for_positive_blue_for_negative_and_pale_for_zero() {
        let picture = map_picture(&[-1.0, 0.0, 1.0, 0.0], 2, 2, Style::Signed).unwrap();
        let pixels: Vec<[u8; 3]> = picture.pixels().collect();
        let [red, _, blue] = pixels[0];
        assert!(blue > red + 50, "negative: {:?}", pixels[0]);
        assert!(pixels[1].iter().all(|value| *value > 235), "zero: {:?}", pixels[1]);
        let [red, _, blue] = pixels[2];
        assert!(red > blue + 50, "positive: {:?}", pixels[2]);
    }

    #[test]
    fn absolute_style_ignores_the_sign() {
        let picture = map_picture(&[-1.0, 0.0, 1.0, 0.5], 2, 2, Style::Absolute).unwrap();
        let brightness: Vec<u32> =
            picture.pixels().map(|pixel| pixel.map(u32::from).iter().sum()).collect();
        assert_eq!(brightness[0], brightness[2]);
        assert!(brightness[1] < brightness[3] && brightness[3] < brightness[2], "{brightness:?}");
    }

    #[test]
    fn overlay_opacity_follows_the_magnitude() {
        for style in [Style::Signed, Style::Absolute] {
            let base = grey_base(1, 4);
            let picture = overlay(&[0.0, 2.0, -2.0, 0.02], 1, 4, &base, style).unwrap();
            let pixels: Vec<[u8; 3]> = picture.pixels().collect();
            assert_eq!(pixels[0], dimmed([100; 3]), "{style:?}: opacity 0");
            assert_eq!(pixels[1], style.overlay_colour(1.0), "{style:?}: opacity 1");
            assert_eq!(pixels[2], style.overlay_colour(-1.0), "{style:?}: opacity 1");
            let change = pixels[3].iter().zip(pixels[0]).map(|(a, b)| a.abs_diff(b)).max();
            assert!(change < Some(15), "{style:?}: {:?}", pixels[3]);
        }
    }

    #[test]
    fn zeros_and_non_finite_values_have_the_colour_of_zero() {
        let cases: [(&str, [f32; 4]); 2] =
            [("zeros", [0.0; 4]), ("not finite", [f32::NAN, f32::INFINITY, 0.0, f32::NAN])];
        for (case, map) in cases {
            for style in [Style::Signed, Style::Absolute] {
                let map_only = map_picture(&map, 2, 2, style).unwrap();
                let zero = style.colour(0.0);
                assert!(map_only.pixels().all(|pixel| pixel == zero), "{case} {style:?}");
                let over = overlay(&map, 2, 2, &grey_base(2, 2), style).unwrap();
                assert!(over.pixels().all(|pixel| pixel == dimmed([100; 3])), "{case} {style:?}");
            }
        }
    }

    #[test]
    fn mismatched_sizes_are_refused() {
        let error = map_picture(&[0.0; 5], 2, 3, Style::Signed).unwrap_err().to_string();
        assert_eq!(error, "a map of height 2 and width 3 needs 6 values, but 5 were given");
        let error =
            overlay(&[0.0; 6], 2, 3, &grey_base(3, 2), Style::Signed).unwrap_err().to_string();
        assert_eq!(
            error,
            "a map of height 2 and width 3 cannot be laid over a picture of height 3 and width 2; \
             use the crop that the model received"
        );
    }
}
