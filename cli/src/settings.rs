//! The command line, checked: every value in its range before any work starts.

use std::path::Path;

use attriburn::npy::{self, Array};
use attriburn::picture::Preprocess;
use attriburn::{
    AdaptiveRule, Baseline, Domain, Estimate, Method, Mollifier, Output, Plan, Quadrature,
    Settings, WeightNoise, WidthRule,
};
use attriburn_onnx::Quantization;
use serde_json::json;

use crate::Fatal;
use crate::args::PlanArgs;
use crate::labels::nearest;
use crate::manifest::File;
use crate::source::sample_shape;
use crate::variants::Variant;

/// The methods that were asked for, each once.
pub fn methods(args: &PlanArgs) -> Result<Vec<Method>, String> {
    let mut methods = Vec::new();
    for name in &args.method {
        let method = Method::named(name).ok_or_else(|| {
            let names: Vec<String> = Method::all().iter().map(Method::name).collect();
            let near = nearest(name, names.iter().map(String::as_str)).join(", ");
            format!("there is no method {name:?}; near ones are {near}")
        })?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

/// The settings all methods share.
pub fn settings(args: &PlanArgs, baseline: Option<&Array>) -> Result<Settings, String> {
    let outputs = [(Output::Logit, "logit"), (Output::Probability, "probability")];
    let rule = one_of("--width-rule", &args.width_rule, &AdaptiveRule::ALL)?;
    Ok(Settings {
        samples: args.samples,
        confidence: args.confidence,
        rule,
        alpha: args.alpha,
        sigma: args.sigma,
        mollifier: one_of("--kernel", &args.kernel, &Mollifier::ALL)?,
        steps: args.steps,
        quadrature: one_of("--quadrature", &args.quadrature, &Quadrature::ALL)?,
        baseline: baseline.map(|array| array.values.clone()),
        weight_samples: args.weight_samples,
        weight_width: match (args.weight_confidence, args.weight_sigma) {
            (Some(confidence), _) => WidthRule::Adaptive { confidence, rule },
            (None, Some(sigma)) => WidthRule::Absolute { sigma },
            (None, None) => WidthRule::Relative { alpha: args.weight_alpha },
        },
        freeze: args.freeze.clone(),
        budget: args.budget,
        until: args.until,
        estimate: one_of("--estimate", &args.estimate, &Estimate::ALL)?,
        output: one_of("--output", &args.output, &outputs)?,
        seed: args.seed,
    })
}

/// The array in a baseline's file, and how the manifest names it.
pub fn baseline(path: &Path) -> Result<(Array, File), String> {
    let wrong = |what: String| format!("--baseline {}: {what}", path.display());
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
        return Err(wrong("give a .npy file".into()));
    }
    let array = npy::read(path).map_err(|error| format!("--baseline: {error}"))?;
    if let Some(index) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(wrong(format!("its value {index} is not finite")));
    }
    let file = File::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    Ok((array, file))
}

/// Refuses a path that cannot start where a plan says, in samples of `shape` that are `pictures`.
pub fn paths_fit(
    variants: &[Variant],
    baseline: Option<&Array>,
    shape: &[usize],
    pictures: &[usize],
) -> Result<(), String> {
    if let Some(array) = baseline
        && sample_shape(&array.shape, shape) != shape
    {
        return Err(format!(
            "--baseline holds an array of {:?}, but the model takes samples of {shape:?}",
            array.shape
        ));
    }
    let blurs = |plan: &Plan| matches!(&plan.path, Some(path) if path.baseline == Baseline::Blur);
    match variants.iter().find(|variant| blurs(&variant.plan)) {
        Some(Variant { name, .. }) if pictures.len() != 3 => {
            Err(format!("{name} takes pictures, but the model takes samples of {shape:?}"))
        }
        _ => Ok(()),
    }
}

/// Which maps of a grid share a colour scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridScale {
    Panel,
    Row,
    Shared,
}

impl GridScale {
    /// Reads `--grid-scale`.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names =
            [(GridScale::Panel, "panel"), (GridScale::Row, "row"), (GridScale::Shared, "shared")];
        one_of("--grid-scale", name, &names)
    }
}

