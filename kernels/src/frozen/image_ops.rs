//! Elementwise operations, spatial sums and channel normalization.

use multiversion::multiversion;

use super::build::Normalization;
use super::epilogue::{Destinations, Epilogue, PixelOffsets, lanes, lanes_mut};
use super::fma::fused;
use super::image::{Image, LANES};
use super::pixel_loop::PixelLoop;
use super::tile::Level;

/// The input `factor x gate` of an elementwise operation. Without `x` it is 0; without a gate the gate is 1.
pub struct MapInput<'a> {
    /// The elements of an image, or of a single pixel that is broadcast.
    pub x: Option<&'a [f32]>,
    /// A constant factor.
    pub factor: f32,
    /// The image of the second factor, and the loop that reads it.
    pub gate: Option<(&'a [f32], &'a PixelLoop)>,
}

/// Applies the epilogue to `source` and writes it, at every pixel of the loop.
pub fn map(
    level: Level,
    source: &MapInput,
    pixel_loop: &PixelLoop,
    stride: usize,
    destinations: Destinations,
    epilogue: &Epilogue,
) {
    match level {
        Level::Plain => map_rows::<false>(source, pixel_loop, stride, destinations, epilogue),
        _ => map_rows::<true>(source, pixel_loop, stride, destinations, epilogue),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn map_rows<const FUSED: bool>(
    source: &MapInput,
    pixel_loop: &PixelLoop,
    stride: usize,
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    let mut at = pixel_loop.start();
    let mut gate_at = source.gate.map(|(_, pixel_loop)| pixel_loop.start());
    for _ in 0..pixel_loop.rows * pixel_loop.columns {
        let (offsets, [from]) = PixelOffsets::<1>::next(pixel_loop, &mut at);
        let gate = source.gate.zip(gate_at.as_mut()).map(|((gate, pixel_loop), at)| {
            let first = at.from;
            pixel_loop.advance(at);
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
            epilogue.apply::<1, LANES, FUSED>(&mut [sums], &offsets, channel, &mut destinations);
        }
    }
}

/// Computes `factor` times the sum over the pixels of `x`, or of `x y`, for each channel.
pub fn spatial_sum(
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

/// Sums row by row, so that fewer small values are added to a large sum.
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
                    Some((y, y_image)) => {
                        let y = &y[y_image.offset(row, column) + channel..][..LANES];
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

/// Normalizes each pixel over its channels. If `saved` is not empty, it receives the standardized channels of
/// every pixel, followed by the factors `1 / sqrt(variance + epsilon)`.
pub fn normalize(
    level: Level,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    normalization: &Normalization,
    saved: &mut [f32],
) {
    match level {
        Level::Plain => normalize_rows::<false>((x, from), (y, to), normalization, saved),
        _ => normalize_rows::<true>((x, from), (y, to), normalization, saved),
    }
}

/// The sum over `count` channels; `at` returns the values of the lanes from a channel on.
#[inline(always)]
pub fn sum_channels(count: usize, stride: usize, at: impl Fn(usize) -> [f32; LANES]) -> f32 {
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
    normalization: &Normalization,
    saved: &mut [f32],
) {
    let (stride, channels) = (from.stride, from.channels);
    let saves = !saved.is_empty();
    let (saved_channels, factors) = saved.split_at_mut(if saves { from.area() } else { 0 });
    for row in 0..from.height {
        for column in 0..from.width {
            let pixel = row * from.width + column;
            let x = &x[from.offset(row, column)..][..stride];
            let y = &mut y[to.offset(row, column)..][..stride];
            let count = channels as f32;
            let mean = match normalization.centred {
                true => sum_channels(channels, stride, |at| *lanes(x, at)) / count,
                false => 0.0,
            };
            let squares = sum_channels(channels, stride, |at| {
                let x: &[f32; LANES] = lanes(x, at);
                x.map(|x| (x - mean) * (x - mean))
            });
            let factor = 1.0 / (squares / count + normalization.epsilon).sqrt();
            let saved_channels = match saves {
                true => &mut saved_channels[pixel * stride..][..stride],
                false => &mut [],
            };
            if saves {
                factors[pixel] = factor;
            }
            for first in (0..stride).step_by(LANES) {
                let x: &[f32; LANES] = lanes(x, first);
                let (scale, shift): (&[f32; LANES], &[f32; LANES]) =
                    (lanes(&normalization.scale, first), lanes(&normalization.shift, first));
                let standardized: [f32; LANES] = x.map(|x| (x - mean) * factor);
                for lane in 0..LANES {
                    y[first + lane] = fused::<FUSED>(standardized[lane], scale[lane], shift[lane]);
                }
                if saves {
                    *lanes_mut(saved_channels, first) = standardized;
                }
            }
        }
    }
}

/// Computes the gradient of a normalization, `factor (g scale - mean(g scale) - x mean(g scale x))`, with the
/// standardized channels `x`. The term `mean(g scale)` is omitted if the normalization is not centred.
pub fn normalize_gradient(
    level: Level,
    gradient: (&[f32], &Image),
    normalization: &Normalization,
    saved: &[f32],
    pixel_loop: &PixelLoop,
    destinations: Destinations,
    epilogue: &Epilogue,
) {
    match level {
        Level::Plain => gradient_rows::<false>(
            gradient,
            normalization,
            saved,
            pixel_loop,
            destinations,
            epilogue,
        ),
        _ => gradient_rows::<true>(
            gradient,
            normalization,
            saved,
            pixel_loop,
            destinations,
            epilogue,
        ),
    }
}

#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn gradient_rows<const FUSED: bool>(
    (gradient, from): (&[f32], &Image),
    normalization: &Normalization,
    saved: &[f32],
    pixel_loop: &PixelLoop,
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    let (stride, channels) = (from.stride, from.channels);
    let (saved_channels, factors) = saved.split_at(from.area());
    let mut at = pixel_loop.start();
    for pixel in 0..from.height * from.width {
        let (offsets, [start]) = PixelOffsets::<1>::next(pixel_loop, &mut at);
        let g = &gradient[start..][..stride];
        let saved_channels = &saved_channels[pixel * stride..][..stride];
        let scaled = |at: usize| -> [f32; LANES] {
            let (g, scale): (&[f32; LANES], &[f32; LANES]) =
                (lanes(g, at), lanes(&normalization.scale, at));
            std::array::from_fn(|lane| g[lane] * scale[lane])
        };
        let count = channels as f32;
        let mean = match normalization.centred {
            true => sum_channels(channels, stride, scaled) / count,
            false => 0.0,
        };
        let projection = sum_channels(channels, stride, |at| {
            let (g, x): ([f32; LANES], &[f32; LANES]) = (scaled(at), lanes(saved_channels, at));
            std::array::from_fn(|lane| g[lane] * x[lane])
        }) / count;
        for first in (0..stride).step_by(LANES) {
            let (g, x): ([f32; LANES], &[f32; LANES]) =
                (scaled(first), lanes(saved_channels, first));
            let mut sums = [0f32; LANES];
            for lane in 0..LANES {
                sums[lane] = factors[pixel] * (g[lane] - mean - x[lane] * projection);
            }
            epilogue.apply::<1, LANES, FUSED>(&mut [sums], &offsets, first, &mut destinations);
        }
    }
}
