//! How much memory a map may take up.

use burn::tensor::Device;

const GIB: u64 = 1 << 30;

/// Bytes that a batch may take up on `device` unless the caller says otherwise: half of what the
/// device says it has, where it says so, and otherwise 1 GiB, which any machine that runs an
/// ImageNet model has.
pub fn memory_budget(device: &Device) -> u64 {
    capacity(device).map_or(GIB, |bytes| bytes / 2)
}

#[cfg(feature = "gpu")]
fn capacity(device: &Device) -> Option<u64> {
    match device.as_dispatch() {
        burn::backend::DispatchDevice::Cube(device) => {
            device.client().properties().memory.max_memory()
        }
        _ => None,
    }
}

#[cfg(not(feature = "gpu"))]
fn capacity(_: &Device) -> Option<u64> {
    None
}
