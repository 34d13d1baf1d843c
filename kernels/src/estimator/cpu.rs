//! The estimator on the CPU: all cores, each owning a tile of elements.

use multiversion::multiversion;
use rayon::prelude::*;

/// Elements one task updates.
const TILE: usize = 2048;

/// Updates `state` (mean, squares and count, each of `features` elements) with `rows`.
pub fn update(state: &mut [f32], rows: &[f32], features: usize) {
    let finite: Vec<bool> = rows.par_chunks(features).map(is_finite).collect();
    let (mean, rest) = state.split_at_mut(features);
    let (squares, count) = rest.split_at_mut(features);
    mean.par_chunks_mut(TILE)
        .zip(squares.par_chunks_mut(TILE))
        .zip(count.par_chunks_mut(TILE))
        .enumerate()
        .for_each(|(tile, ((mean, squares), count))| {
            let start = tile * TILE;
            let kept = rows.chunks(features).zip(&finite).filter(|(_, finite)| **finite);
            for (row, _) in kept {
                welford(mean, squares, count, &row[start..][..mean.len()]);
            }
        });
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn is_finite(row: &[f32]) -> bool {
    row.chunks(1024)
        .all(|chunk| chunk.iter().fold(0u32, |bad, v| bad | u32::from(!v.is_finite())) == 0)
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn welford(mean: &mut [f32], squares: &mut [f32], count: &mut [f32], row: &[f32]) {
    let n = count[0] + 1.0;
    let inverse = 1.0 / n;
    for (((mean, squares), count), &value) in mean.iter_mut().zip(squares).zip(count).zip(row) {
        let deviation = value - *mean;
        *mean += deviation * inverse;
        *squares += deviation * (value - *mean);
        *count = n;
    }
}
