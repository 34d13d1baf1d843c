//! The methods with their settings: one variant of each, or several where settings are swept.

use std::path::Path;

use attriburn::npy::{self, Array};
use attriburn::{Plan, Settings, WidthRule};

use crate::args::{Choice, PlanArgs, PlanOption, Sweep};
use crate::arrays::is_array;
use crate::manifest::File;

/// A method with settings.
#[derive(Clone)]
pub struct Variant {
    /// What results are called: the method, and the swept settings that it uses.
    pub name: String,
    pub method: String,
    /// The swept settings that it uses, in the order of the sweeps.
    pub levels: Vec<Level>,
    pub plan: Plan,
}

/// One value of a swept setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub setting: String,
    pub value: String,
}

impl Level {
    /// The value, where it is a number.
    pub fn number(&self) -> Option<f64> {
        self.value.parse().ok()
    }
}

/// The settings that all methods share, with the library's defaults for what was not given.
fn settings(args: &PlanArgs, baseline: Option<&Array>) -> Settings {
    let (method, noise, path, weights) = (&args.method, &args.noise, &args.path, &args.weights);
    let usual = Settings::default();
    let rule = noise.width_rule.unwrap_or(usual.rule);
    Settings {
        samples: method.samples.unwrap_or(usual.samples),
        confidence: noise.confidence.unwrap_or(usual.confidence),
        rule,
        alpha: noise.alpha.unwrap_or(usual.alpha),
        sigma: noise.sigma,
        mollifier: noise.kernel.unwrap_or(usual.mollifier),
        steps: path.steps.unwrap_or(usual.steps),
        quadrature: path.quadrature.unwrap_or(usual.quadrature),
        baseline: baseline.map(|array| array.values.clone()),
        weight_samples: weights.weight_samples.unwrap_or(usual.weight_samples),
        weight_width: match (weights.weight_confidence, weights.weight_sigma, weights.weight_alpha)
        {
            (Some(confidence), ..) => WidthRule::Adaptive { confidence, rule },
            (None, Some(sigma), _) => WidthRule::Absolute { sigma },
            (None, None, Some(alpha)) => WidthRule::Relative { alpha },
            (None, None, None) => usual.weight_width,
        },
        freeze: weights.freeze.clone(),
        budget: method.budget,
        until: method.until,
        estimate: method.estimate.unwrap_or(usual.estimate),
        output: method.score.unwrap_or(usual.output),
        seed: method.seed.unwrap_or(usual.seed),
    }
}

/// The array in a baseline's file, and how the manifest names it.
pub fn baseline(path: &Path) -> Result<(Array, File), String> {
    let wrong = |what: String| format!("--baseline {}: {what}", path.display());
    if !is_array(path) {
        return Err(wrong("give a .npy file".into()));
    }
    let array = npy::read(path).map_err(|error| format!("--baseline: {error}"))?;
    if let Some(index) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(wrong(format!("its value {index} is not finite")));
    }
    let file = File::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    Ok((array, file))
}

/// Refuses an option that was typed and that none of the plans uses.
pub fn all_used<'o>(
    mut options: impl Iterator<Item = &'o PlanOption>,
    variants: &[Variant],
) -> Result<(), String> {
    let is_idle =
        |option: &&PlanOption| !variants.iter().any(|variant| (option.is_used)(&variant.plan));
    let Some(option) = options.find(is_idle) else {
        return Ok(());
    };
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    Err(format!(
        "--{} is not used by {}; leave it out, or ask for a method that uses it",
        option.name,
        names.join(", ")
    ))
}

/// Sets a setting to what a sweep says of it.
fn set(args: &mut PlanArgs, setting: &str, value: &str) -> Result<(), String> {
    match PlanOption::named(setting) {
        Some(option) => option.set(args, value),
        None => Err(format!("--sweep: there is no setting {setting:?}")),
    }
}

