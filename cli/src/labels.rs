//! The classes' names.

use std::path::Path;

use crate::{Fatal, assets};

/// The names of the classes in their order; empty where they are not known.
pub struct Labels(Vec<String>);

impl Labels {
    /// The names in `file`, one per line; those of ImageNet for the built-in model.
    pub fn load(file: Option<&Path>, built_in: bool) -> Result<Self, Fatal> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                format!("the labels {} cannot be read: {error}", path.display())
            })?,
            None if built_in => assets::LABELS.to_owned(),
            None => String::new(),
        };
        Ok(Self(text.lines().map(|line| line.trim().to_owned()).collect()))
    }

    /// Checks that there is a name for each of `classes`, or none at all.
    ///
    /// # Errors
    ///
    /// When the numbers differ.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        match self.0.len() {
            0 => Ok(()),
            count if count == classes => Ok(()),
            count => Err(format!(
                "there are {count} labels, one per line, but the model has {classes} classes"
            )),
        }
    }

    /// All names, one per line.
    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    /// The name of `class`, where it is known.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Whether the names are not known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes called `name`, whatever the case.
    pub fn classes(&self, name: &str) -> Vec<usize> {
        let wanted = name.to_lowercase();
        let same = self.0.iter().enumerate().filter(|(_, label)| label.to_lowercase() == wanted);
        same.map(|(class, _)| class).collect()
    }

    /// The class called `name`, whatever the case.
    ///
    /// # Errors
    ///
    /// When no class or several have the name; the message suggests near ones.
    pub fn class(&self, name: &str) -> Result<usize, String> {
        if self.is_empty() {
            return Err(format!(
                "the target {name:?} is a label, but the classes' names are not known; give them with --labels, or an index"
            ));
        }
        match self.classes(name)[..] {
            [class] => Ok(class),
            [] => Err(format!(
                "there is no label {name:?}; near ones are {}",
                nearest(&name.to_lowercase(), self.0.iter().map(String::as_str)).join(", ")
            )),
            ref classes => Err(format!(
                "{} classes are called {name:?}: give one of the indices {classes:?}",
                classes.len()
            )),
        }
    }
}

/// The three of `names` that are nearest to `wanted`, which is in lower case.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let contains = if name.contains(wanted) { 1.0 } else { 0.0 };
        contains + strsim::jaro_winkler(&name, wanted)
    };
    let mut ranked: Vec<(f64, &str)> = names.map(|name| (likeness(name), name)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(3).map(|(_, name)| format!("{name:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_or_suggested() {
        let labels = Labels::load(None, true).unwrap();
        assert_eq!(labels.class("egyptian Cat"), Ok(285));
        let message = labels.class("egyptain cat").unwrap_err();
        let expected = "there is no label \"egyptain cat\"; near ones are \"Egyptian cat\"";
        assert!(message.starts_with(expected), "{message}");
        let twice = Labels(vec!["crane".into(), "tench".into(), "crane".into()]);
        let message = twice.class("Crane").unwrap_err();
        assert_eq!(message, "2 classes are called \"Crane\": give one of the indices [0, 2]");
    }
}
