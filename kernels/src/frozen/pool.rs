//! Max and average pooling, forward and backward.

use multiversion::multiversion;

use super::image::Image;
use super::window::Window;

/// The range `first..end` of the taps of output `at` that lie inside an input of `size`.
#[inline(always)]
fn valid_taps(window: &Window, axis: usize, at: usize, size: usize) -> (usize, usize) {
    let (dilation, begin) = (window.dilations[axis], window.begin[axis]);
    let from = at * window.strides[axis];
    let first = begin.saturating_sub(from).div_ceil(dilation);
    let end = (size + begin).saturating_sub(from).div_ceil(dilation);
    (first, end.min(window.kernel[axis]))
}

/// Calls `each` for every output pixel with its offset in the image, its offset in a record without halo, and
/// an iterator over the taps inside the input: the index of the tap and its offset in the input.
#[inline(always)]
fn for_each_window(
    window: &Window,
    from: &Image,
    to: &Image,
    mut each: impl FnMut(usize, usize, &mut dyn Iterator<Item = (usize, usize)>),
) {
    for y in 0..to.height {
        let rows = valid_taps(window, 0, y, from.height);
        for x in 0..to.width {
            let columns = valid_taps(window, 1, x, from.width);
            let mut taps = (rows.0..rows.1).flat_map(|i| {
                let at = y * window.strides[0] + i * window.dilations[0] - window.begin[0];
                (columns.0..columns.1).map(move |j| {
                    let column = x * window.strides[1] + j * window.dilations[1] - window.begin[1];
                    (i * window.kernel[1] + j, from.offset(at, column))
                })
            });
            each(to.offset(y, x), (y * to.width + x) * to.stride, &mut taps);
        }
    }
}

/// Computes the maximum of each window. If `argmax_taps` is not empty, it receives the tap of each maximum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn max_pool(
    window: &Window,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    argmax_taps: &mut [u8],
) {
    let stride = to.stride;
    let mut argmax = vec![0u8; stride];
    for_each_window(window, from, to, |out, dense_offset, taps| {
        let best = &mut y[out..][..stride];
        let Some((tap, at)) = taps.next() else {
            best.fill(f32::NEG_INFINITY);
            return;
        };
        best.copy_from_slice(&x[at..][..stride]);
        argmax.fill(tap as u8);
        for (tap, at) in taps {
            let values = &x[at..][..stride];
            for ((best, argmax), &value) in best.iter_mut().zip(&mut argmax).zip(values) {
                // NaN propagates.
                let larger = value > *best || value.is_nan();
                *argmax = if larger { tap as u8 } else { *argmax };
                *best = if larger { value } else { *best };
            }
        }
        if !argmax_taps.is_empty() {
            argmax_taps[dense_offset..][..stride].copy_from_slice(&argmax);
        }
    });
}

/// Adds each gradient to the input element that was the maximum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn max_pool_gradient(
    window: &Window,
    (gradient, from): (&[f32], &Image),
    (x, to): (&mut [f32], &Image),
    argmax_taps: &[u8],
) {
    let stride = from.stride;
    for_each_window(window, to, from, |out, dense_offset, taps| {
        let gradient = &gradient[out..][..stride];
        let argmax = &argmax_taps[dense_offset..][..stride];
        for (tap, at) in taps {
            let x = &mut x[at..][..stride];
            for ((x, &argmax), &gradient) in x.iter_mut().zip(argmax).zip(gradient) {
                *x += if argmax == tap as u8 { gradient } else { 0.0 };
            }
        }
    });
}

/// The reciprocal of the number of taps of a window: all of them, or only those inside the input.
#[inline(always)]
fn weight(window: &Window, counts_padding: bool, output: [usize; 2], size: [usize; 2]) -> f32 {
    let count = |axis: usize| {
        if counts_padding {
            // Padding counts; pixels beyond the padding (ceil mode) do not.
            let padded = size[axis] + window.begin[axis] + window.end[axis];
            let remaining = padded.saturating_sub(output[axis] * window.strides[axis]);
            return remaining.min(window.kernel[axis]);
        }
        let (first, end) = valid_taps(window, axis, output[axis], size[axis]);
        end.saturating_sub(first)
    };
    1.0 / (count(0) * count(1)).max(1) as f32
}

/// Computes the mean of each window.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn mean_pool(
    window: &Window,
    counts_padding: bool,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
) {
    let (stride, size) = (to.stride, [from.height, from.width]);
    for_each_window(window, from, to, |out, dense_offset, taps| {
        let pixel = dense_offset / stride;
        let weight = weight(window, counts_padding, [pixel / to.width, pixel % to.width], size);
        let sums = &mut y[out..][..stride];
        sums.fill(0.0);
        for (_, at) in taps {
            for (sum, value) in sums.iter_mut().zip(&x[at..][..stride]) {
                *sum += value;
            }
        }
        sums.iter_mut().for_each(|sum| *sum *= weight);
    });
}

/// Adds each gradient, divided by the number of taps, to all pixels of its window.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn mean_pool_gradient(
    window: &Window,
    counts_padding: bool,
    (gradient, from): (&[f32], &Image),
    (x, to): (&mut [f32], &Image),
) {
    let (stride, size) = (from.stride, [to.height, to.width]);
    for_each_window(window, to, from, |out, dense_offset, taps| {
        let pixel = dense_offset / stride;
        let weight = weight(window, counts_padding, [pixel / from.width, pixel % from.width], size);
        let gradient = &gradient[out..][..stride];
        for (_, at) in taps {
            for (x, gradient) in x[at..][..stride].iter_mut().zip(gradient) {
                *x += weight * gradient;
            }
        }
    });
}
