//! The preprocessing of a picture to a model's input. The results are those of torchvision's transforms with
//! Pillow as the backend.

use attriburn::{Domain, Input};

use super::channels::{Channels, check_channels};
use super::geometry::{CropRounding, Geometry, Resize};
use crate::error::Error;
use crate::raster::Picture;
use crate::resample::Interpolation;

/// The maximum height and width. No model has a larger input, and the limit keeps a mistyped size from
/// exhausting the memory.
const MAX_SIDE: usize = 16_384;

/// The preprocessing of a picture to a model's input.
///
/// The steps are: conversion to grey if the model has one channel; resize; centre crop, or padding on both
/// sides if the picture is smaller than the crop; division of the bytes by the divisor (default 255); and
/// normalisation `(value - mean) / std` per channel.
///
/// ```
/// # use attriburn_picture::Preprocess;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let preprocess = Preprocess::imagenet(224, 224)?;
/// assert_eq!(preprocess.shape(), [3, 224, 224]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    pub(super) geometry: Geometry,
    pub(super) channels: Channels,
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    /// The divisor of the bytes.
    pub(super) divisor: f32,
}

/// A preprocessed picture: the values for the model, and the same crop as a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The normalised values `[channels, height, width]` in row-major order.
    pub values: Vec<f32>,
    /// The 8-bit crop before the normalisation; grey if the model has one channel.
    pub crop: Picture,
}

impl Preprocess {
    /// Creates a preprocessing with a bilinear resize, a centre crop to `crop` (height, width) and a
    /// normalisation. The number of channels is the length of `mean`, 1 or 3.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) if a side is not between 1 and 16384, if the
    /// number of channels is not 1 or 3, if `mean` and `std` differ in length, if a value is not finite, or
    /// if a standard deviation is not positive.
    pub fn new(
        resize: Resize,
        crop: (usize, usize),
        mean: Vec<f32>,
        std: Vec<f32>,
    ) -> Result<Preprocess, Error> {
        let (height, width) = match resize {
            Resize::Shorter(side) => (side, side),
            Resize::Exact { height, width }
            | Resize::Cover { height, width }
            | Resize::Fit { height, width } => (height, width),
        };
        for (name, side) in [
            ("resized height", height),
            ("resized width", width),
            ("crop's height", crop.0),
            ("crop's width", crop.1),
        ] {
            if !(1..=MAX_SIDE).contains(&side) {
                return Err(Error::preprocess(format!(
                    "the {name} is {side}, but it must be between 1 and {MAX_SIDE}"
                )));
            }
        }
        check_normalisation(&mean, &std)?;
        let geometry = Geometry {
            resize,
            interpolation: Interpolation::Bilinear,
            crop,
            crop_rounding: CropRounding::HalfToEven,
            fill: [0; 3],
        };
        let channels = if mean.len() == 1 { Channels::Grey } else { Channels::Rgb };
        Ok(Preprocess { geometry, channels, mean, std, divisor: 255.0 })
    }

