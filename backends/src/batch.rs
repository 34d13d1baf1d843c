//! The limits of the batch size on each device.

use burn::tensor::Device;

use crate::threads;

/// The limits of a batch on one device.
///
/// | device | `multiple` | `max_samples` | `cache` |
/// |---|---|---|---|
/// | CPU | the number of threads, rounded up to 8 | 64, or one multiple | 64 MiB |
/// | GPU with a known number of multiprocessors | 8 | one sample per multiprocessor, rounded up to 8 | - |
/// | other GPU | 8 | 64 | - |
///
/// Why one sample per multiprocessor: the last stages of a classifier have about 7 x 7 x 512 outputs per
/// sample, which are six to eight tiles of 64 x 64 of a matrix product. With one sample per multiprocessor,
/// each multiprocessor computes several tiles of every layer, so the last, partly filled wave costs little.
/// The rule is derived, not measured: see `docs/performance.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The number of samples that a batch should be a multiple of, so that all cores get equal shares.
    pub multiple: usize,
    /// The number of samples above which a batch is no faster.
    pub max_samples: usize,
    /// The capacity of the device's caches, in bytes. The activations of a larger batch are written to memory
    /// between passes.
    pub cache: Option<u64>,
}

/// The number of samples that fills vector registers and tiles.
const MULTIPLE: usize = 8;
/// The maximum number of samples of a batch on a device with an unknown number of multiprocessors.
const DEFAULT_MAX_SAMPLES: usize = 64;
/// The bytes of a CPU's caches that the activations of a batch may fill.
const CPU_CACHE: u64 = 64 << 20;

impl BatchLimits {
    /// Returns the limits of `device`.
    pub fn of(device: &Device) -> Self {
        if *device == Device::flex() {
            return Self::of_cpu(threads());
        }
        let max_samples = multiprocessors(device)
            .map_or(DEFAULT_MAX_SAMPLES, |count| count.next_multiple_of(MULTIPLE));
        Self { multiple: MULTIPLE, max_samples, cache: None }
    }

    /// Returns the limits of a CPU with `threads` threads.
    fn of_cpu(threads: usize) -> Self {
        let multiple = threads.next_multiple_of(MULTIPLE);
        Self { multiple, max_samples: DEFAULT_MAX_SAMPLES.max(multiple), cache: Some(CPU_CACHE) }
    }

    /// Returns the best number of samples of a batch, given the `bytes` of one sample, if known, and the
    /// `memory` for the batch in bytes.
    pub fn samples(self, bytes: Option<u64>, memory: u64) -> usize {
        let capacity = |memory: u64| usize::try_from(memory / bytes?.max(1)).ok();
        // A cache that holds fewer samples than one multiple does not limit the batch below one multiple.
        let cached = self.cache.and_then(capacity).map(|samples| samples.max(self.multiple));
        let limit = cached.map_or(self.max_samples, |cached| self.max_samples.min(cached));
        let best = capacity(memory).map_or(limit, |samples| samples.min(limit));
        if best > self.multiple { best - best % self.multiple } else { best }
    }
}

/// Returns the number of multiprocessors of a GPU, if known.
#[cfg(feature = "gpu")]
fn multiprocessors(device: &Device) -> Option<usize> {
    let burn::backend::DispatchDevice::Cube(device) = device.as_dispatch() else {
        return None;
    };
    let count = device.client().properties().hardware.num_streaming_multiprocessors?;
    usize::try_from(count).ok().filter(|&count| count > 0)
}

#[cfg(not(feature = "gpu"))]
fn multiprocessors(_: &Device) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_batches_are_multiples_of_the_threads() {
        for (threads, multiple, max_samples) in [(1, 8, 64), (8, 8, 64), (12, 16, 64), (96, 96, 96)]
        {
            let limits = BatchLimits::of_cpu(threads);
            assert_eq!(
                (limits.multiple, limits.max_samples),
                (multiple, max_samples),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn memory_and_caches_limit_a_batch() {
        let limits = BatchLimits { multiple: 8, max_samples: 64, cache: Some(1000) };
        let cases = [
            (None, 10, 64),
            (Some(1), 10_000, 64),
            (Some(30), 10_000, 32),
            (Some(200), 10_000, 8),
            (Some(200), 1000, 5),
            (Some(2000), 1000, 0),
        ];
        for (bytes, memory, samples) in cases {
            assert_eq!(limits.samples(bytes, memory), samples, "{bytes:?} {memory}");
        }
    }
}
