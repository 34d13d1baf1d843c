//! The noise kernel on the CPU. It runs on all cores, with loops over short arrays that the compiler
//! vectorizes for several instruction sets. The instruction set is selected at run time.

use multiversion::multiversion;
use rayon::prelude::*;

use super::bounds::Bounds;
use super::{Batch, Boundary, Noise};
use crate::mollifier::Mollifier;
use crate::philox::{key, philox};
use crate::quantile;
use crate::width::Width;

/// The number of counters that are evaluated together.
const LANES: usize = 64;
/// The number of counters of a parallel task.
const TILE: usize = 16 * LANES;

/// The inputs, and the baselines of the paths to them.
pub struct Sources<'a> {
    /// The inputs, of shape `[inputs, features]`.
    pub inputs: &'a [f32],
    /// The baselines, of the same shape; `None` if the rows are not on paths.
    pub baselines: Option<&'a [f32]>,
    /// The number of elements of an input.
    pub features: usize,
}

/// Computes the rows of a batch.
pub fn fill(
    rows: &mut [f32],
    sources: &Sources,
    noise: Option<&Noise>,
    bounds: &Bounds,
    batch: &Batch,
) {
    let features = sources.features;
    let quarter = features.div_ceil(4);
    rows.par_chunks_mut(features).zip(&batch.rows).for_each(|(out, row)| {
        let span = row.input * features..(row.input + 1) * features;
        let x = &sources.inputs[span.clone()];
        let path = sources.baselines.map(|baselines| (&baselines[span], row.position));
        let Some(noise) = noise else {
            return match path {
                None => out.copy_from_slice(x),
                Some((baseline, position)) => interpolate(out, x, baseline, position),
            };
        };
        split_into_tiles(out, quarter).into_par_iter().enumerate().for_each(|(tile, quarters)| {
            let counter = [(tile * TILE) as u32, row.sample, row.node, batch.stream];
            let point = RowPoint { quarter, x, path, bounds, input: row.input };
            fill_tile(quarters, counter, key(batch.seed), noise, &point);
        });
    });
}

/// Computes the points `b + position (x - b)` on a path.
#[inline(always)]
fn interpolate(out: &mut [f32], x: &[f32], baseline: &[f32], position: f64) {
    for ((out, &x), &b) in out.iter_mut().zip(x).zip(baseline) {
        let (x, b) = (f64::from(x), f64::from(b));
        *out = (b + position * (x - b)) as f32;
    }
}

/// Splits a row into four quarters, and each quarter into tiles. Each word of a counter belongs to one
/// quarter.
fn split_into_tiles(row: &mut [f32], quarter: usize) -> Vec<[&mut [f32]; 4]> {
    let mut quarters = row.chunks_mut(quarter);
    let mut tiles: [_; 4] =
        std::array::from_fn(|_| quarters.next().unwrap_or_default().chunks_mut(TILE));
    (0..quarter.div_ceil(TILE))
        .map(|_| std::array::from_fn(|word| tiles[word].next().unwrap_or_default()))
        .collect()
}

/// The point of a row without noise, which all tiles of the row share.
struct RowPoint<'a> {
    /// The number of elements of a quarter of the row.
    quarter: usize,
    /// The input.
    x: &'a [f32],
    /// The baseline and the position of a row on a path.
    path: Option<(&'a [f32], f64)>,
    bounds: &'a Bounds,
    /// The index of the input, for its bounds.
    input: usize,
}

/// Computes one tile, whose first counter is `counter`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
fn fill_tile(
    mut quarters: [&mut [f32]; 4],
    counter: [u32; 4],
    key: [u32; 2],
    noise: &Noise,
    point: &RowPoint,
) {
    let mut words = [[0u32; LANES]; 4];
    let mut draws = [0f64; LANES];
    let counters = quarters[0].len();
    for start in (0..counters).step_by(LANES) {
        fill_words(&mut words, counter[0] + start as u32, counter, key);
        for (word, (row, words)) in quarters.iter_mut().zip(&words).enumerate() {
            let end = (start + LANES).min(row.len());
            if start < end {
                let first = word * point.quarter + counter[0] as usize + start;
                fill_draws(&mut draws, words, noise.mollifier);
                add_scaled(&mut row[start..end], &draws, first, noise, point);
            }
        }
    }
}