/// The variants of the methods in `args`, and those of the methods whose settings are swept.
///
/// # Errors
///
/// When a setting is wrong, or a swept setting is also given by itself or used by no method.
pub fn variants(
    args: &PlanArgs,
    baseline: Option<&Array>,
    sweeps: &[Sweep],
) -> Result<Vec<Variant>, String> {
    for (index, sweep) in sweeps.iter().enumerate() {
        let before = |name: &str| sweeps[..index].iter().any(|other| other.sets(name));
        let is_given =
            |name: &str| PlanOption::named(name).is_some_and(|option| option.is_given(args));
        if let Some(name) = sweep.all().find(|name| before(name) || is_given(name)) {
            let setting = &sweep.setting;
            return Err(format!("--sweep {setting}: {name} is given twice; give it once"));
        }
    }
    let methods = args.method.methods();
    let mut found: Vec<Variant> = Vec::new();
    for method in &methods {
        for choices in combinations(sweeps) {
            let mut own = args.clone();
            let plan = |args: &PlanArgs| {
                method.plan(&settings(args, baseline)).map_err(|error| error.to_string())
            };
            for (sweep, choice) in sweeps.iter().zip(&choices) {
                set(&mut own, &sweep.setting, &choice.value)?;
            }
            // What goes with a value is of the methods that use it.
            let first = plan(&own)?;
            let pairs = || sweeps.iter().zip(&choices);
            let is_used = |sweep: &Sweep| PlanOption::uses(&first, &sweep.setting);
            for (_, choice) in pairs().filter(|(sweep, _)| is_used(sweep)) {
                choice.with.iter().try_for_each(|(name, value)| set(&mut own, name, value))?;
            }
            let plan = plan(&own)?;
            let level = |(sweep, choice): (&Sweep, &&Choice)| Level {
                setting: sweep.setting.clone(),
                value: choice.value.clone(),
            };
            let used = pairs().filter(|(sweep, _)| PlanOption::uses(&plan, &sweep.setting));
            let levels: Vec<Level> = used.map(level).collect();
            let texts = levels.iter().map(|level| format!(" {}={}", level.setting, level.value));
            let name = method.name() + &texts.collect::<String>();
            if !found.iter().any(|known| known.name == name) {
                plan.check().map_err(|error| match levels.is_empty() {
                    true => error.to_string(),
                    false => format!("{name}: {error}"),
                })?;
                found.push(Variant { name, method: method.name(), levels, plan });
            }
        }
    }
    for sweep in sweeps {
        let is_of = |variant: &&Variant| variant.levels.iter().any(|l| l.setting == sweep.setting);
        let of_sweep: Vec<&Variant> = found.iter().filter(is_of).collect();
        if of_sweep.is_empty() {
            return Err(format!(
                "--sweep {}: none of the methods uses it; leave it out, or ask for one that does",
                sweep.setting
            ));
        }
        let is_idle =
            |name: &&str| !of_sweep.iter().any(|variant| PlanOption::uses(&variant.plan, name));
        if let Some(name) = sweep.all().find(is_idle) {
            return Err(format!(
                "--sweep {}: none of its methods uses the {name} that goes with it; leave it out, or ask for one that does",
                sweep.setting
            ));
        }
    }
    Ok(found)
}

/// Every choice of one value of each sweep, the last sweep's changing first; one empty choice of
/// none.
fn combinations(sweeps: &[Sweep]) -> Vec<Vec<&Choice>> {
    sweeps.iter().fold(vec![Vec::new()], |all, sweep| {
        let with = |one: &Vec<_>, choice| one.iter().copied().chain([choice]).collect::<Vec<_>>();
        all.iter().flat_map(|one| sweep.values.iter().map(move |c| with(one, c))).collect()
    })
}

#[cfg(test)]
mod tests {
    use attriburn::WidthRule;
    use clap::Parser;

    use super::*;
    use crate::args::EvaluateArgs;

    fn names(options: &str) -> Result<Vec<String>, String> {
        let args = EvaluateArgs::try_parse_from(["evaluate"].into_iter().chain(options.split(' ')))
            .map_err(|error| error.to_string())?;
        let found = variants(&args.plan, None, &args.sweep)?;
        Ok(found.into_iter().map(|variant| variant.name).collect())
    }

