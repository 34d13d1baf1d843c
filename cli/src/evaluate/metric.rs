//! The metrics by name. Each is listed here and nowhere else.

use attriburn::metrics::{
    AdversarialPixels, Curve, InformationCurve, OutOfDomain, Region, Segmentation, Unusable,
    adversarial_pixels, box_precision, cosine, deletion, gini, insertion, overlap, pointing_game,
    spearman, ssim, unit_distance,
};
use attriburn::{Attribution, Explainer, Input};

use super::case::Case;
use super::value::{Missing, Summary, Value, mean};

/// A metric of one map.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    pub better: Better,
    /// What it takes besides the map.
    pub takes: &'static [Takes],
    measure: fn(&Case) -> Result<Value, Missing>,
    /// What its curve is of, along and up; none where it is a number alone.
    pub axes: Option<[&'static str; 2]>,
    /// How pictures are put together.
    pub over_pictures: Summary,
    /// Whether it draws something of its own, so that a seed changes it even without noise.
    pub drawn: bool,
    /// Whether it is of the time that the map took.
    pub timed: bool,
}

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// What a metric takes besides a model and pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A model whose scores are the logits of one softmax.
    Probability,
    ShuffledModel,
    ShiftedModel,
    OtherModel,
    Boxes,
    /// A model whose parameters are kept apart.
    Parameters,
    /// What replaces pixels that are left out.
    Fill,
    /// How many of the strongest pixels are looked at.
    Points,
    /// The least probability of a picture that is measured.
    LeastProbability,
}

use Better::{Higher, Lower};
use Takes::{
    Boxes, Fill, LeastProbability, OtherModel, Parameters, Points, Probability, ShiftedModel,
    ShuffledModel,
};

const fn metric(
    name: &'static str,
    summary: &'static str,
    better: Better,
    takes: &'static [Takes],
    measure: fn(&Case) -> Result<Value, Missing>,
) -> Metric {
    let (axes, over_pictures) = (None, Summary::Mean);
    Metric {
        name,
        summary,
        better,
        takes,
        measure,
        axes,
        over_pictures,
        drawn: false,
        timed: false,
    }
}

impl Metric {
    const fn curve(mut self, along: &'static str, up: &'static str) -> Self {
        self.axes = Some([along, up]);
        self
    }

    const fn median(mut self) -> Self {
        self.over_pictures = Summary::MedianCurve;
        self
    }

    const fn drawn(mut self) -> Self {
        self.drawn = true;
        self
    }

    const fn timed(mut self) -> Self {
        self.timed = true;
        self
    }
}

