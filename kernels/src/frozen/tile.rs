//! The convolution micro-kernel: a register tile of output pixels by output channels.

use multiversion::multiversion;

use super::epilogue::{Destinations, Epilogue, PixelOffsets};
use super::fma::fused;
use super::panel::WeightPanel;
use super::pixel_loop::{Cursor, PixelLoop};

/// The SIMD instruction set that the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512: 32 registers of 16 lanes.
    Avx512,
    /// AVX2 and FMA: 16 registers of 8 lanes.
    Avx2,
    /// The instruction set that the compiler targets.
    Plain,
}

impl Level {
    /// The best level that this processor supports; `multiversion` selects the same one.
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

    /// The width of a weight panel, in output channels, when `channels` remain.
    pub fn lanes(self, channels: usize) -> usize {
        match self {
            Self::Avx512 if channels > 16 => 32,
            _ => 16,
        }
    }
}

/// A partition of pixels into as few tiles as possible, of nearly equal size. A short last tile would take
/// nearly as long as a full one.
#[derive(Clone, Copy)]
pub struct TileSplit {
    pub count: usize,
    each: usize,
    /// The number of leading tiles that have one pixel more.
    longer: usize,
}

impl TileSplit {
    /// Splits `pixels` into tiles of at most `max_pixels`.
    pub fn new(pixels: usize, max_pixels: usize) -> Self {
        let count = pixels.div_ceil(max_pixels).max(1);
        Self { count, each: pixels / count, longer: pixels % count }
    }

    /// The number of pixels of a tile.
    pub fn size(self, tile: usize) -> usize {
        self.each + usize::from(tile < self.longer)
    }
}

/// Convolves `x` with all weight panels at every pixel of the loop.
pub fn convolve(
    level: Level,
    x: &[f32],
    pixel_loop: &PixelLoop,
    panels: &[WeightPanel],
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    let max_pixels = match level {
        Level::Avx512 => 12,
        Level::Avx2 => 6,
        Level::Plain => 4,
    };
    let tiles = TileSplit::new(pixel_loop.rows * pixel_loop.columns, max_pixels);
    let mut at = pixel_loop.start();
    for first in (0..tiles.count).step_by(TILES_PER_GROUP) {
        let mut end = at;
        for panel in panels {
            end = at;
            for tile in first..(first + TILES_PER_GROUP).min(tiles.count) {
                let pixels = tiles.size(tile);
                let destinations = &mut destinations;
                match (level, panel.lanes) {
                    (Level::Avx512, 32) => {
                        wide(pixels, x, pixel_loop, panel, &mut end, destinations, epilogue)
                    }
                    (Level::Avx512, _) => {
                        narrow(pixels, x, pixel_loop, panel, &mut end, destinations, epilogue)
                    }
                    (Level::Avx2, _) => {
                        avx2(pixels, x, pixel_loop, panel, &mut end, destinations, epilogue)
                    }
                    (Level::Plain, _) => {
                        plain(pixels, x, pixel_loop, panel, &mut end, destinations, epilogue)
                    }
                }
            }
        }
        at = end;
    }
}

/// The number of tiles that are computed for all panels before the next tiles. Their inputs and outputs stay
/// in the cache, and the weights are reread once per group instead of once per tile.
const TILES_PER_GROUP: usize = 8;

/// Defines a function that computes a tile of `pixels` pixels.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($pixels:literal)*) => {
        fn $name(
            pixels: usize,
            x: &[f32],
            pixel_loop: &PixelLoop,
            panel: &WeightPanel,
            at: &mut Cursor,
            destinations: &mut Destinations,
            epilogue: &Epilogue,
        ) {
            match pixels {
                $($pixels => tile::<$pixels, $lanes, $fused>(
                    x, pixel_loop, panel, at, destinations, epilogue,
                ),)*
                _ => {}
            }
        }
    };
}

tiles!(wide, 32, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(narrow, 16, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(avx2, 16, true: 1 2 3 4 5 6);
tiles!(plain, 16, false: 1 2 3 4);

/// Computes `N` pixels by `W` output channels, starting at the cursor `at`. A separate function, small enough
/// for the compiler to keep all accumulators in registers.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn tile<const N: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    pixel_loop: &PixelLoop,
    panel: &WeightPanel,
    at: &mut Cursor,
    destinations: &mut Destinations,
    epilogue: &Epilogue,
) {
    let (offsets, from) = PixelOffsets::<N>::next(pixel_loop, at);
    let mut sums = [[0f32; W]; N];
    let mut left = panel.weights.as_chunks::<W>().0;
    for tap in &pixel_loop.taps {
        let rows: [&[f32]; N] =
            std::array::from_fn(|pixel| &x[from[pixel] + tap.offset + panel.input..][..tap.count]);
        let (weights, rest) = left.split_at(tap.count);
        multiply::<N, W, FUSED>(rows, weights, &mut sums);
        left = rest;
    }
    epilogue.apply::<N, W, FUSED>(&mut sums, &offsets, panel.output, destinations);
}

/// Computes `sums[r] += rows[r] weights`.
#[inline(always)]
pub fn multiply<const N: usize, const W: usize, const FUSED: bool>(
    rows: [&[f32]; N],
    weights: &[[f32; W]],
    sums: &mut [[f32; W]; N],
) {
    let count = weights.len();
    let rows = rows.map(|row| &row[..count]);
    let mut accumulators = *sums;
    for i in 0..count {
        // A local copy, so that the weights are loaded once.
        let weights = weights[i];
        for pixel in 0..N {
            let value = rows[pixel][i];
            for lane in 0..W {
                accumulators[pixel][lane] =
                    fused::<FUSED>(value, weights[lane], accumulators[pixel][lane]);
            }
        }
    }
    *sums = accumulators;
}