    /// Sets the filter of the resize. The default is bilinear.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Preprocess {
        self.geometry.interpolation = interpolation;
        self
    }

    /// Sets the rounding of the crop's offset. The default is half to even.
    #[must_use]
    pub fn crop_rounding(mut self, crop_rounding: CropRounding) -> Preprocess {
        self.geometry.crop_rounding = crop_rounding;
        self
    }

    /// Sets the colour (red, green, blue) of the padding around pictures that are smaller than the crop.
    /// The default is black.
    #[must_use]
    pub fn fill(mut self, fill: [u8; 3]) -> Preprocess {
        self.geometry.fill = fill;
        self
    }

    /// Sets the divisor of the bytes: 255 for values from 0 to 1, or 1 for values from 0 to 255.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) if `divisor` is not finite or not positive.
    pub fn divisor(self, divisor: f32) -> Result<Preprocess, Error> {
        match divisor.is_finite() && divisor > 0.0 {
            true => Ok(Preprocess { divisor, ..self }),
            false => Err(Error::preprocess(format!(
                "the divisor of the bytes is {divisor}, but it must be finite and positive"
            ))),
        }
    }

    /// Sets the channel order. The means and standard deviations are then those of the channels in this
    /// order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) if the number of channels is not the number
    /// of means.
    pub fn channels(self, channels: Channels) -> Result<Preprocess, Error> {
        match channels.count() == self.mean.len() {
            true => Ok(Preprocess { channels, ..self }),
            false => Err(Error::preprocess(format!(
                "there are {} means, but the channel order {} needs {}",
                self.mean.len(),
                channels.name(),
                channels.count()
            ))),
        }
    }

    /// The shape of the model's input: channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        [self.mean.len(), self.geometry.crop.0, self.geometry.crop.1]
    }

    /// The minimum and the maximum of each channel after the normalisation: `(0 - mean) / std` and
    /// `(255 / divisor - mean) / std`.
    pub fn domain(&self) -> (Vec<f32>, Vec<f32>) {
        let per_channel =
            |value: f32| (0..self.mean.len()).map(move |channel| self.normalised(channel, value));
        (per_channel(0.0).collect(), per_channel(255.0 / self.divisor).collect())
    }

    /// Resizes, crops and normalises `picture`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) if the picture has no pixels.
    pub fn apply(&self, picture: &Picture) -> Result<Prepared, Error> {
        if picture.rgb().is_empty() {
            return Err(Error::preprocess("the picture has no pixels".to_owned()));
        }
        let crop = match self.channels {
            Channels::Grey => self.geometry.apply(&picture.grey()),
            _ => self.geometry.apply(picture),
        };
        let values = (0..self.mean.len()).flat_map(|channel| self.plane(&crop, channel)).collect();
        Ok(Prepared { values, crop })
    }

    /// Preprocesses `picture` to an input `[channels, height, width]` with the [domain](Preprocess::domain)
    /// from black to white.
    ///
    /// ```
    /// # use attriburn_picture::{Picture, Preprocess};
    /// # fn main() -> Result<(), attriburn_picture::Error> {
    /// let picture = Picture::new(1, 2, vec![0, 0, 0, 255, 255, 255])?;
    /// let input = Preprocess::imagenet(224, 224)?.input(&picture)?;
    /// assert_eq!(input.shape(), [3, 224, 224]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`apply`](Preprocess::apply).
    pub fn input(&self, picture: &Picture) -> Result<Input, Error> {
        let (lower, upper) = self.domain();
        let domain = Domain::per_channel(lower, upper);
        let values = self.apply(picture)?.values;
        Input::new(values, &self.shape(), domain).map_err(Error::preprocess)
    }

    /// The region of `picture` that the model receives, in colour and in the picture's own resolution, for showing a
    /// map over it. Its longer side has at most `max_side` pixels, and it is never smaller than the crop. Padding
    /// has the [fill](Preprocess::fill).
    ///
    /// # Errors
    ///
    /// As [`apply`](Preprocess::apply).
    pub fn backdrop(&self, picture: &Picture, max_side: usize) -> Result<Picture, Error> {
        if picture.rgb().is_empty() {
            return Err(Error::preprocess("the picture has no pixels".to_owned()));
        }
        Ok(self.geometry.backdrop(picture, max_side))
    }

    /// Maps a point of a picture of `size` (height, width) to the crop. Both points are (row, column) in
    /// pixels from the top left corner. The result lies outside the crop for a point that is cropped off.
    pub fn map_point(&self, size: (usize, usize), point: (f64, f64)) -> (f64, f64) {
        self.geometry.map_point(size, point)
    }

    /// Normalises one channel of the crop, with a lookup table of all 256 values.
    fn plane(&self, crop: &Picture, channel: usize) -> Vec<f32> {
        let table: [f32; 256] =
            std::array::from_fn(|byte| self.normalised(channel, byte as f32 / self.divisor));
        let rgb_channel = match self.channels {
            Channels::Bgr => 2 - channel,
            _ => channel,
        };
        crop.pixels().map(|pixel| table[usize::from(pixel[rgb_channel])]).collect()
    }

    fn normalised(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }
}

