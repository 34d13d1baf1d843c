//! Fatal errors and exit codes.

/// An error that stops the program before any input is processed.
pub type Fatal = Box<dyn std::error::Error>;

/// Exit code if all output was written.
pub const DONE: u8 = 0;
/// Exit code if some inputs failed and the output of the others was written.
pub const SOME_FAILED: u8 = 1;
/// Exit code if no output was produced.
pub const NOTHING_DONE: u8 = 2;
