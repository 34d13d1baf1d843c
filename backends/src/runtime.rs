//! The GPU runtimes: each compiled in or not, with its adapters.

use crate::DeviceError;

/// The runtimes' names, whether compiled in or not.
pub const NAMES: [&str; 3] = ["auto", "cpu", "wgpu"];

/// A device in the list of devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The name that selects it.
    pub name: String,
    /// What the hardware calls itself.
    pub hardware: String,
    /// Whether it can be used.
    pub status: Status,
}

/// Whether a device can be used.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// It can.
    Ready,
    /// It can, but `auto` never chooses it: the CPU itself is faster.
    Software,
    /// It cannot, for this reason.
    Unusable(String),
}

impl Listed {
    /// The CPU, which is always there.
    pub(crate) fn cpu() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { name: "cpu".into(), hardware: format!("{threads} threads"), status: Status::Ready }
    }
}

#[cfg(feature = "wgpu")]
pub use adapters::{best, describe, list, open};

#[cfg(feature = "wgpu")]
mod adapters {
    use super::{DeviceError, Listed, Status};
    use burn::backend::{CubeDevice, DispatchDevice, WgpuDevice, WgpuDeviceKind};
    use burn::tensor::{Device, DeviceType};
    use std::panic::catch_unwind;

    const NO_ADAPTER: &str = "no adapter was found; install a driver for Vulkan, Metal or DirectX 12 (on Linux without a GPU: mesa-vulkan-drivers), or use --device cpu";

    /// The adapters of the machine, real GPUs first.
    fn adapters() -> Vec<Device> {
        let mut devices =
            catch_unwind(|| Device::enumerate(DeviceType::Wgpu).into_vec()).unwrap_or_default();
        devices.sort_by_key(is_software);
        devices
    }

    /// Whether the device is a renderer that runs on the CPU.
    fn is_software(device: &Device) -> bool {
        matches!(kind(device), Some(WgpuDeviceKind::Cpu))
    }

    fn kind(device: &Device) -> Option<WgpuDeviceKind> {
        match device.as_dispatch() {
            DispatchDevice::Cube(CubeDevice::Wgpu(WgpuDevice { kind, .. })) => Some(kind.clone()),
            _ => None,
        }
    }

    /// The first real GPU that opens.
    pub fn best() -> Option<Device> {
        adapters()
            .into_iter()
            .filter(|device| !is_software(device))
            .find(|device| hardware(device).is_ok())
    }

    /// Every adapter with what it is.
    pub fn list() -> Vec<Listed> {
        let adapters = adapters();
        if adapters.is_empty() {
            return vec![Listed {
                name: "wgpu".into(),
                hardware: "-".into(),
                status: Status::Unusable(NO_ADAPTER.into()),
            }];
        }
        let listed = |(index, device): (usize, &Device)| {
            let (hardware, status) = match hardware(device) {
                Ok(hardware) if is_software(device) => (hardware, Status::Software),
                Ok(hardware) => (hardware, Status::Ready),
                Err(reason) => ("-".into(), Status::Unusable(reason)),
            };
            Listed { name: format!("wgpu:{index}"), hardware, status }
        };
        adapters.iter().enumerate().map(listed).collect()
    }

    /// The adapter `index` of `runtime`, or its first.
    pub fn open(name: &str, _runtime: &str, index: Option<usize>) -> Result<Device, DeviceError> {
        let mut adapters = adapters();
        if adapters.is_empty() {
            return Err(DeviceError::new(name, NO_ADAPTER));
        }
        let index = index.unwrap_or(0);
        if index >= adapters.len() {
            let reason = format!(
                "there are {} adapters, 0 to {}; `mollify devices` lists them",
                adapters.len(),
                adapters.len() - 1
            );
            return Err(DeviceError::new(name, reason));
        }
        let device = adapters.swap_remove(index);
        hardware(&device).map_err(|reason| DeviceError::new(name, reason))?;
        Ok(device)
    }

    /// What the hardware calls itself; opens the device.
    fn hardware(device: &Device) -> Result<String, String> {
        let device = device.clone();
        catch_unwind(move || device.identity())
            .map_err(|_| "it was found but could not be opened; update its driver".to_owned())?
            .map(|identity| identity.name)
            .ok_or_else(|| "it does not say what it is".to_owned())
    }

    /// The device for the manifest.
    pub fn describe(device: &Device) -> String {
        match kind(device) {
            Some(_) => format!("wgpu ({})", hardware(device).unwrap_or_else(|_| "unknown".into())),
            None => "cpu".into(),
        }
    }
}

#[cfg(not(feature = "wgpu"))]
pub use absent::{best, describe, list, open};

#[cfg(not(feature = "wgpu"))]
mod absent {
    use super::{DeviceError, Listed, Status};
    use burn::tensor::Device;

    const NOT_BUILT: &str = "it is not compiled in; build with --features wgpu";

    pub fn best() -> Option<Device> {
        None
    }

    pub fn list() -> Vec<Listed> {
        vec![Listed {
            name: "wgpu".into(),
            hardware: "-".into(),
            status: Status::Unusable(NOT_BUILT.into()),
        }]
    }

    pub fn open(name: &str, _: &str, _: Option<usize>) -> Result<Device, DeviceError> {
        Err(DeviceError::new(name, NOT_BUILT))
    }

    pub fn describe(_: &Device) -> String {
        "cpu".into()
    }
}
