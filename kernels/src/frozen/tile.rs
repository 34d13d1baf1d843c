//! The innermost kernel: some pixels times some output channels, in registers.

use multiversion::multiversion;

use super::finish::{Finish, Outs, Places};
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

/// Pixels in tiles of at most so many, as few and as even as can be: a short one at the end would take
/// nearly as long as a whole one.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub count: usize,
    each: usize,
    /// The first so many have one pixel more.
    longer: usize,
}

impl Tiles {
    /// Tiles of at most `most` pixels.
    pub fn of(pixels: usize, most: usize) -> Self {
        let count = pixels.div_ceil(most).max(1);
        Self { count, each: pixels / count, longer: pixels % count }
    }

    /// The pixels of a tile.
    pub fn size(self, tile: usize) -> usize {
        self.each + usize::from(tile < self.longer)
    }
}

/// `x` convolved with all blocks of weights, at every pixel of the sweep.
pub fn convolve(
    level: Level,
    x: &[f32],
    sweep: &Sweep,
    blocks: &[Block],
    mut outs: Outs,
    finish: &Finish,
) {
    let most = match level {
        Level::Avx512 => 12,
        Level::Avx2 => 6,
        Level::Plain => 4,
    };
    let tiles = Tiles::of(sweep.rows * sweep.columns, most);
    let mut at = sweep.first();
    for first in (0..tiles.count).step_by(AT_ONCE) {
        let mut end = at;
        for block in blocks {
            end = at;
            for tile in first..(first + AT_ONCE).min(tiles.count) {
                let pixels = tiles.size(tile);
                let outs = &mut outs;
                match (level, block.lanes) {
                    (Level::Avx512, 32) => wide(pixels, x, sweep, block, &mut end, outs, finish),
                    (Level::Avx512, _) => narrow(pixels, x, sweep, block, &mut end, outs, finish),
                    (Level::Avx2, _) => avx2(pixels, x, sweep, block, &mut end, outs, finish),
                    (Level::Plain, _) => plain(pixels, x, sweep, block, &mut end, outs, finish),
                }
            }
        }
        at = end;
    }
}

/// Tiles that are computed for all blocks before the next ones are: what they read and write stays in
/// the cache, and the weights are not read again too often.
const AT_ONCE: usize = 8;

/// A function that computes a tile of `pixels`.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($pixels:literal)*) => {
        fn $name(
            pixels: usize,
            x: &[f32],
            sweep: &Sweep,
            block: &Block,
            at: &mut Place,
            outs: &mut Outs,
            finish: &Finish,
        ) {
            match pixels {
                $($pixels => tile::<$pixels, $lanes, $fused>(x, sweep, block, at, outs, finish),)*
                _ => {}
            }
        }
    };
}

tiles!(wide, 32, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(narrow, 16, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(avx2, 16, true: 1 2 3 4 5 6);
tiles!(plain, 16, false: 1 2 3 4);

/// `N` pixels times `W` channels, from `at` on. A function of its own, small enough that the compiler
/// keeps all sums in registers.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn tile<const N: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    block: &Block,
    at: &mut Place,
    outs: &mut Outs,
    finish: &Finish,
) {
    let (places, from) = Places::<N>::next(sweep, at);
    let mut sums = [[0f32; W]; N];
    let mut left = block.weights.as_chunks::<W>().0;
    for tap in &sweep.taps {
        let rows: [&[f32]; N] =
            std::array::from_fn(|pixel| &x[from[pixel] + tap.offset + block.input..][..tap.count]);
        let (own, rest) = left.split_at(tap.count);
        multiply::<N, W, FUSED>(rows, own, &mut sums);
        left = rest;
    }
    finish.apply::<N, W, FUSED>(&mut sums, &places, block.output, outs);
}

/// `sums[r] += rows[r] weights`.
#[inline(always)]
pub fn multiply<const N: usize, const W: usize, const FUSED: bool>(
    rows: [&[f32]; N],
    weights: &[[f32; W]],
    sums: &mut [[f32; W]; N],
) {
    let count = weights.len();
    let rows = rows.map(|row| &row[..count]);
    let mut own = *sums;
    for i in 0..count {
        // A copy, so that it is read once.
        let weights = weights[i];
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