pub const METRICS: &[Metric] = &[
    metric(
        "sparseness",
        "Gini coefficient of the scores: how few pixels hold the map",
        Higher,
        &[],
        sparseness,
    ),
    metric(
        "insertion",
        "area under the probability as pixels are inserted, the strongest first",
        Higher,
        &[Probability, Fill],
        |case| faithfulness(case, insertion),
    )
    .curve("share of pixels inserted", "probability"),
    metric(
        "deletion",
        "area under the probability as pixels are deleted, the strongest first",
        Lower,
        &[Probability, Fill],
        |case| faithfulness(case, deletion),
    )
    .curve("share of pixels deleted", "probability"),
    metric(
        "sic",
        "Softmax Information Curve: the probability over the information shown",
        Higher,
        &[Probability, LeastProbability],
        sic,
    )
    .curve("normalized information", "normalized probability")
    .median()
    .drawn(),
    metric(
        "aic",
        "Accuracy Information Curve: how often the class is right over the information shown",
        Higher,
        &[Probability],
        aic,
    )
    .curve("normalized information", "normalized accuracy")
    .median()
    .drawn(),
    metric(
        "pointing-game",
        "share of the strongest pixels that lie on the object",
        Higher,
        &[Boxes, Points],
        pointing,
    ),
    metric(
        "box-precision",
        "share of the boxes suggested by the map that overlap the object",
        Higher,
        &[Boxes],
        boxes,
    ),
    metric(
        "adversarial-pixels",
        "pixels to change, the strongest first, until the class is lost",
        Lower,
        &[Probability],
        adversarial,
    ),
    metric(
        "out-of-domain-share",
        "expected share of noisy values outside the domain",
        Lower,
        &[],
        |case| Ok(outside(case)?.share.into()),
    ),
    metric(
        "out-of-domain-amount",
        "expected distance of noisy values from the domain",
        Lower,
        &[],
        |case| Ok(outside(case)?.amount.into()),
    ),
    metric(
        "out-of-domain-share-measured",
        "the same share, counted in the samples of the map",
        Lower,
        &[],
        |case| Ok(counted(case)?.share.into()),
    ),
    metric(
        "out-of-domain-amount-measured",
        "the same distance, measured in the samples of the map",
        Lower,
        &[],
        |case| Ok(counted(case)?.amount.into()),
    ),
    metric("error", "relative standard error of the map", Lower, &[], error),
    metric("gap", "completeness gap of Integrated Gradients", Lower, &[], gap),
    metric(
        "consistency",
        "likeness to the map of a model trained on shuffled labels",
        Lower,
        &[ShuffledModel],
        |case| correlation(case.map, &case.shuffled()?).map(Value::from),
    ),
    metric(
        "invariance",
        "likeness to the map of a model trained on shifted inputs",
        Higher,
        &[ShiftedModel],
        |case| correlation(case.map, &case.shifted()?).map(Value::from),
    ),
    metric(
        "cascade",
        "likeness to the maps of models whose layers are randomized, by rank",
        Lower,
        &[Parameters],
        |case| cascade(case, correlation),
    )
    .curve("share of layers randomized", "rank correlation"),
    metric(
        "cascade-ssim",
        "the same likeness by structural similarity",
        Lower,
        &[Parameters],
        |case| cascade(case, |map, other| similarity(case, map, other)),
    )
    .curve("share of layers randomized", "structural similarity"),
    metric(
        "stability",
        "distance to the map of a model trained on other data",
        Lower,
        &[OtherModel],
        |case| distance(case, case.other()?),
    ),
    metric("stability-ssim", "structural similarity to that map", Higher, &[OtherModel], |case| {
        similarity(case, case.map, case.other()?).map(Value::from)
    }),
    metric(
        "stability-overlap",
        "common strongest pixels with that map",
        Higher,
        &[OtherModel],
        |case| common(case, case.other()?),
    ),
    metric("fidelity", "distance to the gradient without noise", Lower, &[], |case| {
        distance(case, case.clean()?)
    }),
    metric(
        "fidelity-ssim",
        "structural similarity to the gradient without noise",
        Higher,
        &[],
        |case| similarity(case, case.map, case.clean()?).map(Value::from),
    ),
    metric(
        "fidelity-overlap",
        "common strongest pixels with the gradient without noise",
        Higher,
        &[],
        |case| common(case, case.clean()?),
    ),
    metric(
        "same-class",
        "1 where both models predict the same class",
        Higher,
        &[OtherModel],
        same_class,
    ),
    metric(
        "scores",
        "correlation of both models' scores of all classes",
        Higher,
        &[OtherModel],
        scores,
    ),
    metric("cosine", "cosine of both models' maps", Higher, &[OtherModel], |case| {
        angle(case.map, case.other()?)
    }),
    metric("rank", "rank correlation of both models' maps", Higher, &[OtherModel], |case| {
        ranks(case.map, case.other()?)
    }),
    metric(
        "overlap",
        "common strongest pixels of both models' maps",
        Higher,
        &[OtherModel],
        |case| common(case, case.other()?),
    ),
    metric(
        "difference",
        "how much of the difference of both models' maps is not noise",
        Lower,
        &[OtherModel],
        difference,
    ),
    metric("seeds-cosine", "cosine of two maps of other seeds", Higher, &[], |case| {
        angle(case.map, case.reseeded()?)
    }),
    metric("seeds-rank", "rank correlation of two maps of other seeds", Higher, &[], |case| {
        ranks(case.map, case.reseeded()?)
    }),
    metric(
        "seeds-overlap",
        "common strongest pixels of two maps of other seeds",
        Higher,
        &[],
        |case| common(case, case.reseeded()?),
    ),
    metric("seconds", "seconds that a map takes", Lower, &[], |case| Ok(case.map.seconds.into()))
        .timed(),
];

