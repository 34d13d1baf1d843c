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
