//! What the program says: results on stdout, and what is wrong on stderr.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Color, Style};

/// Whether only errors are said.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Says errors alone from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only errors are said.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line to stdout, unless the program is quiet. A reader that has gone away, such as `head`, is no
/// failure.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write;
        if !$crate::report::is_quiet() {
            let _ = writeln!(std::io::stdout(), $($arg)*);
        }
    }};
}
pub(crate) use say;

/// Prints data to stdout, which was asked for even where the program is quiet.
macro_rules! print_line {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}
pub(crate) use print_line;

/// Says what was done only in part.
pub fn note(message: impl Display) {
    if !is_quiet() {
        anstream::eprintln!("{}", labelled("note", AnsiColor::Cyan, message));
    }
}

/// Says what failed.
pub fn error(message: impl Display) {
    anstream::eprintln!("{}", labelled("error", AnsiColor::Red, message));
}

/// A line of the log, such as a warning.
pub fn logged(level: log::Level, message: impl Display) {
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
