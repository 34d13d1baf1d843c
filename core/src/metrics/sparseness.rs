//! Sparseness.

/// The Gini index of `|values|`, Sparseness in AdaptGrad's Eq. 14 (arXiv 2410.07711) after Chalasani
/// et al. (ICML 2020): with `v_1 <= ... <= v_n` the sorted sizes,
///
/// ```text
/// G = sum_i (2i - n - 1) v_i / (n sum_i v_i)
/// ```
///
/// 0 where all are equal and `1 - 1/n` where one holds all. None without values, for zeros alone
/// and where a value is not finite.
pub fn gini(values: &[f32]) -> Option<f64> {
    let mut sizes: Vec<f64> = values.iter().map(|&value| f64::from(value.abs())).collect();
    sizes.sort_by(f64::total_cmp);
    let n = sizes.len() as f64;
    let total: f64 = sizes.iter().sum();
    let weighted: f64 =
        sizes.iter().enumerate().map(|(i, size)| (2.0 * (i as f64 + 1.0) - n - 1.0) * size).sum();
    let index = weighted / (n * total);
    index.is_finite().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let mut one_hot = vec![0.0; 100];
        one_hot[17] = -3.0;
        let ramp: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        for (values, expected) in [
            (vec![2.0; 7], 0.0),
            (one_hot, 0.99),
            // Of 1 to n it is (n - 1) / (3 n).
            (ramp, 0.33),
            (vec![1.0, -3.0], 0.25),
        ] {
            let index = gini(&values).expect("an index");
            assert!((index - expected).abs() < 1e-12, "{index} for {expected}");
        }
        for values in [&[][..], &[0.0, 0.0], &[1.0, f32::NAN]] {
            assert_eq!(gini(values), None);
        }
    }
}
