//! The estimator's kernels for every CubeCL device, and their launch.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Threads per cube.
const THREADS: u32 = 256;

/// Marks each row that holds a value which is not finite. Threads that see one write the same
/// number, so their order does not matter.
#[cube(launch)]
pub fn mark_kernel(rows: &[f32], bad: &mut [f32], features: u32) {
    let e = ABSOLUTE_POS_X;
    if e >= features {
        terminate!();
    }
    let row = CUBE_POS_Y;
    let value = rows[(row as usize) * (features as usize) + (e as usize)];
    let exponent = u32::reinterpret(value) & 0x7F80_0000u32;
    if exponent == 0x7F80_0000u32 {
        bad[row as usize] = 1.0f32;
    }
}

/// Thread `e` takes element `e` of every row that is not marked.
#[cube(launch)]
pub fn update_kernel(
    state: &[f32],
    rows: &[f32],
    bad: &[f32],
    updated: &mut [f32],
    features: u32,
    count: u32,
) {
    let e = ABSOLUTE_POS_X as usize;
    let stride = features as usize;
    if e >= stride {
        terminate!();
    }
    let mut mean = state[e];
    let mut squares = state[stride + e];
    let mut samples = state[2 * stride + e];
    for row in 0..count as usize {
        if bad[row] == 0.0f32 {
            let value = rows[row * stride + e];
            samples += 1.0f32;
            let deviation = value - mean;
            mean += deviation / samples;
            squares += deviation * (value - mean);
        }
    }
    updated[e] = mean;
    updated[stride + e] = squares;
    updated[2 * stride + e] = samples;
}

/// The state after `rows`.
pub fn launch(state: CubeTensor, rows: CubeTensor) -> CubeTensor {
    let (state, rows) = (into_contiguous(state), into_contiguous(rows));
    let (count, features) = (rows.shape()[0] as u32, rows.shape()[1] as u32);
    let client = rows.client.clone();
    let bad = zeros(rows.device.clone(), [count as usize].into(), rows.dtype);
    let updated = empty_device_contiguous_dtype(
        client.clone(),
        rows.device.clone(),
        state.shape(),
        state.dtype,
    );
    let blocks = features.div_ceil(THREADS);
    mark_kernel::launch(
        &client,
        CubeCount::Static(blocks, count, 1),
        CubeDim::new_1d(THREADS),
        rows.clone().into_buffer_arg(),
        bad.clone().into_buffer_arg(),
        features,
    );
    update_kernel::launch(
        &client,
        CubeCount::Static(blocks, 1, 1),
        CubeDim::new_1d(THREADS),
        state.into_buffer_arg(),
        rows.into_buffer_arg(),
        bad.into_buffer_arg(),
        updated.clone().into_buffer_arg(),
        features,
        count,
    );
    updated
}
