//! Rank correlation.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A correlation coefficient with its p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// The correlation coefficient, from -1 to 1.
    pub coefficient: f64,
    /// The two-sided p-value: the probability of a coefficient at least as far from 0 under the null
    /// hypothesis of no correlation.
    pub p_value: f64,
}

/// Computes the ranks of the values, from 1. Tied values get the mean of their ranks.
pub fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let tied =
            order[first..].iter().take_while(|&&i| values[i] == values[order[first]]).count();
        // A NaN is not equal to itself and counts as one value.
        let count = tied.max(1);
        let rank = first as f64 + (count as f64 + 1.0) / 2.0;
        order[first..first + count].iter().for_each(|&i| ranks[i] = rank);
        first += count;
    }
    ranks
}

/// Computes Spearman's rank correlation, which is Pearson's correlation of the [`ranks`]. The p-value is
/// that of `t = r sqrt((n - 2) / (1 - r^2))` under Student's t-distribution with `n - 2` degrees of
/// freedom, as in `scipy.stats.spearmanr`.
///
/// Returns `None` if there are fewer than three pairs, if the lengths differ, if all values of `a` or of
/// `b` are equal, or if a value is NaN.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<Correlation> {
    let n = a.len();
    if n < 3 || n != b.len() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    // The mean of the ranks of n values is (n + 1) / 2, with or without ties.
    let mean = (n as f64 + 1.0) / 2.0;
    let (a, b) = (ranks(a), ranks(b));
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    let coefficient = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    if !coefficient.is_finite() {
        return None;
    }
    let coefficient = coefficient.clamp(-1.0, 1.0);
    let degrees_of_freedom = n as f64 - 2.0;
    let t = coefficient * (degrees_of_freedom / (1.0 - coefficient * coefficient)).sqrt();
    let student = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
    let p_value = if t.is_finite() { 2.0 * student.sf(t.abs()) } else { 0.0 };
    Some(Correlation { coefficient, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_values_get_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, -0.0, 0.0]), [5.5, 3.0, 5.5, 4.0, 1.5, 1.5]);
    }

    #[test]
    fn correlation_of_monotonic_and_of_invalid_values() {
        let a = [1.0, 2.0, 5.0, 9.0];
        let correlation = |b: &[f32]| spearman(&a, b).map(|c| c.coefficient);
        assert_eq!(correlation(&[0.1, 0.2, 0.3, 7.0]), Some(1.0));
        assert_eq!(correlation(&[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(correlation(&[1.0; 4]), None);
        assert_eq!(correlation(&[1.0, f32::NAN, 2.0, 3.0]), None);
        assert_eq!(correlation(&[1.0, 2.0]), None);
    }
}
