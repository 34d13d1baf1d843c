//! `attriburn devices`.

use std::process::ExitCode;

use attriburn_backends::{Status, devices};

use crate::Fatal;

/// Lists every device and says why one cannot be used.
pub fn run() -> Result<ExitCode, Fatal> {
    let chosen = attriburn_backends::describe(&attriburn::device("auto")?);
    say!("{:<10} {:<44} status", "device", "hardware");
    for device in devices() {
        let status = match device.status {
            Status::Ready => "ready".to_owned(),
            Status::Software => "ready, but a software renderer: auto never chooses it".to_owned(),
            Status::Unusable(reason) => format!("cannot be used: {reason}"),
        };
        say!("{:<10} {:<44} {status}", device.name, device.hardware);
    }
    say!("auto means {chosen}");
    Ok(ExitCode::SUCCESS)
}
