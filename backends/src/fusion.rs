//! burn's fusion of operations into common kernels, on the GPU runtimes.

#[cfg(feature = "gpu")]
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DeviceError;

/// Whether fusion has been turned off.
#[cfg(feature = "gpu")]
static NONE_FUSED: AtomicBool = AtomicBool::new(false);

/// Turns fusion off for this process: each operation of a model runs as a kernel of its own. The
/// noise and the estimator are kernels of their own either way.
///
/// # Errors
///
/// When a device has been used already, as burn reads its configuration with the first, or the
/// program has set burn's configuration itself. A `burn.toml` is not read after this.
#[cfg(feature = "gpu")]
pub fn disable_fusion() -> Result<(), DeviceError> {
    use cubecl::config::RuntimeConfig;

    if NONE_FUSED.load(Ordering::SeqCst) {
        return Ok(());
    }
    // A cap on the fused kernels that burn looks for, beyond which operations run one by one.
    let none = serde_json::json!({ "fusion": { "beam_search": { "max_explorations": 0 } } });
    let config: burn::BurnConfig =
        serde_json::from_value(none).map_err(|error| refused(&error.to_string()))?;
    if burn::BurnConfig::try_set(config) {
        NONE_FUSED.store(true, Ordering::SeqCst);
        Ok(())
    } else {
        Err(refused("burn's configuration is in use already; turn it off before the first device"))
    }
}

/// Does nothing: no GPU runtime is compiled in, and the CPU fuses nothing.
///
/// # Errors
///
/// None.
#[cfg(not(feature = "gpu"))]
pub fn disable_fusion() -> Result<(), DeviceError> {
    Ok(())
}

#[cfg(feature = "gpu")]
fn refused(reason: &str) -> DeviceError {
    DeviceError::new("auto", format!("fusion cannot be turned off: {reason}"))
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    #[test]
    fn is_turned_off_before_any_device() {
        super::disable_fusion().expect("nothing has read the configuration");
        assert_eq!(burn::runtime_config().fusion().beam_search.max_explorations, Some(0));
        super::disable_fusion().expect("it is off already");
    }
}
