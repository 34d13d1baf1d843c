//! The options of an evaluation, checked against each other.

use attriburn::{Model, Settings};

use crate::args::EvaluateArgs;
use crate::setup::Setup;

use super::metric::{METRICS, Metric, Takes, any_is_drawn, any_takes};
use super::others::Others;

/// The metrics that were asked for, each once.
pub fn metrics(args: &EvaluateArgs) -> Vec<&'static Metric> {
    let mut metrics: Vec<&'static Metric> = Vec::new();
    for metric in &args.metrics {
        if !metrics.iter().any(|other| other.name == metric.name) {
            metrics.push(metric);
        }
    }
    metrics
}

impl EvaluateArgs {
    /// Seeds per method with noise.
    pub fn repeats(&self) -> u32 {
        self.images.repeats.unwrap_or(1)
    }

    /// The first seed.
    pub fn seed(&self) -> u64 {
        self.plan.method.seed.unwrap_or(Settings::default().seed)
    }

    /// The strongest pixels that the pointing game looks at.
    pub fn points(&self) -> usize {
        self.points.unwrap_or(5)
    }

    /// The least probability of a picture that sic is measured on.
    pub fn least_probability(&self) -> f64 {
        self.least_probability.unwrap_or(0.8)
    }
}

/// What is said where no metric is named.
pub fn asks_for_metrics() -> String {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    format!("name the metrics, which `attriburn metrics` describes: {}", names.join(", "))
}

/// Refuses numbers out of their ranges.
pub fn check_numbers(args: &EvaluateArgs) -> Result<(), String> {
    let counts = [
        ("repeats", args.repeats() as usize),
        ("points", args.points()),
        ("stages", args.stages.unwrap_or(1)),
    ];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(format!("{name} is 0, but it must be at least 1"));
    }
    match args.least_probability() {
        least if (0.0..=1.0).contains(&least) => Ok(()),
        least => Err(format!("least-probability is {least}, but it must be from 0 to 1")),
    }
}

/// Refuses metrics that lack what they take.
pub fn check_taken(
    args: &EvaluateArgs,
    metrics: &[&Metric],
    setup: &Setup,
    others: &Others,
) -> Result<(), String> {
    let has_probability = setup.model.link().is_some() && setup.model.classes() > 1;
    let missing = |takes: &Takes| {
        let (is_there, what) = match takes {
            Takes::Probability => (
                has_probability,
                "a model whose scores become probabilities, by a softmax or a sigmoid",
            ),
            Takes::ShuffledModel => (others.shuffled.is_some(), "--shuffled-model"),
            Takes::ShiftedModel => (others.shifted.is_some(), "--shifted-model and --shift"),
            Takes::OtherModel => (others.other.is_some(), "--other-model"),
            Takes::Boxes => (args.boxes.is_some(), "--boxes"),
            // The model is loaded for them, and the options have defaults.
            Takes::Parameters | Takes::Fill | Takes::Points | Takes::LeastProbability => {
                return None;
            }
        };
        (!is_there).then_some(what)
    };
    for metric in metrics {
        if let Some(what) = metric.takes.iter().find_map(missing) {
            return Err(format!("the metric {} takes {what}", metric.name));
        }
    }
    Ok(())
}

/// Refuses an option that was typed and that nothing uses.
pub fn check_used(args: &EvaluateArgs, metrics: &[&Metric], setup: &Setup) -> Result<(), String> {
    let taken = |what: Takes| any_takes(metrics, what);
    let is_drawn =
        any_is_drawn(metrics) || setup.variants.iter().any(|variant| variant.plan.is_noisy());
    let uses = [
        ("fill", taken(Takes::Fill)),
        ("points", taken(Takes::Points)),
        ("least-probability", taken(Takes::LeastProbability)),
        ("shuffled-model", taken(Takes::ShuffledModel)),
        ("shifted-model", taken(Takes::ShiftedModel)),
        ("other-model", taken(Takes::OtherModel)),
        ("boxes", taken(Takes::Boxes)),
        ("all-boxes", taken(Takes::Boxes)),
        ("stages", taken(Takes::Parameters)),
        ("repeats", is_drawn),
    ];
    let unused = |(option, used): &&(&str, bool)| !used && args.given.is_typed(option);
    match uses.iter().find(unused) {
        Some((option, _)) => {
            Err(format!("--{option} is not used by these metrics and methods; leave it out"))
        }
        None => Ok(()),
    }
}
