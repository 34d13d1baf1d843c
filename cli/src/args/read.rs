//! From the command line, and the files that it names, to arguments.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::file::{FromFile, Given};
use super::{Args, Command};

/// The command with its subcommands. `-h` lists the common options and `--help` all of them, in the same form.
pub fn command() -> clap::Command {
    with_help(Args::command())
}

fn with_help(command: clap::Command) -> clap::Command {
    let help =
        Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).display_order(903);
    let is_long = command.get_arguments().any(|arg| arg.is_hide_short_help_set());
    // Whatever heading comes last.
    let help = help.help_heading(None).help(match is_long {
        true => "Print the common options (-h) or all of them (--help)",
        false => "Print help",
    });
    command.disable_help_flag(true).arg(help).mut_args(with_choices).mut_subcommands(with_help)
}

/// The argument with its choices in its sentence, which takes less room than behind it.
fn with_choices(arg: Arg) -> Arg {
    let names: Vec<String> = match arg.is_hide_possible_values_set() {
        true => Vec::new(),
        false => arg.get_possible_values().iter().map(|own| own.get_name().to_owned()).collect(),
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

/// The arguments of the program, or none: what is wrong with them is printed and ends it.
pub fn read() -> Args {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = command();
    if arguments.iter().any(|argument| argument == "--help") {
        command = with_all_options(command);
    }
    command = command.color(color(&arguments));
    match parse(command, arguments) {
        Ok(args) => args,
        Err(error) => error.exit(),
    }
}

/// What `--color` says, which must be known before anything is printed.
fn color(arguments: &[OsString]) -> clap::ColorChoice {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let after = texts.windows(2).find(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = texts.iter().find_map(|text| text.strip_prefix("--color="));
    let said = joined.or(after);
    said.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn parse(mut command: clap::Command, arguments: Vec<OsString>) -> Result<Args, clap::Error> {
    // What is missing may be in a file, so that it is not missed yet.
    let lenient = command.clone().ignore_errors(true).try_get_matches_from_mut(&arguments);
    let found = lenient.as_ref().ok().and_then(ArgMatches::subcommand);
    let file = match found.and_then(|(name, own)| Some((command.find_subcommand(name)?, own))) {
        None => None,
        Some((subcommand, own)) => FromFile::read(subcommand, own)
            .map_err(|what| command.clone().error(clap::error::ErrorKind::InvalidValue, what))?,
    };
    let (arguments, from_file) = match (file, found) {
        (Some(file), Some((name, _))) => {
            // Options go behind the subcommand, which is the first argument of its name; inputs to the end.
            let at = arguments.iter().position(|argument| argument == name).map_or(1, |at| at + 1);
            let (before, behind) = arguments.split_at(at);
            let ends = behind.iter().any(|argument| argument == "--") || file.inputs.is_empty();
            let end: &[OsString] = if ends { &[] } else { &["--".into()] };
            ([before, &file.options[..], behind, end, &file.inputs[..]].concat(), file.names)
        }
        _ => (arguments, Default::default()),
    };
    let matches = command.try_get_matches_from_mut(arguments)?;
    let own = matches.subcommand().and_then(|(name, _)| command.find_subcommand(name));
    match own.cloned() {
        Some(subcommand) => finished(&matches, &subcommand, from_file),
        None => Args::from_arg_matches(&matches),
    }
}

/// The arguments, with what was given kept beside them.
fn finished(
    matches: &ArgMatches,
    subcommand: &clap::Command,
    from_file: std::collections::BTreeSet<String>,
) -> Result<Args, clap::Error> {
    let mut args = Args::from_arg_matches(matches)?;
    if let Some((_, own)) = matches.subcommand() {
        let given = || Given::new(subcommand, own, from_file);
        match &mut args.command {
            Some(Command::Explain(explain)) => explain.given = given(),
            Some(Command::Evaluate(evaluate)) => evaluate.given = given(),
            Some(Command::Compare(compare)) => compare.given = given(),
            _ => {}
        }
    }
    Ok(args)
}
