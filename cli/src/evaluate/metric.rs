//! The metrics by name. Each is listed here and nowhere else.

use mollify::metrics::{
    AdversarialPixels, OutOfDomain, adversarial_pixels, deletion, gini, insertion, pixel_scores,
    spearman,
};
use mollify::{Attribution, Baseline, Domain, Explainer, Input, Plan, Target};
use mollify_onnx::OnnxModel;

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
    pub shuffled: Option<&'a OnnxModel>,
    /// The model trained on shifted inputs, and the shift.
    pub shifted: Option<(&'a OnnxModel, f32)>,
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
    metric("insertion", Better::Higher, Takes::Nothing, |case| faithfulness(case, insertion)),
    metric("deletion", Better::Lower, Takes::Nothing, |case| faithfulness(case, deletion)),
    metric("adversarial-pixels", Better::Lower, Takes::Nothing, adversarial),
    metric("out-of-domain-share", Better::Lower, Takes::Nothing, |case| Ok(outside(case).share)),
    metric("out-of-domain-amount", Better::Lower, Takes::Nothing, |case| Ok(outside(case).amount)),
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

/// The most pixels that are changed.
const MOST_PIXELS: usize = 2000;

fn adversarial(case: &Case) -> Result<f64, String> {
    let text = |error: mollify::Error| error.to_string();
    let (explainer, input, class) = (case.explainer, case.input, case.map.class);
    let gradient =
        explainer.explain(&Plan::gradient(), input, Target::Index(class)).map_err(text)?;
    let (map, gradient) = (&case.map.values, &gradient.values);
    match adversarial_pixels(explainer, input, class, map, gradient, 0.5, MOST_PIXELS)
        .map_err(text)?
    {
        AdversarialPixels::Enough(count) => Ok(count as f64),
        AdversarialPixels::TooFew(count) => Err(format!("{count} pixels were not enough")),
    }
}

fn outside(case: &Case) -> OutOfDomain {
    match &case.plan.sampler {
        Some(sampler) => OutOfDomain::expected(sampler, case.input),
        None => OutOfDomain { share: 0.0, amount: 0.0 },
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
    let model = case.shuffled.ok_or("there is no model trained on shuffled labels")?;
    correlation(case, model, case.input)
}

/// `|Spearman|` with the map of the model trained on shifted inputs, of the input shifted as much.
fn invariance(case: &Case) -> Result<f64, String> {
    let (model, shift) = case.shifted.ok_or("there is no model trained on shifted inputs")?;
    let moved = |values: &[f32]| values.iter().map(|value| value + shift).collect::<Vec<f32>>();
    let domain = case.input.domain();
    let domain = Domain { lower: moved(&domain.lower), upper: moved(&domain.upper) };
    let input = Input::new(moved(case.input.values()), case.input.shape(), domain);
    correlation(case, model, &input.map_err(|error| error.to_string())?)
}

fn correlation(case: &Case, model: &OnnxModel, input: &Input) -> Result<f64, String> {
    let explainer = Explainer::new(model);
    let other = explainer.explain(case.plan, input, Target::Index(case.map.class));
    let other = other.map_err(|error| error.to_string())?;
    spearman(&case.map.values, &other.values)
        .map(|correlation| correlation.coefficient.abs())
        .ok_or_else(|| "a map of one value has no ranks".into())
}
