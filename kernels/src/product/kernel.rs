//! Taking numbers apart, in CubeCL's language.

use cubecl::prelude::*;

use crate::launch::THREADS;

/// The bits of a float32 that TF32 has as well.
const HELD: u32 = 0xFFFF_E000;

/// Each thread takes one of `count` numbers apart: what TF32 holds of it, and the rest, which is 0 where
/// the number is not finite.
#[cube(launch)]
pub fn split_kernel(numbers: &[f32], high: &mut [f32], low: &mut [f32], count: u32) {
    let at = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * THREADS + UNIT_POS_X;
    if at >= count {
        terminate!();
    }
    let number = numbers[at as usize];
    let bits = u32::reinterpret(number);
    let held = f32::reinterpret(bits & HELD);
    let is_finite = (bits & 0x7F80_0000u32) != 0x7F80_0000u32;
    high[at as usize] = select(is_finite, held, number);
    low[at as usize] = select(is_finite, number - held, 0.0f32);
}