/// Computes the four words of each of the [`LANES`] counters from `first` on.
#[inline(always)]
fn fill_words(words: &mut [[u32; LANES]; 4], first: u32, counter: [u32; 4], key: [u32; 2]) {
    let [_, sample, node, stream] = counter;
    for lane in 0..LANES {
        let four = philox([first + lane as u32, sample, node, stream], key);
        for (words, word) in words.iter_mut().zip(four) {
            words[lane] = word;
        }
    }
}

/// Computes the draws at unit scale from the words.
#[inline(always)]
fn fill_draws(draws: &mut [f64; LANES], words: &[u32; LANES], mollifier: Mollifier) {
    match mollifier {
        Mollifier::Gaussian => {
            map_words(draws, words, |word| quantile::draw(Mollifier::Gaussian, word));
            for (draw, &word) in draws.iter_mut().zip(words) {
                if word & 0x7FFF_FFFF < quantile::TAIL_WORDS {
                    *draw = quantile::normal_tail(word);
                }
            }
        }
        Mollifier::Poisson => {
            map_words(draws, words, |word| quantile::draw(Mollifier::Poisson, word));
        }
        Mollifier::Hyperbolic => {
            map_words(draws, words, |word| quantile::draw(Mollifier::Hyperbolic, word));
        }
        Mollifier::Sigmoid => {
            map_words(draws, words, |word| quantile::draw(Mollifier::Sigmoid, word));
        }
        Mollifier::Rect => map_words(draws, words, |word| quantile::draw(Mollifier::Rect, word)),
        Mollifier::Laplace => {
            map_words(draws, words, |word| quantile::draw(Mollifier::Laplace, word));
        }
    }
}

#[inline(always)]
fn map_words(draws: &mut [f64; LANES], words: &[u32; LANES], draw: impl Fn(u32) -> f64) {
    for (out, &word) in draws.iter_mut().zip(words) {
        *out = draw(word);
    }
}

/// Adds the draws, scaled by the width, to the point. `first` is the index of the first element. The elements
/// are processed in runs of a single channel.
#[inline(always)]
fn add_scaled(
    row: &mut [f32],
    draws: &[f64; LANES],
    first: usize,
    noise: &Noise,
    point: &RowPoint,
) {
    let inner = point.bounds.inner;
    let mut points = [0f32; LANES];
    let span = first..first + row.len();
    let x = match point.path {
        None => &point.x[span],
        Some((baseline, position)) => {
            let points = &mut points[..row.len()];
            interpolate(points, &point.x[span.clone()], &baseline[span], position);
            &*points
        }
    };
    let mut done = 0;
    while done < row.len() {
        let e = first + done;
        let run = (inner - e % inner).min(row.len() - done);
        let (lower, upper) = point.bounds.element_bounds(point.input, e);
        let bounds = (f64::from(lower), f64::from(upper));
        let span = done..done + run;
        let (row, x, draws) = (&mut row[span.clone()], &x[span.clone()], &draws[span]);
        match noise.boundary {
            Boundary::Free => add_run(row, x, draws, noise.width, bounds, |value| value),
            Boundary::Clipped => add_run(row, x, draws, noise.width, bounds, |value: f64| {
                value.clamp(bounds.0, bounds.1)
            }),
        }
        done += run;
    }
}

/// Adds the scaled draws in a run of one channel, with the boundary rule `apply_boundary`.
#[inline(always)]
fn add_run(
    row: &mut [f32],
    x: &[f32],
    draws: &[f64],
    width: Width,
    (lower, upper): (f64, f64),
    apply_boundary: impl Fn(f64) -> f64,
) {
    // A separate loop for each rule, so that the compiler vectorizes every loop.
    match width.rounded() {
        Width::Absolute(sigma) => add(row, x, draws, |_| sigma, apply_boundary),
        Width::Relative(alpha) => {
            let sigma = alpha * (upper - lower);
            add(row, x, draws, |_| sigma, apply_boundary);
        }
        Width::Adaptive(factor) => {
            add(row, x, draws, |x| factor * (x - lower).min(upper - x).max(0.0), apply_boundary);
        }
        Width::Proportional(scale) => add(row, x, draws, |x| scale * x, apply_boundary),
    }
}

/// Computes `x + sigma(x) * draw` for each element, followed by the boundary rule.
#[inline(always)]
fn add(
    row: &mut [f32],
    x: &[f32],
    draws: &[f64],
    sigma: impl Fn(f64) -> f64,
    apply_boundary: impl Fn(f64) -> f64,
) {
    for ((out, &x), &draw) in row.iter_mut().zip(x).zip(draws) {
        let x = f64::from(x);
        *out = apply_boundary(x + sigma(x) * draw) as f32;
    }
}
