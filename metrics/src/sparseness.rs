//! The sparseness of a map.

/// Computes the Gini index of `|values|`: the Sparseness of AdaptGrad's Eq. 14 (arXiv 2410.07711), after
/// Chalasani et al. (ICML 2020). With the sorted magnitudes `v_1 <= ... <= v_n`,
///
/// ```text
/// G = sum_i (2i - n - 1) v_i / (n sum_i v_i)
/// ```
///
/// The index is 0 if all magnitudes are equal, and `1 - 1/n` if only one value is not 0. Returns `None` if
/// there are no values, if all values are 0, or if a value is not finite.
pub fn gini(values: &[f32]) -> Option<f64> {
    let mut magnitudes: Vec<f64> = values.iter().map(|&value| f64::from(value.abs())).collect();
    magnitudes.sort_by(f64::total_cmp);
    let n = magnitudes.len() as f64;
    let total: f64 = magnitudes.iter().sum();
    let terms = magnitudes.iter().enumerate();
    let weighted: f64 = terms.map(|(i, v)| (2.0 * (i as f64 + 1.0) - n - 1.0) * v).sum();
    let index = weighted / (n * total);
    index.is_finite().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_in_closed_form() {
        let mut one_hot = vec![0.0; 100];
        one_hot[17] = -3.0;
        let ramp: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        for (values, expected) in [
            (vec![2.0; 7], 0.0),
            (one_hot, 0.99),
            // The index of the values 1 to n is (n - 1) / (3 n).
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
