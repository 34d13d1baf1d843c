//! How the device kernels are launched.

/// Threads per cube of every kernel.
pub const THREADS: u32 = 256;

/// Cubes that every device takes in one direction: WebGPU's limit.
pub const CUBES: u32 = 65_535;
