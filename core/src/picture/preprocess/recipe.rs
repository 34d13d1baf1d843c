//! What is known of a preprocessing, part by part, and the well-known ones by name.

use super::{Centre, Channels, Preprocess, Resize, check_channels, unusable};
use crate::picture::PictureError;
use crate::picture::resample::Interpolation;

/// How the shape of a picture becomes that of the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Height and width are resized apart; the aspect is not kept.
    Squash,
    /// The shorter side is resized, and the centre cropped.
    #[default]
    Shortest,
    /// The longer side is resized, and the rest is black.
    Longest,
    /// The longer side is resized, and the rest has the colour of the mean.
    Border,
}

impl Mode {
    /// All, by name.
    pub const ALL: [(Mode, &'static str); 4] = [
        (Mode::Squash, "squash"),
        (Mode::Shortest, "shortest"),
        (Mode::Longest, "longest"),
        (Mode::Border, "border"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }
}

/// How large a picture is before the crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    /// One side, of both or of the shorter.
    Pixels(usize),
    /// Height and width.
    Size(usize, usize),
    /// As large that the crop is this share of it, rounded down: timm's `crop_pct`.
    Share(f64),
    /// 256/224 of the crop's shorter side, rounded.
    Usual,
}

/// What is known of how pictures become inputs. Each part may be missing; [`Recipe::or`] takes it from
/// another recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// Height and width of the input.
    pub size: Option<(usize, usize)>,
    /// How the shape changes.
    pub mode: Option<Mode>,
    /// The size before the crop.
    pub resize: Option<Side>,
    /// The filter.
    pub interpolation: Option<Interpolation>,
    /// How the crop's place is rounded.
    pub centre: Option<Centre>,
    /// The order of the channels.
    pub channels: Option<Channels>,
    /// What bytes are divided by.
    pub divisor: Option<f32>,
    /// What is subtracted then: one number for each channel, or one for all.
    pub mean: Option<Vec<f32>>,
    /// What it is divided by then, likewise.
    pub std: Option<Vec<f32>>,
}

/// A preprocessing that many models share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// torchvision's: the shorter side to 256/224 of the crop, bilinear, ImageNet's mean and deviation.
    ImageNet,
    /// timm's of the Inception family: a crop of 0.875, bicubic, values from -1 to 1.
    Inception,
    /// OpenAI's CLIP: the shorter side to that of the crop, bicubic, CLIP's own mean and deviation.
    Clip,
    /// The whole picture, values from 0 to 1.
    Unit,
    /// The whole picture, values from -1 to 1.
    Signed,
    /// The whole picture, values from 0 to 255.
    Raw255,
    /// Caffe's: the shorter side to 256/224 of the crop, values from 0 to 255 in the order blue, green, red,
    /// less ImageNet's mean.
    CaffeBgr,
}

impl Preset {
    /// All, by name.
    pub const ALL: [(Preset, &'static str); 7] = [
        (Preset::ImageNet, "imagenet"),
        (Preset::Inception, "inception"),
        (Preset::Clip, "clip"),
        (Preset::Unit, "unit"),
        (Preset::Signed, "signed"),
        (Preset::Raw255, "raw255"),
        (Preset::CaffeBgr, "caffe-bgr"),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Preset> {
        Self::ALL.iter().find(|(_, own)| *own == name).map(|(preset, _)| *preset)
    }

    /// What it consists of. The order of channels is only said where it matters.
    pub fn recipe(self) -> Recipe {
        let whole = |divisor, mean: f32, std: f32| Recipe {
            mode: Some(Mode::Squash),
            interpolation: Some(Interpolation::Bilinear),
            divisor: Some(divisor),
            mean: Some(vec![mean]),
            std: Some(vec![std]),
            ..Recipe::default()
        };
        let cropped = |resize, interpolation, mean: &[f32], std: &[f32]| Recipe {
            mode: Some(Mode::Shortest),
            resize: Some(resize),
            interpolation: Some(interpolation),
            divisor: Some(255.0),
            mean: Some(mean.to_vec()),
            std: Some(std.to_vec()),
            ..Recipe::default()
        };
        let (bilinear, bicubic) = (Interpolation::Bilinear, Interpolation::Bicubic);
        match self {
            Preset::ImageNet => {
                cropped(Side::Usual, bilinear, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])
            }
            Preset::Inception => cropped(Side::Share(0.875), bicubic, &[0.5], &[0.5]),
            Preset::Clip => cropped(
                Side::Share(1.0),
                bicubic,
                &[0.481_454_66, 0.457_827_5, 0.408_210_73],
                &[0.268_629_54, 0.261_302_6, 0.275_777_1],
            ),
            Preset::Unit => whole(255.0, 0.0, 1.0),
            Preset::Signed => whole(255.0, 0.5, 0.5),
            Preset::Raw255 => whole(1.0, 0.0, 1.0),
            Preset::CaffeBgr => Recipe {
                channels: Some(Channels::Bgr),
                divisor: Some(1.0),
                ..cropped(Side::Usual, bilinear, &[103.939, 116.779, 123.68], &[1.0])
            },
        }
    }
}

impl Recipe {
    /// This recipe, with what is missing from `other`.
    #[must_use]
    pub fn or(self, other: Recipe) -> Recipe {
        Recipe {
            size: self.size.or(other.size),
            // The size before the crop means something else in another mode.
            resize: match self.mode.is_none() || self.mode == other.mode {
                true => self.resize.or(other.resize),
                false => self.resize,
            },
            mode: self.mode.or(other.mode),
            interpolation: self.interpolation.or(other.interpolation),
            centre: self.centre.or(other.centre),
            channels: self.channels.or(other.channels),
            divisor: self.divisor.or(other.divisor),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
        }
    }

