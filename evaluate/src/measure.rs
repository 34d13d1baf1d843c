//! The functions behind the registry's metrics. Each computes the value of one metric for one map.

use attriburn::{Attribution, Explainer, Input, Sampler};
use attriburn_metrics::{
    AdversarialPixels, Curve, InformationCurve, NoCurve, OutOfDomain, Region, Segmentation,
    adversarial_pixels, box_precision, cosine, overlap, pointing_game, random_other_class,
    spearman, ssim, unit_distance,
};

use crate::case::Case;
use crate::value::{Missing, Value, mean};

fn failed(error: impl std::fmt::Display) -> Missing {
    Missing::failed(error.to_string())
}

/// Returns the reason why a metric is not defined for a map.
fn undefined(reason: impl Into<String>) -> Missing {
    Missing::not_applicable(reason)
}

pub fn sparseness(case: &Case) -> Result<Value, Missing> {
    attriburn_metrics::gini(&case.scores(case.map))
        .map(Value::from)
        .ok_or_else(|| undefined("the sparseness of a map of zeros is not defined"))
}

/// The number of steps of insertion and deletion, each of 5 % of the pixels as in the AdaptGrad paper.
const STEPS: u32 = 20;

type CurveFn =
    fn(&Explainer, &Input, usize, &[f32], &[f32], u32) -> Result<Curve, attriburn_metrics::Error>;

pub fn faithfulness(case: &Case, curve: CurveFn) -> Result<Value, Missing> {
    let input = case.sample.input;
    let fill = case.context.fill.values(input).map_err(failed)?;
    let (class, map) = (case.sample.subject.class, &case.map.values);
    let curve = curve(&case.context.explainer, input, class, map, &fill, STEPS).map_err(failed)?;
    Ok(Value::curve(curve.area(), curve.shares.into_iter().zip(curve.probabilities)))
}

pub fn sic(case: &Case) -> Result<Value, Missing> {
    let curve = case.revealed()?.softmax(case.context.min_probability);
    information_value(curve)
}

pub fn aic(case: &Case) -> Result<Value, Missing> {
    information_value(case.revealed()?.accuracy())
}

fn information_value(curve: Result<InformationCurve, NoCurve>) -> Result<Value, Missing> {
    let curve = curve.map_err(|reason| undefined(reason.to_string()))?;
    Ok(Value::curve(curve.area(), curve.information.into_iter().zip(curve.performance)))
}

/// Returns the width of the map, its pixel scores, and the regions of the objects.
fn localization_inputs<'c>(case: &'c Case) -> Result<(usize, Vec<f32>, &'c [Region]), Missing> {
    let [_, width] = case.image_size().map_err(undefined)?;
    let regions =
        case.sample.subject.regions.as_ref().map_err(|reason| undefined(reason.as_str()))?;
    Ok((width, case.scores(case.map), regions))
}

pub fn pointing(case: &Case) -> Result<Value, Missing> {
    let (width, scores, regions) = localization_inputs(case)?;
    let points = case.context.points;
    pointing_game(&scores, width, regions, points)
        .map(Value::from)
        .ok_or_else(|| undefined(pointing_game_reason(&scores, points)))
}

/// Returns the reason why the pointing game is not defined for `scores`.
fn pointing_game_reason(scores: &[f32], points: usize) -> String {
    match points > scores.len() {
        true => format!(
            "the map has {} pixels, fewer than the {points} strongest to count",
            scores.len()
        ),
        false => CONSTANT_MAP.into(),
    }
}

/// The reason why a map has no strongest pixels.
const CONSTANT_MAP: &str =
    "all pixels of the map have the same score, so there are no strongest pixels";

pub fn box_proposals(case: &Case) -> Result<Value, Missing> {
    let (width, scores, regions) = localization_inputs(case)?;
    box_precision(&scores, width, regions, &Segmentation::adaptgrad())
        .map(Value::from)
        .ok_or_else(|| undefined("a map of zeros yields no box proposals"))
}

/// The maximum number of pixels to change, which is also the value if the class is not lost by then.
const MAX_PIXELS: usize = 2000;

