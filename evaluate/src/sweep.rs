//! Sweeps: a setting, and the values to evaluate it at.

use crate::settings::Setting;

/// A setting and the values to evaluate it at, written `SETTING=VALUE,VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The name of the setting.
    pub setting: String,
    /// The values, in the order of evaluation.
    pub values: Vec<Choice>,
}

/// A value of a swept setting, and the values of other settings to set with it, written
/// `VALUE:SETTING=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// The names and values of the other settings to set with the value.
    pub with: Vec<(String, String)>,
}

impl Sweep {
    /// Parses `SETTING=VALUE,VALUE`.
    ///
    /// # Errors
    ///
    /// Returns a description of what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (setting, values) = split_assignment(text)?;
        let mut choices: Vec<Choice> = Vec::new();
        for choice in values.split(',') {
            let mut parts = choice.split(':').map(str::trim);
            let value = parts.next().unwrap_or_default().to_owned();
            if let Some(known) = choices.iter().find(|known| is_same(&known.value, &value)) {
                return Err(match known.value == value {
                    true => format!("the value {value} is given twice"),
                    false => format!("the values {} and {value} are the same", known.value),
                });
            }
            let with = parts.map(split_assignment).collect::<Result<Vec<_>, _>>()?;
            let names: Vec<&String> = with.iter().map(|(name, _)| name).chain([&setting]).collect();
            if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
                return Err(format!("{choice}: the setting {} is given twice", names[i]));
            }
            choices.push(Choice { value, with });
        }
        Ok(Self { setting, values: choices })
    }

    /// Returns whether the sweep sets the setting called `name`.
    pub fn sets(&self, name: &str) -> bool {
        self.all().any(|setting| setting == name)
    }

    /// Returns the names of all settings that the sweep sets.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let with = self.values.iter().flat_map(|choice| &choice.with);
        std::iter::once(self.setting.as_str()).chain(with.map(|(setting, _)| setting.as_str()))
    }
}

/// Returns whether two values of a setting are equal as text or as numbers.
fn is_same(a: &str, b: &str) -> bool {
    let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    a == b || numbers.is_some_and(|(a, b)| a == b)
}

/// Splits `SETTING=VALUES`, after checking that the setting can be swept.
fn split_assignment(text: &str) -> Result<(String, String), String> {
    let swept =
        || Setting::all().filter(|setting| setting.can_be_swept()).map(|setting| setting.name);
    let names = || swept().collect::<Vec<_>>().join(", ");
    let Some((setting, values)) = text.split_once('=') else {
        return Err(format!(
            "{text:?} is not a sweep; write SETTING=VALUE,VALUE, with one of {}",
            names()
        ));
    };
    if !swept().any(|name| name == setting) {
        return Err(format!("the setting {setting:?} cannot be swept; choose one of {}", names()));
    }
    Ok((setting.to_owned(), values.to_owned()))
}