    #[test]
    fn each_method_takes_the_settings_that_it_uses() {
        let found = names(
            "--methods gradient,smoothgrad,adaptgrad --sweep alpha=0.1,0.2 --sweep confidence=0.9 --sweep samples=5,9",
        );
        let expected = [
            "gradient",
            "smoothgrad alpha=0.1 samples=5",
            "smoothgrad alpha=0.1 samples=9",
            "smoothgrad alpha=0.2 samples=5",
            "smoothgrad alpha=0.2 samples=9",
            "adaptgrad confidence=0.9 samples=5",
            "adaptgrad confidence=0.9 samples=9",
        ];
        assert_eq!(found.expect("names"), expected);
        assert_eq!(names("--methods gradient,ng").expect("names"), ["gradient", "ng"]);
        let sigmas = names("--methods smoothgrad --sweep sigma=0.5,1");
        assert_eq!(sigmas.expect("names"), ["smoothgrad sigma=0.5", "smoothgrad sigma=1"]);
    }

    #[test]
    fn settings_go_together() {
        let sweep = "kernel=gaussian:alpha=0.25:weight-sigma=0.01,rect:alpha=0.5";
        let options = ["evaluate", "--methods", "gradient,smoothgrad,ng", "--sweep", sweep];
        let args = EvaluateArgs::parse_from(options);
        let found = variants(&args.plan, None, &args.sweep).expect("variants");
        let names: Vec<&str> = found.iter().map(|variant| variant.name.as_str()).collect();
        let expected = [
            "gradient",
            "smoothgrad kernel=gaussian",
            "smoothgrad kernel=rect",
            "ng kernel=gaussian",
            "ng kernel=rect",
        ];
        assert_eq!(names, expected);
        let width = |index: usize| found[index].plan.sampler.map(|sampler| sampler.width);
        assert_eq!(width(1), Some(WidthRule::Relative { alpha: 0.25 }));
        assert_eq!(width(2), Some(WidthRule::Relative { alpha: 0.5 }));
        let weights = |index: usize| found[index].plan.weights.as_ref().map(|w| w.width);
        assert_eq!(weights(3), Some(WidthRule::Absolute { sigma: 0.01 }));
        assert_eq!(weights(4), Some(WidthRule::Relative { alpha: 0.2 }));
        // The methods without a confidence keep their own samples.
        let sweep = "confidence=0.9:samples=10,0.99:samples=100";
        let options = ["evaluate", "--methods", "smoothgrad,adaptgrad", "--sweep", sweep];
        let args = EvaluateArgs::parse_from(options);
        let found = variants(&args.plan, None, &args.sweep).expect("variants");
        let samples: Vec<u32> = found.iter().map(|variant| variant.plan.samples).collect();
        assert_eq!(samples, [50, 10, 100]);
    }

    #[test]
    fn what_cannot_be_swept_is_refused() {
        let cases = [
            ("--sweep alpha", "write SETTING=VALUE,VALUE"),
            ("--sweep seed=1,2", "\"seed\" cannot be swept; choose one of samples, confidence"),
            ("--sweep alpha=0.1,0.1", "0.1 is given twice"),
            ("--sweep alpha=0.1,0.10", "0.1 and 0.10 are the same"),
            ("--sweep samples=0.5", "--sweep samples: \"0.5\" is no value of it"),
            ("--sweep alpha=0.1", "--sweep alpha: none of the methods uses it"),
            ("--sweep confidence=0.9,1.5", "adaptgrad confidence=1.5: confidence is 1.5"),
            ("--sweep confidence=0.9 --sweep confidence=0.8", "confidence is given twice"),
            ("--sweep kernel=rect:seed=1", "\"seed\" cannot be swept"),
            ("--sweep confidence=0.9:confidence=0.8", "confidence is given twice"),
            ("--sweep kernel=rect:samples=3:samples=4", "samples is given twice"),
            (
                "--sweep kernel=rect:alpha=0.1",
                "none of its methods uses the alpha that goes with it",
            ),
            ("--sweep kernel=rect:alpha=wide", "--sweep alpha: \"wide\" is no value of it"),
            ("--sweep kernel=rect:alpha=0.1 --sweep alpha=0.2", "alpha is given twice"),
        ];
        for (options, expected) in cases {
            let message = names(options).expect_err(options);
            assert!(message.contains(expected), "{options}: {message}");
        }
    }
}
