//! Devices by name: which there are, which can be used and why not, and how much they hold.
//!
//! | name | device |
//! |---|---|
//! | `auto` | the first real GPU, or the CPU where there is none; never a software renderer |
//! | `cpu` | burn's `flex` on all cores |
//! | `wgpu`, `wgpu:N` | the best, or the N-th, adapter of Vulkan, Metal, DirectX 12 or WebGPU |
//! | `cuda`, `cuda:N` | NVIDIA's GPUs; feature `cuda` |
//! | `vulkan`, `vulkan:N` | as `wgpu`, through Vulkan with SPIR-V kernels; feature `vulkan` |
//! | `metal`, `metal:N` | as `wgpu`, through Metal with its own kernels; feature `metal` |
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod fusion;
mod memory;
mod runtime;
mod threads;

pub use fusion::disable_fusion;
pub use memory::memory_budget;
pub use runtime::{Listed, Status, describe};
use runtime::{RUNTIMES, Runtime};
pub use threads::{set_threads, threads};

use burn::tensor::Device;

/// Why a device cannot be used, and what would mend it.
#[derive(Debug, thiserror::Error)]
#[error("device {name}: {reason}")]
pub struct DeviceError {
    /// The name asked for.
    name: String,
    /// What is wrong.
    reason: String,
}

impl DeviceError {
    fn new(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}

/// The device called `name`: `auto`, `cpu`, or a runtime with or without an index (`wgpu:1`).
///
/// # Errors
///
/// When there is no such device, it was not compiled in, or it cannot be opened.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let (runtime, index) = parse(name)?;
    match runtime {
        "auto" => Ok(RUNTIMES.iter().find_map(Runtime::best).unwrap_or_else(Device::flex)),
        "cpu" => Ok(Device::flex()),
        _ => match Runtime::named(runtime) {
            Some(runtime) => runtime.open(name, index),
            None => Err(DeviceError::new(
                name,
                format!("there is no such device; the devices are {}", names().join(", ")),
            )),
        },
    }
}

/// Every device this build knows of, usable or not, in the order `auto` considers them.
pub fn devices() -> Vec<Listed> {
    RUNTIMES.iter().flat_map(Runtime::list).chain([Listed::cpu()]).collect()
}

/// What a device can be called, without its number.
fn names() -> Vec<&'static str> {
    ["auto", "cpu"].into_iter().chain(RUNTIMES.iter().map(|runtime| runtime.name)).collect()
}

/// Splits `wgpu:1` into its runtime and index.
fn parse(name: &str) -> Result<(&str, Option<usize>), DeviceError> {
    let (runtime, index) = match name.split_once(':') {
        Some((runtime, index)) => match index.parse() {
            Ok(index) => (runtime, Some(index)),
            Err(_) => {
                return Err(DeviceError::new(
                    name,
                    format!("{index:?} is not a device number; write {runtime}:0"),
                ));
            }
        },
        None => (name, None),
    };
    if index.is_some() && matches!(runtime, "auto" | "cpu") {
        return Err(DeviceError::new(name, format!("{runtime} takes no number; write {runtime}")));
    }
    Ok((runtime, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_no_device_say_so() {
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
    fn the_cpu_is_always_there() {
        assert!(device("cpu").is_ok());
        let cpu = devices().pop().expect("at least the CPU");
        assert_eq!((cpu.name.as_str(), cpu.status), ("cpu", Status::Ready));
    }
}
