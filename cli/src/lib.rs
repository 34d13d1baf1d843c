//! The command `attriburn` as a function, for packages that install the command: see [`main`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod args;
mod assets;
mod commands;
mod exit;
mod output;
mod setup;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use args::{Args, Command};
use commands::{compare, devices, evaluate, explain, inspect, lists, merge};
use exit::{Fatal, NOTHING_DONE};
use output::{device_loss, report};

pub use assets::{IMAGE, LABELS, MODEL};

/// Runs the command with these arguments; the first is the name of the command. Returns the exit code: 0 if all output
/// was written, 1 if some inputs failed, 2 if no output was produced.
///
/// An error in the arguments, and a request for help, ends the process. A process runs the command once.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    args::set_arguments(arguments);
    let args = args::read();
    if args.quiet {
        report::set_quiet();
    }
    set_colours(args.color);
    init_logging(args.verbose);
    hide_panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(args)));
    device_loss::wait_for_exit();
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            report::error(error);
            NOTHING_DONE
        }
        Err(_) => {
            report::error(
                "internal failure: this is a bug; run again with RUST_LOG=debug and report the output",
            );
            NOTHING_DONE
        }
    }
}

fn run(args: Args) -> Result<u8, Fatal> {
    match args.command {
        None => explain::run(&args::ExplainArgs::default()),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
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

/// Prints the log messages of this workspace's crates to stderr. `RUST_LOG` overrides the selection.
fn init_logging(verbose: bool) {
    let level = if verbose { "info" } else { "warn" };
    let crates = [
        "attriburn",
        "attriburn_backends",
        "attriburn_evaluate",
        "attriburn_metrics",
        "attriburn_onnx",
        "attriburn_picture",
    ];
    let default: String = crates.iter().map(|name| format!(",{name}={level}")).collect();
    let environment = env_logger::Env::default().default_filter_or(format!("off{default}"));
    let logger = env_logger::Builder::from_env(environment)
        .format(|_, record| {
            report::log_record(record.level(), record.args());
            Ok(())
        })
        .build();
    let max_level = logger.filter();
    device_loss::install_logger(logger, max_level);
}

/// Sends panic messages to the debug log: a panic in a dependency is reported as an error, not as a panic.
fn hide_panics() {
    std::panic::set_hook(Box::new(|info| log::debug!("{info}")));
}
