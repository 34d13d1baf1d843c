//! The command `attriburn`: explains what an image classifier looked at.
#![forbid(unsafe_code)]

/// Prints a line to stdout. A reader that has gone away, such as `head`, is no failure.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}

mod args;
mod arrays;
mod assets;
mod compare;
mod devices;
mod evaluate;
mod explain;
mod files;
mod inspect;
mod labels;
mod lost;
mod manifest;
mod maps;
mod preprocess;
mod settings;
mod setup;
mod source;
mod targets;
mod variants;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// What stops the program before anything could be done.
type Fatal = Box<dyn std::error::Error>;

/// Some inputs failed, the others are written.
const SOME_FAILED: u8 = 1;
/// Nothing could be done.
const NOTHING_DONE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::read();
    log_warnings();
    quiet_panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(args)));
    lost::wait_for_the_end();
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::from(NOTHING_DONE)
        }
        Err(_) => {
            eprintln!(
                "error: an internal failure, which is a bug; run again with RUST_LOG=debug and report what it prints"
            );
            ExitCode::from(NOTHING_DONE)
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Fatal> {
    match args.command {
        None => explain::run(&args::ExplainArgs::parse_from(["explain"])),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Devices) => devices::run(),
    }
}

/// Warnings of ours go to stderr; `RUST_LOG` chooses otherwise.
fn log_warnings() {
    use std::io::Write;
    let default = "off,attriburn=warn,attriburn_onnx=warn,attriburn_backends=warn";
    let environment = env_logger::Env::default().default_filter_or(default);
    let logger = env_logger::Builder::from_env(environment)
        .format(|out, record| {
            let level = match record.level() {
                log::Level::Warn => "warning".to_owned(),
                level => level.as_str().to_lowercase(),
            };
            writeln!(out, "{level}: {}", record.args())
        })
        .build();
    let most = logger.filter();
    lost::watch(logger, most);
}

/// A failure inside a dependency is reported as an error of what was tried, not as a panic.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| log::debug!("{info}")));
}
