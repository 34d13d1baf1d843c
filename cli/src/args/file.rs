//! Options from a settings file or a manifest, which the command line goes before.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::nearest::nearest;

/// Which options a run was given, by their long names and with their values as they are written.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// All of them, for the manifest.
    pub options: BTreeMap<String, Vec<String>>,
    /// Those that came from a file. A method need not use these.
    from_file: BTreeSet<String>,
}

/// What a file cannot say.
const NOT_IN_FILES: [&str; 3] = ["config", "like", "help"];

/// What is explained or measured, of which a file's goes where the command line has any.
const INPUTS: [&str; 3] = ["inputs", "files-from", "images"];

/// What shapes no map, and is not repeated with `--like`.
const NOT_RECORDED: [&str; 10] = [
    "config",
    "like",
    "out",
    "json",
    "quiet",
    "verbose",
    "color",
    "skip-existing",
    "resume",
    "help",
];

impl Given {
    /// What of `matches` was given; the options `from_file` were by a file.
    pub fn new(command: &Command, matches: &ArgMatches, from_file: BTreeSet<String>) -> Self {
        let value = |arg: &Arg| {
            let (name, id) = (name_of(arg), arg.get_id().as_str());
            if !is_typed(matches, arg) || NOT_RECORDED.contains(&name) {
                return None;
            }
            let texts = |values: clap::parser::RawValues<'_>| -> Vec<String> {
                values.map(|value| value.to_string_lossy().into_owned()).collect()
            };
            Some((name.to_owned(), matches.get_raw(id).map(texts).unwrap_or_default()))
        };
        Self { options: command.get_arguments().filter_map(value).collect(), from_file }
    }

    /// Whether the option called `name` was typed by the user.
    pub fn is_typed(&self, name: &str) -> bool {
        self.options.contains_key(name) && !self.from_file.contains(name)
    }
}

/// The options and inputs of a file as arguments, and their names.
#[derive(Default)]
pub struct FromFile {
    pub options: Vec<OsString>,
    pub inputs: Vec<OsString>,
    pub names: BTreeSet<String>,
}

impl FromFile {
    /// What the file of `--config` or `--like` says that `matches` of `command` leave open.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or names an option that the command does not have.
    pub fn read(command: &Command, matches: &ArgMatches) -> Result<Option<Self>, String> {
        let path = |id: &str| matches.try_get_one::<std::path::PathBuf>(id).ok().flatten();
        let (option, path, entries) = match (path("config"), path("like")) {
            (Some(path), _) => ("--config", path, settings(path)),
            (_, Some(path)) => ("--like", path, recorded(path)),
            _ => return Ok(None),
        };
        let wrong = |what: String| format!("{option} {}: {what}", path.display());
        let mut found = Self::default();
        let typed: Vec<&Arg> =
            command.get_arguments().filter(|own| is_typed(matches, own)).collect();
        // Two ways of naming the same.
        let has_inputs = typed.iter().any(|own| INPUTS.contains(&name_of(own)));
        for (name, values) in entries.map_err(wrong)? {
            if has_inputs && INPUTS.contains(&name.as_str()) {
                continue;
            }
            let known = argument(command, &name).filter(|_| !NOT_IN_FILES.contains(&name.as_str()));
            let arg = known.ok_or_else(|| {
                let names = command.get_arguments().map(name_of);
                let near = nearest(&name, names).join(", ");
                wrong(format!("there is no option {name:?}; near ones are {near}"))
            })?;
            // The command line goes before the file, also with another way of saying the same.
            let excludes = |one: &Arg, other: &Arg| {
                command.get_arg_conflicts_with(one).iter().any(|own| own.get_id() == other.get_id())
            };
            let goes_before = |own: &&Arg| {
                own.get_id() == arg.get_id() || excludes(own, arg) || excludes(arg, own)
            };
            if typed.iter().any(goes_before) {
                continue;
            }
            found.add(arg, &values).map_err(|what| wrong(format!("{name}: {what}")))?;
            found.names.insert(name);
        }
        Ok(Some(found))
    }

    fn add(&mut self, arg: &Arg, values: &[String]) -> Result<(), String> {
        match (arg.get_long(), arg.get_action()) {
            // Positional arguments stand by themselves.
            (None, _) => self.inputs.extend(values.iter().map(OsString::from)),
            (Some(long), ArgAction::SetTrue) => match values {
                [] => self.options.push(format!("--{long}").into()),
                [value] if value == "true" => self.options.push(format!("--{long}").into()),
                [value] if value == "false" => {}
                _ => return Err("write true or false".into()),
            },
            (Some(long), ArgAction::Append) if arg.get_value_delimiter().is_none() => {
                let each = values.iter().map(|value| format!("--{long}={value}").into());
                self.options.extend(each);
            }
            (Some(long), _) => self.options.push(format!("--{long}={}", values.join(",")).into()),
        }
        Ok(())
    }
}

/// The argument that a file calls `name`: an option by its long name or another, or a positional one.
fn argument<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| {
        let others = arg.get_all_aliases().unwrap_or_default();
        name_of(arg) == name || others.contains(&name)
    })
}

/// Whether an argument is on the command line.
fn is_typed(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_else(|| arg.get_id().as_str())
}

type Entries = Vec<(String, Vec<String>)>;

/// The entries of a TOML file.
fn settings(path: &Path) -> Result<Entries, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let table: BTreeMap<String, Value> =
        toml_edit::de::from_str(&text).map_err(|error| format!("is no TOML: {error}"))?;
    table.into_iter().map(|(name, value)| Ok((name, texts(&value)?))).collect()
}

/// What a manifest or the settings of an evaluation record.
fn recorded(path: &Path) -> Result<Entries, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| format!("is no JSON: {error}"))?;
    let missing =
        || "does not say how it was made; give a manifest.json or settings.json".to_owned();
    let options = value["run"]["options"].as_object().ok_or_else(missing)?;
    let inputs = value["run"]["inputs"].as_object().into_iter().flatten();
    options.iter().chain(inputs).map(|(name, value)| Ok((name.clone(), texts(value)?))).collect()
}

/// A value, or several, as they are written on the command line.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("{value} is no text, number, true or false, nor a list of them")),
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}
