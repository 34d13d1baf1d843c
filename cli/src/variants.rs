//! The methods with their settings: one variant of each, or several where settings are swept.

use attriburn::Plan;

use crate::args::PlanArgs;
use crate::settings;

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

/// A setting and the values that it takes in turn, from `--sweep SETTING=VALUE,VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    setting: String,
    values: Vec<Choice>,
}

/// A value, and those of other settings that go with it, from `VALUE:SETTING=VALUE`.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    value: String,
    with: Vec<(String, String)>,
}

/// Writes a value into the command line's settings.
type Set = fn(&mut PlanArgs, &str) -> Option<()>;

/// The settings that can be swept.
const SWEPT: [(&str, Set); 10] = [
    ("alpha", |args, value| read(&mut args.alpha, value)),
    ("sigma", |args, value| read(args.sigma.get_or_insert_default(), value)),
    ("confidence", |args, value| read(&mut args.confidence, value)),
    ("samples", |args, value| read(&mut args.samples, value)),
    ("kernel", |args, value| read(&mut args.kernel, value)),
    ("steps", |args, value| read(&mut args.steps, value)),
    ("weight-samples", |args, value| read(&mut args.weight_samples, value)),
    ("weight-alpha", |args, value| read(&mut args.weight_alpha, value)),
    ("weight-sigma", |args, value| read(args.weight_sigma.get_or_insert_default(), value)),
    ("weight-confidence", |args, value| {
        read(args.weight_confidence.get_or_insert_default(), value)
    }),
];

fn read<T: std::str::FromStr>(place: &mut T, value: &str) -> Option<()> {
    *place = value.parse().ok()?;
    Some(())
}

/// Whether two values of a setting mean the same.
fn is_same(a: &str, b: &str) -> bool {
    let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    a == b || numbers.is_some_and(|(a, b)| a == b)
}

impl Sweep {
    /// Reads `SETTING=VALUE,VALUE`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (setting, values) = pair(text)?;
        let mut found: Vec<Choice> = Vec::new();
        for choice in values.split(',') {
            let mut parts = choice.split(':').map(str::trim);
            let value = parts.next().unwrap_or_default().to_owned();
            if let Some(known) = found.iter().find(|known| is_same(&known.value, &value)) {
                return Err(match known.value == value {
                    true => format!("{value} is given twice"),
                    false => format!("{} and {value} are the same", known.value),
                });
            }
            let with = parts.map(pair).collect::<Result<Vec<_>, _>>()?;
            let names: Vec<&String> = with.iter().map(|(name, _)| name).chain([&setting]).collect();
            if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
                return Err(format!("{choice}: {} is given twice", names[i]));
            }
            found.push(Choice { value, with });
        }
        Ok(Self { setting, values: found })
    }

    /// Whether it sets the setting of `option`, as clap names it.
    pub fn sets(&self, option: &str) -> bool {
        self.all().any(|setting| option.replace('_', "-") == setting)
    }

    /// Every setting that it sets.
    fn all(&self) -> impl Iterator<Item = &str> {
        let with = self.values.iter().flat_map(|choice| &choice.with);
        std::iter::once(self.setting.as_str()).chain(with.map(|(setting, _)| setting.as_str()))
    }
}

/// Sets a setting to what the command line says of it.
fn set(args: &mut PlanArgs, setting: &str, value: &str) -> Result<(), String> {
    let found = SWEPT.iter().find(|(name, _)| *name == setting).map(|(_, set)| *set);
    found
        .and_then(|set| set(args, value))
        .ok_or_else(|| format!("--sweep {setting}: {value:?} is no value of it"))
}

/// A setting that can be swept, and what stands behind its `=`.
fn pair(text: &str) -> Result<(String, String), String> {
    let names: Vec<&str> = SWEPT.iter().map(|(name, _)| *name).collect();
    let Some((setting, values)) = text.split_once('=') else {
        return Err(format!("write SETTING=VALUE,VALUE, with one of {}", names.join(", ")));
    };
    if !names.contains(&setting) {
        return Err(format!("{setting:?} cannot be swept; choose one of {}", names.join(", ")));
    }
    Ok((setting.to_owned(), values.to_owned()))
}

/// The variants of the methods in `args`, and those of the methods whose settings are swept.
///
/// # Errors
///
/// When a method or setting is wrong, or a swept setting is also `typed` or used by no method.
pub fn variants(
    args: &PlanArgs,
    baseline: Option<&attriburn::npy::Array>,
    sweeps: &[Sweep],
    typed: &[String],
) -> Result<Vec<Variant>, String> {
    for (index, sweep) in sweeps.iter().enumerate() {
        let before = |name: &str| sweeps[..index].iter().any(|other| other.sets(name));
        let is_typed = |name: &str| typed.iter().any(|option| option.replace('_', "-") == name);
        if let Some(name) = sweep.all().find(|name| before(name) || is_typed(name)) {
            let setting = &sweep.setting;
            return Err(format!("--sweep {setting}: {name} is given twice; give it once"));
        }
    }
    let methods = settings::methods(args)?;
    let mut found: Vec<Variant> = Vec::new();
    for method in &methods {
        for choices in combinations(sweeps) {
            let mut own = args.clone();
            let plan = |args: &PlanArgs| {
                let settings = settings::settings(args, baseline)?;
                method.plan(&settings).map_err(|error| error.to_string())
            };
            for (sweep, choice) in sweeps.iter().zip(&choices) {
                set(&mut own, &sweep.setting, &choice.value)?;
            }
            // What goes with a value is of the methods that use it.
            let first = plan(&own)?;
            let pairs = || sweeps.iter().zip(&choices);
            let is_used = |sweep: &Sweep| settings::is_used(&sweep.setting, &first);
            for (_, choice) in pairs().filter(|(sweep, _)| is_used(sweep)) {
                choice.with.iter().try_for_each(|(name, value)| set(&mut own, name, value))?;
            }
            let plan = plan(&own)?;
            let level = |(sweep, choice): (&Sweep, &&Choice)| Level {
                setting: sweep.setting.clone(),
                value: choice.value.clone(),
            };
            let used = pairs().filter(|(sweep, _)| settings::is_used(&sweep.setting, &plan));
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
            |name: &&str| !of_sweep.iter().any(|variant| settings::is_used(name, &variant.plan));
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
        let found = variants(&args.plan, None, &args.sweep, &[])?;
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
        let found = variants(&args.plan, None, &args.sweep, &[]).expect("variants");
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
        let found = variants(&args.plan, None, &args.sweep, &[]).expect("variants");
        let samples: Vec<u32> = found.iter().map(|variant| variant.plan.samples).collect();
        assert_eq!(samples, [50, 10, 100]);
    }

    #[test]
    fn what_cannot_be_swept_is_refused() {
        let cases = [
            ("--sweep alpha", "write SETTING=VALUE,VALUE"),
            ("--sweep seed=1,2", "\"seed\" cannot be swept; choose one of alpha, sigma"),
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
