//! Performance information curves: how well the model does with how much of the picture's
//! information.

use attriburn_kernels::noise::MASKS;
use attriburn_kernels::philox::{key, philox};

use super::interpolation::{Bytes, interpolated};
use super::{area, is_even};
use crate::quantile::quantile;
use crate::{Error, Explainer, Input, Output, Target};

/// How a picture is revealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Revealing {
    /// The share of pixels that are known from the start, drawn at random.
    pub known: f64,
    /// The shares of the pixels of highest score that are shown one after the other, ascending,
    /// from 0 to 1.
    pub shares: Vec<f64>,
    /// The seed of the first pixels: methods are compared on the same ones.
    pub seed: u64,
}

impl Revealing {
    /// 1 % at the start, then 5 %, 10 %, ... 30 % (section 9 of arXiv 2410.07711).
    pub fn new(seed: u64) -> Self {
        Self { known: 0.01, shares: vec![0.05, 0.1, 0.15, 0.2, 0.25, 0.3], seed }
    }

    /// The pixels that are known from the start.
    fn mask(&self, pixels: usize) -> Vec<bool> {
        let key = key(self.seed);
        let word = |pixel: usize| philox([pixel as u32, 0, 0, MASKS], key)[0];
        let mut order: Vec<usize> = (0..pixels).collect();
        order.sort_by_key(|&pixel| (word(pixel), pixel));
        let mut mask = vec![false; pixels];
        let count = (pixels as f64 * self.known) as usize;
        order.into_iter().take(count).for_each(|pixel| mask[pixel] = true);
        mask
    }
}

/// A picture as it was revealed, from what was known at the start to the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Revealed {
    /// The bytes of each stage as lossless WebP, its information.
    pub sizes: Vec<usize>,
    /// The probability of the class at each stage.
    pub probabilities: Vec<f64>,
    /// Whether the model named the class at each stage.
    pub hits: Vec<bool>,
}

/// Why a picture has no information curve; it is left out and counted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The model is not sure enough of the whole picture.
    #[error("the model gives the whole picture {whole:.3}, below the {least} that a curve takes")]
    Unsure {
        /// What it gives.
        whole: f64,
        /// The least that is taken.
        least: f64,
    },
    /// The whole picture holds no more information than what is known at the start.
    #[error("the whole picture takes {whole} bytes, no more than the {start} of its first pixels")]
    NoInformation {
        /// Bytes of the whole picture.
        whole: usize,
        /// Bytes at the start.
        start: usize,
    },
    /// The model does as well with what is known at the start.
    #[error(
        "the model gives the first pixels {start:.3}, no less than the whole picture's {whole:.3}"
    )]
    NoGain {
        /// What it gives the whole picture.
        whole: f64,
        /// What it gives the start.
        start: f64,
    },
    /// The model does not name the class for the whole picture.
    #[error("the model names another class for the whole picture")]
    NotNamed,
    /// The model names the class for what is known at the start.
    #[error("the model names the class from the first pixels alone")]
    NamedAtOnce,
}

/// The probability of the whole picture that a curve takes at least, as in PAIR's `saliency`.
pub const LEAST: f64 = 0.8;

/// A curve from (0, 0) to (1, 1): normalized information against normalized performance.
#[derive(Clone, Debug, PartialEq)]
pub struct InformationCurve {
    /// Shares of the information, ascending.
    pub information: Vec<f64>,
    /// The performance at each.
    pub performance: Vec<f64>,
}

/// Points of a curve before the last, as in PAIR's `saliency`.
const POINTS: usize = 1000;

impl Revealed {
    /// The softmax information curve: performance is the probability of the class. Both axes are
    /// 0 at the start and 1 for the whole, and performance never falls from a stage to the next.
    ///
    /// # Errors
    ///
    /// [`Unusable`], with `least` (see [`LEAST`]) the probability that the whole picture must have.
    pub fn softmax(&self, least: f64) -> Result<InformationCurve, Unusable> {
        match self.probabilities.last() {
            Some(&whole) if whole < least => Err(Unusable::Unsure { whole, least }),
            _ => self.curve(&self.probabilities),
        }
    }

