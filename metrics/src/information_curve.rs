//! Performance information curves (Kapishnikov et al., arXiv 1906.02825): the performance of a model over
//! the share of an image's information that it receives.

use crate::reveal::RevealedImage;
use crate::scores::area;

/// The reason why an image has no information curve.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoCurve {
    /// The probability of the class for the whole image is below the threshold.
    #[error(
        "the probability for the whole image is {probability:.3}, which is below the threshold {min_probability}"
    )]
    LowProbability {
        /// The probability of the class for the whole image.
        probability: f64,
        /// The threshold.
        min_probability: f64,
    },
    /// The whole image has no more information than the first stage.
    #[error(
        "the whole image takes {whole} bytes, which is not more than the {start} bytes of the first stage"
    )]
    NoInformation {
        /// The size of the whole image, in bytes.
        whole: usize,
        /// The size of the first stage, in bytes.
        start: usize,
    },
    /// The performance for the whole image is not higher than for the first stage.
    #[error(
        "the performance for the whole image is {whole:.3}, which is not above the {start:.3} of the first stage"
    )]
    NoGain {
        /// The performance for the whole image.
        whole: f64,
        /// The performance for the first stage.
        start: f64,
    },
    /// The model predicts another class for the whole image.
    #[error("the model predicts another class for the whole image")]
    Misclassified,
    /// The model already predicts the class for the first stage.
    #[error("the model already predicts the class for the first stage")]
    ClassifiedAtStart,
}

/// The default threshold of the probability for the whole image, from PAIR's `saliency`.
pub const MIN_PROBABILITY: f64 = 0.8;

/// A curve from (0, 0) to (1, 1): normalized performance over normalized information.
#[derive(Clone, Debug, PartialEq)]
pub struct InformationCurve {
    /// The shares of the information, ascending.
    pub information: Vec<f64>,
    /// The performance at each share.
    pub performance: Vec<f64>,
}

/// The number of intervals of the grid on which areas and medians are computed, from PAIR's `saliency`.
const INTERVALS: usize = 1000;

impl RevealedImage {
    /// Computes the softmax information curve, whose performance is the probability of the class.
    ///
    /// Information and performance are normalized: 0 for the first stage, and 1 for the whole image. The
    /// performance of a stage is the maximum up to this stage, so that the curve never falls.
    ///
    /// # Errors
    ///
    /// [`NoCurve`] if the probability for the whole image is below `min_probability` (see
    /// [`MIN_PROBABILITY`]), or if the first stage has as much information or performance as the whole
    /// image.
    pub fn softmax(&self, min_probability: f64) -> Result<InformationCurve, NoCurve> {
        match self.probabilities.last() {
            Some(&probability) if probability < min_probability => {
                Err(NoCurve::LowProbability { probability, min_probability })
            }
            _ => self.curve(&self.probabilities),
        }
    }

    /// Computes the accuracy information curve, whose performance is 1 if the model predicts the class, and 0
    /// otherwise. It is normalized as the [`softmax`](Self::softmax) curve is.
    ///
    /// # Errors
    ///
    /// [`NoCurve`] if the model does not predict the class for the whole image, if it already predicts the
    /// class for the first stage, or if the first stage has as much information as the whole image.
    pub fn accuracy(&self) -> Result<InformationCurve, NoCurve> {
        match (self.hits.first(), self.hits.last()) {
            (_, Some(false)) => return Err(NoCurve::Misclassified),
            (Some(true), _) => return Err(NoCurve::ClassifiedAtStart),
            _ => {}
        }
        let hits: Vec<f64> = self.hits.iter().map(|&hit| f64::from(u8::from(hit))).collect();
        self.curve(&hits)
    }

    fn curve(&self, performance: &[f64]) -> Result<InformationCurve, NoCurve> {
        let (&[start_bytes, .., whole_bytes], &[start, .., whole]) = (&self.sizes[..], performance)
        else {
            return Err(NoCurve::NoInformation { whole: 0, start: 0 });
        };
        if start_bytes >= whole_bytes {
            return Err(NoCurve::NoInformation { whole: whole_bytes, start: start_bytes });
        }
        if start >= whole {
            return Err(NoCurve::NoGain { whole, start });
        }
        let mut best = 0f64;
        let mut points = Vec::with_capacity(self.sizes.len());
        let inner_stages = self.sizes[..self.sizes.len() - 1].iter().zip(performance).skip(1);
        for (&size, &performance) in inner_stages {
            let information =
                (size as f64 - start_bytes as f64) / (whole_bytes - start_bytes) as f64;
            best = best.max(((performance - start) / (whole - start)).clamp(0.0, 1.0));
            points.push((information.clamp(0.0, 1.0), best));
        }
        points.extend([(0.0, 0.0), (1.0, 1.0)]);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (information, performance) = points.into_iter().unzip();
        Ok(InformationCurve { information, performance })
    }
}

