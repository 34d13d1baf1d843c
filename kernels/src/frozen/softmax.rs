//! The softmax over the channels of each pixel.

use multiversion::multiversion;

use super::finish::{Finish, Outs, Places, exponential, lanes, lanes_mut};
use super::image::{Image, LANES};
use super::plane::sum_lanes;
use super::sweep::Sweep;
use super::tile::Level;

/// `exp(x - max) / sum(exp(x - max))`.
pub fn rows(level: Level, x: (&[f32], &Image), y: (&mut [f32], &Image)) {
    match level {
        Level::Plain => softmax_rows::<false>(x, y),
        _ => softmax_rows::<true>(x, y),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn softmax_rows<const FUSED: bool>((x, from): (&[f32], &Image), (y, to): (&mut [f32], &Image)) {
    let (stride, channels) = (from.stride, from.channels);
    for row in 0..from.height {
        for column in 0..from.width {
            let x = &x[from.offset(row, column)..][..stride];
            let y = &mut y[to.offset(row, column)..][..stride];
            let largest = largest(&x[..channels]);
            let mut sums = [0f32; LANES];
            for first in (0..stride).step_by(LANES) {
                let x: &[f32; LANES] = lanes(x, first);
                let mut values = [0f32; LANES];
                for lane in 0..LANES {
                    let value = exponential::<FUSED>(x[lane] - largest);
                    values[lane] = if first + lane < channels { value } else { 0.0 };
                    sums[lane] += values[lane];
                }
                *lanes_mut(y, first) = values;
            }
            let factor = 1.0 / sums.iter().sum::<f32>();
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }
}

/// The largest of the numbers; what is not a number is passed on.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b || a.is_nan() { a } else { b };
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut best = [f32::NEG_INFINITY; LANES];
    for values in whole {
        for lane in 0..LANES {
            best[lane] = larger(best[lane], values[lane]);
        }
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// The gradient `p (g - sum(g p))` with the result `p`.
pub fn gradient(
    level: Level,
    gradient: (&[f32], &Image),
    result: (&[f32], &Image),
    sweep: &Sweep,
    outs: Outs,
    finish: &Finish,
) {
    match level {
        Level::Plain => gradient_rows::<false>(gradient, result, sweep, outs, finish),
        _ => gradient_rows::<true>(gradient, result, sweep, outs, finish),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn gradient_rows<const FUSED: bool>(
    (gradient, from): (&[f32], &Image),
    (result, own): (&[f32], &Image),
    sweep: &Sweep,
    mut outs: Outs,
    finish: &Finish,
) {
    let stride = from.stride;
    let mut at = sweep.first();
    for pixel in 0..from.height * from.width {
        let (places, [start]) = Places::<1>::next(sweep, &mut at);
        let g = &gradient[start..][..stride];
        let p = &result[own.offset(pixel / own.width, pixel % own.width)..][..stride];
        let along = sum_lanes(from.channels, stride, |at| {
            let (g, p): (&[f32; LANES], &[f32; LANES]) = (lanes(g, at), lanes(p, at));
            std::array::from_fn(|lane| g[lane] * p[lane])
        });
        for first in (0..stride).step_by(LANES) {
            let (g, p): (&[f32; LANES], &[f32; LANES]) = (lanes(g, first), lanes(p, first));
            let mut sums = [0f32; LANES];
            for lane in 0..LANES {
                sums[lane] = p[lane] * (g[lane] - along);
            }
            finish.apply::<1, LANES, FUSED>(&mut [sums], &places, first, &mut outs);
        }
    }
}
