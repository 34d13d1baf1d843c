//! Pooling, forwards and backwards.

use multiversion::multiversion;

use super::image::Image;
use super::pack::Window;

/// The taps of the window at output `at` that lie inside `size`, as first and end.
#[inline(always)]
fn inside(window: &Window, axis: usize, at: usize, size: usize) -> (usize, usize) {
    let (dilation, begin) = (window.dilations[axis], window.begin[axis]);
    let from = at * window.strides[axis];
    let first = begin.saturating_sub(from).div_ceil(dilation);
    let end = (size + begin).saturating_sub(from).div_ceil(dilation);
    (first, end.min(window.kernel[axis]))
}

/// Calls `each` with every output pixel's offset, and for each of its taps inside the picture the
/// tap's number and the pixel's offset in the input.
#[inline(always)]
fn windows(
    window: &Window,
    from: &Image,
    to: &Image,
    mut each: impl FnMut(usize, usize, &mut dyn Iterator<Item = (usize, usize)>),
) {
    for y in 0..to.height {
        let rows = inside(window, 0, y, from.height);
        for x in 0..to.width {
            let columns = inside(window, 1, x, from.width);
            let mut taps = (rows.0..rows.1).flat_map(|i| {
                let at = y * window.strides[0] + i * window.dilations[0] - window.begin[0];
                (columns.0..columns.1).map(move |j| {
                    let across = x * window.strides[1] + j * window.dilations[1] - window.begin[1];
                    (i * window.kernel[1] + j, from.offset(at, across))
                })
            });
            each(to.offset(y, x), (y * to.width + x) * to.stride, &mut taps);
        }
    }
}

/// The largest of each window, and the tap it was at.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn largest(
    window: &Window,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
    taps_of: &mut [u8],
) {
    let stride = to.stride;
    let mut kept = vec![0u8; stride];
    windows(window, from, to, |out, record, taps| {
        let best = &mut y[out..][..stride];
        let Some((tap, at)) = taps.next() else {
            best.fill(f32::NEG_INFINITY);
            return;
        };
        best.copy_from_slice(&x[at..][..stride]);
        kept.fill(tap as u8);
        for (tap, at) in taps {
            let values = &x[at..][..stride];
            for ((best, kept), &value) in best.iter_mut().zip(&mut kept).zip(values) {
                // What is no number stays so.
                let larger = value > *best || value.is_nan();
                *kept = if larger { tap as u8 } else { *kept };
                *best = if larger { value } else { *best };
            }
        }
        if !taps_of.is_empty() {
            taps_of[record..][..stride].copy_from_slice(&kept);
        }
    });
}

/// Adds each gradient to the place from which the largest came.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn largest_gradient(
    window: &Window,
    (gradient, from): (&[f32], &Image),
    (x, to): (&mut [f32], &Image),
    taps_of: &[u8],
) {
    let stride = from.stride;
    windows(window, to, from, |out, record, taps| {
        let gradient = &gradient[out..][..stride];
        let kept = &taps_of[record..][..stride];
        for (tap, at) in taps {
            let x = &mut x[at..][..stride];
            for ((x, &kept), &gradient) in x.iter_mut().zip(kept).zip(gradient) {
                *x += if kept == tap as u8 { gradient } else { 0.0 };
            }
        }
    });
}

/// By what the sum of a window is divided: all of its taps, or those inside the picture.
#[inline(always)]
fn share(window: &Window, counts_padding: bool, place: [usize; 2], size: [usize; 2]) -> f32 {
    let count = |axis: usize| {
        if counts_padding {
            // Padding counts, what lies beyond it does not.
            let padded = size[axis] + window.begin[axis] + window.end[axis];
            let left = padded.saturating_sub(place[axis] * window.strides[axis]);
            return left.min(window.kernel[axis]);
        }
        let (first, end) = inside(window, axis, place[axis], size[axis]);
        end.saturating_sub(first)
    };
    1.0 / (count(0) * count(1)).max(1) as f32
}

/// The mean of each window.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn mean(
    window: &Window,
    counts_padding: bool,
    (x, from): (&[f32], &Image),
    (y, to): (&mut [f32], &Image),
) {
    let (stride, size) = (to.stride, [from.height, from.width]);
    windows(window, from, to, |out, record, taps| {
        let pixel = record / stride;
        let share = share(window, counts_padding, [pixel / to.width, pixel % to.width], size);
        let sums = &mut y[out..][..stride];
        sums.fill(0.0);
        for (_, at) in taps {
            for (sum, value) in sums.iter_mut().zip(&x[at..][..stride]) {
                *sum += value;
            }
        }
        sums.iter_mut().for_each(|sum| *sum *= share);
    });
}

/// Adds each gradient's share to all of its window.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"))]
pub fn mean_gradient(
    window: &Window,
    counts_padding: bool,
    (gradient, from): (&[f32], &Image),
    (x, to): (&mut [f32], &Image),
) {
    let (stride, size) = (from.stride, [to.height, to.width]);
    windows(window, to, from, |out, record, taps| {
        let pixel = record / stride;
        let share = share(window, counts_padding, [pixel / from.width, pixel % from.width], size);
        let gradient = &gradient[out..][..stride];
        for (_, at) in taps {
            for (x, gradient) in x[at..][..stride].iter_mut().zip(gradient) {
                *x += share * gradient;
            }
        }
    });
}