    /// The accuracy information curve: performance is 1 where the model names the class, else 0.
    ///
    /// # Errors
    ///
    /// [`Unusable`]; the model must name the class for the whole picture, and not at the start.
    pub fn accuracy(&self) -> Result<InformationCurve, Unusable> {
        match (self.hits.first(), self.hits.last()) {
            (_, Some(false)) => return Err(Unusable::NotNamed),
            (Some(true), _) => return Err(Unusable::NamedAtOnce),
            _ => {}
        }
        let hits: Vec<f64> = self.hits.iter().map(|&hit| f64::from(u8::from(hit))).collect();
        self.curve(&hits)
    }

    fn curve(&self, performance: &[f64]) -> Result<InformationCurve, Unusable> {
        let (&[least_bytes, .., bytes], &[start, .., whole]) = (&self.sizes[..], performance)
        else {
            return Err(Unusable::NoInformation { whole: 0, start: 0 });
        };
        if least_bytes >= bytes {
            return Err(Unusable::NoInformation { whole: bytes, start: least_bytes });
        }
        if start >= whole {
            return Err(Unusable::NoGain { whole, start });
        }
        let mut best = 0f64;
        let mut points = Vec::with_capacity(self.sizes.len());
        let between = self.sizes[..self.sizes.len() - 1].iter().zip(performance).skip(1);
        for (&size, &reached) in between {
            let gained = (size as f64 - least_bytes as f64) / (bytes - least_bytes) as f64;
            best = best.max(((reached - start) / (whole - start)).clamp(0.0, 1.0));
            points.push((gained.clamp(0.0, 1.0), best));
        }
        points.extend([(0.0, 0.0), (1.0, 1.0)]);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (information, performance) = points.into_iter().unzip();
        Ok(InformationCurve { information, performance })
    }
}

impl InformationCurve {
    /// The performance at an information, linear between the points; the last of several points
    /// counts.
    pub fn at(&self, information: f64) -> f64 {
        let next = self.information.partition_point(|&x| x <= information);
        match (next.checked_sub(1), self.information.get(next)) {
            (Some(before), Some(&after)) => {
                let from = self.information[before];
                let share = (information - from) / (after - from);
                let rise = self.performance[next] - self.performance[before];
                self.performance[before] + share * rise
            }
            (Some(before), None) => self.performance[before],
            (None, _) => self.performance.first().copied().unwrap_or(f64::NAN),
        }
    }

    /// The area under the curve.
    pub fn area(&self) -> f64 {
        let (x, y): (Vec<f64>, Vec<f64>) = grid().map(|x| (x, self.at(x))).unzip();
        area(&x, &y)
    }

    /// The curve whose every point is the median of those of `curves`, how pictures are put
    /// together. None of no curves.
    pub fn median(curves: &[InformationCurve]) -> Option<InformationCurve> {
        if curves.is_empty() {
            return None;
        }
        let median = |x: f64| {
            let mut values: Vec<f64> = curves.iter().map(|curve| curve.at(x)).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.len() / 2;
            match values.len() % 2 {
                0 => (values[middle - 1] + values[middle]) / 2.0,
                _ => values[middle],
            }
        };
        // PAIR sets the end of every curve to 1.
        let performance = grid().map(median).collect();
        Some(InformationCurve { information: grid().collect(), performance })
    }
}

/// 0, 0.001, ... 1.
fn grid() -> impl Iterator<Item = f64> {
    (0..=POINTS).map(|i| i as f64 / POINTS as f64)
}