    /// Height and width of the input, where the recipe says them: those of the crop, or of the resize where
    /// nothing is cropped off.
    pub fn input_size(&self) -> Option<(usize, usize)> {
        let resized = match self.resize {
            Some(Side::Pixels(side)) => Some((side, side)),
            Some(Side::Size(height, width)) => Some((height, width)),
            _ => None,
        };
        self.size.or(resized)
    }

    /// The preprocessing for inputs of `shape` (channels, height, width). What is missing is: the centre crop of
    /// the shorter side, bilinear, bytes divided by 255, no mean, a deviation of 1.
    ///
    /// # Errors
    ///
    /// [`PictureError::Preprocess`] for a shape of no picture, a size that is not the recipe's, and what
    /// [`Preprocess::new`] refuses.
    pub fn preprocess(&self, shape: [usize; 3]) -> Result<Preprocess, PictureError> {
        let [channels, height, width] = shape;
        check_channels(channels)?;
        if let Some((rows, columns)) = self.size.filter(|&size| size != (height, width)) {
            return Err(unusable(format!(
                "it makes inputs of {rows}x{columns}, but the model takes {height}x{width}"
            )));
        }
        let order = match (self.channels, channels) {
            (Some(order), _) => order,
            (None, 1) => Channels::Grey,
            (None, _) => Channels::Rgb,
        };
        let each = |numbers: &Option<Vec<f32>>, default: f32| match numbers.as_deref() {
            None => vec![default; channels],
            Some(&[one]) => vec![one; channels],
            Some(numbers) => numbers.to_vec(),
        };
        let (mean, std) = (each(&self.mean, 0.0), each(&self.std, 1.0));
        if mean.len() != channels {
            return Err(unusable(format!(
                "it has {} means, but the model takes {channels} channels",
                mean.len()
            )));
        }
        let divisor = self.divisor.unwrap_or(255.0);
        let mode = self.mode.unwrap_or_default();
        let fill = match mode {
            Mode::Border => std::array::from_fn(|channel| {
                let mean = mean[if channels == 1 { 0 } else { channel }];
                (mean * divisor).round_ties_even().clamp(0.0, 255.0) as u8
            }),
            _ => [0; 3],
        };
        Preprocess::new(self.resized(mode, height, width), (height, width), mean, std)?
            .interpolation(self.interpolation.unwrap_or_default())
            .centre(self.centre.unwrap_or_default())
            .fill(fill)
            .divided_by(divisor)?
            .ordered(order)
    }

    fn resized(&self, mode: Mode, height: usize, width: usize) -> Resize {
        // As timm: 224 / 0.875 is 256 in double precision as well.
        let down = |side: usize, share: f64| (side as f64 / share).floor() as usize;
        let (height, width) = match self.resize {
            Some(Side::Size(height, width)) => (height, width),
            Some(Side::Pixels(side)) => (side, side),
            Some(Side::Share(share)) => (down(height, share), down(width, share)),
            Some(Side::Usual) => {
                let side = (256.0 / 224.0 * height.min(width) as f64).round() as usize;
                (side, side)
            }
            None => (height, width),
        };
        match mode {
            Mode::Squash => Resize::Exact { height, width },
            Mode::Shortest if height == width => Resize::Shorter(height),
            Mode::Shortest => Resize::Outside { height, width },
            Mode::Longest | Mode::Border => Resize::Inside { height, width },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_read_aloud() {
        let cases = [
            (Preset::ImageNet, Preprocess::imagenet(224, 224).unwrap().to_string()),
            (Preset::Unit, Preprocess::unit(3, 224, 224).unwrap().to_string()),
            (Preset::Raw255, Preprocess::raw255(3, 224, 224).unwrap().to_string()),
            (
                Preset::Inception,
                "resize 256 bicubic, centre crop 224x224, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]".into(),
            ),
            (
                Preset::CaffeBgr,
                "resize 256, centre crop 224x224, channels bgr, values from 0 to 255, mean [103.939, 116.779, 123.68], std [1.0, 1.0, 1.0]".into(),
            ),
        ];
        for (preset, text) in cases {
            assert_eq!(preset.recipe().preprocess([3, 224, 224]).unwrap().to_string(), text);
        }
        for (preset, name) in Preset::ALL {
            assert_eq!(Preset::named(name), Some(preset));
            assert!(preset.recipe().preprocess([3, 32, 48]).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_missing_comes_from_another() {
        let own = Recipe { mean: Some(vec![0.5]), ..Recipe::default() };
        let both = own.clone().or(Preset::Clip.recipe());
        assert_eq!(both.mean, Some(vec![0.5]));
        assert_eq!(both.interpolation, Some(Interpolation::Bicubic));
        let squashed = Recipe { mode: Some(Mode::Squash), ..own }.or(Preset::ImageNet.recipe());
        assert_eq!(squashed.resize, None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cases = [
            (
                Recipe { size: Some((224, 224)), ..Recipe::default() },
                "it makes inputs of 224x224, but the model takes 32x32",
            ),
            (
                Recipe { mean: Some(vec![0.0; 2]), ..Recipe::default() },
                "it has 2 means, but the model takes 3 channels",
            ),
            (
                Recipe { channels: Some(Channels::Grey), ..Recipe::default() },
                "there are 3 means, but gray takes 1",
            ),
            (
                Recipe { divisor: Some(0.0), ..Recipe::default() },
                "bytes are divided by 0, and it must be a finite number above 0",
            ),
        ];
        for (recipe, problem) in cases {
            let message = recipe.preprocess([3, 32, 32]).unwrap_err().to_string();
            assert_eq!(message, format!("the preprocessing cannot be used: {problem}"));
        }
    }
}
