//! Softmax over the channels of each pixel.

use multiversion::multiversion;

use super::epilogue::{Destinations, Epilogue, PixelOffsets, exponential, lanes, lanes_mut};
use super::image::{Image, LANES};
use super::image_ops::sum_channels;
use super::pixel_loop::PixelLoop;
use super::tile::Level;

/// Computes `exp(x - max) / sum(exp(x - max))` over the channels of each pixel.
pub fn softmax(level: Level, x: (&[f32], &Image), y: (&mut [f32], &Image)) {
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
            let maximum = maximum(&x[..channels]);
            let mut sums = [0f32; LANES];
            for first in (0..stride).step_by(LANES) {
                let x: &[f32; LANES] = lanes(x, first);
                let mut values = [0f32; LANES];
                for lane in 0..LANES {
                    let value = exponential::<FUSED>(x[lane] - maximum);
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

/// The maximum of `x`; NaN if `x` contains one.
#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
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

/// Computes the gradient `p (g - sum(g p))`, with the result `p` of the softmax.
pub fn gradient(
    level: Level,
    gradient: (&[f32], &Image),
    result: (&[f32], &Image),
    pixel_loop: &PixelLoop,
    destinations: Destinations,
    epilogue: &Epilogue,
) {
    match level {
        Level::Plain => {
            gradient_rows::<false>(gradient, result, pixel_loop, destinations, epilogue)
        }
        _ => gradient_rows::<true>(gradient, result, pixel_loop, destinations, epilogue),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn gradient_rows<const FUSED: bool>(
    (gradient, from): (&[f32], &Image),
    (result, layout): (&[f32], &Image),
    pixel_loop: &PixelLoop,
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    let stride = from.stride;
    let mut at = pixel_loop.start();
    for pixel in 0..from.height * from.width {
        let (offsets, [start]) = PixelOffsets::<1>::next(pixel_loop, &mut at);
        let g = &gradient[start..][..stride];
        let p = &result[layout.offset(pixel / layout.width, pixel % layout.width)..][..stride];
        let projection = sum_channels(from.channels, stride, |at| {
            let (g, p): (&[f32; LANES], &[f32; LANES]) = (lanes(g, at), lanes(p, at));
            std::array::from_fn(|lane| g[lane] * p[lane])
        });
        for first in (0..stride).step_by(LANES) {
            let (g, p): (&[f32; LANES], &[f32; LANES]) = (lanes(g, first), lanes(p, first));
            let mut sums = [0f32; LANES];
            for lane in 0..LANES {
                sums[lane] = p[lane] * (g[lane] - projection);
            }
            epilogue.apply::<1, LANES, FUSED>(&mut [sums], &offsets, first, &mut destinations);
        }
    }
}
