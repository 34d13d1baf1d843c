//! Named preprocessings that many models share.

use super::channels::Channels;
use super::recipe::{Recipe, ResizeMode, ResizeSize};
use super::transform::Preprocess;
use crate::error::Error;
use crate::resample::Interpolation;

/// A named preprocessing that many models share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// torchvision: the shorter side is resized to 256/224 of the crop with the bilinear filter; ImageNet's
    /// mean and standard deviation.
    ImageNet,
    /// timm, for the Inception family: `crop_pct` 0.875, bicubic filter, values from -1 to 1.
    Inception,
    /// OpenAI's CLIP: the shorter side is resized to the size of the crop with the bicubic filter; CLIP's
    /// own mean and standard deviation.
    Clip,
    /// The whole picture without a crop, values from 0 to 1.
    Unit,
    /// The whole picture without a crop, values from -1 to 1.
    Signed,
    /// The whole picture without a crop, values from 0 to 255.
    Raw255,
    /// Caffe: the shorter side is resized to 256/224 of the crop; values from 0 to 255 in the channel order
    /// blue, green, red, minus ImageNet's mean.
    CaffeBgr,
}

impl Preset {
    /// All presets with their names.
    pub const ALL: [(Preset, &'static str); 7] = [
        (Preset::ImageNet, "imagenet"),
        (Preset::Inception, "inception"),
        (Preset::Clip, "clip"),
        (Preset::Unit, "unit"),
        (Preset::Signed, "signed"),
        (Preset::Raw255, "raw255"),
        (Preset::CaffeBgr, "caffe-bgr"),
    ];

    /// Returns the preset called `name`.
    pub fn named(name: &str) -> Option<Preset> {
        Self::ALL.iter().find(|(_, preset_name)| *preset_name == name).map(|(preset, _)| *preset)
    }

    /// The recipe of the preset. The channel order is only set if the preset requires one.
    pub fn recipe(self) -> Recipe {
        let squashed = |divisor, mean: f32, std: f32| Recipe {
            mode: Some(ResizeMode::Squash),
            interpolation: Some(Interpolation::Bilinear),
            divisor: Some(divisor),
            mean: Some(vec![mean]),
            std: Some(vec![std]),
            ..Recipe::default()
        };
        let cropped = |resize, interpolation, mean: &[f32], std: &[f32]| Recipe {
            mode: Some(ResizeMode::Shortest),
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
                let resize = ResizeSize::ImageNet;
                cropped(resize, bilinear, &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])
            }
            Preset::Inception => cropped(ResizeSize::CropShare(0.875), bicubic, &[0.5], &[0.5]),
            Preset::Clip => cropped(
                ResizeSize::CropShare(1.0),
                bicubic,
                &[0.481_454_66, 0.457_827_5, 0.408_210_73],
                &[0.268_629_54, 0.261_302_6, 0.275_777_1],
            ),
            Preset::Unit => squashed(255.0, 0.0, 1.0),
            Preset::Signed => squashed(255.0, 0.5, 0.5),
            Preset::Raw255 => squashed(1.0, 0.0, 1.0),
            Preset::CaffeBgr => Recipe {
                channels: Some(Channels::Bgr),
                divisor: Some(1.0),
                ..cropped(ResizeSize::ImageNet, bilinear, &[103.939, 116.779, 123.68], &[1.0])
            },
        }
    }
}

/// Presets for an input of a given size.
impl Preprocess {
    /// The standard preprocessing of ImageNet models: the shorter side is resized to `256/224` of the
    /// crop's shorter side, rounded; centre crop; mean `[0.485, 0.456, 0.406]`, standard deviation
    /// `[0.229, 0.224, 0.225]`.
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn imagenet(height: usize, width: usize) -> Result<Preprocess, Error> {
        Preset::ImageNet.recipe().preprocess([3, height, width])
    }

    /// The whole picture is resized to the size of the input without a crop; the values lie in [0, 1].
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn unit(channels: usize, height: usize, width: usize) -> Result<Preprocess, Error> {
        Preset::Unit.recipe().preprocess([channels, height, width])
    }

    /// The whole picture is resized to the size of the input without a crop; the values are the bytes, from
    /// 0 to 255. Models with an integer input need this preprocessing.
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn raw255(channels: usize, height: usize, width: usize) -> Result<Preprocess, Error> {
        Preset::Raw255.recipe().preprocess([channels, height, width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_these_descriptions() {
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
    fn or_fills_missing_parts_from_the_other_recipe() {
        let partial = Recipe { mean: Some(vec![0.5]), ..Recipe::default() };
        let filled = partial.clone().or(Preset::Clip.recipe());
        assert_eq!(filled.mean, Some(vec![0.5]));
        assert_eq!(filled.interpolation, Some(Interpolation::Bicubic));
        let squashed =
            Recipe { mode: Some(ResizeMode::Squash), ..partial }.or(Preset::ImageNet.recipe());
        assert_eq!(squashed.resize, None);
    }
}
