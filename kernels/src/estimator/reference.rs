//! Reference implementation of the estimator in double precision, with which every device is compared.

/// Computes the mean, the sum of squared deviations and the count of each element over the finite rows of
/// `rows`, in two passes. A row has `features` elements.
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
