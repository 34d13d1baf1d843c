//! Rendering of attribution maps: as a plain map, over the picture, and as a figure with a title and a colour bar.
//!
//! ```text
//! map -> Plane (sum over channels) -> by_regions, certain, viewed, blurred -> Scale -> map_picture, overlay
//! ```

mod colormap;
mod overlay;
mod plane;
mod view;

pub use colormap::ColorMap;
pub use overlay::{Overlay, overlay};
pub use plane::Plane;
pub use view::View;

use attriburn::Scale;

use crate::raster::Picture;

/// Renders `plane` with one pixel per value. Values are clipped at the limit of `scale`, which several maps can
/// share; the position in the colour map is linear in `value / limit`.
///
/// Values that are not finite are rendered as 0, and a warning is logged. A warning is also logged if the limit is
/// 0; the picture then has the colour of zero throughout.
pub fn map_picture(plane: &Plane, scale: Scale, colours: ColorMap) -> Picture {
    let pixels = strengths(plane, scale).into_iter().map(|strength| colours.colour(strength));
    Picture::from_pixels(plane.height(), plane.width(), pixels)
}

/// Divides each value by the limit of `scale` and clips it to [-1, 1].
fn strengths(plane: &Plane, scale: Scale) -> Vec<f32> {
    let values = plane.values();
    let not_finite = values.iter().filter(|value| !value.is_finite()).count();
    if not_finite > 0 {
        log::warn!(
            "{not_finite} of the map's {} values are not finite and are rendered as 0",
            values.len()
        );
    }
    if scale.limit() == 0.0 {
        log::warn!("the map is 0 everywhere, so its picture has a single colour");
    }
    values.iter().map(|value| scale.strength(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(values: &[f32], height: usize, width: usize) -> Plane {
        Plane::new(values, None, [1, height, width]).expect("a plane")
    }

    #[test]
    fn signed_map_is_red_for_positive_blue_for_negative_and_pale_for_zero() {
        let plane = plane(&[-1.0, 0.0, 1.0, 0.0], 2, 2);
        let picture = map_picture(&plane, Scale::of(plane.values()), ColorMap::RedBlue);
        let pixels: Vec<[u8; 3]> = picture.pixels().collect();
        let [red, _, blue] = pixels[0];
        assert!(blue > red + 50, "negative: {:?}", pixels[0]);
        assert!(pixels[1].iter().all(|value| *value > 235), "zero: {:?}", pixels[1]);
        let [red, _, blue] = pixels[2];
        assert!(red > blue + 50, "positive: {:?}", pixels[2]);
    }

    #[test]
    fn zeros_and_non_finite_values_have_the_colour_of_zero() {
        let cases: [(&str, [f32; 4]); 2] =
            [("zeros", [0.0; 4]), ("not finite", [f32::NAN, f32::INFINITY, 0.0, f32::NAN])];
        for (case, values) in cases {
            for (colours, name) in ColorMap::ALL {
                let plane = plane(&values, 2, 2);
                let picture = map_picture(&plane, Scale::of(plane.values()), colours);
                let zero = colours.colour(0.0);
                assert!(picture.pixels().all(|pixel| pixel == zero), "{case} {name}");
            }
        }
    }
}
