//! The memory budget of a batch.

use burn::tensor::Device;

const GIB: u64 = 1 << 30;

/// Returns the default memory budget of a batch on `device`, in bytes: half of the device's memory. If the
/// device does not report its memory, the budget is 1 GiB, which any machine that runs an ImageNet model has.
pub fn memory_budget(device: &Device) -> u64 {
    capacity(device).map_or(GIB, |bytes| bytes / 2)
}

/// Returns the memory of a GPU in bytes, if the GPU reports it.
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
