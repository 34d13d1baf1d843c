//! Variants: each method with settings, once for each combination of the swept values that the method uses.

use attriburn::Plan;

use crate::error::{Error, ErrorKind};
use crate::method::Method;
use crate::settings::{Setting, Settings};
use crate::sweep::{Choice, Sweep};

/// A method with settings.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name in the results: the name of the method and the swept settings that the method uses.
    pub name: String,
    /// The name of the method.
    pub method: String,
    /// The swept settings that the method uses, in the order of the sweeps.
    pub levels: Vec<Level>,
    /// The plan of the method with these settings.
    pub plan: Plan,
}

/// One value of a swept setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The name of the setting.
    pub setting: String,
    /// The value, as it was written.
    pub value: String,
}

impl Level {
    /// Returns the value as a number; `None` for a value such as the name of a mollifier.
    pub fn number(&self) -> Option<f64> {
        self.value.parse().ok()
    }
}

/// Returns the variants of `methods`. `settings` has the values of the settings that are not swept.
///
/// # Errors
///
/// Returns an error if a setting is out of range, or if a swept setting is set twice or used by no method.
pub fn variants(
    methods: &[Method],
    settings: &Settings,
    sweeps: &[Sweep],
) -> Result<Vec<Variant>, Error> {
    check_each_set_once(sweeps)?;
    let mut variants: Vec<Variant> = Vec::new();
    for method in methods {
        for choices in combinations(sweeps) {
            let variant = variant(method, settings, sweeps, &choices)?;
            if !variants.iter().any(|known| known.name == variant.name) {
                variant.plan.check().map_err(|error| match variant.levels.is_empty() {
                    true => error.into(),
                    false => Error::new(ErrorKind::Plan, format!("{}: {error}", variant.name)),
                })?;
                variants.push(variant);
            }
        }
    }
    sweeps.iter().try_for_each(|sweep| check_used(sweep, &variants))?;
    Ok(variants)
}

/// Returns the variant of a method for one choice of each sweep.
fn variant(
    method: &Method,
    settings: &Settings,
    sweeps: &[Sweep],
    choices: &[&Choice],
) -> Result<Variant, Error> {
    let mut settings = settings.clone();
    for (sweep, choice) in sweeps.iter().zip(choices) {
        set(&mut settings, &sweep.setting, &choice.value)?;
    }
    // The other settings of a choice apply only to methods that use the swept setting.
    let swept_plan = method.plan(&settings)?;
    let pairs = || sweeps.iter().zip(choices);
    for (_, choice) in pairs().filter(|(sweep, _)| uses(&swept_plan, &sweep.setting)) {
        choice.with.iter().try_for_each(|(name, value)| set(&mut settings, name, value))?;
    }
    let plan = method.plan(&settings)?;
    let level = |(sweep, choice): (&Sweep, &&Choice)| Level {
        setting: sweep.setting.clone(),
        value: choice.value.clone(),
    };
    let levels: Vec<Level> =
        pairs().filter(|(sweep, _)| uses(&plan, &sweep.setting)).map(level).collect();
    let texts = levels.iter().map(|level| format!(" {}={}", level.setting, level.value));
    let name = method.name() + &texts.collect::<String>();
    Ok(Variant { name, method: method.name(), levels, plan })
}

/// Returns whether `plan` uses the setting called `name`.
fn uses(plan: &Plan, name: &str) -> bool {
    Setting::named(name).is_some_and(|setting| setting.is_used(plan))
}

/// Sets the setting called `name` to a value of a sweep.
fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), Error> {
    let setting = Setting::named(name).ok_or_else(|| {
        Error::new(ErrorKind::Sweep, format!("sweep {name}: there is no such setting"))
    })?;
    setting.set(settings, value).ok_or_else(|| {
        let message = format!("sweep {name}: {value:?} is not a valid value of this setting");
        Error::new(ErrorKind::Sweep, message)
    })
}

/// Returns an error if two sweeps set the same setting.
fn check_each_set_once(sweeps: &[Sweep]) -> Result<(), Error> {
    for (index, sweep) in sweeps.iter().enumerate() {
        let is_set_before = |name: &str| sweeps[..index].iter().any(|other| other.sets(name));
        if let Some(name) = sweep.all().find(|name| is_set_before(name)) {
            let message =
                format!("sweep {}: the setting {name} is given twice; give it once", sweep.setting);
            return Err(Error::new(ErrorKind::Sweep, message));
        }
    }
    Ok(())
}

