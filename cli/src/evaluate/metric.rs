//! The metrics by name. Each is listed here and nowhere else.

use mollify::metrics::{
    AdversarialPixels, OutOfDomain, adversarial_pixels, deletion, gini, insertion, pixel_scores,
    spearman,
};
use mollify::{Attribution, Baseline, Domain, Explainer, Input, Plan, Target};

/// A metric of one map.
pub struct Metric {
    pub name: &'static str,
    pub better: Better,
    /// What it takes besides the map.
    pub takes: Takes,
    measure: fn(&Case) -> Result<f64, String>,
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
    Nothing,
    /// A model whose scores are the logits of one softmax.
    Probability,
    ShuffledModel,
    ShiftedModel,
}

/// What a metric looks at.
pub struct Case<'a> {
    pub explainer: &'a Explainer<'a>,
    pub plan: &'a Plan,
    pub input: &'a Input,
    pub map: &'a Attribution,
    /// What replaces pixels that are left out.
    pub fill: &'a Baseline,
    /// With the model trained on shuffled labels.
    pub shuffled: Option<&'a Explainer<'a>>,
    /// With the model trained on shifted inputs, and the shift.
    pub shifted: Option<(&'a Explainer<'a>, f32)>,
}

const fn metric(
    name: &'static str,
    better: Better,
    takes: Takes,
    measure: fn(&Case) -> Result<f64, String>,
) -> Metric {
    Metric { name, better, takes, measure }
}

pub const METRICS: [Metric; 11] = [
    metric("sparseness", Better::Higher, Takes::Nothing, sparseness),
    metric("insertion", Better::Higher, Takes::Probability, |case| faithfulness(case, insertion)),
    metric("deletion", Better::Lower, Takes::Probability, |case| faithfulness(case, deletion)),
    metric("adversarial-pixels", Better::Lower, Takes::Probability, adversarial),
    metric("out-of-domain-share", Better::Lower, Takes::Nothing, |case| Ok(outside(case)?.share)),
    metric("out-of-domain-amount", Better::Lower, Takes::Nothing, |case| Ok(outside(case)?.amount)),
    metric("error", Better::Lower, Takes::Nothing, error),
    metric("gap", Better::Lower, Takes::Nothing, gap),
    metric("consistency", Better::Lower, Takes::ShuffledModel, consistency),
    metric("invariance", Better::Higher, Takes::ShiftedModel, invariance),
    metric("seconds", Better::Lower, Takes::Nothing, |case| Ok(case.map.seconds)),
];

impl Metric {
    /// The metric called `name`.
    pub fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// Its value for one map, or why it has none.
    pub fn measure(&self, case: &Case) -> Result<f64, String> {
        let value = (self.measure)(case)?;
        if value.is_finite() { Ok(value) } else { Err(format!("is {value}")) }
    }
}

fn sparseness(case: &Case) -> Result<f64, String> {
    let scores = pixel_scores(&case.map.values, &case.map.shape);
    gini(&scores).ok_or_else(|| "a map of zeros has no sparseness".into())
}

/// AdaptGrad's 5 % of the pixels at a step.
const STEPS: u32 = 20;

type Curves = fn(
    &Explainer,
    &Input,
    usize,
    &[f32],
    &[f32],
    u32,
) -> Result<mollify::metrics::Curve, mollify::Error>;

fn faithfulness(case: &Case, curve: Curves) -> Result<f64, String> {
    let text = |error: mollify::Error| error.to_string();
    let fill = case.fill.values(case.input).map_err(text)?;
    let (class, map) = (case.map.class, &case.map.values);
    Ok(curve(case.explainer, case.input, class, map, &fill, STEPS).map_err(text)?.area())
}

/// The most pixels that are changed, and the count where they were not enough.
const MOST_PIXELS: usize = 2000;

fn adversarial(case: &Case) -> Result<f64, String> {
    let text = |error: mollify::Error| error.to_string();
    let (explainer, input, class) = (case.explainer, case.input, case.map.class);
    let gradient =
        explainer.explain(&Plan::gradient(), input, Target::Index(class)).map_err(text)?;
    let (map, gradient) = (&case.map.values, &gradient.values);
    let found = adversarial_pixels(explainer, input, class, map, gradient, 0.5, MOST_PIXELS);
    match found.map_err(text)? {
        AdversarialPixels::Enough(0) => {
            Err("the probability is below 0.5 before a pixel is changed".into())
        }
        AdversarialPixels::Enough(count) | AdversarialPixels::TooFew(count) => Ok(count as f64),
    }
}

fn outside(case: &Case) -> Result<OutOfDomain, String> {
    match &case.plan.sampler {
        _ if case.plan.path.is_some() => {
            Err("it is defined for noise around the input, not along a path".into())
        }
        Some(sampler) => Ok(OutOfDomain::expected(sampler, case.input)),
        None => Ok(OutOfDomain { share: 0.0, amount: 0.0 }),
    }
}

fn error(case: &Case) -> Result<f64, String> {
    case.map.relative_standard_error().ok_or_else(|| "it has no standard error".into())
}

fn gap(case: &Case) -> Result<f64, String> {
    case.map.completeness_gap.ok_or_else(|| "a method without a path has no gap".into())
}

/// `|Spearman|` with the map of the model trained on shuffled labels.
fn consistency(case: &Case) -> Result<f64, String> {
    let other = case.shuffled.ok_or("there is no model trained on shuffled labels")?;
    correlation(case, other, case.input)
}

/// `|Spearman|` with the map of the model trained on shifted inputs, of the input shifted as much
/// together with its domain.
fn invariance(case: &Case) -> Result<f64, String> {
    let (other, shift) = case.shifted.ok_or("there is no model trained on shifted inputs")?;
    let moved = |values: &[f32]| values.iter().map(|value| value + shift).collect::<Vec<f32>>();
    let moved_domain =
        |domain: &Domain| Domain { lower: moved(&domain.lower), upper: moved(&domain.upper) };
    let (domain, pixels) = (moved_domain(case.input.domain()), moved_domain(case.input.pixels()));
    let input = Input::new(moved(case.input.values()), case.input.shape(), domain)
        .and_then(|input| input.with_pixels(pixels));
    correlation(case, other, &input.map_err(|error| error.to_string())?)
}

fn correlation(case: &Case, other: &Explainer, input: &Input) -> Result<f64, String> {
    let other = other.explain(case.plan, input, Target::Index(case.map.class));
    let other = other.map_err(|error| error.to_string())?;
    spearman(&case.map.values, &other.values)
        .map(|correlation| correlation.coefficient.abs())
        .ok_or_else(|| "a map of one value has no ranks".into())
}
