//! The command `attriburn`: explains what an image classifier looked at.
#![forbid(unsafe_code)]

mod args;
mod arrays;
mod assets;
mod compare;
mod devices;
mod domain;
mod evaluate;
mod explain;
mod files;
mod inspect;
mod labels;
mod lists;
mod lost;
mod manifest;
mod maps;
mod metadata;
mod nearest;
mod plans;
mod preprocess;
mod progress;
mod report;
mod setup;
mod source;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use args::{Args, Command};

/// What stops the program before anything could be done.
type Fatal = Box<dyn std::error::Error>;

/// Some inputs failed, the others are written.
const SOME_FAILED: u8 = 1;
/// Nothing could be done.
const NOTHING_DONE: u8 = 2;

fn main() -> ExitCode {
    let args = args::read();
    if args.quiet {
        report::be_quiet();
    }
    set_colours(args.color);
    log_messages(args.quiet, args.verbose);
    hide_panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(args)));
    lost::wait_for_the_end();
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            report::error(error);
            ExitCode::from(NOTHING_DONE)
        }
        Err(_) => {
            report::error(
                "an internal failure, which is a bug; run again with RUST_LOG=debug and report what it prints",
            );
            ExitCode::from(NOTHING_DONE)
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args.command {
        None => explain::run(&args::ExplainArgs::default()),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Devices(args)) => devices::run(&args),
        Some(Command::Methods(args)) => lists::methods(&args),
        Some(Command::Metrics(args)) => lists::metrics(&args),
        Some(Command::Completions { shell }) => lists::completions(shell),
        Some(Command::Man) => lists::manual(),
    }
}

fn set_colours(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Warnings of ours go to stderr; `RUST_LOG` chooses otherwise.
fn log_messages(quiet: bool, verbose: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, true) => "info",
        _ => "warn",
    };
    let ours = ["attriburn", "attriburn_onnx", "attriburn_backends"];
    let default: String = ours.iter().map(|name| format!(",{name}={level}")).collect();
    let environment = env_logger::Env::default().default_filter_or(format!("off{default}"));
    let logger = env_logger::Builder::from_env(environment)
        .format(|_, record| {
            report::logged(record.level(), record.args());
            Ok(())
        })
        .build();
    let most = logger.filter();
    lost::watch(logger, most);
}

/// A failure inside a dependency is reported as an error of what was tried, not as a panic.
fn hide_panics() {
    std::panic::set_hook(Box::new(|info| log::debug!("{info}")));
}
