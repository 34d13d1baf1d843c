//! Convolutions of each channel by itself, in both directions.

use multiversion::multiversion;

use super::aligned::Aligned;
use super::finish::{Finish, Outs, Places, lanes};
use super::image::LANES;
use super::pack::{Kernel, Phase};
use super::sweep::{Place, Sweep};
use super::tile::{Level, Tiles, fused};

/// The weights of a depthwise convolution in one direction, `[tap][channel]` for each phase.
#[derive(Clone, Debug)]
pub struct Taps {
    pub phases: Vec<(Phase, Aligned)>,
}

impl Taps {
    /// The forward convolution.
    pub fn forward(kernel: &Kernel) -> Self {
        Self::new(kernel, vec![Phase::forward(&kernel.shape.window)])
    }

    /// The gradient with respect to the input.
    pub fn backward(kernel: &Kernel) -> Self {
        Self::new(kernel, Phase::backward(&kernel.shape.window))
    }

    fn new(kernel: &Kernel, phases: Vec<Phase>) -> Self {
        let area = kernel.shape.window.kernel[0] * kernel.shape.window.kernel[1];
        let stride = kernel.shape.outputs.next_multiple_of(LANES);
        let pack = |phase: Phase| {
            let mut weights = Aligned::zeros(phase.places.len() * stride);
            for (row, place) in weights.chunks_exact_mut(stride).zip(&phase.places) {
                for (channel, value) in row[..kernel.shape.outputs].iter_mut().enumerate() {
                    *value = kernel.weights[channel * area + place];
                }
            }
            (phase, weights)
        };
        Self { phases: phases.into_iter().map(pack).collect() }
    }
}

/// `x` convolved at every pixel of the sweep, whose pixels have `stride` channels.
pub fn convolve(
    level: Level,
    x: &[f32],
    sweep: &Sweep,
    weights: &[f32],
    stride: usize,
    mut outs: Outs,
    finish: &Finish,
) {
    // Row by row, in each the channels in wide and then in narrow blocks, some pixels at once.
    let (most, widest) = match level {
        Level::Avx512 => (7, 32),
        Level::Avx2 => (4, 16),
        Level::Plain => (2, 16),
    };
    let tiles = Tiles::of(sweep.columns, most);
    for row in 0..sweep.rows {
        let mut channel = 0;
        while channel < stride {
            let lanes = if channel + widest <= stride { widest } else { LANES };
            let work = Work { x, sweep, weights, stride, channel };
            let mut at = sweep.at(row);
            for tile in 0..tiles.count {
                let pixels = tiles.size(tile);
                let outs = &mut outs;
                match (level, lanes) {
                    (Level::Avx512, 32) => wide(pixels, &work, &mut at, outs, finish),
                    (Level::Avx512, _) => narrow(pixels, &work, &mut at, outs, finish),
                    (Level::Avx2, _) => avx2(pixels, &work, &mut at, outs, finish),
                    (Level::Plain, _) => plain(pixels, &work, &mut at, outs, finish),
                }
            }
            channel += lanes;
        }
    }
}

/// A function that computes so many pixels of some channels.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($pixels:literal)*) => {
        fn $name(count: usize, work: &Work, at: &mut Place, outs: &mut Outs, finish: &Finish) {
            match count {
                $($pixels => pixels::<$pixels, $lanes, $fused>(work, at, outs, finish),)*
                _ => {}
            }
        }
    };
}

tiles!(wide, 32, true: 1 2 3 4 5 6 7);
tiles!(narrow, 16, true: 1 2 3 4 5 6 7);
tiles!(avx2, 16, true: 1 2 3 4);
tiles!(plain, 16, false: 1 2);

/// What some pixels are computed from.
struct Work<'a> {
    x: &'a [f32],
    sweep: &'a Sweep,
    weights: &'a [f32],
    /// The channels of a pixel.
    stride: usize,
    /// The first channel.
    channel: usize,
}

/// `P` pixels of `W` channels. A function of its own, small enough that the compiler keeps all sums in
/// registers.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn pixels<const P: usize, const W: usize, const FUSED: bool>(
    work: &Work,
    at: &mut Place,
    outs: &mut Outs,
    finish: &Finish,
) {
    let (places, from) = Places::<P>::next(work.sweep, at);
    let mut sums = [[0f32; W]; P];
    multiply::<P, W, FUSED>(work, &from, &mut sums);
    finish.apply::<P, W, FUSED>(&mut sums, &places, work.channel, outs);
}

/// The sums over all taps.
#[inline(always)]
fn multiply<const P: usize, const W: usize, const FUSED: bool>(
    work: &Work,
    from: &[usize; P],
    sums: &mut [[f32; W]; P],
) {
    let rows = from.map(|from| &work.x[from + work.channel..]);
    let mut own = *sums;
    for (tap, weights) in work.sweep.taps.iter().zip(work.weights.chunks_exact(work.stride)) {
        let weights: [f32; W] = *lanes(weights, work.channel);
        for pixel in 0..P {
            let values: &[f32; W] = lanes(rows[pixel], tap.offset);
            for lane in 0..W {
                own[pixel][lane] = fused::<FUSED>(values[lane], weights[lane], own[pixel][lane]);
            }
        }
    }
    *sums = own;
}
