//! The methods and their plans, from the options.

use std::path::Path;

use attriburn::WidthRule;
use attriburn_evaluate::{ErrorKind, Setting, Settings, Sweep, Variant};
use attriburn_picture::npy::{self, Array};

use crate::args::{PlanArgs, RunOptions};
use crate::output::manifest::FileRecord;
use crate::setup::arrays::is_array;

/// Returns the settings of all methods, with the library's defaults for options that are not set.
fn settings(args: &PlanArgs, baseline: Option<&Array>) -> Settings {
    let (method, noise, path, weights) = (&args.method, &args.noise, &args.path, &args.weights);
    Settings::with(|settings| {
        let default = settings.clone();
        settings.samples = method.samples.unwrap_or(default.samples);
        settings.confidence = noise.confidence.unwrap_or(default.confidence);
        settings.rule = noise.width_rule.unwrap_or(default.rule);
        settings.alpha = noise.alpha.unwrap_or(default.alpha);
        settings.sigma = noise.sigma;
        settings.mollifier = noise.kernel.unwrap_or(default.mollifier);
        settings.steps = path.steps.unwrap_or(default.steps);
        settings.quadrature = path.quadrature.unwrap_or(default.quadrature);
        settings.baseline = baseline.map(|array| array.values.clone());
        settings.weight_samples = weights.weight_samples.unwrap_or(default.weight_samples);
        let widths = (weights.weight_confidence, weights.weight_sigma, weights.weight_alpha);
        settings.weight_width = match widths {
            (Some(confidence), ..) => WidthRule::Adaptive { confidence, rule: settings.rule },
            (None, Some(sigma), _) => WidthRule::Absolute { sigma },
            (None, None, Some(alpha)) => WidthRule::Relative { alpha },
            (None, None, None) => default.weight_width,
        };
        settings.freeze = weights.freeze.clone();
        settings.budget = method.budget;
        settings.until = method.until;
        settings.estimate = method.estimate.unwrap_or(default.estimate);
        settings.layer.clone_from(&method.layer);
        settings.output = method.score.unwrap_or(default.output);
        settings.seed = method.seed.unwrap_or(default.seed);
    })
}

/// Returns the variants of the selected methods: each with its plan, and one per combination of swept values.
///
/// # Errors
///
/// When a setting is out of range, or a swept setting is also set by an option or used by no method.
pub fn variants(
    args: &PlanArgs,
    baseline: Option<&Array>,
    sweeps: &[Sweep],
    options: &RunOptions,
) -> Result<Vec<Variant>, String> {
    for sweep in sweeps {
        if let Some(name) = sweep.all().find(|name| options.is_set(name)) {
            let setting = &sweep.setting;
            return Err(format!("--sweep {setting}: {name} is given twice; give it once"));
        }
    }
    let variants =
        attriburn_evaluate::variants(&args.method.methods(), &settings(args, baseline), sweeps);
    variants.map_err(|error| match error.kind() {
        ErrorKind::Sweep => format!("--{error}"),
        _ => error.to_string(),
    })
}

/// Reads the array in a baseline's file, with the file's entry for manifests.
pub fn read_baseline(path: &Path) -> Result<(Array, FileRecord), String> {
    let error = |reason: String| format!("--baseline {}: {reason}", path.display());
    if !is_array(path) {
        return Err(error("give a .npy file".into()));
    }
    let array = npy::read(path).map_err(|error| format!("--baseline: {error}"))?;
    if let Some(index) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(error(format!("the value at index {index} is not finite")));
    }
    let file =
        FileRecord::read(path).map_err(|reason| error(format!("cannot be read: {reason}")))?;
    Ok((array, file))
}

/// Checks that at least one plan uses each of `settings`, which the command line sets.
pub fn check_all_used(
    mut settings: impl Iterator<Item = &'static Setting>,
    variants: &[Variant],
) -> Result<(), String> {
    let is_unused =
        |setting: &&Setting| !variants.iter().any(|variant| setting.is_used(&variant.plan));
    let Some(setting) = settings.find(is_unused) else {
        return Ok(());
    };
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    Err(format!(
        "--{} is not used by {}; leave it out, or choose a method that uses it",
        setting.name,
        names.join(", ")
    ))
}
