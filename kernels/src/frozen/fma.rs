//! Multiply-add.

/// Computes `a b + c`: with `FUSED` as a fused multiply-add, with one rounding.
#[inline(always)]
pub fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
