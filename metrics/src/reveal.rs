//! Gradual reveal of an image: the model's predictions as more and more pixels are shown, in the order of a
//! map's scores.

use attriburn::{Explainer, Input, Target, quantile};
use attriburn_kernels::philox::{key, philox};
use attriburn_kernels::streams::MASKS;

use crate::error::{Error, ErrorKind};
use crate::interpolation::{ByteImage, interpolated};
use crate::scores::is_constant;

/// The shares of pixels that the stages of a reveal show.
#[derive(Clone, Debug, PartialEq)]
pub struct RevealSchedule {
    /// The share of pixels that every stage shows. They are drawn at random.
    pub initial_share: f64,
    /// The shares of the pixels of highest score that the stages after the first show in addition:
    /// ascending, from 0 to 1.
    pub shares: Vec<f64>,
    /// The seed of the initial pixels. Methods are compared with the same initial pixels.
    pub seed: u64,
}

impl RevealSchedule {
    /// Creates the schedule of section 9 of arXiv 2410.07711: 1 % initial pixels, then 5 %, 10 %, ... 30 %.
    pub fn new(seed: u64) -> Self {
        Self { initial_share: 0.01, shares: vec![0.05, 0.1, 0.15, 0.2, 0.25, 0.3], seed }
    }

    /// Draws the mask of the initial pixels.
    fn initial_mask(&self, pixels: usize) -> Vec<bool> {
        let key = key(self.seed);
        let word = |pixel: usize| philox([pixel as u32, 0, 0, MASKS], key)[0];
        let mut order: Vec<usize> = (0..pixels).collect();
        order.sort_by_key(|&pixel| (word(pixel), pixel));
        let mut mask = vec![false; pixels];
        let count = (pixels as f64 * self.initial_share) as usize;
        order.into_iter().take(count).for_each(|pixel| mask[pixel] = true);
        mask
    }
}

/// The measurements at each stage of a reveal, from the initial pixels to the whole image.
#[derive(Clone, Debug, PartialEq)]
pub struct RevealedImage {
    /// The information of each stage: its size as a lossless WebP file, in bytes.
    pub sizes: Vec<usize>,
    /// The probability of the class at each stage.
    pub probabilities: Vec<f64>,
    /// Whether the model predicts the class at each stage.
    pub hits: Vec<bool>,
}

/// Runs the model on the stages of an image, as PAIR's `saliency` does (Kapishnikov et al., arXiv 1906.02825).
///
/// The first stage shows the initial pixels. Each following stage shows, in addition to the initial pixels,
/// the next share of the pixels of highest `scores`. The last stage is the whole image. The other pixels of
/// a stage are interpolated linearly over a Delaunay triangulation of the shown pixels. The information of
/// a stage is the size of its lossless WebP file.
///
/// # Errors
///
/// Returns an error if the model fails or has no probabilities, the input is not an image, the scores do
/// not have the size of the image or are all the same, a share is not in `[0, 1]`, or libwebp cannot encode
/// the image.
pub fn reveal(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    scores: &[f32],
    schedule: &RevealSchedule,
) -> Result<RevealedImage, Error> {
    let whole = to_bytes(input)?;
    let pixels = whole.height * whole.width;
    if scores.len() != pixels {
        return Err(Error::size(scores.len(), &[whole.height, whole.width]));
    }
    if is_constant(scores) {
        return Err(Error::no_order());
    }
    let mut shares = schedule.shares.iter().chain([&schedule.initial_share]);
    if let Some(share) = shares.find(|share| !(0.0..=1.0).contains(*share)) {
        return Err(Error::setting("a share of pixels", share, "from 0 to 1"));
    }
    let initial = schedule.initial_mask(pixels);
    let mut stages = vec![interpolated(&whole, &initial)?];
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    for share in &schedule.shares {
        let threshold = quantile(&sorted, 1.0 - share);
        let shown: Vec<bool> = initial
            .iter()
            .zip(scores)
            .map(|(&initial, &score)| initial || f64::from(score) >= threshold)
            .collect();
        stages.push(interpolated(&whole, &shown)?);
    }
    stages.push(whole);
    let sizes = stages.iter().map(webp_size).collect::<Result<_, Error>>()?;
    let inputs =
        stages.iter().map(|stage| from_bytes(stage, input)).collect::<Result<Vec<_>, _>>()?;
    let (mut probabilities, mut hits) = (Vec::new(), Vec::new());
    for prediction in explainer.predict_all(&inputs.iter().collect::<Vec<_>>()) {
        let prediction = prediction?;
        prediction.score(&Target::Index(class))?;
        probabilities.push(prediction.probability(class).ok_or_else(Error::no_probability)?);
        hits.push(prediction.class() == class);
    }
    Ok(RevealedImage { sizes, probabilities, hits })
}

/// Converts an input to 8 bits, with 0 for black and 255 for white.
fn to_bytes(input: &Input) -> Result<ByteImage, Error> {
    let &[channels @ (1 | 3), height, width] = input.picture_shape() else {
        let shape = input.picture_shape();
        return Err(Error::new(
            ErrorKind::Size,
            format!(
                "the input must be an image [1 or 3, height, width], but its shape is {shape:?}"
            ),
        ));
    };
    let mut values = vec![0; channels * height * width];
    for (index, &value) in input.values().iter().enumerate() {
        let (channel, pixel) = (index / (height * width), index % (height * width));
        let (black, white) = input.pixel_range().channel_bounds(channel);
        let byte = 255.0 * (value - black) / (white - black);
        values[pixel * channels + channel] = byte.round().clamp(0.0, 255.0) as u8;
    }
    Ok(ByteImage { values, height, width, channels })
}

/// Converts an 8-bit image to an input with the shape and the domain of `input`.
fn from_bytes(image: &ByteImage, input: &Input) -> Result<Input, Error> {
    let pixels = image.height * image.width;
    let value = |index: usize| {
        let (channel, pixel) = (index / pixels, index % pixels);
        let (black, white) = input.pixel_range().channel_bounds(channel);
        let byte = f32::from(image.values[pixel * image.channels + channel]);
        black + byte / 255.0 * (white - black)
    };
    Ok(input.with_values((0..input.values().len()).map(value).collect())?)
}

/// Returns the size of an image as lossless WebP, in bytes. The quality of libwebp is 100, as Pillow sets it.
fn webp_size(image: &ByteImage) -> Result<usize, Error> {
    let rgb: Vec<u8> = match image.channels {
        1 => image.values.iter().flat_map(|&value| [value; 3]).collect(),
        _ => image.values.clone(),
    };
    let failed = |reason: String| {
        let message = format!("the information in the image cannot be measured: libwebp {reason}");
        Error::new(ErrorKind::Information, message)
    };
    let mut config =
        webp::WebPConfig::new().map_err(|()| failed("refused its default settings".into()))?;
    (config.lossless, config.quality, config.method) = (1, 100.0, 4);
    let (width, height) = (image.width as u32, image.height as u32);
    let encoded = webp::Encoder::from_rgb(&rgb, width, height).encode_advanced(&config);
    Ok(encoded.map_err(|error| failed(format!("failed: {error:?}")))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_mask_has_the_requested_share_and_depends_on_the_seed() {
        let mask = |seed| RevealSchedule::new(seed).initial_mask(10_000);
        assert_eq!(mask(0).iter().filter(|&&shown| shown).count(), 100);
        assert_eq!(mask(3), mask(3));
        let common = mask(0).iter().zip(mask(1)).filter(|&(&a, b)| a && b).count();
        assert!(common < 10, "{common}");
    }
}