/// Shows a picture to the model in stages: the first pixels alone, then in turn with each share of
/// the pixels of highest `scores`, at last the whole, each with the pixels in between interpolated
/// linearly over a Delaunay triangulation. What a stage holds of the picture's information is the
/// size of its lossless WebP file (Kapishnikov et al., arXiv 1906.02825, as PAIR's `saliency` has
/// it).
///
/// # Errors
///
/// As [`Explainer::predict`], [`Error::NoProbability`] of a model without one, [`Error::NoPicture`]
/// of an input that is [none](Input::picture_shape), [`Error::Values`] of scores that do not fit it,
/// [`Error::NoOrder`] of scores that are all the same,
/// [`Error::Setting`] of shares beyond 0 and 1, and [`Error::Information`] of a picture
/// that libwebp does not take.
pub fn reveal(
    explainer: &Explainer,
    input: &Input,
    class: usize,
    scores: &[f32],
    how: &Revealing,
) -> Result<Revealed, Error> {
    let whole = bytes(input)?;
    let pixels = whole.height * whole.width;
    if scores.len() != pixels {
        return Err(Error::Values { values: scores.len(), shape: vec![whole.height, whole.width] });
    }
    if is_even(scores) {
        return Err(Error::NoOrder);
    }
    if let Some(share) =
        how.shares.iter().chain([&how.known]).find(|share| !(0.0..=1.0).contains(*share))
    {
        let value = share.to_string();
        return Err(Error::Setting { setting: "a share of pixels", value, range: "from 0 to 1" });
    }
    let first = how.mask(pixels);
    let mut stages = vec![interpolated(&whole, &first)?];
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    for share in &how.shares {
        let least = quantile(&sorted, 1.0 - share);
        let shown: Vec<bool> =
            first.iter().zip(scores).map(|(&first, &s)| first || f64::from(s) >= least).collect();
        stages.push(interpolated(&whole, &shown)?);
    }
    stages.push(whole);
    let sizes = stages.iter().map(webp_size).collect::<Result<_, Error>>()?;
    let inputs =
        stages.iter().map(|stage| of_bytes(stage, input)).collect::<Result<Vec<_>, _>>()?;
    let (mut probabilities, mut hits) = (Vec::new(), Vec::new());
    for prediction in explainer.predict_all(&inputs.iter().collect::<Vec<_>>()) {
        let prediction = prediction?;
        explainer.check_output(Output::Probability, &prediction)?;
        prediction.score(&Target::Index(class))?;
        probabilities.push(prediction.probability(class));
        hits.push(prediction.ranking()[0] == class);
    }
    Ok(Revealed { sizes, probabilities, hits })
}

/// The picture behind an input, in 8 bits between its black and white.
fn bytes(input: &Input) -> Result<Bytes, Error> {
    let &[channels @ (1 | 3), height, width] = input.picture_shape() else {
        return Err(Error::NoPicture { shape: input.picture_shape().to_vec() });
    };
    let mut values = vec![0; channels * height * width];
    for (index, &value) in input.values().iter().enumerate() {
        let (channel, pixel) = (index / (height * width), index % (height * width));
        let (black, white) = input.pixels().of(channel);
        let byte = 255.0 * (value - black) / (white - black);
        values[pixel * channels + channel] = byte.round().clamp(0.0, 255.0) as u8;
    }
    Ok(Bytes { values, height, width, channels })
}

/// An input like `input` of another picture.
fn of_bytes(picture: &Bytes, input: &Input) -> Result<Input, Error> {
    let pixels = picture.height * picture.width;
    let value = |index: usize| {
        let (channel, pixel) = (index / pixels, index % pixels);
        let (black, white) = input.pixels().of(channel);
        let byte = f32::from(picture.values[pixel * picture.channels + channel]);
        black + byte / 255.0 * (white - black)
    };
    input.with_values((0..input.values().len()).map(value).collect())
}

