//! From a picture to a model's input, as torchvision's transforms do it with Pillow underneath.

mod config;
mod geometry;
mod recipe;
mod torchvision;

use std::fmt;

use super::resample::Interpolation;
use super::{Picture, PictureError};

pub use config::recipe_of;
pub use geometry::{Centre, Resize};
pub use recipe::{Mode, Preset, Recipe, Side};
pub use torchvision::{torchvision, torchvision_weights};

use geometry::Geometry;

/// No model takes a larger input, and a mistyped size should not take all memory.
const LONGEST_SIDE: usize = 16_384;

/// The order of a model's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One, the luma of ITU-R 601-2 as Pillow computes it.
    Grey,
}

impl Channels {
    /// All, by name.
    pub const ALL: [(Channels, &'static str); 3] =
        [(Channels::Rgb, "rgb"), (Channels::Bgr, "bgr"), (Channels::Grey, "gray")];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }

    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Channels::Rgb | Channels::Bgr => 3,
            Channels::Grey => 1,
        }
    }
}

/// What is done to a picture before a model sees it.
///
/// Resize; crop the centre (or pad to either side where the picture is smaller than the crop); for one
/// channel turn to grey first; divide the bytes by a number, 255 unless said otherwise;
/// `(value - mean) / std` per channel.
///
/// ```
/// # use attriburn::picture::Preprocess;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let preprocess = Preprocess::imagenet(224, 224)?;
/// assert_eq!(preprocess.shape(), [3, 224, 224]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    geometry: Geometry,
    channels: Channels,
    mean: Vec<f32>,
    std: Vec<f32>,
    /// What the bytes of a picture are divided by.
    divisor: f32,
}

/// A picture as the model takes it, and as a person sees the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// `[channels, height, width]` row-major, in the model's units.
    pub values: Vec<f32>,
    /// The 8-bit crop that became `values`; grey where the model has one channel.
    pub crop: Picture,
}

impl Preprocess {
    /// A bilinear resize, a centre crop to `crop` (height, width) and a normalisation; as many channels as means,
    /// 3 or 1.
    ///
    /// # Errors
    ///
    /// [`PictureError::Preprocess`] for a side outside 1 to 16384, another number of channels, as many means as
    /// not standard deviations, or one of these that is not finite or, for a deviation, not above 0.
    pub fn new(
        resize: Resize,
        crop: (usize, usize),
        mean: Vec<f32>,
        std: Vec<f32>,
    ) -> Result<Preprocess, PictureError> {
        let (height, width) = match resize {
            Resize::Shorter(side) => (side, side),
            Resize::Exact { height, width }
            | Resize::Outside { height, width }
            | Resize::Inside { height, width } => (height, width),
        };
        for (what, side) in [
            ("resized height", height),
            ("resized width", width),
            ("crop's height", crop.0),
            ("crop's width", crop.1),
        ] {
            if !(1..=LONGEST_SIDE).contains(&side) {
                return Err(unusable(format!(
                    "the {what} is {side}, and it must be between 1 and {LONGEST_SIDE}"
                )));
            }
        }
        check_normalisation(&mean, &std)?;
        let geometry = Geometry {
            resize,
            interpolation: Interpolation::Bilinear,
            crop,
            centre: Centre::Even,
            fill: [0; 3],
        };
        let channels = if mean.len() == 1 { Channels::Grey } else { Channels::Rgb };
        Ok(Preprocess { geometry, channels, mean, std, divisor: 255.0 })
    }

