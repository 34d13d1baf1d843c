//! The launch parameters of the device kernels.

/// The number of threads per cube of every kernel.
pub const THREADS: u32 = 256;

/// The maximum number of cubes in one direction: the limit of WebGPU, the lowest of all runtimes.
pub const CUBES: u32 = 65_535;
