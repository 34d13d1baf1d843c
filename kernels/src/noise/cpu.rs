//! The noise kernel on the CPU: all cores, and loops over short arrays that the compiler turns
//! into vector instructions, chosen at run time for the machine it runs on.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Batch, Boundary, Domain, Noise, Width};
use crate::mollifier::Mollifier;
use crate::philox::{key, philox};
use crate::quantile;

/// Counters evaluated together.
const LANES: usize = 64;
/// Counters of one task.
const TILE: usize = 16 * LANES;

/// The inputs and baselines that rows lie between.
pub struct Lines<'a> {
    pub inputs: &'a [f32],
    pub baselines: Option<&'a [f32]>,
    pub features: usize,
}

/// The random words of the rows of `features` elements, as [`fill`] uses them.
pub fn words(features: usize, batch: &Batch) -> Vec<u32> {
    let mut rows = vec![0; batch.rows.len() * features];
    let quarter = features.div_ceil(4);
    rows.par_chunks_mut(features).zip(&batch.rows).for_each(|(out, row)| {
        for (word, out) in out.chunks_mut(quarter).enumerate() {
            for (e, out) in out.iter_mut().enumerate() {
                let counter = [e as u32, row.sample, row.node, batch.stream];
                *out = philox(counter, key(batch.seed))[word];
            }
        }
    });
    rows
}

/// Fills `rows`, one for each of the batch's.
pub fn fill(
    rows: &mut [f32],
    lines: &Lines,
    noise: Option<&Noise>,
    domain: &Domain,
    batch: &Batch,
) {
    let features = lines.features;
    let quarter = features.div_ceil(4);
    rows.par_chunks_mut(features).zip(&batch.rows).for_each(|(out, row)| {
        let span = row.input * features..(row.input + 1) * features;
        let x = &lines.inputs[span.clone()];
        let path = lines.baselines.map(|own| (&own[span], row.position));
        let Some(noise) = noise else {
            return match path {
                None => out.copy_from_slice(x),
                Some((baseline, position)) => between(out, x, baseline, position),
            };
        };
        tiles(out, quarter).into_par_iter().enumerate().for_each(|(tile, quarters)| {
            let counter = [(tile * TILE) as u32, row.sample, row.node, batch.stream];
            let place = Place { quarter, x, path, domain, input: row.input };
            fill_tile(quarters, counter, key(batch.seed), noise, &place);
        });
    });
}

/// The points `b + position (x - b)`.
#[inline(always)]
fn between(out: &mut [f32], x: &[f32], baseline: &[f32], position: f64) {
    for ((out, &x), &b) in out.iter_mut().zip(x).zip(baseline) {
        let (x, b) = (f64::from(x), f64::from(b));
        *out = (b + position * (x - b)) as f32;
    }
}

/// A row cut in its four quarters, and these in tiles: each word of a counter has its own.
fn tiles(row: &mut [f32], quarter: usize) -> Vec<[&mut [f32]; 4]> {
    let mut quarters = row.chunks_mut(quarter);
    let mut tiles: [_; 4] =
        std::array::from_fn(|_| quarters.next().unwrap_or_default().chunks_mut(TILE));
    (0..quarter.div_ceil(TILE))
        .map(|_| std::array::from_fn(|word| tiles[word].next().unwrap_or_default()))
        .collect()
}

/// What all tiles of a row share.
struct Place<'a> {
    quarter: usize,
    x: &'a [f32],
    /// The baseline and the position, on a path.
    path: Option<(&'a [f32], f64)>,
    domain: &'a Domain,
    input: usize,
}

/// Fills one tile, whose first counter is `counter`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
fn fill_tile(
    mut quarters: [&mut [f32]; 4],
    counter: [u32; 4],
    key: [u32; 2],
    noise: &Noise,
    place: &Place,
) {
    let mut words = [[0u32; LANES]; 4];
    let mut draws = [0f64; LANES];
    let counters = quarters[0].len();
    for start in (0..counters).step_by(LANES) {
        fill_words(&mut words, counter[0] + start as u32, counter, key);
        for (word, (row, words)) in quarters.iter_mut().zip(&words).enumerate() {
            let end = (start + LANES).min(row.len());
            if start < end {
                let first = word * place.quarter + counter[0] as usize + start;
                fill_draws(&mut draws, words, noise.mollifier);
                scale(&mut row[start..end], &draws, first, noise, place);
            }
        }
    }
}

