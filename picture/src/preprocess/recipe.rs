//! A preprocessing with optional parts.

use super::channels::{Channels, check_channels};
use super::geometry::{CropRounding, Resize};
use super::transform::Preprocess;
use crate::error::Error;
use crate::resample::Interpolation;

/// How the aspect ratio of a picture is adapted to that of the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResizeMode {
    /// Height and width are resized independently; the aspect ratio is not kept.
    Squash,
    /// The shorter side is resized, and the centre is cropped.
    #[default]
    Shortest,
    /// The longer side is resized, and the shorter side is padded with black.
    Longest,
    /// The longer side is resized, and the shorter side is padded with the mean colour.
    Border,
}

impl ResizeMode {
    /// All modes with their names.
    pub const ALL: [(ResizeMode, &'static str); 4] = [
        (ResizeMode::Squash, "squash"),
        (ResizeMode::Shortest, "shortest"),
        (ResizeMode::Longest, "longest"),
        (ResizeMode::Border, "border"),
    ];

    /// The name of the mode.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

/// The size of a picture after the resize and before the crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResizeSize {
    /// The size of both sides, or of the side that the [`ResizeMode`] resizes.
    Side(usize),
    /// The height and the width.
    HeightWidth(usize, usize),
    /// The ratio of the crop to the resized picture: `crop / ratio`, rounded down. timm calls it `crop_pct`.
    CropShare(f64),
    /// 256/224 of the crop's shorter side, rounded.
    ImageNet,
}

/// A preprocessing with optional parts. [`Recipe::or`] fills missing parts from another recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// The height and width of the model's input.
    pub size: Option<(usize, usize)>,
    /// How the aspect ratio is adapted.
    pub mode: Option<ResizeMode>,
    /// The size after the resize and before the crop.
    pub resize: Option<ResizeSize>,
    /// The filter of the resize.
    pub interpolation: Option<Interpolation>,
    /// The rounding of the crop's offset.
    pub crop_rounding: Option<CropRounding>,
    /// The channel order.
    pub channels: Option<Channels>,
    /// The divisor of the bytes.
    pub divisor: Option<f32>,
    /// The mean that is subtracted after the division: one value per channel, or one value for all channels.
    pub mean: Option<Vec<f32>>,
    /// The standard deviation by which the difference is divided: one value per channel, or one value for all
    /// channels.
    pub std: Option<Vec<f32>>,
}

impl Recipe {
    /// Returns this recipe with its missing parts filled from `other`.
    #[must_use]
    pub fn or(self, other: Recipe) -> Recipe {
        Recipe {
            size: self.size.or(other.size),
            // The size before the crop is only meaningful together with its mode.
            resize: match self.mode.is_none() || self.mode == other.mode {
                true => self.resize.or(other.resize),
                false => self.resize,
            },
            mode: self.mode.or(other.mode),
            interpolation: self.interpolation.or(other.interpolation),
            crop_rounding: self.crop_rounding.or(other.crop_rounding),
            channels: self.channels.or(other.channels),
            divisor: self.divisor.or(other.divisor),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
        }
    }

    /// The height and width of the model's input, if the recipe defines them: those of the crop, or those
    /// of the resize if there is no crop.
    pub fn input_size(&self) -> Option<(usize, usize)> {
        let resized = match self.resize {
            Some(ResizeSize::Side(side)) => Some((side, side)),
            Some(ResizeSize::HeightWidth(height, width)) => Some((height, width)),
            _ => None,
        };
        self.size.or(resized)
    }

    /// Creates the preprocessing for inputs of `shape` (channels, height, width). The defaults of missing
    /// parts are: the shorter side resized with the bilinear filter, a centre crop, bytes divided by 255,
    /// mean 0 and standard deviation 1.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) if the number of channels is not 1 or 3, if
    /// the recipe is for another size or number of channels, and as [`Preprocess::new`].
    pub fn preprocess(&self, shape: [usize; 3]) -> Result<Preprocess, Error> {
        let [channels, height, width] = shape;
        check_channels(channels)?;
        if let Some((rows, columns)) = self.size.filter(|&size| size != (height, width)) {
            return Err(Error::preprocess(format!(
                "it produces inputs of {rows}x{columns}, but the model needs {height}x{width}"
            )));
        }
        let order = match (self.channels, channels) {
            (Some(order), _) => order,
            (None, 1) => Channels::Grey,
            (None, _) => Channels::Rgb,
        };
        let per_channel = |values: &Option<Vec<f32>>, default: f32| match values.as_deref() {
            None => vec![default; channels],
            Some(&[value]) => vec![value; channels],
            Some(values) => values.to_vec(),
        };
        let (mean, std) = (per_channel(&self.mean, 0.0), per_channel(&self.std, 1.0));
        if mean.len() != channels {
            return Err(Error::preprocess(format!(
                "it has {} means, but the model has {channels} channels",
                mean.len()
            )));
        }
        let divisor = self.divisor.unwrap_or(255.0);
        let mode = self.mode.unwrap_or_default();
        let fill = match mode {
            ResizeMode::Border => std::array::from_fn(|channel| {
                let mean = mean[if channels == 1 { 0 } else { channel }];
                (mean * divisor).round_ties_even().clamp(0.0, 255.0) as u8
            }),
            _ => [0; 3],
        };
        Preprocess::new(self.resized(mode, height, width), (height, width), mean, std)?
            .interpolation(self.interpolation.unwrap_or_default())
            .crop_rounding(self.crop_rounding.unwrap_or_default())
            .fill(fill)
            .divisor(divisor)?
            .channels(order)
    }

    /// The resize of a picture to an input of `height` x `width`.
    fn resized(&self, mode: ResizeMode, height: usize, width: usize) -> Resize {
        // Rounded down as in timm. 224 / 0.875 is exactly 256, also in double precision.
        let divided = |side: usize, share: f64| (side as f64 / share).floor() as usize;
        let (height, width) = match self.resize {
            Some(ResizeSize::HeightWidth(height, width)) => (height, width),
            Some(ResizeSize::Side(side)) => (side, side),
            Some(ResizeSize::CropShare(share)) => (divided(height, share), divided(width, share)),
            Some(ResizeSize::ImageNet) => {
                let side = (256.0 / 224.0 * height.min(width) as f64).round() as usize;
                (side, side)
            }
            None => (height, width),
        };
        match mode {
            ResizeMode::Squash => Resize::Exact { height, width },
            ResizeMode::Shortest if height == width => Resize::Shorter(height),
            ResizeMode::Shortest => Resize::Cover { height, width },
            ResizeMode::Longest | ResizeMode::Border => Resize::Fit { height, width },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatched_size_or_channels_are_refused() {
        let cases = [
            (
                Recipe { size: Some((224, 224)), ..Recipe::default() },
                "it produces inputs of 224x224, but the model needs 32x32",
            ),
            (
                Recipe { mean: Some(vec![0.0; 2]), ..Recipe::default() },
                "it has 2 means, but the model has 3 channels",
            ),
            (
                Recipe { channels: Some(Channels::Grey), ..Recipe::default() },
                "there are 3 means, but the channel order gray needs 1",
            ),
            (
                Recipe { divisor: Some(0.0), ..Recipe::default() },
                "the divisor of the bytes is 0, but it must be finite and positive",
            ),
        ];
        for (recipe, problem) in cases {
            let message = recipe.preprocess([3, 32, 32]).unwrap_err().to_string();
            assert_eq!(message, format!("the preprocessing cannot be used: {problem}"));
        }
    }
}
