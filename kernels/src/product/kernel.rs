//! The device kernel (CubeCL) that splits float32 values for TF32.
#![allow(missing_docs)] // CubeCL's macros generate public items without documentation.

use cubecl::prelude::*;

use crate::launch::THREADS;

/// The bits of a float32 that TF32 represents.
const TF32_BITS: u32 = 0xFFFF_E000;

/// Splits one of `count` values per thread: `high` is the part that TF32 represents, `low` the remainder,
/// which is 0 if the value is not finite.
#[cube(launch)]
pub fn split_kernel(input: &[f32], high: &mut [f32], low: &mut [f32], count: u32) {
    let at = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * THREADS + UNIT_POS_X;
    if at >= count {
        terminate!();
    }
    let value = input[at as usize];
    let bits = u32::reinterpret(value);
    let held = f32::reinterpret(bits & TF32_BITS);
    let is_finite = (bits & 0x7F80_0000u32) != 0x7F80_0000u32;
    high[at as usize] = select(is_finite, held, value);
    low[at as usize] = select(is_finite, value - held, 0.0f32);
}