/// Returns an error if a sweep has a setting that none of its variants uses.
fn check_used(sweep: &Sweep, variants: &[Variant]) -> Result<(), Error> {
    let error = |reason: String| {
        Err(Error::new(ErrorKind::Sweep, format!("sweep {}: {reason}", sweep.setting)))
    };
    let is_swept = |variant: &&Variant| variant.levels.iter().any(|l| l.setting == sweep.setting);
    let swept: Vec<&Variant> = variants.iter().filter(is_swept).collect();
    if swept.is_empty() {
        return error(
            "none of the methods uses this setting; leave it out, or add a method that uses it"
                .into(),
        );
    }
    let is_unused = |name: &&str| !swept.iter().any(|variant| uses(&variant.plan, name));
    match sweep.all().find(is_unused) {
        Some(name) => error(format!(
            "none of its methods uses the setting {name}, which the sweep also sets; leave it out, or add a method that uses it"
        )),
        None => Ok(()),
    }
}

/// Returns every combination of one choice of each sweep; the choice of the last sweep varies fastest.
/// Without sweeps there is one empty combination.
fn combinations(sweeps: &[Sweep]) -> Vec<Vec<&Choice>> {
    sweeps.iter().fold(vec![Vec::new()], |combinations, sweep| {
        let extend =
            |choices: &Vec<_>, choice| choices.iter().copied().chain([choice]).collect::<Vec<_>>();
        combinations
            .iter()
            .flat_map(|choices| sweep.values.iter().map(move |choice| extend(choices, choice)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use attriburn::WidthRule;

    use super::*;

    /// Returns the variants of the methods with these names, separated by commas.
    fn parse_variants(methods: &str, sweeps: &[&str]) -> Result<Vec<Variant>, String> {
        let methods: Vec<Method> =
            methods.split(',').map(|name| Method::named(name).expect("a method")).collect();
        let sweeps = sweeps.iter().map(|text| Sweep::parse(text)).collect::<Result<Vec<_>, _>>()?;
        variants(&methods, &Settings::default(), &sweeps).map_err(|error| error.to_string())
    }

    fn names(methods: &str, sweeps: &[&str]) -> Result<Vec<String>, String> {
        Ok(parse_variants(methods, sweeps)?.into_iter().map(|variant| variant.name).collect())
    }

    #[test]
    fn variants_have_only_settings_that_their_method_uses() {
        let sweeps = ["alpha=0.1,0.2", "confidence=0.9", "samples=5,9"];
        let found = names("gradient,smoothgrad,adaptgrad", &sweeps);
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
        assert_eq!(names("gradient,ng", &[]).expect("names"), ["gradient", "ng"]);
        let sigmas = names("smoothgrad", &["sigma=0.5,1"]);
        assert_eq!(sigmas.expect("names"), ["smoothgrad sigma=0.5", "smoothgrad sigma=1"]);
    }

    #[test]
    fn swept_values_set_other_settings() {
        let sweep = "kernel=gaussian:alpha=0.25:weight-sigma=0.01,rect:alpha=0.5";
        let found = parse_variants("gradient,smoothgrad,ng", &[sweep]).expect("variants");
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
        // SmoothGrad has no confidence, so it keeps its own number of samples.
        let sweep = "confidence=0.9:samples=10,0.99:samples=100";
        let found = parse_variants("smoothgrad,adaptgrad", &[sweep]).expect("variants");
        let samples: Vec<u32> =
            found.iter().filter_map(|v| v.plan.sampler).map(|sampler| sampler.samples).collect();
        assert_eq!(samples, [50, 10, 100]);
    }

    #[test]
    fn invalid_sweeps_are_errors() {
        let cases: [(&[&str], &str); 14] = [
            (&["alpha"], "write SETTING=VALUE,VALUE"),
            (&["seed=1,2"], "\"seed\" cannot be swept; choose one of samples, confidence"),
            (&["alpha=0.1,0.1"], "the value 0.1 is given twice"),
            (&["alpha=0.1,0.10"], "the values 0.1 and 0.10 are the same"),
            (&["samples=0.5"], "sweep samples: \"0.5\" is not a valid value of this setting"),
            (&["alpha=0.1"], "sweep alpha: none of the methods uses this setting"),
            (&["confidence=0.9,1.5"], "adaptgrad confidence=1.5: confidence is 1.5"),
            (&["confidence=0.9", "confidence=0.8"], "confidence is given twice"),
            (&["kernel=rect:seed=1"], "\"seed\" cannot be swept"),
            (&["confidence=0.9:confidence=0.8"], "confidence is given twice"),
            (&["kernel=rect:samples=3:samples=4"], "samples is given twice"),
            (&["kernel=rect:alpha=0.1"], "none of its methods uses the setting alpha"),
            (
                &["kernel=rect:alpha=wide"],
                "sweep alpha: \"wide\" is not a valid value of this setting",
            ),
            (&["kernel=rect:alpha=0.1", "alpha=0.2"], "alpha is given twice"),
        ];
        for (sweeps, expected) in cases {
            let message = names("adaptgrad", sweeps).expect_err(expected);
            assert!(message.contains(expected), "{sweeps:?}: {message}");
        }
    }
}
