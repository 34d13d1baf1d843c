//! The command line, checked: every value in its range before any work starts.

use std::path::Path;

use mollify::npy::{self, Array};
use mollify::picture::{Preprocess, Resize};
use mollify::{
    AdaptiveRule, Baseline, Domain, Estimate, Method, Mollifier, Output, Plan, Prediction,
    Quadrature, Settings, Target, WidthRule,
};
use serde_json::json;

use crate::Fatal;
use crate::args::ExplainArgs;
use crate::labels::{Labels, nearest};
use crate::manifest::File;
use crate::source::sample_shape;

/// The methods that were asked for.
pub fn methods(args: &ExplainArgs) -> Result<Vec<Method>, String> {
    args.method
        .iter()
        .map(|name| {
            Method::named(name).ok_or_else(|| {
                let names: Vec<String> = Method::all().iter().map(Method::name).collect();
                let near = nearest(name, names.iter().map(String::as_str)).join(", ");
                format!("there is no method {name:?}; near ones are {near}")
            })
        })
        .collect()
}

/// The settings all methods share.
pub fn settings(args: &ExplainArgs, baseline: Option<&Array>) -> Result<Settings, String> {
    let outputs = [(Output::Logit, "logit"), (Output::Probability, "probability")];
    Ok(Settings {
        samples: args.samples,
        confidence: args.confidence,
        rule: one_of("--width-rule", &args.width_rule, &AdaptiveRule::ALL)?,
        alpha: args.alpha,
        sigma: args.sigma,
        mollifier: one_of("--kernel", &args.kernel, &Mollifier::ALL)?,
        steps: args.steps,
        quadrature: one_of("--quadrature", &args.quadrature, &Quadrature::ALL)?,
        baseline: baseline.map(|array| array.values.clone()),
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
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    Ok((array, File::new(path.display().to_string(), &bytes)))
}

/// Refuses a path that cannot start where a plan says, in samples of `shape`.
pub fn paths_fit(
    plans: &[(String, Plan)],
    baseline: Option<&Array>,
    shape: &[usize],
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
    match plans.iter().find(|(_, plan)| blurs(plan)) {
        Some((name, _)) if shape.len() != 3 => {
            Err(format!("{name} takes pictures, but the model takes samples of {shape:?}"))
        }
        _ => Ok(()),
    }
}

/// An option that only some methods use, and which plans do.
type Use = (&'static str, fn(&Plan) -> bool);

const USES: [Use; 11] = [
    ("estimate", |plan| plan.sampler.is_some()),
    ("samples", |plan| plan.sampler.is_some()),
    ("seed", |plan| plan.sampler.is_some()),
    ("kernel", |plan| plan.sampler.is_some()),
    ("confidence", |plan| matches!(width_of(plan), Some(WidthRule::Adaptive { .. }))),
    ("width_rule", |plan| matches!(width_of(plan), Some(WidthRule::Adaptive { .. }))),
    ("alpha", |plan| matches!(width_of(plan), Some(WidthRule::Relative { .. }))),
    ("sigma", |plan| matches!(width_of(plan), Some(WidthRule::Absolute { .. }))),
    ("steps", |plan| plan.path.is_some()),
    ("quadrature", |plan| plan.path.is_some()),
    ("baseline", |plan| {
        plan.path.as_ref().is_some_and(|path| matches!(path.baseline, Baseline::Values(_)))
    }),
];

fn width_of(plan: &Plan) -> Option<WidthRule> {
    plan.sampler.map(|sampler| sampler.width)
}

/// Refuses an option that was typed and that none of the plans uses.
pub fn all_used(typed: &[String], plans: &[(String, Plan)]) -> Result<(), String> {
    let unused = USES.iter().find(|(option, uses)| {
        typed.iter().any(|name| name == option) && !plans.iter().any(|(_, plan)| uses(plan))
    });
    let Some((option, _)) = unused else {
        return Ok(());
    };
    let names: Vec<&str> = plans.iter().map(|(name, _)| name.as_str()).collect();
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
    settings
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

/// Which classes are explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    One(Target),
    Top(usize),
}

impl Targets {
    /// Reads `predicted`, `top:K`, an index or a label.
    pub fn parse(text: &str, labels: &Labels) -> Result<Self, String> {
        if text == "predicted" {
            return Ok(Targets::One(Target::Predicted));
        }
        if let Some(count) = text.strip_prefix("top:") {
            return match count.parse() {
                Ok(count) if count > 0 => Ok(Targets::Top(count)),
                _ => Err(format!("--target {text:?}: write top:K with K at least 1")),
            };
        }
        match text.parse() {
            Ok(index) => Ok(Targets::One(Target::Index(index))),
            Err(_) => labels.class(text).map(|class| Targets::One(Target::Index(class))),
        }
    }

    /// The classes' indices for one prediction.
    pub fn classes(self, prediction: &Prediction) -> Result<Vec<usize>, mollify::Error> {
        match self {
            Targets::One(target) => Ok(vec![prediction.class(target)?]),
            Targets::Top(count) => Ok(prediction.ranking().into_iter().take(count).collect()),
        }
    }
}

/// How pictures become inputs of `shape`, or why they cannot.
pub fn preprocess(name: Option<&str>, shape: &[usize]) -> Result<Preprocess, String> {
    let &[channels @ (1 | 3), height, width] = shape else {
        return Err(format!(
            "the model takes samples of {shape:?}, not pictures of 1 or 3 channels; give it .npy files"
        ));
    };
    let made = match name {
        None if channels == 1 => Preprocess::unit(channels, height, width),
        None | Some("imagenet") if channels == 3 => Preprocess::imagenet(height, width),
        Some("imagenet") => {
            return Err("--preprocess imagenet takes 3 channels, the model has 1".into());
        }
        Some("unit") => Preprocess::unit(channels, height, width),
        Some("signed") => {
            let half = vec![0.5; channels];
            Preprocess::new(Resize::Exact { height, width }, (height, width), half.clone(), half)
        }
        Some(other) => {
            return Err(format!(
                "--preprocess {other:?} does not exist; choose one of imagenet, unit, signed"
            ));
        }
        None => return Err(format!("the model takes samples of {shape:?}; give it .npy files")),
    };
    made.map_err(|error| error.to_string())
}

/// The domain that was given, else that of the preprocessing.
pub fn domain(
    given: Option<&str>,
    preprocess: Result<&Preprocess, &String>,
) -> Result<Domain, String> {
    let Some(text) = given else {
        return match preprocess {
            Ok(preprocess) => {
                let (lower, upper) = preprocess.domain();
                Ok(Domain::per_channel(lower, upper))
            }
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

    #[test]
    fn targets_are_read() {
        let labels = Labels::load(None, true).unwrap();
        let cases = [
            ("predicted", Targets::One(Target::Predicted)),
            ("top:3", Targets::Top(3)),
            ("285", Targets::One(Target::Index(285))),
            ("goldfish", Targets::One(Target::Index(1))),
        ];
        for (text, expected) in cases {
            assert_eq!(Targets::parse(text, &labels), Ok(expected));
        }
        assert!(Targets::parse("top:0", &labels).is_err());
    }
}
