//! The estimator in plain Rust and double precision: what every device is compared with.

/// Mean, sum of squared deviations and count per element of the finite rows among `rows`, each of
/// `features` elements, computed in two passes.
pub fn estimate(rows: &[f32], features: usize) -> Vec<[f64; 3]> {
    let finite: Vec<&[f32]> =
        rows.chunks(features).filter(|row| row.iter().all(|value| value.is_finite())).collect();
    let count = finite.len() as f64;
    (0..features)
        .map(|e| {
            let values = || finite.iter().map(|row| f64::from(row[e]));
            let mean = values().sum::<f64>() / count.max(1.0);
            let squares = values().map(|value| (value - mean).powi(2)).sum();
            [mean, squares, count]
        })
        .collect()
}
