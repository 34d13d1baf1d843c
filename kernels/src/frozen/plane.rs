//! Operations on whole pictures: element by element, and sums over pixels.

use multiversion::multiversion;

use super::build::Normalization;
use super::finish::{Finish, Outs, Places, lanes, lanes_mut};
use super::image::{Image, LANES};
use super::sweep::Sweep;
use super::tile::{Level, fused};

/// `factor x gate` at every pixel, finished; without `x` the sum begins at 0, and without a gate it
/// is 1.
pub struct Source<'a> {
    /// The picture, or a single pixel that stands for all.
    pub x: Option<&'a [f32]>,
    /// A constant factor.
    pub factor: f32,
    /// Another factor, and where it lies.
    pub gate: Option<(&'a [f32], &'a Sweep)>,
}

/// Writes `source`, finished, at every pixel of the sweep.
pub fn map(
    level: Level,
    source: &Source,
    sweep: &Sweep,
    stride: usize,
    outs: Outs,
    finish: &Finish,
) {
    match level {
        Level::Plain => map_rows::<false>(source, sweep, stride, outs, finish),
        _ => map_rows::<true>(source, sweep, stride, outs, finish),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn map_rows<const FUSED: bool>(
    source: &Source,
    sweep: &Sweep,
    stride: usize,
    mut outs: Outs,
    finish: &Finish,
) {
    let mut at = sweep.first();
    let mut gate_at = source.gate.map(|(_, sweep)| sweep.first());
    for _ in 0..sweep.rows * sweep.columns {
        let (places, [from]) = Places::<1>::next(sweep, &mut at);
        let gate = source.gate.zip(gate_at.as_mut()).map(|((gate, sweep), at)| {
            let first = at.from;
            sweep.step(at);
            &gate[first..]
        });
        for channel in (0..stride).step_by(LANES) {
            let mut sums = [0f32; LANES];
            if let Some(x) = source.x {
                let x = &x[from + channel..][..LANES];
                for lane in 0..LANES {
                    sums[lane] = source.factor * x[lane];
                }
            }
            if let Some(gate) = gate {
                let gate = &gate[channel..][..LANES];
                for lane in 0..LANES {
                    sums[lane] *= gate[lane];
                }
            }
            finish.apply::<1, LANES, FUSED>(&mut [sums], &places, channel, &mut outs);
        }
    }
}

/// The sums over the pixels of `x`, or of `x y`, times `factor`.
pub fn sum(
    level: Level,
    x: (&[f32], &Image),
    y: Option<(&[f32], &Image)>,
    factor: f32,
    to: &mut [f32],
) {
    match level {
        Level::Plain => sum_rows::<false>(x, y, factor, to),
        _ => sum_rows::<true>(x, y, factor, to),
    }
}

/// A row at a time, so that few numbers are added to a large sum.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn sum_rows<const FUSED: bool>(
    (x, image): (&[f32], &Image),
    y: Option<(&[f32], &Image)>,
    factor: f32,
    to: &mut [f32],
) {
    for channel in (0..image.stride).step_by(LANES) {
        let mut total = [0f32; LANES];
        for row in 0..image.height {
            let mut sums = [0f32; LANES];
            for column in 0..image.width {
                let x = &x[image.offset(row, column) + channel..][..LANES];
                match y {
                    Some((y, own)) => {
                        let y = &y[own.offset(row, column) + channel..][..LANES];
                        for lane in 0..LANES {
                            sums[lane] = fused::<FUSED>(x[lane], y[lane], sums[lane]);
                        }
                    }
                    None => {
                        for lane in 0..LANES {
                            sums[lane] += x[lane];
                        }
                    }
                }
            }
            for lane in 0..LANES {
                total[lane] += sums[lane];
            }
        }
        for lane in 0..LANES {
            to[channel + lane] = factor * total[lane];
        }
    }
}

/// The normalization of each pixel over its `channels`; `kept` has the standardized channels of every
/// pixel and then the factors by which they were standardized.
pub fn normalize(
    level: Level,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    own: &Normalization,
    kept: &mut [f32],
) {
    match level {
        Level::Plain => normalize_rows::<false>((x, from), (y, to), own, kept),
        _ => normalize_rows::<true>((x, from), (y, to), own, kept),
    }
}

/// The sum of `count` numbers that `at` gives, whole lanes at a time.
#[inline(always)]
pub fn sum_lanes(count: usize, stride: usize, at: impl Fn(usize) -> [f32; LANES]) -> f32 {
    let mut sums = [0f32; LANES];
    for first in (0..stride).step_by(LANES) {
        let values = at(first);
        for lane in 0..LANES {
            sums[lane] += if first + lane < count { values[lane] } else { 0.0 };
        }
    }
    sums.iter().sum()
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn normalize_rows<const FUSED: bool>(
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    own: &Normalization,
    kept: &mut [f32],
) {
    let (stride, channels) = (from.stride, from.channels);
    let keeps = !kept.is_empty();
    let (standard, factors) = kept.split_at_mut(if keeps { from.area() } else { 0 });
    for row in 0..from.height {
        for column in 0..from.width {
            let pixel = row * from.width + column;
            let x = &x[from.offset(row, column)..][..stride];
            let y = &mut y[to.offset(row, column)..][..stride];
            let count = channels as f32;
            let mean = match own.centred {
                true => sum_lanes(channels, stride, |at| *lanes(x, at)) / count,
                false => 0.0,
            };
            let squares = sum_lanes(channels, stride, |at| {
                let x: &[f32; LANES] = lanes(x, at);
                x.map(|x| (x - mean) * (x - mean))
            });
            let factor = 1.0 / (squares / count + own.epsilon).sqrt();
            let standard = match keeps {
                true => &mut standard[pixel * stride..][..stride],
                false => &mut [],
            };
            if keeps {
                factors[pixel] = factor;
            }
            for first in (0..stride).step_by(LANES) {
                let x: &[f32; LANES] = lanes(x, first);
                let (scale, shift): (&[f32; LANES], &[f32; LANES]) =
                    (lanes(&own.scale, first), lanes(&own.shift, first));
                let standardized: [f32; LANES] = x.map(|x| (x - mean) * factor);
                for lane in 0..LANES {
                    y[first + lane] = fused::<FUSED>(standardized[lane], scale[lane], shift[lane]);
                }
                if keeps {
                    *lanes_mut(standard, first) = standardized;
                }
            }
        }
    }
}

/// The gradient of a normalization: `factor (g scale - mean(g scale) - x mean(g scale x))` with the
/// standardized channels `x`, without the mean where it is not centred.
pub fn normalize_gradient(
    level: Level,
    gradient: (&[f32], &Image),
    own: &Normalization,
    kept: &[f32],
    sweep: &Sweep,
    outs: Outs,
    finish: &Finish,
) {
    match level {
        Level::Plain => gradient_rows::<false>(gradient, own, kept, sweep, outs, finish),
        _ => gradient_rows::<true>(gradient, own, kept, sweep, outs, finish),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn gradient_rows<const FUSED: bool>(
    (gradient, from): (&[f32], &Image),
    own: &Normalization,
    kept: &[f32],
    sweep: &Sweep,
    mut outs: Outs,
    finish: &Finish,
) {
    let (stride, channels) = (from.stride, from.channels);
    let (standard, factors) = kept.split_at(from.area());
    let mut at = sweep.first();
    for pixel in 0..from.height * from.width {
        let (places, [start]) = Places::<1>::next(sweep, &mut at);
        let g = &gradient[start..][..stride];
        let standard = &standard[pixel * stride..][..stride];
        let scaled = |at: usize| -> [f32; LANES] {
            let (g, scale): (&[f32; LANES], &[f32; LANES]) = (lanes(g, at), lanes(&own.scale, at));
            std::array::from_fn(|lane| g[lane] * scale[lane])
        };
        let count = channels as f32;
        let mean = match own.centred {
            true => sum_lanes(channels, stride, scaled) / count,
            false => 0.0,
        };
        let along = sum_lanes(channels, stride, |at| {
            let (g, x): ([f32; LANES], &[f32; LANES]) = (scaled(at), lanes(standard, at));
            std::array::from_fn(|lane| g[lane] * x[lane])
        }) / count;
        for first in (0..stride).step_by(LANES) {
            let (g, x): ([f32; LANES], &[f32; LANES]) = (scaled(first), lanes(standard, first));
            let mut sums = [0f32; LANES];
            for lane in 0..LANES {
                sums[lane] = factors[pixel] * (g[lane] - mean - x[lane] * along);
            }
            finish.apply::<1, LANES, FUSED>(&mut [sums], &places, first, &mut outs);
        }
    }
}
