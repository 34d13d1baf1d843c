//! The geometric part of the preprocessing: resize, centre crop and padding.

use std::ops::Range;

use crate::raster::Picture;
use crate::resample::{Interpolation, resize_window};

/// The resize before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this size, and the longer side `floor(size * longer / shorter)`.
    Shorter(usize),
    /// Height and width get these sizes; the aspect ratio is not kept.
    Exact {
        /// The height in pixels.
        height: usize,
        /// The width in pixels.
        width: usize,
    },
    /// The smallest size with the same aspect ratio that covers this size. Sizes are rounded half to even.
    Cover {
        /// The height in pixels.
        height: usize,
        /// The width in pixels.
        width: usize,
    },
    /// The largest size with the same aspect ratio that fits into this size. Sizes are rounded half to even.
    Fit {
        /// The height in pixels.
        height: usize,
        /// The width in pixels.
        width: usize,
    },
}

impl Resize {
    /// The size (height, width) of a picture of `height` x `width` after the resize.
    pub(super) fn target(self, height: usize, width: usize) -> (usize, usize) {
        match self {
            Resize::Exact { height, width } => (height, width),
            Resize::Shorter(side) if width <= height => (side * height / width, side),
            Resize::Shorter(side) => (side, side * width / height),
            Resize::Cover { height: rows, width: columns } => {
                let ratio = (height as f64 / rows as f64).min(width as f64 / columns as f64);
                (divided(height, ratio), divided(width, ratio))
            }
            Resize::Fit { height: rows, width: columns } => {
                let ratio = (height as f64 / rows as f64).max(width as f64 / columns as f64);
                (divided(height, ratio), divided(width, ratio))
            }
        }
    }
}

fn divided(size: usize, ratio: f64) -> usize {
    (size as f64 / ratio).round_ties_even().max(1.0) as usize
}

/// The rounding of a centre crop's offset if the margins on both sides cannot be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CropRounding {
    /// Half to even, as in torchvision and timm.
    #[default]
    HalfToEven,
    /// Down, as in transformers.
    Down,
}

/// The resize, the centre crop and the padding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Geometry {
    pub resize: Resize,
    pub interpolation: Interpolation,
    /// The height and width of the crop.
    pub crop: (usize, usize),
    pub crop_rounding: CropRounding,
    /// The colour of the padding around a picture that is smaller than the crop.
    pub fill: [u8; 3],
}

impl Geometry {
    /// Resizes, crops and pads `picture`.
    pub(super) fn apply(&self, picture: &Picture) -> Picture {
        let target = self.resize.target(picture.height(), picture.width());
        let vertical = self.crop_axis(target.0, self.crop.0);
        let horizontal = self.crop_axis(target.1, self.crop.1);
        let (rows, columns) = (vertical.kept.clone(), horizontal.kept.clone());
        let inner = resize_window(picture, self.interpolation, target, rows, columns);
        if vertical.kept.len() == self.crop.0 && horizontal.kept.len() == self.crop.1 {
            return inner;
        }
        self.padded(&inner, (vertical.padding, horizontal.padding))
    }

    /// The region of `picture` that [`apply`](Geometry::apply) keeps, in the picture's own resolution. Its longer
    /// side has at most `max_side` pixels, and it is never smaller than the crop.
    pub(super) fn backdrop(&self, picture: &Picture, max_side: usize) -> Picture {
        let size = (picture.height(), picture.width());
        let target = self.resize.target(size.0, size.1);
        // The factor from the resized picture to the picture's own resolution, within the limits.
        let own = (size.0 as f64 / target.0 as f64, size.1 as f64 / target.1 as f64);
        let longer = (own.0 * self.crop.0 as f64).max(own.1 * self.crop.1 as f64);
        let shrink = (max_side as f64 / longer).min(1.0);
        let factor = ((own.0 * shrink).max(1.0), (own.1 * shrink).max(1.0));
        if factor == (1.0, 1.0) {
            return self.apply(picture);
        }
        let scaled = |value: usize, factor: f64| (value as f64 * factor).round() as usize;
        let target_at = (scaled(target.0, factor.0).max(1), scaled(target.1, factor.1).max(1));
        let axis = |target: usize, crop: usize, factor: f64, target_at: usize| {
            let axis = self.crop_axis(target, crop);
            let start = scaled(axis.kept.start, factor).min(target_at - 1);
            let end = scaled(axis.kept.end, factor).clamp(start + 1, target_at);
            CropAxis { padding: scaled(axis.padding, factor), kept: start..end }
        };
        let vertical = axis(target.0, self.crop.0, factor.0, target_at.0);
        let horizontal = axis(target.1, self.crop.1, factor.1, target_at.1);
        let crop = (scaled(self.crop.0, factor.0), scaled(self.crop.1, factor.1));
        let (rows, columns) = (vertical.kept.clone(), horizontal.kept.clone());
        let inner = resize_window(picture, Interpolation::Lanczos, target_at, rows, columns);
        let is_whole = |axis: &CropAxis, crop: usize| axis.kept.len() == crop;
        if is_whole(&vertical, crop.0) && is_whole(&horizontal, crop.1) {
            return inner;
        }
        // Rounding may leave the padding a pixel short.
        let padding =
            |axis: &CropAxis, crop: usize| axis.padding.min(crop.saturating_sub(axis.kept.len()));
        let corner = (padding(&vertical, crop.0), padding(&horizontal, crop.1));
        let crop = (crop.0.max(inner.height()), crop.1.max(inner.width()));
        Geometry { crop, ..*self }.padded(&inner, corner)
    }