/// The metrics whose rank correlation over the pictures is tested, the second's with the first
/// (Table 1 of arXiv 2410.07711).
pub const CORRELATED: [(&str, &str); 4] = [
    ("sparseness", "out-of-domain-share"),
    ("sparseness", "out-of-domain-amount"),
    ("sparseness", "out-of-domain-share-measured"),
    ("sparseness", "out-of-domain-amount-measured"),
];

/// How alike the maps of two models are, and beside it how alike those of two seeds of one model.
pub const SCALED: [(&str, &str); 3] =
    [("cosine", "seeds-cosine"), ("rank", "seeds-rank"), ("overlap", "seeds-overlap")];

/// The metric that says how much of the difference of two models is not noise.
pub const DIFFERENCE: &str = "difference";

/// The metrics that are drawn one against the other, along and up (arXiv 2411.05837).
pub const TRADED: [(&str, &str); 3] = [
    ("fidelity", "stability"),
    ("fidelity-ssim", "stability-ssim"),
    ("fidelity-overlap", "stability-overlap"),
];

/// The metric that theory has fall as one over the width of the noise (arXiv 2411.05837).
pub const FALLS_WITH_WIDTH: &str = "stability";

impl Metric {
    /// The metric called `name`.
    pub fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// Its value for one map, or why it has none.
    pub fn measure(&self, case: &Case) -> Result<Value, Missing> {
        let value = (self.measure)(case)?;
        match value.number.is_finite() {
            true => Ok(value),
            false => Err(Missing::failed(format!("is {}", value.number))),
        }
    }
}

/// Whether one of `metrics` takes `what`.
pub fn any_takes(metrics: &[&Metric], what: Takes) -> bool {
    metrics.iter().any(|metric| metric.takes.contains(&what))
}

/// Whether one of `metrics` draws something of its own.
pub fn any_is_drawn(metrics: &[&Metric]) -> bool {
    metrics.iter().any(|metric| metric.drawn)
}

fn text(error: attriburn::Error) -> Missing {
    Missing::failed(error.to_string())
}

/// Why the metric is not defined for a map.
fn not(reason: impl Into<String>) -> Missing {
    Missing::not_applicable(reason)
}

fn sparseness(case: &Case) -> Result<Value, Missing> {
    gini(&case.scores(case.map))
        .map(Value::from)
        .ok_or_else(|| not("a map of zeros has no sparseness"))
}

/// AdaptGrad's 5 % of the pixels at a step.
const STEPS: u32 = 20;

type Curves = fn(&Explainer, &Input, usize, &[f32], &[f32], u32) -> Result<Curve, attriburn::Error>;

fn faithfulness(case: &Case, curve: Curves) -> Result<Value, Missing> {
    let input = &case.picture.input;
    let fill = case.given.fill.values(input).map_err(text)?;
    let (class, map) = (case.picture.class, &case.map.values);
    let curve = curve(&case.given.explainer, input, class, map, &fill, STEPS).map_err(text)?;
    Ok(Value::curve(curve.area(), curve.shares.into_iter().zip(curve.probabilities)))
}

fn sic(case: &Case) -> Result<Value, Missing> {
    let curve = case.shown()?.softmax(case.given.least_probability);
    information(curve)
}

fn aic(case: &Case) -> Result<Value, Missing> {
    information(case.shown()?.accuracy())
}

fn information(curve: Result<InformationCurve, Unusable>) -> Result<Value, Missing> {
    let curve = curve.map_err(|reason| not(reason.to_string()))?;
    Ok(Value::curve(curve.area(), curve.information.into_iter().zip(curve.performance)))
}

