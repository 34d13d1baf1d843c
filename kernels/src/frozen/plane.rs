//! Operations on whole pictures: element by element, and sums over pixels.

use multiversion::multiversion;

use super::finish::{Finish, Outs};
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
    /// A factor for each channel, or for every element where it lies like `x`.
    pub gate: Gate<'a>,
}

/// A factor of a picture.
#[derive(Clone, Copy)]
pub enum Gate<'a> {
    One,
    Channels(&'a [f32]),
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
    for _ in 0..sweep.rows * sweep.columns {
        let place = sweep.next(&mut at);
        for channel in (0..stride).step_by(LANES) {
            let mut sums = [0f32; LANES];
            if let Some(x) = source.x {
                let x = &x[place.from + channel..][..LANES];
                for lane in 0..LANES {
                    sums[lane] = source.factor * x[lane];
                }
            }
            if let Gate::Channels(gate) = source.gate {
                let gate = &gate[channel..][..LANES];
                for lane in 0..LANES {
                    sums[lane] *= gate[lane];
                }
            }
            finish.apply::<LANES, FUSED>(&mut sums, &place, channel, &mut outs);
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

/// Copies the channels of `from` behind the first `channel` of `to`, or out of them.
pub fn copy_channels(
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    [read, written]: [usize; 2],
    count: usize,
) {
    for row in 0..from.height {
        for column in 0..from.width {
            let (x, y) =
                (&x[from.offset(row, column) + read..], &mut y[to.offset(row, column) + written..]);
            y[..count].copy_from_slice(&x[..count]);
        }
    }
}
