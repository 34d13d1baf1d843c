//! The noise kernel on the CPU: all cores, and loops over short arrays that the compiler turns
//! into vector instructions, chosen at run time for the machine it runs on.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Address, Boundary, Domain, Noise, Width};
use crate::mollifier::Mollifier;
use crate::philox::{key, philox};
use crate::quantile;

/// Elements drawn together: sixteen counters' words.
const LANES: usize = 64;
/// Elements one task writes.
const TILE: usize = 64 * LANES;

/// Fills `rows` (`address.rows` rows of `features` elements) from `nodes` (rows of the path).
pub fn fill(
    rows: &mut [f32],
    nodes: &[f32],
    features: usize,
    noise: &Noise,
    domain: &Domain,
    address: &Address,
) {
    let count = (nodes.len() / features) as u64;
    rows.par_chunks_mut(features)
        .enumerate()
        .for_each(|(r, row)| {
            let index = address.first + r as u64;
            let (sample, node) = ((index / count) as u32, (index % count) as u32);
            let x = &nodes[node as usize * features..][..features];
            row.par_chunks_mut(TILE)
                .zip(x.par_chunks(TILE))
                .enumerate()
                .for_each(|(tile, (row, x))| {
                    let counter = [0, sample, node, address.stream];
                    fill_tile(row, x, tile * TILE, counter, key(address.seed), noise, domain);
                });
        });
}

/// Fills one tile of a row, whose first element is `start`, a multiple of [`LANES`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
fn fill_tile(
    row: &mut [f32],
    x: &[f32],
    start: usize,
    counter: [u32; 4],
    key: [u32; 2],
    noise: &Noise,
    domain: &Domain,
) {
    let mut words = [0u32; LANES];
    let mut draws = [0f64; LANES];
    for (lane, (row, x)) in row.chunks_mut(LANES).zip(x.chunks(LANES)).enumerate() {
        let first = start + lane * LANES;
        fill_words(&mut words, (first / 4) as u32, counter, key);
        fill_draws(&mut draws, &words, noise.mollifier);
        scale(row, x, &draws, first, noise, domain);
    }
}

#[inline(always)]
fn fill_words(words: &mut [u32; LANES], block: u32, counter: [u32; 4], key: [u32; 2]) {
    let mut blocks = [[0u32; LANES / 4]; 4];
    for i in 0..LANES / 4 {
        let [_, sample, node, stream] = counter;
        let four = philox([block + i as u32, sample, node, stream], key);
        for (words, word) in blocks.iter_mut().zip(four) {
            words[i] = word;
        }
    }
    for i in 0..LANES {
        words[i] = blocks[i % 4][i / 4];
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
fn scale(
    row: &mut [f32],
    x: &[f32],
    draws: &[f64; LANES],
    first: usize,
    noise: &Noise,
    domain: &Domain,
) {
    let mut done = 0;
    while done < row.len() {
        let e = first + done;
        let run = (domain.inner - e % domain.inner).min(row.len() - done);
        let channel = domain.channel(e);
        let (lower, upper) = (
            f64::from(domain.lower[channel]),
            f64::from(domain.upper[channel]),
        );
        let span = done..done + run;
        let (row, x, draws) = (&mut row[span.clone()], &x[span.clone()], &draws[span]);
        match noise.width {
            Width::Absolute(sigma) => {
                let sigma = f64::from(sigma);
                add(row, x, draws, |_| sigma);
            }
            Width::Relative(factor) => {
                let sigma = f64::from(factor) * (upper - lower);
                add(row, x, draws, |_| sigma);
            }
            Width::Adaptive(factor) => {
                let factor = f64::from(factor);
                add(row, x, draws, |x| {
                    factor * (x - lower).min(upper - x).max(0.0)
                });
            }
        }
        if noise.boundary == Boundary::Clipped {
            for value in row.iter_mut() {
                *value = value.clamp(lower as f32, upper as f32);
            }
        }
        done += run;
    }
}

#[inline(always)]
fn add(row: &mut [f32], x: &[f32], draws: &[f64], sigma: impl Fn(f64) -> f64) {
    for ((out, &x), &draw) in row.iter_mut().zip(x).zip(draws) {
        let x = f64::from(x);
        *out = (x + sigma(x) * draw) as f32;
    }
}
