//! From a map to a picture that a person reads, alone or laid over what the model saw.

use super::{Picture, PictureError, Scale};

/// Which colours a map is drawn in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Diverging around zero, for maps whose sign means something: red speaks for the target, blue against it,
    /// white is zero.
    Signed,
    /// Sequential in `|value|`, for maps that say only how much: black is zero, yellow the strongest.
    Absolute,
}

/// The sum over channels of a `[channels, height, width]` map: `height * width` values, row-major.
///
/// Values are added in double precision.
///
/// # Errors
///
/// [`PictureError::Shape`] if there are not `channels * height * width` values.
pub fn channel_sum(
    values: &[f32],
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Vec<f32>, PictureError> {
    let plane = height.saturating_mul(width);
    check_count("a map with its channels", values, plane.saturating_mul(channels), height, width)?;
    let mut sums = vec![0.0f64; plane];
    for channel in values.chunks_exact(plane.max(1)) {
        for (sum, value) in sums.iter_mut().zip(channel) {
            *sum += f64::from(*value);
        }
    }
    Ok(sums.into_iter().map(|sum| sum as f32).collect())
}

/// Draws a `height` x `width` map, one pixel a value, clipped at its [`Scale`]'s limit.
///
/// The colour is linear in the value: `value / limit` runs over the whole colour map of `style`. Values that are not
/// finite are drawn as 0, and a warning is logged; so it is for a map that is 0 everywhere, which comes out in the
/// colour of zero.
///
/// # Errors
///
/// [`PictureError::Shape`] if there are not `height * width` values.
pub fn map_picture(
    map: &[f32],
    height: usize,
    width: usize,
    style: Style,
) -> Result<Picture, PictureError> {
    map_picture_at(map, height, width, style, Scale::of(map))
}

/// Draws a map as [`map_picture`] does, at a scale that it may share with others.
///
/// # Errors
///
/// [`PictureError::Shape`] if there are not `height * width` values.
pub fn map_picture_at(
    map: &[f32],
    height: usize,
    width: usize,
    style: Style,
    scale: Scale,
) -> Result<Picture, PictureError> {
    let strengths = strengths(map, height, width, scale)?;
    let pixels = strengths.into_iter().map(|strength| style.colour(strength));
    Ok(Picture::from_pixels(height, width, pixels))
}

/// Draws a map over `base`, the picture the model saw, which is turned to dimmed greys.
///
/// The stronger a value, the more its colour covers the grey: `cover = |value| / limit`, 1 from the limit on.
/// The data itself is not smoothed. Warnings are those of [`map_picture`].
///
/// # Errors
///
/// [`PictureError::OverlaySize`] if `base` is not `height` x `width`, and as [`map_picture`].
pub fn overlay(
    map: &[f32],
    height: usize,
    width: usize,
    base: &Picture,
    style: Style,
) -> Result<Picture, PictureError> {
    if (base.height(), base.width()) != (height, width) {
        return Err(PictureError::OverlaySize {
            height,
            width,
            base_height: base.height(),
            base_width: base.width(),
        });
    }
    let strengths = strengths(map, height, width, Scale::of(map))?;
    let ground = base.grey();
    let pixels = ground
        .pixels()
        .zip(strengths)
        .map(|(grey, strength)| blend(dimmed(grey), style.paint(strength), strength.abs()));
    Ok(Picture::from_pixels(height, width, pixels))
}

/// How far to either side of its white middle the diverging colour map is used. Its ends are so dark that red and
/// blue cannot be told apart in single pixels.
const DIVERGING_SPAN: f64 = 0.4;

impl Style {
    /// The colour of a strength in [-1, 1] on a map of its own.
    fn colour(self, strength: f32) -> [u8; 3] {
        let strength = f64::from(strength);
        let colour = match self {
            Style::Signed => colorous::RED_BLUE.eval_continuous(0.5 - DIVERGING_SPAN * strength),
            Style::Absolute => colorous::INFERNO.eval_continuous(strength.abs()),
        };
        colour.as_array()
    }

    /// The colour that a strength lays over a picture: always a strong one, since the cover tells how much.
    fn paint(self, strength: f32) -> [u8; 3] {
        match self {
            Style::Signed if strength < 0.0 => [40, 170, 255],
            Style::Signed => [255, 60, 40],
            Style::Absolute => {
                colorous::INFERNO.eval_continuous(0.45 + 0.5 * f64::from(strength.abs())).as_array()
            }
        }
    }
}

/// The ground of an overlay: dark enough that colours stand out, light enough that the picture is recognised.
fn dimmed(grey: [u8; 3]) -> [u8; 3] {
    grey.map(|value| (f32::from(value) * 0.6) as u8)
}

fn blend(ground: [u8; 3], paint: [u8; 3], cover: f32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let (ground, paint) = (f32::from(ground[channel]), f32::from(paint[channel]));
        (ground + (paint - ground) * cover).round() as u8
    })
}

