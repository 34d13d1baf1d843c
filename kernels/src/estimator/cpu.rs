//! The estimator on the CPU: in parallel over tiles of elements.

use multiversion::multiversion;
use rayon::prelude::*;

use super::CARRY;

/// The number of elements that one task updates.
const TILE: usize = 2048;

/// Updates `state` with `rows`. The state consists of mean, squares and the two parts of the count, each of
/// `features` elements.
pub fn update(state: &mut [f32], rows: &[f32], features: usize) {
    let finite: Vec<bool> = rows.par_chunks(features).map(is_finite).collect();
    let (mean, rest) = state.split_at_mut(features);
    let (squares, counts) = rest.split_at_mut(features);
    let (low, high) = counts.split_at_mut(features);
    mean.par_chunks_mut(TILE)
        .zip(squares.par_chunks_mut(TILE))
        .zip(low.par_chunks_mut(TILE).zip(high.par_chunks_mut(TILE)))
        .enumerate()
        .for_each(|(tile, ((mean, squares), (low, high)))| {
            let start = tile * TILE;
            let kept = rows.chunks(features).zip(&finite).filter(|(_, finite)| **finite);
            // The count is the same for every element.
            let mut count = (low[0], high[0]);
            for (row, _) in kept {
                count = next(count);
                welford(mean, squares, count, &row[start..][..mean.len()]);
            }
            low.fill(count.0);
            high.fill(count.1);
        });
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn is_finite(row: &[f32]) -> bool {
    row.chunks(1024)
        .all(|chunk| chunk.iter().fold(0u32, |bad, v| bad | u32::from(!v.is_finite())) == 0)
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn welford(mean: &mut [f32], squares: &mut [f32], (low, high): (f32, f32), row: &[f32]) {
    let inverse = 1.0 / (low + high * CARRY);
    for ((mean, squares), &value) in mean.iter_mut().zip(squares).zip(row) {
        let deviation = value - *mean;
        *mean += deviation * inverse;
        *squares += deviation * (value - *mean);
    }
}

/// Increments the count `(low, high)`.
fn next((low, high): (f32, f32)) -> (f32, f32) {
    if low + 1.0 == CARRY { (0.0, high + 1.0) } else { (low + 1.0, high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_continues_beyond_the_integers_of_float32() {
        // 2^24 samples, that is 16 carries.
        let mut state = [0.5, 0.0, 0.0, 16.0];
        update(&mut state, &[0.5; 3], 1);
        assert_eq!(state[2..], [3.0, 16.0]);
        let mut state = [0.5, 0.0, CARRY - 1.0, 15.0];
        update(&mut state, &[0.5], 1);
        assert_eq!(state[2..], [0.0, 16.0]);
    }
}
