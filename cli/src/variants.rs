//! The methods with their settings: one variant of each, or several where settings are swept.

use mollify::Plan;

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

/// A setting and the values that it takes in turn, from `--sweep SETTING=VALUE,VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    setting: String,
    values: Vec<String>,
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
        let names: Vec<&str> = SWEPT.iter().map(|(name, _)| *name).collect();
        let Some((setting, values)) = text.split_once('=') else {
            return Err(format!("write SETTING=VALUE,VALUE, with one of {}", names.join(", ")));
        };
        if !names.contains(&setting) {
            return Err(format!("{setting:?} cannot be swept; choose one of {}", names.join(", ")));
        }
        let mut found: Vec<String> = Vec::new();
        for value in values.split(',').map(str::trim) {
            if let Some(known) = found.iter().find(|known| is_same(known, value)) {
                return Err(match known == value {
                    true => format!("{value} is given twice"),
                    false => format!("{known} and {value} are the same"),
                });
            }
            found.push(value.to_owned());
        }
        Ok(Self { setting: setting.to_owned(), values: found })
    }

    /// The setting's name, as the option's.
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// Whether it is of the setting of `option`, as clap names it.
    pub fn is_of(&self, option: &str) -> bool {
        option.replace('_', "-") == self.setting
    }

    fn set(&self, args: &mut PlanArgs, value: &str) -> Result<(), String> {
        let set = SWEPT.iter().find(|(name, _)| *name == self.setting).map(|(_, set)| *set);
        set.and_then(|set| set(args, value))
            .ok_or_else(|| format!("--sweep {}: {value:?} is no value of it", self.setting))
    }
}

/// The variants of the methods in `args`, and those of the methods whose settings are swept.
///
/// # Errors
///
/// When a method or setting is wrong, or a swept setting is also `typed` or used by no method.
pub fn variants(
    args: &PlanArgs,
    baseline: Option<&mollify::npy::Array>,
    sweeps: &[Sweep],
    typed: &[String],
) -> Result<Vec<Variant>, String> {
    for (index, sweep) in sweeps.iter().enumerate() {
        let twice = sweeps[..index].iter().any(|other| other.setting == sweep.setting);
        if twice || typed.iter().any(|option| sweep.is_of(option)) {
            let name = &sweep.setting;
            return Err(format!("--sweep {name}: {name} is given twice; give it once"));
        }
    }
    let methods = settings::methods(args)?;
    let mut found: Vec<Variant> = Vec::new();
    for method in &methods {
        for values in combinations(sweeps) {
            let mut set = args.clone();
            for (sweep, value) in sweeps.iter().zip(&values) {
                sweep.set(&mut set, value)?;
            }
            let plan = method
                .plan(&settings::settings(&set, baseline)?)
                .map_err(|error| error.to_string())?;
            let pairs = sweeps.iter().zip(values);
            let levels: Vec<Level> = pairs
                .filter(|(sweep, _)| settings::is_used(&sweep.setting, &plan))
                .map(|(sweep, value)| Level { setting: sweep.setting.clone(), value })
                .collect();
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
    let is_used = |sweep: &&Sweep| {
        found.iter().any(|variant| variant.levels.iter().any(|l| l.setting == sweep.setting))
    };
    match sweeps.iter().find(|sweep| !is_used(sweep)) {
        Some(sweep) => Err(format!(
            "--sweep {}: none of the methods uses it; leave it out, or ask for one that does",
            sweep.setting
        )),
        None => Ok(found),
    }
}

/// Every choice of one value of each sweep, the last sweep's changing first; one empty choice of
/// none.
fn combinations(sweeps: &[Sweep]) -> Vec<Vec<String>> {
    sweeps.iter().fold(vec![Vec::new()], |choices, sweep| {
        let with = |choice: &Vec<String>, value: &String| {
            choice.iter().chain([value]).cloned().collect::<Vec<_>>()
        };
        choices
            .iter()
            .flat_map(|choice| sweep.values.iter().map(move |v| with(choice, v)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
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
        ];
        for (options, expected) in cases {
            let message = names(options).expect_err(options);
            assert!(message.contains(expected), "{options}: {message}");
        }
    }
}