    /// The same with another filter.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Preprocess {
        self.geometry.interpolation = interpolation;
        self
    }

    /// The same with the crop's place rounded in another way.
    #[must_use]
    pub fn centre(mut self, centre: Centre) -> Preprocess {
        self.geometry.centre = centre;
        self
    }

    /// The same with another colour, red, green and blue, around pictures that are smaller than the crop.
    #[must_use]
    pub fn fill(mut self, fill: [u8; 3]) -> Preprocess {
        self.geometry.fill = fill;
        self
    }

    /// The same with the bytes divided by `divisor`: 255 for values from 0 to 1, 1 for the bytes as they are.
    ///
    /// # Errors
    ///
    /// [`PictureError::Preprocess`] for a number that is not finite or not above 0.
    pub fn divided_by(self, divisor: f32) -> Result<Preprocess, PictureError> {
        match divisor.is_finite() && divisor > 0.0 {
            true => Ok(Preprocess { divisor, ..self }),
            false => Err(unusable(format!(
                "bytes are divided by {divisor}, and it must be a finite number above 0"
            ))),
        }
    }

    /// The same with the channels, and their means and deviations, in another order.
    ///
    /// # Errors
    ///
    /// [`PictureError::Preprocess`] for another number of channels than there are means.
    pub fn ordered(self, channels: Channels) -> Result<Preprocess, PictureError> {
        match channels.count() == self.mean.len() {
            true => Ok(Preprocess { channels, ..self }),
            false => Err(unusable(format!(
                "there are {} means, but {} takes {}",
                self.mean.len(),
                channels.name(),
                channels.count()
            ))),
        }
    }

    /// The usual recipe of ImageNet models: shorter side to `256/224` of the crop's shorter side, rounded; centre
    /// crop; mean `[0.485, 0.456, 0.406]`, standard deviation `[0.229, 0.224, 0.225]`.
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn imagenet(height: usize, width: usize) -> Result<Preprocess, PictureError> {
        Preset::ImageNet.recipe().preprocess([3, height, width])
    }

    /// The whole picture resized to the model's size, values in [0, 1]: no crop, no normalisation.
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn unit(channels: usize, height: usize, width: usize) -> Result<Preprocess, PictureError> {
        Preset::Unit.recipe().preprocess([channels, height, width])
    }

    /// The same with the bytes as they are, from 0 to 255, as models take them whose input are integers.
    ///
    /// # Errors
    ///
    /// As [`new`](Preprocess::new).
    pub fn raw255(
        channels: usize,
        height: usize,
        width: usize,
    ) -> Result<Preprocess, PictureError> {
        Preset::Raw255.recipe().preprocess([channels, height, width])
    }

    /// The shape of what [`apply`](Preprocess::apply) makes: channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        [self.mean.len(), self.geometry.crop.0, self.geometry.crop.1]
    }

    /// The least and the greatest value of each channel in the model's units: `(0 - mean)/std`, `(1 - mean)/std`,
    /// or with undivided bytes `(255 - mean)/std`.
    pub fn domain(&self) -> (Vec<f32>, Vec<f32>) {
        let all =
            |value: f32| (0..self.mean.len()).map(move |channel| self.normalised(channel, value));
        (all(0.0).collect(), all(255.0 / self.divisor).collect())
    }

    /// Resizes, crops and normalises `picture`.
    ///
    /// # Errors
    ///
    /// [`PictureError::Preprocess`] for a picture without pixels.
    pub fn apply(&self, picture: &Picture) -> Result<Prepared, PictureError> {
        if picture.rgb().is_empty() {
            return Err(unusable("the picture has no pixels".to_owned()));
        }
        let crop = match self.channels {
            Channels::Grey => self.geometry.apply(&picture.grey()),
            _ => self.geometry.apply(picture),
        };
        let values = (0..self.mean.len()).flat_map(|channel| self.plane(&crop, channel)).collect();
        Ok(Prepared { values, crop })
    }

    /// Where a point of a picture of `size` (height, width) comes to lie, both as (row, column) in
    /// pixels from the top left corner; outside the crop for what is cut off.
    pub fn place(&self, size: (usize, usize), point: (f64, f64)) -> (f64, f64) {
        self.geometry.place(size, point)
    }

    /// One channel of the crop, normalised; one of 256 values a pixel.
    fn plane(&self, crop: &Picture, channel: usize) -> Vec<f32> {
        let table: [f32; 256] =
            std::array::from_fn(|byte| self.normalised(channel, byte as f32 / self.divisor));
        let own = match self.channels {
            Channels::Bgr => 2 - channel,
            _ => channel,
        };
        crop.pixels().map(|pixel| table[usize::from(pixel[own])]).collect()
    }

    fn normalised(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }
}

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.geometry.resize {
            Resize::Shorter(side) => write!(f, "resize {side}")?,
            Resize::Exact { height, width } => write!(f, "resize {height}x{width}")?,
            Resize::Outside { height, width } => write!(f, "resize around {height}x{width}")?,
            Resize::Inside { height, width } => write!(f, "resize into {height}x{width}")?,
        }
        if self.geometry.interpolation != Interpolation::Bilinear {
            write!(f, " {}", self.geometry.interpolation.name())?;
        }
        let (height, width) = self.geometry.crop;
        write!(f, ", centre crop {height}x{width}")?;
        let whole = Resize::Exact { height, width };
        if self.geometry.centre == Centre::Down && self.geometry.resize != whole {
            write!(f, ", rounded down")?;
        }
        if self.geometry.fill != [0; 3] {
            write!(f, " on {:?}", self.geometry.fill)?;
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

fn check_channels(channels: usize) -> Result<(), PictureError> {
    match channels {
        1 | 3 => Ok(()),
        other => Err(unusable(format!(
            "a picture has 3 channels, or 1 in grey, but the model takes {other}; give its input as a .npy file"
        ))),
    }
}

fn check_normalisation(mean: &[f32], std: &[f32]) -> Result<(), PictureError> {
    check_channels(mean.len())?;
    if mean.len() != std.len() {
        return Err(unusable(format!(
            "there are {} means and {} standard deviations; give one of each per channel",
            mean.len(),
            std.len()
        )));
    }
    if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
        return Err(unusable(format!("a mean is {bad}, and it must be a finite number")));
    }
    if let Some(bad) = std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
        return Err(unusable(format!(
            "a standard deviation is {bad}, and it must be a finite number above 0"
        )));
    }
    Ok(())
}

