//! The innermost kernel: some pixels times some output channels, in registers.

use multiversion::multiversion;

use super::finish::{Finish, Outs};
use super::pack::Block;
use super::sweep::{Place, Sweep};

/// What the processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 32 registers of 16 lanes.
    Avx512,
    /// 16 registers of 8 lanes.
    Avx2,
    /// Whatever the compiler was told.
    Plain,
}

impl Level {
    /// The best that this processor has; the same one that `multiversion` chooses.
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi2")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// The output channels of a block of weights: the widest for which there is work.
    pub fn lanes(self, channels: usize) -> usize {
        match self {
            Self::Avx512 if channels > 16 => 32,
            _ => 16,
        }
    }
}

/// The pixels of a tile.
const TALL: usize = 12;
const LOW: usize = 6;
const SHORT: usize = 4;

/// `x` convolved with one block of weights, at every pixel of the sweep.
pub fn convolve(
    level: Level,
    x: &[f32],
    sweep: &Sweep,
    block: &Block,
    outs: Outs,
    finish: &Finish,
) {
    match (level, block.lanes) {
        (Level::Avx512, 32) => all::<TALL, 32, true>(x, sweep, block, outs, finish),
        (Level::Avx512, _) => all::<TALL, 16, true>(x, sweep, block, outs, finish),
        (Level::Avx2, _) => all::<LOW, 16, true>(x, sweep, block, outs, finish),
        (Level::Plain, _) => all::<SHORT, 16, false>(x, sweep, block, outs, finish),
    }
}

/// Tiles of `R` pixels, and a shorter one at the end.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn all<const R: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    block: &Block,
    mut outs: Outs,
    finish: &Finish,
) {
    let (weights, _) = block.weights.as_chunks::<W>();
    let pixels = sweep.rows * sweep.columns;
    let mut at = sweep.first();
    let mut done = 0;
    while done + R <= pixels {
        tile::<R, W, FUSED>(x, sweep, block, weights, &mut at, &mut outs, finish);
        done += R;
    }
    // What is left in halves, so that few tiles exist.
    let mut left = pixels - done;
    while left > 0 {
        let step = match left {
            8.. => 8,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        match step {
            8 => tile::<8, W, FUSED>(x, sweep, block, weights, &mut at, &mut outs, finish),
            4 => tile::<4, W, FUSED>(x, sweep, block, weights, &mut at, &mut outs, finish),
            2 => tile::<2, W, FUSED>(x, sweep, block, weights, &mut at, &mut outs, finish),
            _ => tile::<1, W, FUSED>(x, sweep, block, weights, &mut at, &mut outs, finish),
        }
        left -= step;
    }
}

/// `N` pixels times `W` channels, from `at` on.
#[inline(always)]
fn tile<const N: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    block: &Block,
    weights: &[[f32; W]],
    at: &mut Place,
    outs: &mut Outs,
    finish: &Finish,
) {
    let places: [Place; N] = std::array::from_fn(|_| sweep.next(at));
    let mut sums = [[0f32; W]; N];
    let mut left = weights;
    for tap in &sweep.taps {
        let rows: [&[f32]; N] = std::array::from_fn(|pixel| {
            &x[places[pixel].from + tap.offset + block.input..][..tap.count]
        });
        let (own, rest) = left.split_at(tap.count);
        multiply::<N, W, FUSED>(rows, own, &mut sums);
        left = rest;
    }
    for (place, sums) in places.iter().zip(&mut sums) {
        finish.apply::<W, FUSED>(sums, place, block.output, outs);
    }
}

/// `sums[r] += rows[r] weights`.
#[inline(always)]
fn multiply<const N: usize, const W: usize, const FUSED: bool>(
    rows: [&[f32]; N],
    weights: &[[f32; W]],
    sums: &mut [[f32; W]; N],
) {
    let count = weights.len();
    let rows = rows.map(|row| &row[..count]);
    let mut own = *sums;
    for i in 0..count {
        let weights = &weights[i];
        for pixel in 0..N {
            let value = rows[pixel][i];
            for lane in 0..W {
                own[pixel][lane] = fused::<FUSED>(value, weights[lane], own[pixel][lane]);
            }
        }
    }
    *sums = own;
}

/// `a b + c`, in one rounding where the processor has it.
#[inline(always)]
pub fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
