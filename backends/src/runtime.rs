//! The GPU runtimes: each compiled in or not, with its devices.

use std::panic::catch_unwind;

use burn::tensor::{Device, DeviceType};

use crate::DeviceError;

/// A GPU runtime of burn.
pub struct Runtime {
    /// The device's name, which is also the feature's.
    pub name: &'static str,
    /// The runtime for burn; none where it is not compiled in.
    kind: Option<fn() -> DeviceType>,
    /// What may be missing where it finds no device.
    missing: &'static str,
}

/// burn's name of a runtime, where the feature is on.
macro_rules! compiled_in {
    ($feature:literal, $kind:ident) => {{
        #[cfg(feature = $feature)]
        let kind: Option<fn() -> DeviceType> = Some(|| DeviceType::$kind);
        #[cfg(not(feature = $feature))]
        let kind: Option<fn() -> DeviceType> = None;
        kind
    }};
}

/// Every runtime, in the order `auto` tries them.
pub const RUNTIMES: [Runtime; 4] = [
    Runtime {
        name: "cuda",
        kind: compiled_in!("cuda", Cuda),
        missing: "no CUDA device was found; it takes an NVIDIA GPU and NVIDIA's driver (libcuda, which nvidia-smi tells about), or use --device cpu",
    },
    Runtime {
        name: "metal",
        kind: compiled_in!("metal", Metal),
        missing: "no Metal device was found; Metal takes macOS or iOS, or use --device cpu",
    },
    Runtime {
        name: "vulkan",
        kind: compiled_in!("vulkan", Vulkan),
        missing: "no Vulkan device was found; install a driver for Vulkan (on Linux without a GPU: mesa-vulkan-drivers), or use --device cpu",
    },
    Runtime {
        name: "wgpu",
        kind: compiled_in!("wgpu", Wgpu),
        missing: "no adapter was found; install a driver for Vulkan, Metal or DirectX 12 (on Linux without a GPU: mesa-vulkan-drivers), or use --device cpu",
    },
];

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

impl Runtime {
    /// The runtime called `name`.
    pub fn named(name: &str) -> Option<Self> {
        RUNTIMES.into_iter().find(|runtime| runtime.name == name)
    }

    /// Its devices, real GPUs first.
    ///
    /// # Errors
    ///
    /// What is missing, where there are none.
    fn devices(&self) -> Result<Vec<Device>, String> {
        let Some(kind) = self.kind else {
            return Err(format!(
                "this build lacks it; build again with it: cargo install --path cli --features {}",
                self.name
            ));
        };
        let mut devices =
            catch_unwind(move || Device::enumerate(kind()).into_vec()).unwrap_or_default();
        devices.sort_by_key(is_software);
        if devices.is_empty() { Err(self.missing.into()) } else { Ok(devices) }
    }

    /// Its first real GPU that opens.
    pub fn best(&self) -> Option<Device> {
        self.devices()
            .ok()?
            .into_iter()
            .filter(|device| !is_software(device))
            .find(|device| hardware(device).is_ok())
    }

    /// Each of its devices with what it is, or why it has none.
    pub fn list(&self) -> Vec<Listed> {
        let devices = match self.devices() {
            Ok(devices) => devices,
            Err(reason) => {
                let (name, hardware) = (self.name.into(), "-".into());
                return vec![Listed { name, hardware, status: Status::Unusable(reason) }];
            }
        };
        let listed = |(index, device): (usize, &Device)| {
            let (hardware, status) = match hardware(device) {
                Ok(hardware) if is_software(device) => (hardware, Status::Software),
                Ok(hardware) => (hardware, Status::Ready),
                Err(reason) => ("-".into(), Status::Unusable(reason)),
            };
            Listed { name: format!("{}:{index}", self.name), hardware, status }
        };
        devices.iter().enumerate().map(listed).collect()
    }

    /// The device `index`, or the first.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not open.
    pub fn open(&self, name: &str, index: Option<usize>) -> Result<Device, DeviceError> {
        let mut devices = self.devices().map_err(|reason| DeviceError::new(name, reason))?;
        let index = index.unwrap_or(0);
        if index >= devices.len() {
            let last = devices.len() - 1;
            let reason = match last {
                0 => format!("there is one, {}:0; `attriburn devices` lists it", self.name),
                _ => format!(
                    "there are {}, {}:0 to {}:{last}; `attriburn devices` lists them",
                    devices.len(),
                    self.name,
                    self.name
                ),
            };
            return Err(DeviceError::new(name, reason));
        }
        let device = devices.swap_remove(index);
        if is_software(&device) {
            tune_little();
        }
        hardware(&device).map_err(|reason| DeviceError::new(name, reason))?;
        Ok(device)
    }
}

/// A name for the manifest: the runtime and, where it has one, the hardware's own name.
pub fn describe(device: &Device) -> String {
    match runtime_of(device) {
        Some(runtime) => {
            format!("{runtime} ({})", hardware(device).unwrap_or_else(|_| "unknown".into()))
        }
        None => "cpu".into(),
    }
}

#[cfg(feature = "gpu")]
use of_cubecl::{hardware, is_software, runtime_of, tune_little};

#[cfg(feature = "gpu")]
mod of_cubecl {
    use std::panic::catch_unwind;

    use burn::backend::{CubeDevice, DispatchDevice};
    use burn::tensor::Device;
    use cubecl::config::autotune::AutotuneLevel;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    /// What the hardware calls itself; opens the device.
    pub fn hardware(device: &Device) -> Result<String, String> {
        let device = device.clone();
        catch_unwind(move || device.identity())
            .map_err(|_| "it was found but could not be opened; update its driver".to_owned())?
            .map(|identity| identity.name)
            .ok_or_else(|| "it does not say what it is".to_owned())
    }

    /// Whether the device is a renderer that runs on the CPU.
    pub fn is_software(device: &Device) -> bool {
        match device.as_dispatch() {
            #[cfg(feature = "wgpu")]
            DispatchDevice::Cube(CubeDevice::Wgpu(device)) => {
                matches!(device.kind, burn::backend::WgpuDeviceKind::Cpu)
            }
            _ => false,
        }
    }

    /// Has kernels tuned as little as can be, where nobody said how much and no device was opened before: on a
    /// renderer that runs on the CPU, tuning one convolution takes minutes.
    pub fn tune_little() {
        if std::env::var_os(LEVEL).is_some() {
            return;
        }
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        if matches!(config.autotune.level, AutotuneLevel::Balanced) {
            config.autotune.level = AutotuneLevel::Minimal;
        }
        CubeClRuntimeConfig::try_set(config);
    }

    /// The variable with which CubeCL is told how much to tune.
    const LEVEL: &str = "CUBECL_AUTOTUNE_LEVEL";

    /// The name of the runtime of a GPU.
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

/// Only what runs on a GPU has a name.
#[cfg(not(feature = "gpu"))]
fn hardware(_: &Device) -> Result<String, String> {
    Err("it is no GPU".into())
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
fn tune_little() {}