/// The rows and columns of the map, its scores, and where the objects are.
fn located<'c>(case: &'c Case) -> Result<(usize, Vec<f32>, &'c [Region]), Missing> {
    let [_, width] = case.sides().map_err(not)?;
    let regions = case.picture.regions.as_ref().map_err(|reason| not(reason.as_str()))?;
    Ok((width, case.scores(case.map), regions))
}

fn pointing(case: &Case) -> Result<Value, Missing> {
    let (width, scores, regions) = located(case)?;
    let points = case.given.points;
    pointing_game(&scores, width, regions, points)
        .map(Value::from)
        .ok_or_else(|| not(no_strongest(&scores, points)))
}

fn no_strongest(scores: &[f32], points: usize) -> String {
    match points > scores.len() {
        true => format!("a map of {} pixels has no {points} strongest", scores.len()),
        false => EVEN.into(),
    }
}

/// Why a map has no strongest pixels.
const EVEN: &str = "a map with the same score at every pixel has no strongest";

fn boxes(case: &Case) -> Result<Value, Missing> {
    let (width, scores, regions) = located(case)?;
    box_precision(&scores, width, regions, &Segmentation::adaptgrad())
        .map(Value::from)
        .ok_or_else(|| not("a map of zeros suggests no boxes"))
}

/// The most pixels that are changed, and the count where they were not enough.
const MOST_PIXELS: usize = 2000;

fn adversarial(case: &Case) -> Result<Value, Missing> {
    let (explainer, input, class) =
        (&case.given.explainer, &case.picture.input, case.picture.class);
    let (map, gradient) = (&case.map.values, &case.clean()?.values);
    let found = adversarial_pixels(explainer, input, class, map, gradient, 0.5, MOST_PIXELS);
    match found.map_err(text)? {
        AdversarialPixels::Enough(0) => {
            Err(not("the probability is below 0.5 before a pixel is changed"))
        }
        AdversarialPixels::Enough(count) | AdversarialPixels::TooFew(count) => {
            Ok((count as f64).into())
        }
    }
}

fn outside(case: &Case) -> Result<OutOfDomain, Missing> {
    match around_the_input(case)? {
        Some(sampler) => Ok(OutOfDomain::expected(sampler, &case.picture.input)),
        None => Ok(OutOfDomain { share: 0.0, amount: 0.0 }),
    }
}

/// Counted in the samples of the map itself.
fn counted(case: &Case) -> Result<OutOfDomain, Missing> {
    match around_the_input(case)? {
        Some(sampler) => Ok(case.counted(sampler)?),
        None => Ok(OutOfDomain { share: 0.0, amount: 0.0 }),
    }
}

fn around_the_input<'c>(case: &'c Case) -> Result<Option<&'c attriburn::Sampler>, Missing> {
    match case.plan.path {
        Some(_) => Err(not("it is defined for noise around the input, not along a path")),
        None => Ok(case.plan.sampler.as_ref()),
    }
}

fn error(case: &Case) -> Result<Value, Missing> {
    case.map
        .relative_standard_error()
        .map(Value::from)
        .ok_or_else(|| not("it has no standard error"))
}

fn gap(case: &Case) -> Result<Value, Missing> {
    case.map
        .completeness_gap
        .map(Value::from)
        .ok_or_else(|| not("a method without a path has no gap"))
}

/// `|Spearman|` of two maps, over all their values.
fn correlation(map: &Attribution, other: &Attribution) -> Result<f64, Missing> {
    spearman(&map.values, &other.values)
        .map(|correlation| correlation.coefficient.abs())
        .ok_or_else(|| not("a map of one value has no ranks"))
}

/// 1 where both models give the picture the same class, else 0.
fn same_class(case: &Case) -> Result<Value, Missing> {
    let own = case.picture.prediction.ranking()[0];
    Ok(f64::from(u8::from(case.other_prediction()?.ranking()[0] == own)).into())
}