/// The size of a picture as lossless WebP at libwebp's quality 100, what Pillow writes.
fn webp_size(picture: &Bytes) -> Result<usize, Error> {
    let rgb: Vec<u8> = match picture.channels {
        1 => picture.values.iter().flat_map(|&value| [value; 3]).collect(),
        _ => picture.values.clone(),
    };
    let failed = |reason: String| Error::Information(format!("libwebp {reason}"));
    let mut config =
        webp::WebPConfig::new().map_err(|()| failed("refused its own settings".into()))?;
    (config.lossless, config.quality, config.method) = (1, 100.0, 4);
    let (width, height) = (picture.width as u32, picture.height as u32);
    let encoded = webp::Encoder::from_rgb(&rgb, width, height).encode_advanced(&config);
    Ok(encoded.map_err(|error| failed(format!("failed: {error:?}")))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revealed(probabilities: [f64; 4], sizes: [usize; 4]) -> Revealed {
        let hits = probabilities.map(|p| p > 0.5).to_vec();
        Revealed { sizes: sizes.to_vec(), probabilities: probabilities.to_vec(), hits }
    }

    #[test]
    fn curves_in_closed_form() {
        let shown = revealed([0.1, 0.55, 0.3, 1.0], [100, 150, 125, 200]);
        let curve = shown.softmax(LEAST).expect("a curve");
        // (0, 0), (0.25, 0.5), (0.5, 0.5), (1, 1): the second stage's fall does not count.
        assert_eq!(curve.information, [0.0, 0.25, 0.5, 1.0]);
        assert!(
            curve.performance.iter().zip([0.0, 0.5, 0.5, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12)
        );
        assert!((curve.area() - (0.0625 + 0.125 + 0.375)).abs() < 1e-9, "{}", curve.area());
        let steps = shown.accuracy().expect("a curve");
        assert_eq!(steps.performance, [0.0, 1.0, 1.0, 1.0]);
        assert!((steps.area() - 0.875).abs() < 1e-9);
        let both = InformationCurve::median(&[curve.clone(), steps]).expect("a median");
        assert!((both.area() - (0.5625 + 0.875) / 2.0).abs() < 1e-9);
        let all = [curve.clone(), curve.clone(), shown.accuracy().expect("a curve")];
        let median = InformationCurve::median(&all).expect("a median");
        assert!((median.area() - curve.area()).abs() < 1e-9);
        assert_eq!(InformationCurve::median(&[]), None);
    }

    #[test]
    fn pictures_that_say_nothing_are_named() {
        let reason = |shown: Revealed| shown.softmax(LEAST).expect_err("no curve").to_string();
        let text = reason(revealed([0.1, 0.2, 0.3, 0.7], [1, 2, 3, 4]));
        assert_eq!(
            text,
            "the model gives the whole picture 0.700, below the 0.8 that a curve takes"
        );
        let text = reason(revealed([0.9, 0.2, 0.3, 0.9], [1, 2, 3, 4]));
        assert!(text.starts_with("the model gives the first pixels 0.900"), "{text}");
        let text = reason(revealed([0.1, 0.2, 0.3, 0.9], [4, 5, 6, 4]));
        assert_eq!(text, "the whole picture takes 4 bytes, no more than the 4 of its first pixels");
        let accuracy = |probabilities| revealed(probabilities, [1, 2, 3, 4]).accuracy();
        assert_eq!(accuracy([0.6, 0.2, 0.3, 0.9]), Err(Unusable::NamedAtOnce));
        assert_eq!(accuracy([0.1, 0.2, 0.6, 0.4]), Err(Unusable::NotNamed));
        let nothing = Revealed { sizes: vec![], probabilities: vec![], hits: vec![] };
        assert_eq!(nothing.softmax(LEAST), Err(Unusable::NoInformation { whole: 0, start: 0 }));
        assert!(nothing.accuracy().is_err());
    }

    #[test]
    fn the_first_pixels_are_as_many_as_asked_and_differ_by_seed() {
        let mask = |seed| Revealing::new(seed).mask(10_000);
        assert_eq!(mask(0).iter().filter(|&&known| known).count(), 100);
        assert_eq!(mask(3), mask(3));
        let common = mask(0).iter().zip(mask(1)).filter(|&(&a, b)| a && b).count();
        assert!(common < 10, "{common}");
    }
}
