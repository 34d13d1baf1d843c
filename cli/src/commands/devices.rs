//! `attriburn devices`: the list of devices.

use attriburn_backends::{DeviceInfo, Status, devices};
use serde::Serialize;

use crate::args::ListArgs;
use crate::exit::{DONE, Fatal};
use crate::output::report::print_line;

/// A device as a JSON object.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    hardware: &'a str,
    ready: bool,
    software: bool,
    /// Why the device cannot be used.
    reason: Option<&'a str>,
    /// Whether `auto` selects the device.
    auto: bool,
}

/// Lists every device, with the reason if it cannot be used.
pub fn run(args: &ListArgs) -> Result<u8, Fatal> {
    let devices = devices();
    if args.json {
        for device in &devices {
            print_line!("{}", serde_json::to_string(&line(device))?);
        }
        return Ok(DONE);
    }
    print_line!("{:<10} {:<44} status", "device", "hardware");
    for DeviceInfo { name, hardware, status, .. } in &devices {
        let status = match status {
            Status::Ready => "ready".to_owned(),
            Status::Software => "ready, but a software renderer: auto never selects it".to_owned(),
            Status::Unusable(reason) => format!("cannot be used: {reason}"),
        };
        print_line!("{name:<10} {hardware:<44} {status}");
    }
    if let Some(auto) = devices.iter().find(|device| device.is_auto) {
        print_line!("auto means {}", auto.name);
    }
    Ok(DONE)
}

fn line(device: &DeviceInfo) -> Line<'_> {
    let (ready, software, reason) = match &device.status {
        Status::Ready => (true, false, None),
        Status::Software => (true, true, None),
        Status::Unusable(reason) => (false, false, Some(reason.as_str())),
    };
    let DeviceInfo { name, hardware, is_auto, .. } = device;
    Line { name, hardware, ready, software, reason, auto: *is_auto }
}