    /// Maps a point of a picture of `size` (height, width) to the crop. Both points are (row, column) in
    /// pixels from the top left corner. The result lies outside the crop for a point that is cropped off.
    pub(super) fn map_point(&self, size: (usize, usize), point: (f64, f64)) -> (f64, f64) {
        let target = self.resize.target(size.0, size.1);
        let map_axis = |size: usize, target: usize, crop: usize, position: f64| {
            let axis = self.crop_axis(target, crop);
            let shift = axis.padding as f64 - axis.kept.start as f64;
            position * target as f64 / size.max(1) as f64 + shift
        };
        let row = map_axis(size.0, target.0, self.crop.0, point.0);
        (row, map_axis(size.1, target.1, self.crop.1, point.1))
    }

    /// Pads `inner` to the size of the crop. The top left corner of `inner` is at `corner` (row, column).
    fn padded(&self, inner: &Picture, corner: (usize, usize)) -> Picture {
        let (height, width) = self.crop;
        let mut pixels = vec![self.fill; height * width];
        for (index, pixel) in inner.pixels().enumerate() {
            let (row, column) = (index / inner.width(), index % inner.width());
            pixels[(corner.0 + row) * width + corner.1 + column] = pixel;
        }
        Picture::from_pixels(height, width, pixels.into_iter())
    }

    /// The centre crop along one axis of a resized picture with `size` pixels.
    fn crop_axis(&self, size: usize, crop: usize) -> CropAxis {
        if crop > size {
            return CropAxis { padding: (crop - size) / 2, kept: 0..size };
        }
        let margin = size - crop;
        let first = match self.crop_rounding {
            CropRounding::Down => margin / 2,
            CropRounding::HalfToEven => margin / 2 + usize::from(margin % 4 == 3),
        };
        CropAxis { padding: 0, kept: first..first + crop }
    }
}

/// The centre crop along one axis.
struct CropAxis {
    /// The number of padding pixels before the picture.
    padding: usize,
    /// The pixels of the resized picture that are inside the crop.
    kept: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backdrop_shows_the_crop_in_the_resolution_of_the_picture() {
        let geometry = |resize, side| Geometry {
            resize,
            interpolation: Interpolation::Bilinear,
            crop: (side, side),
            crop_rounding: CropRounding::HalfToEven,
            fill: [7; 3],
        };
        // The red value is the row, the green value the column.
        let picture = |height: usize, width: usize| {
            let pixel = |i: usize| [(i / width) as u8, (i % width) as u8, 0];
            Picture::from_pixels(height, width, (0..height * width).map(pixel))
        };
        let central = geometry(Resize::Shorter(64), 56);
        let shown = central.backdrop(&picture(128, 192), 1024);
        assert_eq!((shown.height(), shown.width()), (112, 112));
        // The crop starts at row 4 and column 20 of 64 x 96.
        assert_eq!(shown.pixels().next(), Some([8, 40, 0]));
        assert_eq!(shown.pixels().last(), Some([119, 151, 0]));
        let limited = central.backdrop(&picture(128, 192), 84);
        assert_eq!((limited.height(), limited.width()), (84, 84));
        // A picture smaller than the crop is shown as the model receives it.
        let small = picture(32, 48);
        assert_eq!(central.backdrop(&small, 1024), central.apply(&small));
        let fitted = geometry(Resize::Fit { height: 64, width: 64 }, 64);
        let shown = fitted.backdrop(&picture(64, 128), 1024);
        assert_eq!((shown.height(), shown.width()), (128, 128));
        let pixels: Vec<[u8; 3]> = shown.pixels().collect();
        assert_eq!((pixels[0], pixels[128 * 32]), ([7; 3], [0, 0, 0]), "padding above the picture");
    }

    #[test]
    fn resized_sizes_match_torchvision_and_timm() {
        let fit = Resize::Fit { height: 224, width: 224 };
        let cases = [
            // resize, height, width, target
            (Resize::Shorter(256), 300, 451, (256, 384)),
            (Resize::Shorter(256), 451, 300, (384, 256)),
            (Resize::Shorter(256), 427, 640, (256, 383)),
            (Resize::Shorter(256), 2, 16_384, (256, 2_097_152)),
            (Resize::Exact { height: 5, width: 9 }, 100, 3, (5, 9)),
            (Resize::Cover { height: 20, width: 34 }, 71, 97, (25, 34)),
            (fit, 300, 451, (149, 224)),
            (fit, 448, 3, (224, 2)),
            (fit, 448, 1, (224, 1)),
        ];
        for (resize, height, width, target) in cases {
            assert_eq!(resize.target(height, width), target, "{resize:?} of {height}x{width}");
        }
    }

    #[test]
    fn crop_offsets_match_torchvision_and_transformers() {
        let cases = [
            // size, crop, padding, first kept pixel in torchvision and in transformers, number of kept pixels
            (256, 224, 0, [16, 16], 224),
            (225, 224, 0, [0, 0], 224),
            (227, 224, 0, [2, 1], 224),
            (229, 224, 0, [2, 2], 224),
            (231, 224, 0, [4, 3], 224),
            (224, 224, 0, [0, 0], 224),
            (220, 224, 2, [0, 0], 220),
            (219, 224, 2, [0, 0], 219),
        ];
        for (size, crop, padding, first, kept) in cases {
            let roundings = [CropRounding::HalfToEven, CropRounding::Down];
            for (crop_rounding, first) in roundings.into_iter().zip(first) {
                let geometry = Geometry {
                    resize: Resize::Shorter(size),
                    interpolation: Interpolation::Bilinear,
                    crop: (crop, crop),
                    crop_rounding,
                    fill: [0; 3],
                };
                let axis = geometry.crop_axis(size, crop);
                assert_eq!(axis.padding, padding, "{size} to {crop}");
                assert_eq!(axis.kept, first..first + kept, "{size} to {crop}, {crop_rounding:?}");
            }
        }
    }
}