fn unusable(problem: String) -> PictureError {
    PictureError::Preprocess { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(height: usize, width: usize, pixel: [u8; 3]) -> Picture {
        Picture::from_pixels(height, width, std::iter::repeat_n(pixel, height * width))
    }

    #[test]
    fn a_small_picture_is_padded_with_black() {
        let preprocess =
            Preprocess::new(Resize::Shorter(2), (5, 4), vec![0.0; 3], vec![1.0; 3]).unwrap();
        let crop = preprocess.apply(&even(2, 2, [255, 51, 0])).unwrap().crop;
        let inside = |row, column| (1..3).contains(&row) && (1..3).contains(&column);
        for (at, pixel) in crop.pixels().enumerate() {
            let expected = if inside(at / 4, at % 4) { [255, 51, 0] } else { [0; 3] };
            assert_eq!(pixel, expected, "pixel {at}");
        }
    }

    #[test]
    fn points_move_with_the_pixels() {
        let preprocess = Preprocess::imagenet(224, 224).unwrap();
        let (mut picture, corner) = (vec![[0u8; 3]; 512 * 1024], (100, 600));
        for row in corner.0..corner.0 + 60 {
            picture[row * 1024 + corner.1..row * 1024 + corner.1 + 40].fill([255; 3]);
        }
        let picture = Picture::from_pixels(512, 1024, picture.into_iter());
        let crop = preprocess.apply(&picture).unwrap().crop;
        let bright: Vec<usize> = crop
            .pixels()
            .enumerate()
            .filter(|(_, pixel)| pixel[0] > 127)
            .map(|(at, _)| at)
            .collect();
        let (first, last) = (bright[0], bright[bright.len() - 1]);
        let place = |row: usize, column: usize| {
            let (row, column) = preprocess.place((512, 1024), (row as f64, column as f64));
            (row.round() as usize, column.round() as usize)
        };
        assert_eq!(place(100, 600), (first / 224, first % 224));
        assert_eq!(place(160, 640), (last / 224 + 1, last % 224 + 1));
        let small = Preprocess::new(Resize::Shorter(2), (5, 4), vec![0.0; 3], vec![1.0; 3]);
        assert_eq!(small.unwrap().place((2, 2), (0.0, 2.0)), (1.0, 3.0));
    }

    #[test]
    fn a_very_long_picture_is_no_trouble() {
        let prepared =
            Preprocess::imagenet(224, 224).unwrap().apply(&even(2, 16_384, [1, 2, 3])).unwrap();
        assert_eq!(prepared.crop, even(224, 224, [1, 2, 3]));
    }

    #[test]
    fn channels_are_planes_and_normalised() {
        let preprocess = Preprocess::imagenet(2, 3).unwrap();
        let prepared = preprocess.apply(&even(8, 16, [255, 0, 102])).unwrap();
        let expected = [(1.0 - 0.485) / 0.229, (0.0 - 0.456) / 0.224, (0.4 - 0.406) / 0.225];
        assert_eq!(prepared.values.len(), 18);
        for (at, value) in prepared.values.iter().enumerate() {
            assert!((value - expected[at / 6]).abs() < 1e-6, "value {at} is {value}");
        }
    }

    #[test]
    fn one_channel_is_luma() {
        let preprocess = Preprocess::unit(1, 4, 4).unwrap();
        let prepared = preprocess.apply(&even(9, 7, [255, 0, 0])).unwrap();
        assert_eq!(prepared.values, [76.0 / 255.0; 16]);
        assert_eq!(prepared.crop, even(4, 4, [76; 3]));
    }

    #[test]
    fn the_domain_is_what_black_and_white_become() {
        let preprocess = Preprocess::imagenet(4, 4).unwrap();
        let (least, greatest) = preprocess.domain();
        let shown = |byte| preprocess.apply(&even(4, 4, [byte; 3])).unwrap().values;
        for channel in 0..3 {
            assert_eq!(shown(0)[channel * 16], least[channel]);
            assert_eq!(shown(255)[channel * 16], greatest[channel]);
        }
        assert_eq!(Preprocess::unit(1, 4, 4).unwrap().domain(), (vec![0.0], vec![1.0]));
    }

    #[test]
    fn the_recipe_reads_aloud() {
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

    #[test]
    fn what_cannot_work_is_refused() {
        let usual = |mean: &[f32], std: &[f32]| {
            Preprocess::new(Resize::Shorter(4), (4, 4), mean.to_vec(), std.to_vec())
        };
        let cases = [
            (
                Preprocess::imagenet(224, 0),
                "the resized height is 0, and it must be between 1 and 16384",
            ),
            (
                Preprocess::unit(3, 4, 16_385),
                "the resized width is 16385, and it must be between 1 and 16384",
            ),
            (
                Preprocess::new(Resize::Shorter(4), (0, 4), vec![0.0], vec![1.0]),
                "the crop's height is 0, and it must be between 1 and 16384",
            ),
            (
                Preprocess::unit(4, 8, 8),
                "a picture has 3 channels, or 1 in grey, but the model takes 4; give its input as a .npy file",
            ),
            (
                usual(&[0.0; 3], &[1.0]),
                "there are 3 means and 1 standard deviations; give one of each per channel",
            ),
            (usual(&[f32::NAN], &[1.0]), "a mean is NaN, and it must be a finite number"),
            (
                usual(&[0.0], &[0.0]),
                "a standard deviation is 0, and it must be a finite number above 0",
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