/// Pearson's correlation of the scores of all classes.
fn scores(case: &Case) -> Result<Value, Missing> {
    let centred = |scores: &[f32]| -> Vec<f32> {
        let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
        let mean = sum / scores.len() as f64;
        scores.iter().map(|&score| (f64::from(score) - mean) as f32).collect()
    };
    let (own, other) = (&case.picture.prediction.logits, &case.other_prediction()?.logits);
    cosine(&centred(own), &centred(other))
        .map(Value::from)
        .ok_or_else(|| not("scores that are all the same have no correlation"))
}

fn angle(map: &Attribution, other: &Attribution) -> Result<Value, Missing> {
    cosine(&map.values, &other.values)
        .map(Value::from)
        .ok_or_else(|| not("a map of zeros has no direction"))
}

/// How much of the difference of the models' maps is not noise. With the maps `a` and `b` of both models,
/// scaled to unit norm, and `a'` and `b'` of another seed: the cosine of `a - b` and `a' - b'`. It is 1 where
/// the difference does not depend on the noise and around 0 where it is noise alone, and 0 where there is
/// none.
fn difference(case: &Case) -> Result<Value, Missing> {
    let unit = |map: &Attribution| -> Option<Vec<f64>> {
        let norm = map.values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        (norm > 0.0).then(|| map.values.iter().map(|&value| f64::from(value) / norm).collect())
    };
    let between = |a: &Attribution, b: &Attribution| -> Result<Vec<f32>, Missing> {
        let (a, b) = (unit(a), unit(b));
        let (a, b) = a.zip(b).ok_or_else(|| not("a map of zeros has no direction"))?;
        Ok(a.iter().zip(&b).map(|(a, b)| (a - b) as f32).collect())
    };
    let first = between(case.map, case.other()?)?;
    let second = between(case.reseeded()?, case.other_reseeded()?)?;
    Ok(cosine(&first, &second).unwrap_or(0.0).into())
}

/// Spearman's correlation of two maps, over all their values.
fn ranks(map: &Attribution, other: &Attribution) -> Result<Value, Missing> {
    spearman(&map.values, &other.values)
        .map(|correlation| correlation.coefficient.into())
        .ok_or_else(|| not("a map of one value has no ranks"))
}

/// The mean likeness of the map to those of the randomized models.
fn cascade(
    case: &Case,
    likeness: impl Fn(&Attribution, &Attribution) -> Result<f64, Missing>,
) -> Result<Value, Missing> {
    let maps = case.cascade()?;
    let mut points = vec![(0.0, 1.0)];
    for ((stage, _), other) in case.given.cascade.iter().zip(maps) {
        points.push((stage.share, likeness(case.map, other)?));
    }
    let mean = mean(points[1..].iter().map(|(_, likeness)| *likeness));
    Ok(Value::curve(mean.ok_or_else(|| not("the model has no layers"))?, points))
}

fn distance(case: &Case, other: &Attribution) -> Result<Value, Missing> {
    unit_distance(&case.map.values, &other.values)
        .map(Value::from)
        .ok_or_else(|| not("a map of zeros has no unit norm"))
}

/// The structural similarity of the scores of two maps, each scaled to unit norm.
fn similarity(case: &Case, map: &Attribution, other: &Attribution) -> Result<f64, Missing> {
    let [height, width] = case.sides().map_err(not)?;
    let unit = |map: &Attribution| {
        let scores = case.scores(map);
        let norm = scores.iter().map(|&score| f64::from(score).powi(2)).sum::<f64>().sqrt();
        scores.iter().map(|&score| (f64::from(score) / norm) as f32).collect::<Vec<f32>>()
    };
    ssim(&unit(map), &unit(other), height, width)
        .ok_or_else(|| not("a map of less than 7 x 7 pixels, or of zeros, has no SSIM"))
}

/// The share of the strongest pixels that is compared.
const STRONGEST: f64 = 0.05;

fn common(case: &Case, other: &Attribution) -> Result<Value, Missing> {
    overlap(&case.scores(case.map), &case.scores(other), STRONGEST)
        .map(Value::from)
        .ok_or_else(|| not(EVEN))
}
