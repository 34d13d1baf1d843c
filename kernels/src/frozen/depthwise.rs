//! Convolutions of each channel by itself, in both directions.

use multiversion::multiversion;

use super::finish::{Finish, Outs, Places};
use super::image::LANES;
use super::pack::{Kernel, Phase};
use super::sweep::Sweep;
use super::tile::{Level, fused};

/// The weights of a depthwise convolution in one direction, `[tap][channel]` for each phase.
#[derive(Clone, Debug)]
pub struct Taps {
    pub phases: Vec<(Phase, Vec<f32>)>,
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
            let mut weights = vec![0.0; phase.places.len() * stride];
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
    outs: Outs,
    finish: &Finish,
) {
    if sweep.rows * sweep.columns == 0 {
        return;
    }
    match level {
        Level::Avx512 => rows::<6, 32, true>(x, sweep, weights, stride, outs, finish),
        Level::Avx2 => rows::<4, 16, true>(x, sweep, weights, stride, outs, finish),
        Level::Plain => rows::<2, 16, false>(x, sweep, weights, stride, outs, finish),
    }
}

/// Row by row, in each the channels in blocks of `W` and then of 16, `P` pixels at once.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn rows<const P: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    weights: &[f32],
    stride: usize,
    mut outs: Outs,
    finish: &Finish,
) {
    for row in 0..sweep.rows {
        let mut channel = 0;
        while channel + W <= stride {
            block::<P, W, FUSED>(x, sweep, weights, stride, row, channel, &mut outs, finish);
            channel += W;
        }
        while channel < stride {
            block::<P, LANES, FUSED>(x, sweep, weights, stride, row, channel, &mut outs, finish);
            channel += LANES;
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn block<const P: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    weights: &[f32],
    stride: usize,
    row: usize,
    channel: usize,
    outs: &mut Outs,
    finish: &Finish,
) {
    let mut at = sweep.at(row);
    let mut left = sweep.columns;
    while left >= P {
        pixels::<P, W, FUSED>(x, sweep, weights, stride, channel, &mut at, outs, finish);
        left -= P;
    }
    for _ in 0..left {
        pixels::<1, W, FUSED>(x, sweep, weights, stride, channel, &mut at, outs, finish);
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn pixels<const P: usize, const W: usize, const FUSED: bool>(
    x: &[f32],
    sweep: &Sweep,
    weights: &[f32],
    stride: usize,
    channel: usize,
    at: &mut super::sweep::Place,
    outs: &mut Outs,
    finish: &Finish,
) {
    let (places, from) = Places::<P>::next(sweep, at);
    let mut sums = [[0f32; W]; P];
    for (tap, weights) in sweep.taps.iter().zip(weights.chunks_exact(stride)) {
        let weights = &weights[channel..][..W];
        for pixel in 0..P {
            let values = &x[from[pixel] + tap.offset + channel..][..W];
            for lane in 0..W {
                sums[pixel][lane] = fused::<FUSED>(values[lane], weights[lane], sums[pixel][lane]);
            }
        }
    }
    finish.apply::<P, W, FUSED>(&mut sums, &places, channel, outs);
}
