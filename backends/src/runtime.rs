//! The GPU runtimes, compiled in or not, and their devices.

use std::panic::catch_unwind;

use burn::tensor::{Device, DeviceType};

use crate::error::DeviceError;

/// A GPU runtime of burn.
pub struct Runtime {
    /// The name of the runtime, of its devices and of its Cargo feature.
    pub name: &'static str,
    /// The device type in burn; `None` if the runtime is not compiled in.
    kind: Option<fn() -> DeviceType>,
    /// The error message if the runtime finds no device.
    no_device: &'static str,
}

/// The device type of a runtime in burn, or `None` if the feature is off.
macro_rules! compiled_in {
    ($feature:literal, $kind:ident) => {{
        #[cfg(feature = $feature)]
        let kind: Option<fn() -> DeviceType> = Some(|| DeviceType::$kind);
        #[cfg(not(feature = $feature))]
        let kind: Option<fn() -> DeviceType> = None;
        kind
    }};
}

/// Every runtime, in the order in which `auto` tries them.
pub const RUNTIMES: [Runtime; 4] = [
    Runtime {
        name: "cuda",
        kind: compiled_in!("cuda", Cuda),
        no_device: "no CUDA device was found: an NVIDIA GPU and libcuda.so are required; install NVIDIA's driver, or use the device cpu",
    },
    Runtime {
        name: "metal",
        kind: compiled_in!("metal", Metal),
        no_device: "no Metal device was found: Metal requires macOS or iOS; use the device cpu",
    },
    Runtime {
        name: "vulkan",
        kind: compiled_in!("vulkan", Vulkan),
        no_device: "no Vulkan device was found; install a Vulkan driver (on Linux without a GPU: mesa-vulkan-drivers), or use the device cpu",
    },
    Runtime {
        name: "wgpu",
        kind: compiled_in!("wgpu", Wgpu),
        no_device: "no adapter was found; install a driver with Vulkan, Metal or DirectX 12 (on Linux without a GPU: mesa-vulkan-drivers), or use the device cpu",
    },
];

/// A device in the list of all devices.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// The name that selects the device.
    pub name: String,
    /// The name that the hardware reports; `-` if it is unknown.
    pub hardware: String,
    /// Whether the device can be used.
    pub status: Status,
    /// Whether `auto` selects the device.
    pub is_auto: bool,
}

/// Whether a device can be used.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The device can be used.
    Ready,
    /// The device can be used, but it is a software renderer on the CPU. `auto` never chooses it, because the
    /// device `cpu` is faster.
    Software,
    /// The device cannot be used, for this reason.
    Unusable(String),
}

impl DeviceInfo {
    /// Returns the entry of the CPU.
    pub(crate) fn cpu() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (name, hardware) = ("cpu".into(), format!("{threads} threads"));
        Self { name, hardware, status: Status::Ready, is_auto: false }
    }
}

impl Runtime {
    /// Returns the runtime called `name`.
    pub fn named(name: &str) -> Option<Self> {
        RUNTIMES.into_iter().find(|runtime| runtime.name == name)
    }

    /// Returns the devices of the runtime, hardware GPUs first.
    ///
    /// # Errors
    ///
    /// Returns the reason why there are no devices.
    fn devices(&self) -> Result<Vec<Device>, String> {
        let Some(kind) = self.kind else {
            return Err(format!(
                "this build does not include the runtime; rebuild with the feature {}",
                self.name
            ));
        };
        let mut devices =
            catch_unwind(move || Device::enumerate(kind()).into_vec()).unwrap_or_default();
        devices.sort_by_key(is_software);
        if devices.is_empty() { Err(self.no_device.into()) } else { Ok(devices) }
    }

    /// Returns the first hardware GPU that can be opened.
    pub fn best(&self) -> Option<Device> {
        self.devices()
            .ok()?
            .into_iter()
            .filter(|device| !is_software(device))
            .find(|device| hardware(device).is_ok())
    }

    /// Returns the entries of all devices of the runtime, or one entry with the reason why there are none.
    pub fn list(&self) -> Vec<DeviceInfo> {
        let devices = match self.devices() {
            Ok(devices) => devices,
            Err(reason) => {
                let (name, hardware) = (self.name.into(), "-".into());
                let status = Status::Unusable(reason);
                return vec![DeviceInfo { name, hardware, status, is_auto: false }];
            }
        };
        let info = |(index, device): (usize, &Device)| {
            let (hardware, status) = match hardware(device) {
                Ok(hardware) if is_software(device) => (hardware, Status::Software),
                Ok(hardware) => (hardware, Status::Ready),
                Err(reason) => ("-".into(), Status::Unusable(reason)),
            };
            let name = format!("{}:{index}", self.name);
            DeviceInfo { name, hardware, status, is_auto: false }
        };
        devices.iter().enumerate().map(info).collect()
    }

