//! Messages: results on stdout; notes, warnings and errors on stderr.

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Color, Style};

/// Whether only errors are printed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses all messages but errors from now on.
pub fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether only errors are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line of a summary to stdout, unless the program is quiet. A closed pipe, such as that of `head`,
/// is no error.
macro_rules! print_summary {
    ($($arg:tt)*) => {{
        use std::io::Write;
        if !$crate::output::report::is_quiet() {
            let _ = writeln!(std::io::stdout(), $($arg)*);
        }
    }};
}
pub(crate) use print_summary;

/// Prints a line of requested data to stdout, even if the program is quiet.
macro_rules! print_line {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}
pub(crate) use print_line;

/// Prints a note about an incomplete result.
pub fn note(message: impl Display) {
    if !is_quiet() {
        anstream::eprintln!("{}", labelled("note", AnsiColor::Cyan, message));
    }
}

/// Prints an error.
pub fn error(message: impl Display) {
    anstream::eprintln!("{}", labelled("error", AnsiColor::Red, message));
}

/// The warnings of this run, in their order and without duplicates.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Forgets the warnings so far: those of another run of the same process.
pub fn forget_warnings() {
    if let Ok(mut warnings) = WARNINGS.lock() {
        warnings.clear();
    }
}

/// Returns the warnings that were logged so far.
pub fn warnings() -> Vec<String> {
    WARNINGS.lock().map(|warnings| warnings.clone()).unwrap_or_default()
}

/// Prints a record of the log, such as a warning, and keeps warnings for pages. A quiet program prints errors only.
pub fn log_record(level: log::Level, message: impl Display) {
    if level == log::Level::Warn
        && let Ok(mut warnings) = WARNINGS.lock()
    {
        let message = message.to_string();
        if !warnings.contains(&message) {
            warnings.push(message);
        }
    }
    if is_quiet() && level != log::Level::Error {
        return;
    }
    let (name, colour) = match level {
        log::Level::Error => ("error", AnsiColor::Red),
        log::Level::Warn => ("warning", AnsiColor::Yellow),
        log::Level::Info => ("info", AnsiColor::Green),
        log::Level::Debug => ("debug", AnsiColor::Blue),
        log::Level::Trace => ("trace", AnsiColor::Blue),
    };
    anstream::eprintln!("{}", labelled(name, colour, message));
}

fn labelled(name: &str, colour: AnsiColor, message: impl Display) -> String {
    let style = Style::new().bold().fg_color(Some(Color::Ansi(colour)));
    format!("{style}{name}:{style:#} {message}")
}