/// An option that only some methods use, and which plans do.
type Use = (&'static str, fn(&Plan) -> bool);

const USES: [Use; 19] = [
    ("estimate", Plan::is_noisy),
    ("samples", |plan| plan.sampler.is_some()),
    ("seed", Plan::is_noisy),
    ("kernel", Plan::is_noisy),
    ("until", |plan| plan.is_noisy() && plan.estimate == Estimate::Mean),
    ("stderr", |plan| plan.is_noisy() && plan.estimate == Estimate::Mean),
    ("budget", Plan::is_nested),
    ("confidence", |plan| is_adaptive(width_of(plan))),
    ("width_rule", |plan| is_adaptive(width_of(plan)) || is_adaptive(weight_width_of(plan))),
    ("alpha", |plan| is_relative(width_of(plan))),
    ("sigma", |plan| is_absolute(width_of(plan))),
    ("steps", |plan| plan.path.is_some()),
    ("quadrature", |plan| plan.path.is_some()),
    ("weight_samples", |plan| plan.weights.is_some()),
    ("weight_alpha", |plan| is_relative(weight_width_of(plan))),
    ("weight_sigma", |plan| is_absolute(weight_width_of(plan))),
    ("weight_confidence", |plan| is_adaptive(weight_width_of(plan))),
    ("freeze", |plan| plan.weights.is_some()),
    ("baseline", |plan| {
        plan.path.as_ref().is_some_and(|path| matches!(path.baseline, Baseline::Values(_)))
    }),
];

fn width_of(plan: &Plan) -> Option<WidthRule> {
    plan.sampler.map(|sampler| sampler.width)
}

fn weight_width_of(plan: &Plan) -> Option<WidthRule> {
    plan.weights.as_ref().map(|weights| weights.width)
}

fn is_relative(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Relative { .. }))
}

fn is_absolute(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Absolute { .. }))
}

fn is_adaptive(width: Option<WidthRule>) -> bool {
    matches!(width, Some(WidthRule::Adaptive { .. }))
}

/// Whether `plan` uses an option, written with hyphens.
pub fn is_used(option: &str, plan: &Plan) -> bool {
    let option = option.replace('-', "_");
    USES.iter().any(|(name, uses)| *name == option && uses(plan))
}

/// Refuses an option that was typed and that none of the plans uses.
pub fn all_used(typed: &[String], variants: &[Variant]) -> Result<(), String> {
    let unused = USES.iter().find(|(option, uses)| {
        typed.iter().any(|name| name == option)
            && !variants.iter().any(|variant| uses(&variant.plan))
    });
    let Some((option, _)) = unused else {
        return Ok(());
    };
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    Err(format!(
        "--{} is not used by {}; leave it out, or ask for a method that uses it",
        option.replace('_', "-"),
        names.join(", ")
    ))
}

fn one_of<T: Copy>(option: &str, given: &str, choices: &[(T, &str)]) -> Result<T, String> {
    choices.iter().find(|(_, name)| *name == given).map(|(choice, _)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(_, name)| *name).collect();
        format!("{option} {given:?} does not exist; choose one of {}", names.join(", "))
    })
}

/// Every setting that shapes a plan's map, for the manifest.
pub fn described(plan: &Plan, baseline: Option<&File>) -> serde_json::Value {
    let mut settings = json!({
        "readout": format!("{:?}", plan.readout),
        "estimate": format!("{:?}", plan.estimate).to_lowercase(),
        "output": format!("{:?}", plan.output).to_lowercase(),
    });
    if let Some(path) = &plan.path {
        let name = Quadrature::ALL.iter().find(|(rule, _)| *rule == path.quadrature);
        settings["quadrature"] = json!(name.map(|(_, name)| name));
        settings["steps"] = json!(path.steps);
        settings["baseline"] = match &path.baseline {
            Baseline::Values(_) => json!(baseline),
            named => json!(format!("{named:?}").to_lowercase()),
        };
    }
    if let Some(sampler) = &plan.sampler {
        settings["kernel"] = json!(sampler.mollifier.name());
        settings["boundary"] = json!(format!("{:?}", sampler.boundary).to_lowercase());
        settings["samples"] = json!(plan.samples);
        settings["width"] = width(sampler.width);
    }
    if let Some(noise) = &plan.weights {
        settings["weights"] = weights(noise);
    }
    if let Some(budget) = plan.budget {
        settings["budget"] = json!(budget);
    }
    if let Some(until) = plan.until {
        settings["until"] = json!(until);
    }
    settings
}

fn weights(noise: &WeightNoise) -> serde_json::Value {
    json!({
        "kernel": noise.mollifier.name(),
        "width": width(noise.width),
        "samples": noise.draws,
        "freeze": noise.freeze,
    })
}

fn width(width: WidthRule) -> serde_json::Value {
    match width {
        WidthRule::Relative { alpha } => json!({ "rule": "relative", "alpha": alpha }),
        WidthRule::Absolute { sigma } => json!({ "rule": "absolute", "sigma": sigma }),
        WidthRule::Adaptive { confidence, rule } => {
            let name = AdaptiveRule::ALL.iter().find(|(other, _)| *other == rule);
            json!({ "rule": name.map(|(_, name)| name), "confidence": confidence })
        }
    }
}

