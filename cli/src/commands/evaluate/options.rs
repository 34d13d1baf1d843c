//! Defaults of an evaluation's options, and checks of the options against each other.

use attriburn::Model;
use attriburn_evaluate::{METRICS, Metric, Requirement, Settings, any_is_random, any_requires};

use super::comparison::ComparisonModels;
use crate::args::EvaluateArgs;
use crate::setup::Setup;

/// Returns the requested metrics without duplicates.
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
    /// The number of seeds per method with noise.
    pub fn repeats(&self) -> u32 {
        self.images.repeats.unwrap_or(1)
    }

    /// The seed of the first repeat.
    pub fn seed(&self) -> u64 {
        self.plan.method.seed.unwrap_or(Settings::default().seed)
    }

    /// The number of strongest pixels in the pointing game.
    pub fn points(&self) -> usize {
        self.points.unwrap_or(5)
    }

    /// The predicted probability below which SIC skips an image.
    pub fn min_probability(&self) -> f64 {
        self.min_probability.unwrap_or(0.8)
    }
}

/// Returns the error message for a command line without metrics.
pub fn missing_metrics_message() -> String {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    format!("name the metrics, which `attriburn metrics` describes: {}", names.join(", "))
}

/// Checks the ranges of numbers.
pub fn check_numbers(args: &EvaluateArgs) -> Result<(), String> {
    let counts = [
        ("repeats", args.repeats() as usize),
        ("points", args.points()),
        ("stages", args.stages.unwrap_or(1)),
    ];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(format!("{name} is 0, but it must be at least 1"));
    }
    match args.min_probability() {
        probability if (0.0..=1.0).contains(&probability) => Ok(()),
        probability => Err(format!("min-probability is {probability}, but it must be from 0 to 1")),
    }
}

/// Checks that the options and the model fulfil the requirements of all metrics.
pub fn check_requirements(
    args: &EvaluateArgs,
    metrics: &[&Metric],
    setup: &Setup,
    models: &ComparisonModels,
) -> Result<(), String> {
    let has_probability = setup.model.link().is_some() && setup.model.classes() > 1;
    let missing = |requirement: &Requirement| {
        let (is_met, description) = match requirement {
            Requirement::Probability => {
                (has_probability, "a model with class probabilities, from a softmax or a sigmoid")
            }
            Requirement::ShuffledModel => (models.shuffled.is_some(), "--shuffled-model"),
            Requirement::ShiftedModel => (models.shifted.is_some(), "--shifted-model and --shift"),
            Requirement::OtherModel => (models.other.is_some(), "--other-model"),
            Requirement::Boxes => (args.boxes.is_some(), "--boxes"),
            // The model is loaded with separate parameters if a metric needs them; the options have defaults.
            _ => return None,
        };
        (!is_met).then_some(description)
    };
    for metric in metrics {
        if let Some(description) = metric.requires.iter().find_map(missing) {
            return Err(format!("the metric {} needs {description}", metric.name));
        }
    }
    Ok(())
}

/// Checks that a metric or method uses each option on the command line.
pub fn check_used(args: &EvaluateArgs, metrics: &[&Metric], setup: &Setup) -> Result<(), String> {
    let is_required = |requirement: Requirement| any_requires(metrics, requirement);
    let is_random =
        any_is_random(metrics) || setup.variants.iter().any(|variant| variant.plan.is_noisy());
    let uses = [
        ("fill", is_required(Requirement::Fill)),
        ("points", is_required(Requirement::Points)),
        ("min-probability", is_required(Requirement::MinProbability)),
        ("shuffled-model", is_required(Requirement::ShuffledModel)),
        ("shifted-model", is_required(Requirement::ShiftedModel)),
        ("other-model", is_required(Requirement::OtherModel)),
        ("boxes", is_required(Requirement::Boxes)),
        ("all-boxes", is_required(Requirement::Boxes)),
        ("stages", is_required(Requirement::Parameters)),
        ("repeats", is_random),
    ];
    let unused = |(option, used): &&(&str, bool)| !used && args.options.is_typed(option);
    match uses.iter().find(unused) {
        Some((option, _)) => {
            Err(format!("--{option} is not used by these metrics and methods; leave it out"))
        }
        None => Ok(()),
    }
}
