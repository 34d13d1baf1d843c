//! The command `attriburn`: explains what an image classifier looked at.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(attriburn_cli::main(std::env::args_os()))
}