fn check_normalisation(mean: &[f32], std: &[f32]) -> Result<(), Error> {
    check_channels(mean.len())?;
    if mean.len() != std.len() {
        return Err(Error::preprocess(format!(
            "there are {} means and {} standard deviations; give one mean and one standard deviation per channel",
            mean.len(),
            std.len()
        )));
    }
    if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
        return Err(Error::preprocess(format!("a mean is {bad}, but it must be finite")));
    }
    if let Some(bad) = std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
        return Err(Error::preprocess(format!(
            "a standard deviation is {bad}, but it must be finite and positive"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with a single colour.
    fn uniform(height: usize, width: usize, pixel: [u8; 3]) -> Picture {
        Picture::from_pixels(height, width, std::iter::repeat_n(pixel, height * width))
    }

    #[test]
    fn small_picture_is_padded_with_black() {
        let preprocess =
            Preprocess::new(Resize::Shorter(2), (5, 4), vec![0.0; 3], vec![1.0; 3]).unwrap();
        let crop = preprocess.apply(&uniform(2, 2, [255, 51, 0])).unwrap().crop;
        let inside = |row, column| (1..3).contains(&row) && (1..3).contains(&column);
        for (index, pixel) in crop.pixels().enumerate() {
            let expected = if inside(index / 4, index % 4) { [255, 51, 0] } else { [0; 3] };
            assert_eq!(pixel, expected, "pixel {index}");
        }
    }

    #[test]
    fn map_point_follows_the_pixels() {
        let preprocess = Preprocess::imagenet(224, 224).unwrap();
        let (mut pixels, corner) = (vec![[0u8; 3]; 512 * 1024], (100, 600));
        for row in corner.0..corner.0 + 60 {
            pixels[row * 1024 + corner.1..row * 1024 + corner.1 + 40].fill([255; 3]);
        }
        let picture = Picture::from_pixels(512, 1024, pixels.into_iter());
        let crop = preprocess.apply(&picture).unwrap().crop;
        let bright: Vec<usize> = crop
            .pixels()
            .enumerate()
            .filter(|(_, pixel)| pixel[0] > 127)
            .map(|(index, _)| index)
            .collect();
        let (first, last) = (bright[0], bright[bright.len() - 1]);
        let mapped = |row: usize, column: usize| {
            let (row, column) = preprocess.map_point((512, 1024), (row as f64, column as f64));
            (row.round() as usize, column.round() as usize)
        };
        assert_eq!(mapped(100, 600), (first / 224, first % 224));
        assert_eq!(mapped(160, 640), (last / 224 + 1, last % 224 + 1));
        let small = Preprocess::new(Resize::Shorter(2), (5, 4), vec![0.0; 3], vec![1.0; 3]);
        assert_eq!(small.unwrap().map_point((2, 2), (0.0, 2.0)), (1.0, 3.0));
    }

    #[test]
    fn extreme_aspect_ratio_is_preprocessed() {
        let prepared =
            Preprocess::imagenet(224, 224).unwrap().apply(&uniform(2, 16_384, [1, 2, 3])).unwrap();
        assert_eq!(prepared.crop, uniform(224, 224, [1, 2, 3]));
    }

    #[test]
    fn values_are_normalised_planes() {
        let preprocess = Preprocess::imagenet(2, 3).unwrap();
        let prepared = preprocess.apply(&uniform(8, 16, [255, 0, 102])).unwrap();
        let expected = [(1.0 - 0.485) / 0.229, (0.0 - 0.456) / 0.224, (0.4 - 0.406) / 0.225];
        assert_eq!(prepared.values.len(), 18);
        for (index, value) in prepared.values.iter().enumerate() {
            assert!((value - expected[index / 6]).abs() < 1e-6, "value {index} is {value}");
        }
    }

    #[test]
    fn single_channel_is_luma() {
        let preprocess = Preprocess::unit(1, 4, 4).unwrap();
        let prepared = preprocess.apply(&uniform(9, 7, [255, 0, 0])).unwrap();
        assert_eq!(prepared.values, [76.0 / 255.0; 16]);
        assert_eq!(prepared.crop, uniform(4, 4, [76; 3]));
    }

    #[test]
    fn domain_is_the_values_of_black_and_white() {
        let preprocess = Preprocess::imagenet(4, 4).unwrap();
        let (lower, upper) = preprocess.domain();
        let values = |byte| preprocess.apply(&uniform(4, 4, [byte; 3])).unwrap().values;
        for channel in 0..3 {
            assert_eq!(values(0)[channel * 16], lower[channel]);
            assert_eq!(values(255)[channel * 16], upper[channel]);
        }
        assert_eq!(Preprocess::unit(1, 4, 4).unwrap().domain(), (vec![0.0], vec![1.0]));
    }

    #[test]
    fn invalid_settings_are_refused() {
        let normalised = |mean: &[f32], std: &[f32]| {
            Preprocess::new(Resize::Shorter(4), (4, 4), mean.to_vec(), std.to_vec())
        };
        let cases = [
            (
                Preprocess::imagenet(224, 0),
                "the resized height is 0, but it must be between 1 and 16384",
            ),
            (
                Preprocess::unit(3, 4, 16_385),
                "the resized width is 16385, but it must be between 1 and 16384",
            ),
            (
                Preprocess::new(Resize::Shorter(4), (0, 4), vec![0.0], vec![1.0]),
                "the crop's height is 0, but it must be between 1 and 16384",
            ),
            (
                Preprocess::unit(4, 8, 8),
                "a picture has 3 channels, or 1 in grey, but the model needs 4; give the input as a .npy file",
            ),
            (
                normalised(&[0.0; 3], &[1.0]),
                "there are 3 means and 1 standard deviations; give one mean and one standard deviation per channel",
            ),
            (normalised(&[f32::NAN], &[1.0]), "a mean is NaN, but it must be finite"),
            (
                normalised(&[0.0], &[0.0]),
                "a standard deviation is 0, but it must be finite and positive",
            ),
        ];
        for (preprocess, problem) in cases {
            let message = preprocess.unwrap_err().to_string();
            assert_eq!(message, format!("the preprocessing cannot be used: {problem}"));
        }
        let empty = Picture::new(0, 4, Vec::new()).unwrap();
        let message = Preprocess::unit(3, 4, 4).unwrap().apply(&empty).unwrap_err().to_string();
        assert_eq!(message, "the preprocessing cannot be used: the picture has no pixels");
    }
}
