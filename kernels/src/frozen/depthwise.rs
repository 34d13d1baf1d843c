//! Depthwise convolutions, forward and backward.

use multiversion::multiversion;

use super::aligned::AlignedBuffer;
use super::epilogue::{Destinations, Epilogue, PixelOffsets, lanes};
use super::fma::fused;
use super::image::LANES;
use super::pack::Kernel;
use super::phase::Phase;
use super::pixel_loop::{Cursor, PixelLoop};
use super::tile::{Level, TileSplit};

/// The packed weights of a depthwise convolution, forward or backward: `[tap][channel]` for each phase.
#[derive(Clone, Debug)]
pub struct PackedDepthwise {
    pub phases: Vec<(Phase, AlignedBuffer)>,
}

impl PackedDepthwise {
    /// Packs the forward convolution.
    pub fn forward(kernel: &Kernel) -> Self {
        Self::new(kernel, vec![Phase::forward(&kernel.shape.window)])
    }

    /// Packs the gradient with respect to the input.
    pub fn backward(kernel: &Kernel) -> Self {
        Self::new(kernel, Phase::backward(&kernel.shape.window))
    }

    fn new(kernel: &Kernel, phases: Vec<Phase>) -> Self {
        let area = kernel.shape.window.kernel[0] * kernel.shape.window.kernel[1];
        let stride = kernel.shape.outputs.next_multiple_of(LANES);
        let pack = |phase: Phase| {
            let mut weights = AlignedBuffer::zeros(phase.kernel_indices.len() * stride);
            for (row, index) in weights.chunks_exact_mut(stride).zip(&phase.kernel_indices) {
                for (channel, value) in row[..kernel.shape.outputs].iter_mut().enumerate() {
                    *value = kernel.weights[channel * area + index];
                }
            }
            (phase, weights)
        };
        Self { phases: phases.into_iter().map(pack).collect() }
    }
}

/// Convolves `x` at every pixel of the loop; pixels are `stride` channels apart.
pub fn convolve(
    level: Level,
    x: &[f32],
    pixel_loop: &PixelLoop,
    weights: &[f32],
    stride: usize,
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    // For each row, wide blocks of channels and then narrow ones; in a block, tiles of pixels.
    let (max_pixels, widest) = match level {
        Level::Avx512 => (7, 32),
        Level::Avx2 => (4, 16),
        Level::Plain => (2, 16),
    };
    let tiles = TileSplit::new(pixel_loop.columns, max_pixels);
    for row in 0..pixel_loop.rows {
        let mut channel = 0;
        while channel < stride {
            let lanes = if channel + widest <= stride { widest } else { LANES };
            let block = ChannelBlock { x, pixel_loop, weights, stride, channel };
            let mut at = pixel_loop.row_start(row);
            for tile in 0..tiles.count {
                let pixels = tiles.size(tile);
                let destinations = &mut destinations;
                match (level, lanes) {
                    (Level::Avx512, 32) => wide(pixels, &block, &mut at, destinations, epilogue),
                    (Level::Avx512, _) => narrow(pixels, &block, &mut at, destinations, epilogue),
                    (Level::Avx2, _) => avx2(pixels, &block, &mut at, destinations, epilogue),
                    (Level::Plain, _) => plain(pixels, &block, &mut at, destinations, epilogue),
                }
            }
            channel += lanes;
        }
    }
}

/// Defines a function that computes `count` pixels of a block of channels.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($pixels:literal)*) => {
        fn $name(
            count: usize,
            block: &ChannelBlock,
            at: &mut Cursor,
            destinations: &mut Destinations,
            epilogue: &Epilogue,
        ) {
            match count {
                $($pixels => pixels::<$pixels, $lanes, $fused>(block, at, destinations, epilogue),)*
                _ => {}
            }
        }
    };
}

tiles!(wide, 32, true: 1 2 3 4 5 6 7);
tiles!(narrow, 16, true: 1 2 3 4 5 6 7);
tiles!(avx2, 16, true: 1 2 3 4);
tiles!(plain, 16, false: 1 2);

/// The operands of a block of channels.
struct ChannelBlock<'a> {
    x: &'a [f32],
    pixel_loop: &'a PixelLoop,
    weights: &'a [f32],
    /// The number of channels of a pixel, padded.
    stride: usize,
    /// The first channel of the block.
    channel: usize,
}

/// Computes `P` pixels of `W` channels. A separate function, small enough for the compiler to keep all
/// accumulators in registers.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn pixels<const P: usize, const W: usize, const FUSED: bool>(
    block: &ChannelBlock,
    at: &mut Cursor,
    destinations: &mut Destinations,
    epilogue: &Epilogue,
) {
    let (offsets, from) = PixelOffsets::<P>::next(block.pixel_loop, at);
    let mut sums = [[0f32; W]; P];
    multiply::<P, W, FUSED>(block, &from, &mut sums);
    epilogue.apply::<P, W, FUSED>(&mut sums, &offsets, block.channel, destinations);
}

/// Accumulates all taps in `sums`.
#[inline(always)]
fn multiply<const P: usize, const W: usize, const FUSED: bool>(
    block: &ChannelBlock,
    from: &[usize; P],
    sums: &mut [[f32; W]; P],
) {
    let rows = from.map(|from| &block.x[from + block.channel..]);
    let mut accumulators = *sums;
    for (tap, weights) in block.pixel_loop.taps.iter().zip(block.weights.chunks_exact(block.stride))
    {
        let weights: [f32; W] = *lanes(weights, block.channel);
        for pixel in 0..P {
            let values: &[f32; W] = lanes(rows[pixel], tap.offset);
            for lane in 0..W {
                accumulators[pixel][lane] =
                    fused::<FUSED>(values[lane], weights[lane], accumulators[pixel][lane]);
            }
        }
    }
    *sums = accumulators;
}
