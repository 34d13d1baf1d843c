//! Rank correlation.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A correlation with its significance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// The coefficient, from -1 to 1.
    pub coefficient: f64,
    /// The probability of one at least as far from 0 where there is no correlation, two-sided.
    pub p_value: f64,
}

/// The ranks from 1, equal values at the mean of theirs.
pub fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let equal =
            order[first..].iter().take_while(|&&i| values[i] == values[order[first]]).count();
        let count = equal.max(1);
        let rank = first as f64 + (count as f64 + 1.0) / 2.0;
        order[first..first + count].iter().for_each(|&i| ranks[i] = rank);
        first += count;
    }
    ranks
}

/// Spearman's rank correlation: Pearson's of the [`ranks`]. Its significance is that of
/// `t = r sqrt((n - 2) / (1 - r^2))` under Student's distribution of `n - 2` degrees of freedom, as
/// `scipy.stats.spearmanr` has it.
///
/// None where there are fewer than three pairs, the lengths differ, all values of one are equal,
/// or a value is not a number.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<Correlation> {
    let n = a.len();
    if n < 3 || n != b.len() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    // Ranks of n values have the mean (n + 1) / 2 whatever their ties.
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
    let freedom = n as f64 - 2.0;
    let t = coefficient * (freedom / (1.0 - coefficient * coefficient)).sqrt();
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let p_value = if t.is_finite() { 2.0 * student.sf(t.abs()) } else { 0.0 };
    Some(Correlation { coefficient, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, -0.0, 0.0]), [5.5, 3.0, 5.5, 4.0, 1.5, 1.5]);
    }

    #[test]
    fn extremes_and_what_has_none() {
        let a = [1.0, 2.0, 5.0, 9.0];
        let correlation = |b: &[f32]| spearman(&a, b).map(|c| c.coefficient);
        assert_eq!(correlation(&[0.1, 0.2, 0.3, 7.0]), Some(1.0));
        assert_eq!(correlation(&[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(correlation(&[1.0; 4]), None);
        assert_eq!(correlation(&[1.0, f32::NAN, 2.0, 3.0]), None);
        assert_eq!(correlation(&[1.0, 2.0]), None);
    }
}