/// Each value against the map's scale, with the warnings that a person should see beside the picture.
fn strengths(
    map: &[f32],
    height: usize,
    width: usize,
    scale: Scale,
) -> Result<Vec<f32>, PictureError> {
    check_count("a map", map, height.saturating_mul(width), height, width)?;
    let left_out = map.iter().filter(|value| !value.is_finite()).count();
    if left_out > 0 {
        log::warn!(
            "{left_out} of the map's {} values are not finite and are drawn as 0",
            map.len()
        );
    }
    if scale.limit() == 0.0 {
        log::warn!("the map is 0 everywhere, so its picture shows nothing");
    }
    Ok(map.iter().map(|value| scale.strength(*value)).collect())
}

fn check_count(
    what: &'static str,
    values: &[f32],
    expected: usize,
    height: usize,
    width: usize,
) -> Result<(), PictureError> {
    if values.len() == expected {
        return Ok(());
    }
    Err(PictureError::Shape { what, height, width, expected, given: values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey_base(height: usize, width: usize) -> Picture {
        Picture::from_pixels(height, width, std::iter::repeat_n([100, 100, 100], height * width))
    }

    #[test]
    fn channels_are_summed_pixel_by_pixel() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 0.5, 0.5, 0.5, 0.5];
        assert_eq!(channel_sum(&values, 3, 2, 2).unwrap(), [11.5, 22.5, 33.5, 44.5]);
        let error = channel_sum(&values, 3, 2, 3).unwrap_err().to_string();
        assert_eq!(
            error,
            "a map with its channels of height 2 and width 3 needs 18 values, but 12 were given"
        );
        assert!(channel_sum(&[], 3, 0, 5).unwrap().is_empty());
    }

    #[test]
    fn red_is_for_blue_is_against_and_zero_is_pale() {
        let picture = map_picture(&[-1.0, 0.0, 1.0, 0.0], 2, 2, Style::Signed).unwrap();
        let pixels: Vec<[u8; 3]> = picture.pixels().collect();
        let [red, _, blue] = pixels[0];
        assert!(blue > red + 50, "against: {:?}", pixels[0]);
        assert!(pixels[1].iter().all(|value| *value > 235), "zero: {:?}", pixels[1]);
        let [red, _, blue] = pixels[2];
        assert!(red > blue + 50, "for: {:?}", pixels[2]);
    }

    #[test]
    fn absolute_colours_ignore_the_sign() {
        let picture = map_picture(&[-1.0, 0.0, 1.0, 0.5], 2, 2, Style::Absolute).unwrap();
        let light: Vec<u32> =
            picture.pixels().map(|pixel| pixel.map(u32::from).iter().sum()).collect();
        assert_eq!(light[0], light[2]);
        assert!(light[1] < light[3] && light[3] < light[2], "{light:?}");
    }

    #[test]
    fn an_overlay_shows_the_picture_where_the_map_is_weak() {
        for style in [Style::Signed, Style::Absolute] {
            let base = grey_base(1, 4);
            let picture = overlay(&[0.0, 2.0, -2.0, 0.02], 1, 4, &base, style).unwrap();
            let pixels: Vec<[u8; 3]> = picture.pixels().collect();
            assert_eq!(pixels[0], dimmed([100; 3]), "{style:?}: nothing covers");
            assert_eq!(pixels[1], style.paint(1.0), "{style:?}: full colour");
            assert_eq!(pixels[2], style.paint(-1.0), "{style:?}: full colour");
            let shift = pixels[3].iter().zip(pixels[0]).map(|(a, b)| a.abs_diff(b)).max();
            assert!(shift < Some(15), "{style:?}: {:?}", pixels[3]);
        }
    }

    #[test]
    fn what_says_nothing_is_neutral() {
        let cases: [(&str, [f32; 4]); 2] =
            [("zeros", [0.0; 4]), ("not numbers", [f32::NAN, f32::INFINITY, 0.0, f32::NAN])];
        for (what, map) in cases {
            for style in [Style::Signed, Style::Absolute] {
                let alone = map_picture(&map, 2, 2, style).unwrap();
                assert!(alone.pixels().all(|pixel| pixel == style.colour(0.0)), "{what} {style:?}");
                let over = overlay(&map, 2, 2, &grey_base(2, 2), style).unwrap();
                assert!(over.pixels().all(|pixel| pixel == dimmed([100; 3])), "{what} {style:?}");
            }
        }
    }

    #[test]
    fn sizes_must_agree() {
        let error = map_picture(&[0.0; 5], 2, 3, Style::Signed).unwrap_err().to_string();
        assert_eq!(error, "a map of height 2 and width 3 needs 6 values, but 5 were given");
        let error =
            overlay(&[0.0; 6], 2, 3, &grey_base(3, 2), Style::Signed).unwrap_err().to_string();
        assert_eq!(
            error,
            "a map of height 2 and width 3 cannot be laid over a picture of height 3 and width 2; \
             use the crop that the model saw"
        );
    }
}