pub fn adversarial_pixel_count(case: &Case) -> Result<Value, Missing> {
    let (explainer, input, class) =
        (&case.context.explainer, case.sample.input, case.sample.subject.class);
    let (map, gradient) = (&case.map.values, &case.clean_gradient()?.values);
    let found = adversarial_pixels(explainer, input, class, map, gradient, 0.5, MAX_PIXELS);
    match found.map_err(failed)? {
        AdversarialPixels::BelowThreshold(0) => {
            Err(undefined("the class probability is below 0.5 before any pixel is changed"))
        }
        AdversarialPixels::BelowThreshold(count) | AdversarialPixels::AboveThreshold(count) => {
            Ok((count as f64).into())
        }
    }
}

/// Returns the expected share and amount of noise outside the domain.
pub fn expected_out_of_domain(case: &Case) -> Result<OutOfDomain, Missing> {
    match input_sampler(case)? {
        Some(sampler) => Ok(OutOfDomain::expected(sampler, case.sample.input)),
        None => Ok(OutOfDomain { share: 0.0, amount: 0.0 }),
    }
}

/// Returns the share and amount of noise outside the domain, measured in the samples of the map.
pub fn measured_out_of_domain(case: &Case) -> Result<OutOfDomain, Missing> {
    match input_sampler(case)? {
        Some(sampler) => Ok(case.out_of_domain(sampler)?),
        None => Ok(OutOfDomain { share: 0.0, amount: 0.0 }),
    }
}

/// Returns the sampler of the noise around the input; `None` for a method without noise on the input.
fn input_sampler<'c>(case: &'c Case) -> Result<Option<&'c Sampler>, Missing> {
    match case.plan.path {
        Some(_) => Err(undefined(
            "the metric is defined for noise around the input, not for noise along a path",
        )),
        None => Ok(case.plan.sampler.as_ref()),
    }
}

pub fn relative_error(case: &Case) -> Result<Value, Missing> {
    case.map
        .relative_standard_error()
        .map(Value::from)
        .ok_or_else(|| undefined("the map has no standard error"))
}

pub fn completeness_gap(case: &Case) -> Result<Value, Missing> {
    case.map
        .completeness_gap
        .map(Value::from)
        .ok_or_else(|| undefined("only Integrated Gradients has a completeness gap"))
}

/// Returns the absolute value of Spearman's rank correlation of two maps, over all their values.
pub fn absolute_rank_correlation(map: &Attribution, other: &Attribution) -> Result<f64, Missing> {
    spearman(&map.values, &other.values)
        .map(|correlation| correlation.coefficient.abs())
        .ok_or_else(|| undefined("the rank correlation of maps with a single value is not defined"))
}

/// Returns 1 if both models predict the same class for the image, else 0.
pub fn same_class(case: &Case) -> Result<Value, Missing> {
    let class = case.sample.prediction.class();
    Ok(f64::from(u8::from(case.other_prediction()?.class() == class)).into())
}

/// Returns Pearson's correlation of the models' scores of all classes.
pub fn score_correlation(case: &Case) -> Result<Value, Missing> {
    let centred = |scores: &[f32]| -> Vec<f32> {
        let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
        let mean = sum / scores.len() as f64;
        scores.iter().map(|&score| (f64::from(score) - mean) as f32).collect()
    };
    let (own, other) = (case.sample.prediction.logits(), case.other_prediction()?.logits());
    cosine(&centred(own), &centred(other)).map(Value::from).ok_or_else(|| {
        undefined("the correlation of class scores that are all equal is not defined")
    })
}

pub fn cosine_similarity(map: &Attribution, other: &Attribution) -> Result<Value, Missing> {
    cosine(&map.values, &other.values).map(Value::from).ok_or_else(|| undefined(ZERO_MAP))
}

/// The reason why a map of zeros cannot be scaled to unit norm.
const ZERO_MAP: &str = "a map of zeros cannot be scaled to unit norm";

