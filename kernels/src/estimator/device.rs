//! The estimator's kernels for every CubeCL device, and their launch.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{CUBES, THREADS};

/// Marks each row that holds a value which is not finite. Threads that see one write the same
/// number, so their order does not matter.
#[cube(launch)]
pub fn mark_kernel(rows: &[f32], bad: &mut [f32], features: u32) {
    let row = CUBE_POS_Y as usize;
    let mut e = ABSOLUTE_POS_X;
    while e < features {
        let value = rows[row * (features as usize) + (e as usize)];
        let exponent = u32::reinterpret(value) & 0x7F80_0000u32;
        if exponent == 0x7F80_0000u32 {
            bad[row] = 1.0f32;
        }
        e += CUBE_COUNT_X * CUBE_DIM_X;
    }
}

/// Takes each element of every row that is not marked; a thread takes one, and where there are more
/// elements than a launch may have threads, several.
#[cube(launch)]
pub fn update_kernel(
    state: &[f32],
    rows: &[f32],
    bad: &[f32],
    updated: &mut [f32],
    features: u32,
    count: u32,
) {
    let stride = features as usize;
    let mut at = ABSOLUTE_POS_X;
    while at < features {
        let e = at as usize;
        let mut mean = state[e];
        let mut squares = state[stride + e];
        let mut low = state[2 * stride + e];
        let mut high = state[3 * stride + e];
        for row in 0..count as usize {
            if bad[row] == 0.0f32 {
                let value = rows[row * stride + e];
                low += 1.0f32;
                if low == 1048576.0f32 {
                    low = 0.0f32;
                    high += 1.0f32;
                }
                let deviation = value - mean;
                mean += deviation / (low + high * 1048576.0f32);
                squares += deviation * (value - mean);
            }
        }
        updated[e] = mean;
        updated[stride + e] = squares;
        updated[2 * stride + e] = low;
        updated[3 * stride + e] = high;
        at += CUBE_COUNT_X * CUBE_DIM_X;
    }
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
    let blocks = features.div_ceil(THREADS).min(CUBES);
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
