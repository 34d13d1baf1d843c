//! Burn's fusion of tensor operations into common kernels, on the GPU runtimes.

#[cfg(feature = "gpu")]
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::DeviceError;

/// Whether fusion was turned off.
#[cfg(feature = "gpu")]
static FUSION_DISABLED: AtomicBool = AtomicBool::new(false);

/// Turns fusion off for this process: each operation of a model runs as a separate kernel. The noise and the
/// estimator are separate kernels in any case. Burn no longer reads `burn.toml` after this call.
///
/// # Errors
///
/// Returns an error if a device was used before, because burn reads its configuration with the first device,
/// or if the program has set burn's configuration.
#[cfg(feature = "gpu")]
pub fn disable_fusion() -> Result<(), DeviceError> {
    use cubecl::config::RuntimeConfig;

    if FUSION_DISABLED.load(Ordering::SeqCst) {
        return Ok(());
    }
    // The maximum number of fused kernels that burn searches for. With 0, no operations are fused.
    let settings = serde_json::json!({ "fusion": { "beam_search": { "max_explorations": 0 } } });
    let config: burn::BurnConfig =
        serde_json::from_value(settings).map_err(|error| fusion_error(&error.to_string()))?;
    if burn::BurnConfig::try_set(config) {
        FUSION_DISABLED.store(true, Ordering::SeqCst);
        Ok(())
    } else {
        Err(fusion_error(
            "burn's configuration is already in use; turn fusion off before the first use of a device",
        ))
    }
}

/// Does nothing: no GPU runtime is compiled in, and the CPU runtime does not fuse operations.
///
/// # Errors
///
/// Never returns an error.
#[cfg(not(feature = "gpu"))]
pub fn disable_fusion() -> Result<(), DeviceError> {
    Ok(())
}

#[cfg(feature = "gpu")]
fn fusion_error(reason: &str) -> DeviceError {
    DeviceError::configuration("auto", format!("fusion cannot be turned off: {reason}"))
}

#[cfg(all(test, feature = "gpu"))]
mod tests {
    #[test]
    fn fusion_is_turned_off_before_the_first_device() {
        super::disable_fusion().expect("no device has read the configuration");
        assert_eq!(burn::runtime_config().fusion().beam_search.max_explorations, Some(0));
        super::disable_fusion().expect("fusion is already off");
    }
}
