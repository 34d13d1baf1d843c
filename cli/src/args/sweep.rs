//! `--sweep`: a setting and the values that it takes in turn.

use super::uses::PlanOption;

/// A setting and the values that it takes in turn, from `--sweep SETTING=VALUE,VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub setting: String,
    pub values: Vec<Choice>,
}

/// A value, and those of other settings that go with it, from `VALUE:SETTING=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub value: String,
    pub with: Vec<(String, String)>,
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

    /// Whether it sets the setting called `name`.
    pub fn sets(&self, name: &str) -> bool {
        self.all().any(|setting| setting == name)
    }

    /// Every setting that it sets.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let with = self.values.iter().flat_map(|choice| &choice.with);
        std::iter::once(self.setting.as_str()).chain(with.map(|(setting, _)| setting.as_str()))
    }
}

/// Whether two values of a setting mean the same.
fn is_same(a: &str, b: &str) -> bool {
    let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    a == b || numbers.is_some_and(|(a, b)| a == b)
}

/// A setting that can be swept, and what stands behind its `=`.
fn pair(text: &str) -> Result<(String, String), String> {
    let names = || PlanOption::swept().collect::<Vec<_>>().join(", ");
    let Some((setting, values)) = text.split_once('=') else {
        return Err(format!("write SETTING=VALUE,VALUE, with one of {}", names()));
    };
    if !PlanOption::swept().any(|name| name == setting) {
        return Err(format!("{setting:?} cannot be swept; choose one of {}", names()));
    }
    Ok((setting.to_owned(), values.to_owned()))
}