    /// Returns the device with this index, by default the first. `name` is the requested name, for errors.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such device, or it cannot be opened.
    pub fn open(&self, name: &str, index: Option<usize>) -> Result<Device, DeviceError> {
        let mut devices =
            self.devices().map_err(|reason| DeviceError::unavailable(name, reason))?;
        let index = index.unwrap_or(0);
        if index >= devices.len() {
            let last = devices.len() - 1;
            let runtime = self.name;
            let reason = match last {
                0 => format!("there is no such device; the only {runtime} device is {runtime}:0"),
                _ => format!(
                    "there is no such device; the {runtime} devices are {runtime}:0 to {runtime}:{last}"
                ),
            };
            return Err(DeviceError::unavailable(name, reason));
        }
        let device = devices.swap_remove(index);
        if is_software(&device) {
            minimize_autotuning();
        }
        hardware(&device).map_err(|reason| DeviceError::unavailable(name, reason))?;
        Ok(device)
    }
}

/// Returns a description of a device: the runtime and the name of the hardware, or `cpu`.
pub fn describe(device: &Device) -> String {
    match runtime_of(device) {
        Some(runtime) => {
            format!("{runtime} ({})", hardware(device).unwrap_or_else(|_| "unknown".into()))
        }
        None => "cpu".into(),
    }
}

#[cfg(feature = "gpu")]
use cubecl_devices::{hardware, is_software, minimize_autotuning, runtime_of};

#[cfg(feature = "gpu")]
mod cubecl_devices {
    use std::panic::catch_unwind;

    use burn::backend::{CubeDevice, DispatchDevice};
    use burn::tensor::Device;
    use cubecl::config::autotune::AutotuneLevel;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    /// Opens the device, and returns the name that the hardware reports.
    ///
    /// # Errors
    ///
    /// Returns the reason why the device cannot be opened or has no name.
    pub fn hardware(device: &Device) -> Result<String, String> {
        let device = device.clone();
        catch_unwind(move || device.identity())
            .map_err(|_| {
                "the device was found, but cannot be opened; update its driver".to_owned()
            })?
            .map(|identity| identity.name)
            .ok_or_else(|| "the device does not report its name".to_owned())
    }

    /// Returns whether the device is a software renderer, which runs on the CPU.
    pub fn is_software(device: &Device) -> bool {
        match device.as_dispatch() {
            #[cfg(feature = "wgpu")]
            DispatchDevice::Cube(CubeDevice::Wgpu(device)) => {
                matches!(device.kind, burn::backend::WgpuDeviceKind::Cpu)
            }
            _ => false,
        }
    }

    /// Sets CubeCL's autotuning to the minimal level, because tuning one convolution on a software renderer
    /// takes minutes. Keeps a level that the user has set. Has no effect after a device was opened.
    pub fn minimize_autotuning() {
        if std::env::var_os(AUTOTUNE_LEVEL).is_some() {
            return;
        }
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        if matches!(config.autotune.level, AutotuneLevel::Balanced) {
            config.autotune.level = AutotuneLevel::Minimal;
        }
        CubeClRuntimeConfig::try_set(config);
    }

    /// The environment variable for the level of CubeCL's autotuning.
    const AUTOTUNE_LEVEL: &str = "CUBECL_AUTOTUNE_LEVEL";

    /// Returns the name of the runtime of a GPU; `None` for the CPU.
    pub fn runtime_of(device: &Device) -> Option<&'static str> {
        match device.as_dispatch() {
            #[cfg(feature = "wgpu")]
            DispatchDevice::Cube(CubeDevice::Wgpu(_)) => Some("wgpu"),
            #[cfg(feature = "cuda")]
            DispatchDevice::Cube(CubeDevice::Cuda(_)) => Some("cuda"),
            _ => None,
        }
    }
}

/// Returns an error: without GPU runtimes there is only the CPU, which reports no name.
#[cfg(not(feature = "gpu"))]
fn hardware(_: &Device) -> Result<String, String> {
    Err("the device is not a GPU".into())
}

#[cfg(not(feature = "gpu"))]
fn is_software(_: &Device) -> bool {
    false
}

#[cfg(not(feature = "gpu"))]
fn runtime_of(_: &Device) -> Option<&'static str> {
    None
}

#[cfg(not(feature = "gpu"))]
fn minimize_autotuning() {}
