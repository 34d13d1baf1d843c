//! The estimator's kernels for every CubeCL device, and their launch.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{CUBES, THREADS};

/// Rows of which a thread reads its element at once: memory answers many requests at the same time.
const AHEAD: u32 = 8;

/// The two passes over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Takes every row, and marks those that hold a value which is not finite.
    Marking,
    /// Where a row was marked, begins anew and leaves it out.
    Again,
}

/// Takes each element of the rows; a thread takes one, and where there are more elements than a launch
/// may have threads, several. `bad` has a mark for every row, and then one that says whether there is
/// any. Threads that mark write the same number, so their order does not matter.
#[cube(launch)]
pub fn update_kernel(
    state: &[f32],
    rows: &[f32],
    bad: &mut [f32],
    updated: &mut [f32],
    features: u32,
    count: u32,
    #[comptime] pass: Pass,
) {
    if comptime!(pass == Pass::Again) && bad[count as usize] == 0.0f32 {
        terminate!();
    }
    let stride = features as usize;
    let mut at = ABSOLUTE_POS_X;
    while at < features {
        let e = at as usize;
        let mut mean = state[e];
        let mut squares = state[stride + e];
        let mut low = state[2 * stride + e];
        let mut high = state[3 * stride + e];
        let mut first = 0u32;
        while first < count {
            let mut values = Array::<f32>::new(AHEAD as usize);
            #[unroll]
            for ahead in 0..AHEAD {
                // After the last row it is read again, and not used.
                let row = u32::min(first + ahead, count - 1u32) as usize;
                values[ahead as usize] = rows[row * stride + e];
            }
            #[unroll]
            for ahead in 0..AHEAD {
                let value = values[ahead as usize];
                let row = first + ahead;
                let mut is_taken = row < count;
                if is_taken {
                    if comptime!(pass == Pass::Again) {
                        is_taken = bad[row as usize] == 0.0f32;
                    } else if !is_finite(value) {
                        bad[row as usize] = 1.0f32;
                        bad[count as usize] = 1.0f32;
                    }
                }
                if is_taken {
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
            first += AHEAD;
        }
        updated[e] = mean;
        updated[stride + e] = squares;
        updated[2 * stride + e] = low;
        updated[3 * stride + e] = high;
        at += CUBE_COUNT_X * CUBE_DIM_X;
    }
}

#[cube]
fn is_finite(value: f32) -> bool {
    (u32::reinterpret(value) & 0x7F80_0000u32) != 0x7F80_0000u32
}

/// The state after `rows`.
pub fn launch(state: CubeTensor, rows: CubeTensor) -> CubeTensor {
    let (state, rows) = (into_contiguous(state), into_contiguous(rows));
    let (count, features) = (rows.shape()[0] as u32, rows.shape()[1] as u32);
    let client = rows.client.clone();
    let bad = zeros(rows.device.clone(), [count as usize + 1].into(), rows.dtype);
    let updated = empty_device_contiguous_dtype(
        client.clone(),
        rows.device.clone(),
        state.shape(),
        state.dtype,
    );
    for pass in [Pass::Marking, Pass::Again] {
        update_kernel::launch(
            &client,
            CubeCount::Static(features.div_ceil(THREADS).min(CUBES), 1, 1),
            CubeDim::new_1d(THREADS),
            state.clone().into_buffer_arg(),
            rows.clone().into_buffer_arg(),
            bad.clone().into_buffer_arg(),
            updated.clone().into_buffer_arg(),
            features,
            count,
            pass,
        );
    }
    updated
}
