//! `attriburn devices`.

use std::process::ExitCode;

use attriburn_backends::{Listed, Status, devices};
use serde::Serialize;

use crate::Fatal;
use crate::args::ListArgs;
use crate::report::print_line;

/// A device, as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    hardware: &'a str,
    ready: bool,
    software: bool,
    /// Why it cannot be used.
    reason: Option<&'a str>,
    /// Whether `auto` means it.
    auto: bool,
}

/// Lists every device and says why one cannot be used.
pub fn run(args: &ListArgs) -> Result<ExitCode, Fatal> {
    let auto = attriburn_backends::describe(&attriburn::device("auto")?);
    let devices = devices();
    if args.json {
        for device in &devices {
            print_line!("{}", serde_json::to_string(&line(device, &auto))?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    print_line!("{:<10} {:<44} status", "device", "hardware");
    for device in devices {
        let status = match device.status {
            Status::Ready => "ready".to_owned(),
            Status::Software => "ready, but a software renderer: auto never chooses it".to_owned(),
            Status::Unusable(reason) => format!("cannot be used: {reason}"),
        };
        print_line!("{:<10} {:<44} {status}", device.name, device.hardware);
    }
    print_line!("auto means {auto}");
    Ok(ExitCode::SUCCESS)
}

fn line<'a>(device: &'a Listed, auto: &str) -> Line<'a> {
    let (ready, software, reason) = match &device.status {
        Status::Ready => (true, false, None),
        Status::Software => (true, true, None),
        Status::Unusable(reason) => (false, false, Some(reason.as_str())),
    };
    let Listed { name, hardware, .. } = device;
    let is_auto = match name == "cpu" {
        true => auto == "cpu",
        false => ready && !software && auto.ends_with(&format!("({hardware})")),
    };
    Line { name, hardware, ready, software, reason, auto: is_auto }
}
