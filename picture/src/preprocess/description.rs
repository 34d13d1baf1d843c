//! The description of a preprocessing in words, for messages and manifests.

use std::fmt;

use super::channels::Channels;
use super::geometry::{CropRounding, Resize};
use super::transform::Preprocess;
use crate::resample::Interpolation;

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.geometry.resize {
            Resize::Shorter(side) => write!(f, "resize {side}")?,
            Resize::Exact { height, width } => write!(f, "resize {height}x{width}")?,
            Resize::Cover { height, width } => write!(f, "resize to cover {height}x{width}")?,
            Resize::Fit { height, width } => write!(f, "resize to fit {height}x{width}")?,
        }
        if self.geometry.interpolation != Interpolation::Bilinear {
            write!(f, " {}", self.geometry.interpolation.name())?;
        }
        let (height, width) = self.geometry.crop;
        write!(f, ", centre crop {height}x{width}")?;
        let uncropped = Resize::Exact { height, width };
        let rounds_down = self.geometry.crop_rounding == CropRounding::Down;
        if rounds_down && self.geometry.resize != uncropped {
            write!(f, ", crop offset rounded down")?;
        }
        if self.geometry.fill != [0; 3] {
            write!(f, ", padded with {:?}", self.geometry.fill)?;
        }
        if self.channels == Channels::Bgr {
            write!(f, ", channels bgr")?;
        }
        match self.divisor {
            255.0 => {}
            1.0 => write!(f, ", values from 0 to 255")?,
            divisor => write!(f, ", bytes divided by {divisor}")?,
        }
        write!(f, ", mean {:?}, std {:?}", self.mean, self.std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_presets() {
        let cases = [
            (
                Preprocess::imagenet(224, 224),
                "resize 256, centre crop 224x224, mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225]",
            ),
            (
                Preprocess::imagenet(299, 320),
                "resize 342, centre crop 299x320, mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225]",
            ),
            (Preprocess::unit(1, 28, 20), "resize 28x20, centre crop 28x20, mean [0.0], std [1.0]"),
        ];
        for (preprocess, text) in cases {
            assert_eq!(preprocess.unwrap().to_string(), text);
        }
    }
}