impl InformationCurve {
    /// The performance at a share of the information, interpolated linearly between the points. If several
    /// points have the same information, the last of them counts.
    pub fn at(&self, information: f64) -> f64 {
        let next = self.information.partition_point(|&x| x <= information);
        match (next.checked_sub(1), self.information.get(next)) {
            (Some(previous), Some(&end)) => {
                let start = self.information[previous];
                let fraction = (information - start) / (end - start);
                let rise = self.performance[next] - self.performance[previous];
                self.performance[previous] + fraction * rise
            }
            (Some(previous), None) => self.performance[previous],
            (None, _) => self.performance.first().copied().unwrap_or(f64::NAN),
        }
    }

    /// The area under the curve.
    pub fn area(&self) -> f64 {
        let (x, y): (Vec<f64>, Vec<f64>) = grid().map(|x| (x, self.at(x))).unzip();
        area(&x, &y)
    }

    /// Computes the pointwise median of `curves`, which summarizes several images. Returns `None` if there
    /// are no curves.
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
        // PAIR sets the last point of the median to 1; here every curve already ends at 1.
        let performance = grid().map(median).collect();
        Some(InformationCurve { information: grid().collect(), performance })
    }
}

/// The grid 0, 0.001, ... 1.
fn grid() -> impl Iterator<Item = f64> {
    (0..=INTERVALS).map(|i| i as f64 / INTERVALS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revealed(probabilities: [f64; 4], sizes: [usize; 4]) -> RevealedImage {
        let hits = probabilities.map(|p| p > 0.5).to_vec();
        RevealedImage { sizes: sizes.to_vec(), probabilities: probabilities.to_vec(), hits }
    }

    #[test]
    fn curves_areas_and_medians_in_closed_form() {
        let image = revealed([0.1, 0.55, 0.3, 1.0], [100, 150, 125, 200]);
        let curve = image.softmax(MIN_PROBABILITY).expect("a curve");
        // (0, 0), (0.25, 0.5), (0.5, 0.5), (1, 1): the fall from 0.55 to 0.3 does not count.
        assert_eq!(curve.information, [0.0, 0.25, 0.5, 1.0]);
        assert!(
            curve.performance.iter().zip([0.0, 0.5, 0.5, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12)
        );
        assert!((curve.area() - (0.0625 + 0.125 + 0.375)).abs() < 1e-9, "{}", curve.area());
        let steps = image.accuracy().expect("a curve");
        assert_eq!(steps.performance, [0.0, 1.0, 1.0, 1.0]);
        assert!((steps.area() - 0.875).abs() < 1e-9);
        let median_of_two = InformationCurve::median(&[curve.clone(), steps]).expect("a median");
        assert!((median_of_two.area() - (0.5625 + 0.875) / 2.0).abs() < 1e-9);
        let three = [curve.clone(), curve.clone(), image.accuracy().expect("a curve")];
        let median = InformationCurve::median(&three).expect("a median");
        assert!((median.area() - curve.area()).abs() < 1e-9);
        assert_eq!(InformationCurve::median(&[]), None);
    }

    #[test]
    fn images_without_a_curve_have_a_reason() {
        let reason = |image: RevealedImage| {
            image.softmax(MIN_PROBABILITY).expect_err("no curve").to_string()
        };
        let text = reason(revealed([0.1, 0.2, 0.3, 0.7], [1, 2, 3, 4]));
        assert_eq!(
            text,
            "the probability for the whole image is 0.700, which is below the threshold 0.8"
        );
        let text = reason(revealed([0.9, 0.2, 0.3, 0.9], [1, 2, 3, 4]));
        assert!(text.starts_with("the performance for the whole image is 0.900"), "{text}");
        let text = reason(revealed([0.1, 0.2, 0.3, 0.9], [4, 5, 6, 4]));
        assert_eq!(
            text,
            "the whole image takes 4 bytes, which is not more than the 4 bytes of the first stage"
        );
        let accuracy = |probabilities| revealed(probabilities, [1, 2, 3, 4]).accuracy();
        assert_eq!(accuracy([0.6, 0.2, 0.3, 0.9]), Err(NoCurve::ClassifiedAtStart));
        assert_eq!(accuracy([0.1, 0.2, 0.6, 0.4]), Err(NoCurve::Misclassified));
        let no_stages = RevealedImage { sizes: vec![], probabilities: vec![], hits: vec![] };
        assert_eq!(
            no_stages.softmax(MIN_PROBABILITY),
            Err(NoCurve::NoInformation { whole: 0, start: 0 })
        );
        assert!(no_stages.accuracy().is_err());
    }
}
