//! Compute devices: selection by name, the list of devices with their status, memory budget, batch limits,
//! threads and fusion.
//!
//! | name | device |
//! |---|---|
//! | `auto` | the first hardware GPU, or the CPU if there is none; never a software renderer |
//! | `cpu` | burn's `flex` backend on all cores |
//! | `wgpu`, `wgpu:N` | the best, or the N-th, adapter of Vulkan, Metal, DirectX 12 or WebGPU; feature `wgpu` |
//! | `cuda`, `cuda:N` | the first, or the N-th, NVIDIA GPU; feature `cuda` |
//! | `vulkan`, `vulkan:N` | like `wgpu`, through Vulkan with SPIR-V kernels; feature `vulkan` |
//! | `metal`, `metal:N` | like `wgpu`, through Metal with Metal kernels; feature `metal` |
//!
//! N counts from 0.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod batch;
mod error;
mod fusion;
mod memory;
mod runtime;
mod threads;

pub use batch::BatchLimits;
pub use error::{DeviceError, DeviceErrorKind};
pub use fusion::disable_fusion;
pub use memory::memory_budget;
pub use runtime::{DeviceInfo, Status, describe};
use runtime::{RUNTIMES, Runtime};
pub use threads::{set_threads, threads};

use burn::tensor::Device;

/// Returns the device called `name`: `auto`, `cpu`, or a runtime with or without an index (`wgpu:1`).
///
/// # Errors
///
/// Returns an error if there is no such device, its runtime is not compiled in, or it cannot be opened.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let (runtime, index) = parse(name)?;
    match runtime {
        "auto" => Ok(RUNTIMES.iter().find_map(Runtime::best).unwrap_or_else(Device::flex)),
        "cpu" => Ok(Device::flex()),
        _ => match Runtime::named(runtime) {
            Some(runtime) => runtime.open(name, index),
            None => Err(DeviceError::name(
                name,
                format!("there is no such device; the devices are {}", names().join(", ")),
            )),
        },
    }
}

/// Returns every device of this build, usable or not, in the order in which `auto` considers them.
pub fn devices() -> Vec<DeviceInfo> {
    let gpus = RUNTIMES.iter().flat_map(Runtime::list);
    let mut devices: Vec<DeviceInfo> = gpus.chain([DeviceInfo::cpu()]).collect();
    // The list ends with the CPU, which is always ready.
    if let Some(first) = devices.iter_mut().find(|device| device.status == Status::Ready) {
        first.is_auto = true;
    }
    devices
}

/// Returns the names of devices, without indices.
fn names() -> Vec<&'static str> {
    ["auto", "cpu"].into_iter().chain(RUNTIMES.iter().map(|runtime| runtime.name)).collect()
}

/// Splits `wgpu:1` into its runtime and index.
fn parse(name: &str) -> Result<(&str, Option<usize>), DeviceError> {
    let (runtime, index) = match name.split_once(':') {
        Some((runtime, index)) => match index.parse() {
            Ok(index) => (runtime, Some(index)),
            Err(_) => {
                return Err(DeviceError::name(
                    name,
                    format!("{index:?} is not a device number; write {runtime}:0"),
                ));
            }
        },
        None => (name, None),
    };
    if index.is_some() && matches!(runtime, "auto" | "cpu") {
        return Err(DeviceError::name(name, format!("{runtime} takes no number; write {runtime}")));
    }
    Ok((runtime, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_device_names_are_errors() {
        let cases = [
            ("gpu", "device gpu: there is no such device; the devices are auto, cpu, cuda,"),
            ("wgpu:x", "device wgpu:x: \"x\" is not a device number; write wgpu:0"),
            ("cpu:1", "device cpu:1: cpu takes no number; write cpu"),
        ];
        for (name, expected) in cases {
            let message = device(name).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn cpu_is_always_available() {
        assert!(device("cpu").is_ok());
        let cpu = devices().pop().expect("at least the CPU");
        assert_eq!((cpu.name.as_str(), cpu.status), ("cpu", Status::Ready));
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
