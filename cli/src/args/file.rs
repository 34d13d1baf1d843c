//! Options from a settings file or a manifest. The command line overrides them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::{RawValues, ValueSource};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use serde_json::Value;

use super::nearest::nearest;

// Structs with options have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct RunArgs {
    /// Read options from a TOML file; the command line overrides it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Repeat the run recorded in a manifest.json or settings.json
    #[arg(long, value_name = "FILE", conflicts_with = "config", value_hint = ValueHint::FilePath)]
    pub like: Option<PathBuf>,
}

/// The options of a run, from the command line and from files.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The values as they were written, by the long name of the option.
    pub values: BTreeMap<String, Vec<String>>,
    /// The arguments of the program, without its name and without `--shard`: those of the whole run.
    pub arguments: Vec<String>,
    /// The options that a file sets. Unlike options on the command line, they may be unused by every method.
    from_file: BTreeSet<String>,
}

/// Options that a file must not contain.
const NOT_IN_FILES: [&str; 3] = ["config", "like", "help"];

/// Options that name inputs. Inputs on the command line replace those of a file.
const INPUTS: [&str; 3] = ["inputs", "files-from", "images"];

/// Options that do not influence a map. They are not recorded, so `--like` does not repeat them.
const NOT_RECORDED: [&str; 12] = [
    "config",
    "like",
    "out",
    "json",
    "quiet",
    "verbose",
    "color",
    "show",
    "skip-existing",
    "resume",
    "shard",
    "help",
];

impl RunOptions {
    /// Collects the options in `matches`, from the `arguments` of the program. A file set those in `from_file`.
    pub fn new(
        command: &Command,
        matches: &ArgMatches,
        arguments: &[OsString],
        from_file: BTreeSet<String>,
    ) -> Self {
        let value = |arg: &Arg| {
            let (name, id) = (argument_name(arg), arg.get_id().as_str());
            if !is_on_command_line(matches, arg) || NOT_RECORDED.contains(&name) {
                return None;
            }
            let texts = |values: RawValues<'_>| -> Vec<String> {
                values.map(|value| value.to_string_lossy().into_owned()).collect()
            };
            Some((name.to_owned(), matches.get_raw(id).map(texts).unwrap_or_default()))
        };
        let values = command.get_arguments().filter_map(value).collect();
        Self { values, arguments: without_shard(arguments), from_file }
    }

    /// Returns whether the command line or a file sets the option `name`.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Collects options without values, of which a file set those in `from_file`.
    #[cfg(test)]
    pub fn of(names: impl Iterator<Item = String>, from_file: BTreeSet<String>) -> Self {
        let values = names.map(|name| (name, Vec::new())).collect();
        Self { values, arguments: Vec::new(), from_file }
    }

    /// Returns whether the option `name` is on the command line.
    pub fn is_typed(&self, name: &str) -> bool {
        self.values.contains_key(name) && !self.from_file.contains(name)
    }
}

/// Returns the arguments of a program, without its name and without `--shard`.
fn without_shard(arguments: &[OsString]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--shard" => drop(arguments.next()),
            text if text.starts_with("--shard=") => {}
            text => kept.push(text.to_owned()),
        }
    }
    kept
}

/// The options of a file, as command-line arguments.
#[derive(Default)]
pub struct FileArguments {
    pub options: Vec<OsString>,
    /// Positional arguments.
    pub inputs: Vec<OsString>,
    /// The names of all options and inputs in the file.
    pub names: BTreeSet<String>,
}

impl FileArguments {
    /// Reads the file of `--config` or `--like`, without the options that `matches` already contains.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or names an option that `command` does not have.
    pub fn read(command: &Command, matches: &ArgMatches) -> Result<Option<Self>, String> {
        let path = |id: &str| matches.try_get_one::<PathBuf>(id).ok().flatten();
        let (option, path, entries) = match (path("config"), path("like")) {
            (Some(path), _) => ("--config", path, read_settings(path)),
            (_, Some(path)) => ("--like", path, read_recorded_run(path)),
            _ => return Ok(None),
        };
        let error = |reason: String| format!("{option} {}: {reason}", path.display());
        let mut arguments = Self::default();
        let typed: Vec<&Arg> =
            command.get_arguments().filter(|arg| is_on_command_line(matches, arg)).collect();
        let has_inputs = typed.iter().any(|arg| INPUTS.contains(&argument_name(arg)));
        for (name, values) in entries.map_err(error)? {
            if has_inputs && INPUTS.contains(&name.as_str()) {
                continue;
            }
            let known =
                find_argument(command, &name).filter(|_| !NOT_IN_FILES.contains(&name.as_str()));
            let arg = known.ok_or_else(|| {
                let names = command.get_arguments().map(argument_name);
                let similar = nearest(&name, names).join(", ");
                error(format!("there is no option {name:?}; similar options: {similar}"))
            })?;
            // The command line overrides the file, also with a conflicting option (--sigma for --alpha).
            let excludes = |arg: &Arg, other: &Arg| {
                command.get_arg_conflicts_with(arg).iter().any(|arg| arg.get_id() == other.get_id())
            };
            let overrides = |typed: &&Arg| {
                typed.get_id() == arg.get_id() || excludes(typed, arg) || excludes(arg, typed)
            };
            if typed.iter().any(overrides) {
                continue;
            }
            arguments.add(arg, &values).map_err(|reason| error(format!("{name}: {reason}")))?;
            arguments.names.insert(name);
        }
        Ok(Some(arguments))
    }

    fn add(&mut self, arg: &Arg, values: &[String]) -> Result<(), String> {
        match (arg.get_long(), arg.get_action()) {
            // A positional argument has no name on the command line.
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

/// Finds the argument that a file calls `name`: an option by its long name or alias, or a positional
/// argument.
fn find_argument<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        argument_name(arg) == name || aliases.contains(&name)
    })
}

fn is_on_command_line(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// Returns the long name of an option, or the identifier of a positional argument.
fn argument_name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_else(|| arg.get_id().as_str())
}

/// The names of options with their values.
type Entries = Vec<(String, Vec<String>)>;

/// Reads the options in a TOML file.
fn read_settings(path: &Path) -> Result<Entries, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let table: BTreeMap<String, Value> =
        toml_edit::de::from_str(&text).map_err(|error| format!("is not valid TOML: {error}"))?;
    table.into_iter().map(|(name, value)| Ok((name, argument_values(&value)?))).collect()
}

/// Reads the options that a manifest, or the settings of an evaluation, records.
fn read_recorded_run(path: &Path) -> Result<Entries, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| format!("is not valid JSON: {error}"))?;
    let missing =
        || "does not record the options of a run; give a manifest.json or settings.json".to_owned();
    let options = value["run"]["options"].as_object().ok_or_else(missing)?;
    let inputs = value["run"]["inputs"].as_object().into_iter().flatten();
    options
        .iter()
        .chain(inputs)
        .map(|(name, value)| Ok((name.clone(), argument_values(value)?)))
        .collect()
}

/// Converts a value, or a list of values, to the text of command-line arguments.
fn argument_values(value: &Value) -> Result<Vec<String>, String> {
    let argument = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("{value} is not a string, number or boolean, nor a list of these")),
    };
    match value {
        Value::Array(values) => values.iter().map(argument).collect(),
        value => Ok(vec![argument(value)?]),
    }
}
