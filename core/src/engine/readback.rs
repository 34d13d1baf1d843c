//! Tensors from and to the host, and which failures of a device are a lack of memory.

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, ErrorKind, error};

/// One sample as a batch `[1, features]` on `device`.
pub fn row(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len()]), device)
}

/// Reads the values of a tensor; waits until the device has computed them.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let data = tensor.try_into_data().map_err(|error| device_error(&error.to_string()))?;
    data.convert::<f32>().try_into_vec().map_err(|error| device_error(&format!("{error:?}")))
}

/// The error of a device that reported `message`.
fn device_error(message: &str) -> Error {
    match message.lines().find(|line| reports_out_of_memory(line)) {
        Some(line) => no_memory(line.trim()),
        None => error!(Device, "the device failed: {message}"),
    }
}

/// The error where even a batch of one sample does not fit.
fn no_memory(reason: &str) -> Error {
    Error::out_of_memory(format!(
        "the device has no memory for the smallest batch: {reason}; free some, or use another device"
    ))
}

/// Whether a line of a device's message reports a failed allocation. burn passes on only the text of what its
/// runtimes report (`IoError` and `LaunchError` of CubeCL).
fn reports_out_of_memory(line: &str) -> bool {
    ["can't allocate", "out of device memory", "out-of-memory", "out of memory"]
        .iter()
        .any(|words| line.to_lowercase().contains(words))
}

/// The error of a model as an error of the run: a failed allocation that the model reports in its message
/// only is a lack of memory as well.
pub fn classified(error: Error) -> Error {
    let reports = || error.to_string().lines().any(reports_out_of_memory);
    match error.kind() {
        ErrorKind::OutOfMemory => no_memory(&error.to_string()),
        ErrorKind::Model if reports() => no_memory(&error.to_string()),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_allocations_are_out_of_memory_errors() {
        let allocation = "An IO error happened\nCaused by:\n  can't allocate buffer of size: 99\n";
        assert_eq!(device_error(allocation).kind(), ErrorKind::OutOfMemory);
        let other = device_error("the kernel does not compile");
        assert_eq!(other.kind(), ErrorKind::Device);
        let by_model = classified(Error::model("convolution: out of memory"));
        assert_eq!(by_model.kind(), ErrorKind::OutOfMemory);
    }
}
