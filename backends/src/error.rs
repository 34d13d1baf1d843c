//! Errors of devices.

/// The reason why a device cannot be used, and a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {name}: {reason}")]
pub struct DeviceError {
    kind: DeviceErrorKind,
    /// The requested name.
    name: String,
    /// The reason.
    reason: String,
}

/// What a [`DeviceError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceErrorKind {
    /// No device has the requested name.
    Name,
    /// The build lacks the runtime, or the device is not there or cannot be opened.
    Unavailable,
    /// Threads or fusion were configured too late, or to a value that cannot be used.
    Configuration,
}

impl DeviceError {
    /// Returns what the error is about.
    pub fn kind(&self) -> DeviceErrorKind {
        self.kind
    }

    /// A name that means no device.
    pub(crate) fn name(name: &str, reason: impl Into<String>) -> Self {
        Self { kind: DeviceErrorKind::Name, name: name.into(), reason: reason.into() }
    }

    /// A device that is not available.
    pub(crate) fn unavailable(name: &str, reason: impl Into<String>) -> Self {
        Self { kind: DeviceErrorKind::Unavailable, name: name.into(), reason: reason.into() }
    }

    /// A configuration that cannot be applied.
    pub(crate) fn configuration(name: &str, reason: impl Into<String>) -> Self {
        Self { kind: DeviceErrorKind::Configuration, name: name.into(), reason: reason.into() }
    }
}