/// Returns the share of the difference between the models' maps that is not noise.
///
/// Let `a` and `b` be the maps of both models for one seed, and `a'` and `b'` the maps for another seed, all
/// scaled to unit norm. The share is the cosine of `a - b` and `a' - b'`:
///
/// | share | meaning |
/// |---|---|
/// | 1 | the difference does not depend on the noise |
/// | about 0 | the difference is noise alone |
/// | 0 | the maps are equal |
pub fn noise_free_difference(case: &Case) -> Result<Value, Missing> {
    let unit = |map: &Attribution| -> Option<Vec<f64>> {
        let norm = map.values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        (norm > 0.0).then(|| map.values.iter().map(|&value| f64::from(value) / norm).collect())
    };
    let difference = |a: &Attribution, b: &Attribution| -> Result<Vec<f32>, Missing> {
        let (a, b) = (unit(a), unit(b));
        let (a, b) = a.zip(b).ok_or_else(|| undefined(ZERO_MAP))?;
        Ok(a.iter().zip(&b).map(|(a, b)| (a - b) as f32).collect())
    };
    let first = difference(case.map, case.other_map()?)?;
    let second = difference(case.reseeded_map()?, case.other_reseeded_map()?)?;
    Ok(cosine(&first, &second).unwrap_or(0.0).into())
}

/// Returns Spearman's rank correlation of two maps, over all their values.
pub fn rank_correlation(map: &Attribution, other: &Attribution) -> Result<Value, Missing> {
    spearman(&map.values, &other.values)
        .map(|correlation| correlation.coefficient.into())
        .ok_or_else(|| undefined("the rank correlation of maps with a single value is not defined"))
}

/// Returns the mean similarity of the map to the maps of the models with randomized layers, and the
/// similarity at each stage as a curve.
pub fn cascade(
    case: &Case,
    similarity: impl Fn(&Attribution, &Attribution) -> Result<f64, Missing>,
) -> Result<Value, Missing> {
    let maps = case.cascade_maps()?;
    let mut points = vec![(0.0, 1.0)];
    for ((stage, _), other) in case.context.cascade.iter().zip(maps) {
        points.push((stage.share, similarity(case.map, other)?));
    }
    let mean = mean(points[1..].iter().map(|(_, similarity)| *similarity));
    Ok(Value::curve(mean.ok_or_else(|| undefined("the model has no layers to randomize"))?, points))
}

/// Returns the gradient without noise, to which the map is compared.
pub fn comparable_gradient<'c>(case: &'c Case) -> Result<&'c Attribution, Missing> {
    if case.plan.cam.is_some() {
        return Err(undefined(
            "a class activation map is not a noisy form of the gradient with respect to the input",
        ));
    }
    Ok(case.clean_gradient()?)
}

/// Returns the distance of the map to `other`, both scaled to unit norm.
pub fn distance(case: &Case, other: &Attribution) -> Result<Value, Missing> {
    unit_distance(&case.map.values, &other.values)
        .map(Value::from)
        .ok_or_else(|| undefined(ZERO_MAP))
}

/// Returns the structural similarity of the pixel scores of two maps, each scaled to unit norm.
pub fn structural_similarity(
    case: &Case,
    map: &Attribution,
    other: &Attribution,
) -> Result<f64, Missing> {
    let [height, width] = case.image_size().map_err(undefined)?;
    let unit = |map: &Attribution| {
        let scores = case.scores(map);
        let norm = scores.iter().map(|&score| f64::from(score).powi(2)).sum::<f64>().sqrt();
        scores.iter().map(|&score| (f64::from(score) / norm) as f32).collect::<Vec<f32>>()
    };
    ssim(&unit(map), &unit(other), height, width).ok_or_else(|| {
        undefined("the SSIM of a map of zeros, or of fewer than 7 x 7 pixels, is not defined")
    })
}

/// Returns the structural similarity of the map to the map of a random other class.
pub fn random_logit(case: &Case) -> Result<Value, Missing> {
    let (subject, classes) = (&case.sample.subject, case.sample.prediction.logits().len());
    let seed = subject.seed.wrapping_add(case.plan.seed);
    let class = random_other_class(classes, subject.class, seed)
        .ok_or_else(|| undefined("the model has no other class"))?;
    let other = case.context.explainer.explain(case.sample.input, class, case.plan);
    structural_similarity(case, case.map, &other.map_err(failed)?).map(Value::from)
}

/// The share of the pixels that count as the strongest.
const STRONGEST_SHARE: f64 = 0.05;

/// Returns the overlap of the strongest pixels of the map and `other`.
pub fn strongest_overlap(case: &Case, other: &Attribution) -> Result<Value, Missing> {
    overlap(&case.scores(case.map), &case.scores(other), STRONGEST_SHARE)
        .map(Value::from)
        .ok_or_else(|| undefined(CONSTANT_MAP))
}
