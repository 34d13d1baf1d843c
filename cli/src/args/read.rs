//! Parses the command line together with the options file that it names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::OnceLock;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::file::{FileArguments, RunOptions};
use super::program::{Args, Command};

/// Builds the command with its subcommands. `-h` lists the common options and `--help` all options, in one
/// layout.
pub fn command() -> clap::Command {
    with_help(Args::command())
}

fn with_help(command: clap::Command) -> clap::Command {
    let help =
        Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).display_order(903);
    let is_long = command.get_arguments().any(|arg| arg.is_hide_short_help_set());
    // Without this the option would go under the heading of the options before it.
    let help = help.help_heading(None).help(match is_long {
        true => "Print the common options (-h) or all of them (--help)",
        false => "Print help",
    });
    command.disable_help_flag(true).arg(help).mut_args(with_choices).mut_subcommands(with_help)
}

/// Moves the possible values of an argument into its help sentence, which is shorter than clap's own list.
fn with_choices(arg: Arg) -> Arg {
    let names: Vec<String> = match arg.is_hide_possible_values_set() {
        true => Vec::new(),
        false => {
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
        }
    };
    let (Some((last, first)), Some(help)) = (names.split_last(), arg.get_help()) else {
        return arg;
    };
    if first.is_empty() || matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    let help = help.to_string();
    let (sentence, default) = match help.split_once(" [default") {
        Some((sentence, default)) => (sentence, format!(" [default{default}")),
        None => (help.as_str(), String::new()),
    };
    let help = format!("{sentence}: {} or {last}{default}", first.join(", "));
    arg.hide_possible_values(true).help(help)
}

fn with_all_options(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_options)
}

/// The arguments of the program, its name included.
static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Sets the arguments of the program; the first call counts.
pub fn set_arguments(arguments: impl IntoIterator<Item = OsString>) {
    ARGUMENTS.get_or_init(|| arguments.into_iter().collect());
}

/// Returns the arguments of the program, its name included.
pub fn arguments() -> &'static [OsString] {
    ARGUMENTS.get_or_init(Vec::new)
}

/// Parses the arguments of the program. An error in them is printed and ends the program.
pub fn read() -> Args {
    let arguments = arguments().to_vec();
    let mut command = command();
    if arguments.iter().any(|argument| argument == "--help") {
        command = with_all_options(command);
    }
    command = command.color(color_choice(&arguments));
    match parse(command, arguments) {
        Ok(args) => args,
        Err(error) => error.exit(),
    }
}

/// Parses the arguments that another process recorded: [`RunOptions::arguments`].
///
/// # Errors
///
/// When this version of the program does not accept them, or a file that they name cannot be read.
pub fn parse_recorded(arguments: &[String]) -> Result<Args, String> {
    let program = std::iter::once(OsString::from("attriburn"));
    let arguments = program.chain(arguments.iter().map(OsString::from)).collect();
    parse(command(), arguments).map_err(|error| error.to_string())
}

/// Finds the value of `--color`, which is needed before clap prints an error.
fn color_choice(arguments: &[OsString]) -> clap::ColorChoice {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let separate = texts.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = texts.iter().find_map(|text| text.strip_prefix("--color="));
    joined.or(separate).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn parse(mut command: clap::Command, typed: Vec<OsString>) -> Result<Args, clap::Error> {
    // The first pass ignores missing arguments, because the file may contain them.
    let lenient = command.clone().ignore_errors(true).try_get_matches_from_mut(&typed);
    let selected = lenient.as_ref().ok().and_then(ArgMatches::subcommand);
    let subcommand =
        selected.and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    let file = match subcommand {
        None => None,
        Some((subcommand, matches)) => FileArguments::read(subcommand, matches)
            .map_err(|text| command.clone().error(clap::error::ErrorKind::InvalidValue, text))?,
    };
    let (arguments, from_file) = match (file, selected) {
        (Some(file), Some((name, _))) => {
            // The file's options go right after the subcommand, the first argument of this name. The file's
            // inputs go to the end.
            let start = typed.iter().position(|argument| argument == name).map_or(1, |i| i + 1);
            let (before, after) = typed.split_at(start);
            let has_end = after.iter().any(|argument| argument == "--") || file.inputs.is_empty();
            let end: &[OsString] = if has_end { &[] } else { &["--".into()] };
            ([before, &file.options[..], after, end, &file.inputs[..]].concat(), file.names)
        }
        _ => (typed.clone(), Default::default()),
    };
    let matches = command.try_get_matches_from_mut(arguments)?;
    let subcommand = matches.subcommand().and_then(|(name, _)| command.find_subcommand(name));
    match subcommand.cloned() {
        Some(subcommand) => args_with_options(&matches, &subcommand, &typed, from_file),
        None => Args::from_arg_matches(&matches),
    }
}

/// Converts `matches` to structs of arguments, and adds the options as they were written, and what was `typed`.
fn args_with_options(
    matches: &ArgMatches,
    subcommand: &clap::Command,
    typed: &[OsString],
    from_file: BTreeSet<String>,
) -> Result<Args, clap::Error> {
    let mut args = Args::from_arg_matches(matches)?;
    if let Some((_, matches)) = matches.subcommand() {
        let options = || RunOptions::new(subcommand, matches, typed, from_file);
        match &mut args.command {
            Some(Command::Explain(explain)) => explain.options = options(),
            Some(Command::Evaluate(evaluate)) => evaluate.options = options(),
            Some(Command::Compare(compare)) => compare.options = options(),
            _ => {}
        }
    }
    Ok(args)
}
