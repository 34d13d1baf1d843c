//! Reading from the device, and telling failed allocations from other failures.

use burn::tensor::Tensor;

use crate::{Error, ModelError};

/// The values of a tensor, once the device has computed them.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let data = tensor.try_into_data().map_err(|error| device_error(error.to_string()))?;
    data.convert::<f32>().try_into_vec().map_err(|error| Error::Execution(format!("{error:?}")))
}

/// The error of a device that says `message`.
fn device_error(message: String) -> Error {
    match message.lines().find(|line| says_out_of_memory(line)) {
        Some(line) => Error::OutOfMemory(line.trim().to_owned()),
        None => Error::Execution(message),
    }
}

/// Whether a line of a device's message speaks of a failed allocation. The message is all that
/// burn hands on of what its runtimes say (`IoError` and `LaunchError` of CubeCL).
fn says_out_of_memory(line: &str) -> bool {
    ["can't allocate", "out of device memory", "out-of-memory", "out of memory"]
        .iter()
        .any(|words| line.to_lowercase().contains(words))
}

/// Whether a smaller batch may mend the error.
pub fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::OutOfMemory(_) => true,
        Error::Model(error) => is_out_of_memory_of(error),
        _ => false,
    }
}

/// The same of a model's error.
pub fn is_out_of_memory_of(error: &ModelError) -> bool {
    error.is_out_of_memory() || error.to_string().lines().any(says_out_of_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_allocations_are_told_from_other_failures() {
        let allocation = "An IO error happened\nCaused by:\n  can't allocate buffer of size: 99\n";
        assert!(is_out_of_memory(&device_error(allocation.into())));
        assert!(!is_out_of_memory(&device_error("the kernel does not compile".into())));
    }
}
