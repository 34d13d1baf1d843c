//! Where the pixels of a picture come to lie in a model's input.

use std::ops::Range;

use crate::picture::Picture;
use crate::picture::resample::{Interpolation, resize_window};

/// How a picture is brought near the model's size before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side becomes this many pixels and the longer one `floor(shorter * long / short)`.
    Shorter(usize),
    /// Height and width become these; the aspect is not kept.
    Exact {
        /// Rows.
        height: usize,
        /// Pixels in a row.
        width: usize,
    },
    /// As small as covers these; sizes are rounded, a half to the even neighbour.
    Outside {
        /// Rows.
        height: usize,
        /// Pixels in a row.
        width: usize,
    },
    /// As large as fits into these; sizes are rounded in the same way.
    Inside {
        /// Rows.
        height: usize,
        /// Pixels in a row.
        width: usize,
    },
}

impl Resize {
    /// Height and width after resizing.
    pub(super) fn target(self, height: usize, width: usize) -> (usize, usize) {
        match self {
            Resize::Exact { height, width } => (height, width),
            Resize::Shorter(side) if width <= height => (side * height / width, side),
            Resize::Shorter(side) => (side, side * width / height),
            Resize::Outside { height: rows, width: columns } => {
                let (down, across) = (height as f64 / rows as f64, width as f64 / columns as f64);
                let ratio = down.min(across);
                (shrunk(height, ratio), shrunk(width, ratio))
            }
            Resize::Inside { height: rows, width: columns } => {
                let (down, across) = (height as f64 / rows as f64, width as f64 / columns as f64);
                let ratio = down.max(across);
                (shrunk(height, ratio), shrunk(width, ratio))
            }
        }
    }
}

fn shrunk(size: usize, ratio: f64) -> usize {
    (size as f64 / ratio).round_ties_even().max(1.0) as usize
}

/// How the first pixel of a centre crop is rounded where the middle lies between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Centre {
    /// A half to the even neighbour, as torchvision and timm.
    #[default]
    Even,
    /// Down, as transformers.
    Down,
}

/// Everything that moves pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Geometry {
    pub resize: Resize,
    pub interpolation: Interpolation,
    /// Height and width of what is left.
    pub crop: (usize, usize),
    pub centre: Centre,
    /// The colour around a picture that is smaller than the crop.
    pub fill: [u8; 3],
}

impl Geometry {
    /// The picture resized and cropped.
    pub(super) fn apply(&self, picture: &Picture) -> Picture {
        let target = self.resize.target(picture.height(), picture.width());
        let down = self.stretch(target.0, self.crop.0);
        let across = self.stretch(target.1, self.crop.1);
        let (rows, columns) = (down.taken.clone(), across.taken.clone());
        let inner = resize_window(picture, self.interpolation, target, rows, columns);
        if down.taken.len() == self.crop.0 && across.taken.len() == self.crop.1 {
            return inner;
        }
        self.padded(&inner, (down.before, across.before))
    }

    /// Where a point of a picture of `size` (height, width) comes to lie, both as (row, column) in pixels
    /// from the top left corner; outside the crop for what is cut off.
    pub(super) fn place(&self, size: (usize, usize), point: (f64, f64)) -> (f64, f64) {
        let target = self.resize.target(size.0, size.1);
        let along = |size: usize, target: usize, crop: usize, at: f64| {
            let stretch = self.stretch(target, crop);
            let shift = stretch.before as f64 - stretch.taken.start as f64;
            at * target as f64 / size.max(1) as f64 + shift
        };
        let row = along(size.0, target.0, self.crop.0, point.0);
        (row, along(size.1, target.1, self.crop.1, point.1))
    }

    /// `inner` on a ground of one colour, its corner at `corner` (row, column).
    fn padded(&self, inner: &Picture, corner: (usize, usize)) -> Picture {
        let (height, width) = self.crop;
        let mut pixels = vec![self.fill; height * width];
        for (at, pixel) in inner.pixels().enumerate() {
            let (row, column) = (at / inner.width(), at % inner.width());
            pixels[(corner.0 + row) * width + corner.1 + column] = pixel;
        }
        Picture::from_pixels(height, width, pixels.into_iter())
    }

    fn stretch(&self, size: usize, crop: usize) -> Stretch {
        if crop > size {
            return Stretch { before: (crop - size) / 2, taken: 0..size };
        }
        let rest = size - crop;
        let first = match self.centre {
            Centre::Down => rest / 2,
            Centre::Even => rest / 2 + usize::from(rest % 4 == 3),
        };
        Stretch { before: 0, taken: first..first + crop }
    }
}

/// One axis of the centre crop.
struct Stretch {
    /// Pixels of the ground before the picture.
    before: usize,
    /// The pixels of the resized picture that are kept.
    taken: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_as_torchvision_and_timm_do() {
        let inside = Resize::Inside { height: 224, width: 224 };
        let cases = [
            // resize, height, width, target
            (Resize::Shorter(256), 300, 451, (256, 384)),
            (Resize::Shorter(256), 451, 300, (384, 256)),
            (Resize::Shorter(256), 427, 640, (256, 383)),
            (Resize::Shorter(256), 2, 16_384, (256, 2_097_152)),
            (Resize::Exact { height: 5, width: 9 }, 100, 3, (5, 9)),
            (Resize::Outside { height: 20, width: 34 }, 71, 97, (25, 34)),
            (inside, 300, 451, (149, 224)),
            (inside, 448, 3, (224, 2)),
            (inside, 448, 1, (224, 1)),
        ];
        for (resize, height, width, target) in cases {
            assert_eq!(resize.target(height, width), target, "{resize:?} of {height}x{width}");
        }
    }

    #[test]
    fn the_crop_rounds_as_its_library_does() {
        let cases = [
            // size, crop, pixels before, first pixel taken by torchvision and by transformers, pixels taken
            (256, 224, 0, [16, 16], 224),
            (225, 224, 0, [0, 0], 224),
            (227, 224, 0, [2, 1], 224),
            (229, 224, 0, [2, 2], 224),
            (231, 224, 0, [4, 3], 224),
            (224, 224, 0, [0, 0], 224),
            (220, 224, 2, [0, 0], 220),
            (219, 224, 2, [0, 0], 219),
        ];
        for (size, crop, before, first, taken) in cases {
            for (centre, first) in [Centre::Even, Centre::Down].into_iter().zip(first) {
                let geometry = Geometry {
                    resize: Resize::Shorter(size),
                    interpolation: Interpolation::Bilinear,
                    crop: (crop, crop),
                    centre,
                    fill: [0; 3],
                };
                let stretch = geometry.stretch(size, crop);
                assert_eq!(stretch.before, before, "{size} to {crop}");
                assert_eq!(stretch.taken, first..first + taken, "{size} to {crop}, {centre:?}");
            }
        }
    }
}