/// What becomes of the rounding in a quantized model.
pub const QUANTIZATIONS: [(&str, Quantization); 2] =
    [("straight-through", Quantization::StraightThrough), ("ignore", Quantization::Ignore)];

/// The quantization called `name`.
pub fn quantization(name: &str) -> Result<Quantization, String> {
    let found = QUANTIZATIONS.iter().find(|(own, _)| *own == name);
    found.map(|(_, quantization)| *quantization).ok_or_else(|| {
        format!("--quantization {name:?} does not exist; choose one of straight-through, ignore")
    })
}

/// The name of a quantization.
pub fn quantization_name(own: Quantization) -> Option<&'static str> {
    QUANTIZATIONS.iter().find(|(_, other)| *other == own).map(|(name, _)| *name)
}

/// What replaces pixels that are left out.
pub fn fill(name: &str) -> Result<Baseline, String> {
    match name {
        "zero" => Ok(Baseline::Zero),
        "black" => Ok(Baseline::Black),
        "mean" => Ok(Baseline::Mean),
        "blur" => Ok(Baseline::Blur),
        _ => Err(format!("--fill {name:?} does not exist; choose one of zero, black, mean, blur")),
    }
}

/// The channels, height and width of the pictures behind samples of `shape`: the shape itself
/// unless another is `given` for samples that are flat.
pub fn picture_shape<'a>(
    given: Option<&'a [usize]>,
    shape: &'a [usize],
) -> Result<&'a [usize], String> {
    let Some(given) = given else {
        return Ok(shape);
    };
    let long = |shape: &[usize]| -> Vec<usize> {
        shape.iter().copied().filter(|&size| size != 1).collect()
    };
    let values = given.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let is_flat = long(shape).len() <= 1 && values == Some(shape.iter().product());
    if given.len() == 3 && (is_flat || long(given) == long(shape)) {
        return Ok(given);
    }
    Err(format!(
        "--picture-shape {given:?} does not fit: it says the channels, height and width of pictures for a model of flat samples with as many values, and the model takes samples of {shape:?}"
    ))
}

/// The values of black and white in samples of `shape`.
pub fn pixels(preprocess: &Preprocess, shape: &[usize]) -> Result<Domain, String> {
    let (lower, upper) = preprocess.domain();
    if shape.first() == Some(&lower.len()) {
        return Ok(Domain::per_channel(lower, upper));
    }
    let same = |bounds: &[f32]| bounds.iter().all(|&bound| bound == bounds[0]);
    if same(&lower) && same(&upper) {
        return Ok(Domain::uniform(lower[0], upper[0]));
    }
    Err(format!(
        "the bounds of the preprocessing differ by channel, but the model takes flat samples of {shape:?}; choose --preprocess unit or signed"
    ))
}

/// The domain that was given, else that of the preprocessing.
pub fn domain(
    given: Option<&str>,
    preprocess: Result<&Preprocess, &String>,
    shape: &[usize],
) -> Result<Domain, String> {
    let Some(text) = given else {
        return match preprocess {
            Ok(preprocess) => pixels(preprocess, shape),
            Err(_) => Err("the model's input is not a picture, so its domain is not known; give it with --domain MIN,MAX".into()),
        };
    };
    let bounds: Option<Vec<f32>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    match bounds.as_deref() {
        Some(&[lower, upper]) if lower < upper => Ok(Domain::uniform(lower, upper)),
        _ => Err(format!("--domain {text:?}: write the least and the greatest value, such as 0,1")),
    }
}

/// Reads a size such as 512M or 2G, in bytes.
pub fn bytes(text: &str) -> Result<u64, Fatal> {
    let (number, unit) = match text.to_ascii_uppercase() {
        text if text.ends_with('G') => (text[..text.len() - 1].to_owned(), 1 << 30),
        text if text.ends_with('M') => (text[..text.len() - 1].to_owned(), 1 << 20),
        text if text.ends_with('K') => (text[..text.len() - 1].to_owned(), 1 << 10),
        text => (text, 1u64),
    };
    let parsed = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match parsed {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("--memory {text:?}: write a size such as 512M or 2G").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [("512M", 512 << 20), ("2g", 2 << 30), ("7", 7)] {
            assert_eq!(bytes(text).unwrap(), expected);
        }
        for text in ["", "G", "0", "-1M", "99999999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
