//! The paired t-test of two methods on the same images.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The result of a paired t-test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// The mean of the first method minus the mean of the second method.
    pub difference: f64,
    /// The two-sided p-value: the probability of a difference at least as large under the null hypothesis
    /// of equal means.
    pub p_value: f64,
}

/// Computes the paired t-test of `a` and `b`. With the differences `d_i` of `n` pairs,
/// `t = mean(d) / sqrt(var(d) / n)` follows Student's t-distribution with `n - 1` degrees of freedom, as in
/// `scipy.stats.ttest_rel`.
///
/// Returns `None` if the lengths differ, if there are fewer than two pairs, or if all differences are equal.
pub fn paired_t_test(a: &[f64], b: &[f64]) -> Option<PairedTest> {
    let n = a.len() as f64;
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let difference = differences.iter().sum::<f64>() / n;
    let squares: f64 = differences.iter().map(|d| (d - difference).powi(2)).sum();
    let t = difference / (squares / (n - 1.0) / n).sqrt();
    // Rounding can make the variance of equal differences positive, so they are compared directly.
    let differ = differences.iter().any(|d| (d - differences[0]).abs() > 1e-12 * d.abs());
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    (differ && t.is_finite()).then(|| PairedTest { difference, p_value: 2.0 * student.sf(t.abs()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_value_of_two_pairs_is_that_of_the_cauchy_distribution() {
        // With one degree of freedom, p = 1 - 2 atan(t) / pi; here t = 1.5 / 0.5.
        let test = paired_t_test(&[2.0, 5.0], &[1.0, 3.0]).expect("a test");
        assert!((test.difference - 1.5).abs() < 1e-12);
        let expected = 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI;
        assert!((test.p_value - expected).abs() < 1e-9, "{}", test.p_value);
        assert_eq!(paired_t_test(&[1.0, 2.0], &[0.0, 1.0]), None);
        assert_eq!(paired_t_test(&[0.3, 0.5, 0.8], &[0.2, 0.4, 0.7]), None);
        assert_eq!(paired_t_test(&[1.0], &[0.0]), None);
    }
}
