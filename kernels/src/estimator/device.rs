//! The estimator's device kernel (CubeCL) and its launch.
#![allow(missing_docs)] // CubeCL's macros generate public items without documentation.

use burn::backend::TensorMetadata;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, zeros};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{CUBES, THREADS};

/// The number of rows whose element a thread loads before it uses the first: several loads are then in flight
/// at the same time.
const AHEAD: u32 = 8;

/// The two passes over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Uses every row, and marks the rows that contain a value that is not finite.
    Marking,
    /// If a row was marked, starts again from the old state and skips the marked rows.
    Again,
}

/// Updates the state of each element with the rows. A thread processes one element, or several if there are
/// more elements than a launch may have threads. `bad` contains a mark for every row, followed by a mark that
/// is set if any row is marked. All threads write the same value as a mark, so their order does not matter.
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
                // Beyond the last row, the last row is read again and not used.
                let row = u32::min(first + ahead, count - 1u32) as usize;
                values[ahead as usize] = rows[row * stride + e];
            }
            #[unroll]
            for ahead in 0..AHEAD {
                let value = values[ahead as usize];
                let row = first + ahead;
                let mut is_used = row < count;
                if is_used {
                    if comptime!(pass == Pass::Again) {
                        is_used = bad[row as usize] == 0.0f32;
                    } else if !is_finite(value) {
                        bad[row as usize] = 1.0f32;
                        bad[count as usize] = 1.0f32;
                    }
                }
                if is_used {
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

/// Returns the state after `rows`.
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