/// Four words for each of [`LANES`] counters from `first` on.
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

#[inline(always)]
fn fill_draws(draws: &mut [f64; LANES], words: &[u32; LANES], mollifier: Mollifier) {
    match mollifier {
        Mollifier::Gaussian => {
            each(draws, words, |word| quantile::draw(Mollifier::Gaussian, word));
            for (draw, &word) in draws.iter_mut().zip(words) {
                if word & 0x7FFF_FFFF < quantile::TAIL_WORDS {
                    *draw = quantile::normal_tail(word);
                }
            }
        }
        Mollifier::Poisson => {
            each(draws, words, |word| quantile::draw(Mollifier::Poisson, word));
        }
        Mollifier::Hyperbolic => {
            each(draws, words, |word| quantile::draw(Mollifier::Hyperbolic, word));
        }
        Mollifier::Sigmoid => {
            each(draws, words, |word| quantile::draw(Mollifier::Sigmoid, word));
        }
        Mollifier::Rect => each(draws, words, |word| quantile::draw(Mollifier::Rect, word)),
    }
}

#[inline(always)]
fn each(draws: &mut [f64; LANES], words: &[u32; LANES], draw: impl Fn(u32) -> f64) {
    for (out, &word) in draws.iter_mut().zip(words) {
        *out = draw(word);
    }
}

/// Adds the scaled draws to `x`, run by run of one channel.
#[inline(always)]
fn scale(row: &mut [f32], draws: &[f64; LANES], first: usize, noise: &Noise, place: &Place) {
    let domain = place.domain;
    let mut points = [0f32; LANES];
    let span = first..first + row.len();
    let x = match place.path {
        None => &place.x[span],
        Some((baseline, position)) => {
            let points = &mut points[..row.len()];
            between(points, &place.x[span.clone()], &baseline[span], position);
            &*points
        }
    };
    let mut done = 0;
    while done < row.len() {
        let e = first + done;
        let run = (domain.inner - e % domain.inner).min(row.len() - done);
        let (lower, upper) = domain.bounds(place.input, e);
        let bounds = (f64::from(lower), f64::from(upper));
        let span = done..done + run;
        let (row, x, draws) = (&mut row[span.clone()], &x[span.clone()], &draws[span]);
        match noise.boundary {
            Boundary::Free => widen(row, x, draws, noise.width, bounds, |value| value),
            Boundary::Clipped => widen(row, x, draws, noise.width, bounds, |value: f64| {
                value.clamp(bounds.0, bounds.1)
            }),
        }
        done += run;
    }
}

/// One run of one channel; `keep` is the boundary rule.
#[inline(always)]
fn widen(
    row: &mut [f32],
    x: &[f32],
    draws: &[f64],
    width: Width,
    (lower, upper): (f64, f64),
    keep: impl Fn(f64) -> f64,
) {
    match width {
        Width::Absolute(sigma) => {
            let sigma = f64::from(sigma);
            add(row, x, draws, |_| sigma, keep);
        }
        Width::Relative(factor) => {
            let sigma = f64::from(factor) * (upper - lower);
            add(row, x, draws, |_| sigma, keep);
        }
        Width::Adaptive(factor) => {
            let factor = f64::from(factor);
            add(row, x, draws, |x| factor * (x - lower).min(upper - x).max(0.0), keep);
        }
        Width::Proportional(scale) => {
            let scale = f64::from(scale);
            add(row, x, draws, |x| scale * x, keep);
        }
    }
}

#[inline(always)]
fn add(
    row: &mut [f32],
    x: &[f32],
    draws: &[f64],
    sigma: impl Fn(f64) -> f64,
    keep: impl Fn(f64) -> f64,
) {
    for ((out, &x), &draw) in row.iter_mut().zip(x).zip(draws) {
        let x = f64::from(x);
        *out = keep(x + sigma(x) * draw) as f32;
    }
}
