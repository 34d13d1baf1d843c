//! Whether two methods differ on the same pictures.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The difference of two methods on the same pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// The mean of the first less the mean of the second.
    pub difference: f64,
    /// The probability of a difference at least as large where there is none, two-sided.
    pub p_value: f64,
}

/// The paired t-test: with the differences `d_i` of `n` pairs, `t = mean(d) / sqrt(var(d) / n)` under
/// Student's distribution of `n - 1` degrees of freedom, as `scipy.stats.ttest_rel` has it.
///
/// None where the lengths differ, there are fewer than two pairs, or all differences are equal.
pub fn paired_t_test(a: &[f64], b: &[f64]) -> Option<Paired> {
    let n = a.len() as f64;
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let difference = differences.iter().sum::<f64>() / n;
    let squares: f64 = differences.iter().map(|d| (d - difference).powi(2)).sum();
    let t = difference / (squares / (n - 1.0) / n).sqrt();
    // Sums of equal differences leave rounding behind that is no variance.
    let differ = differences.iter().any(|d| (d - differences[0]).abs() > 1e-12 * d.abs());
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    (differ && t.is_finite()).then(|| Paired { difference, p_value: 2.0 * student.sf(t.abs()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_pairs_it_is_cauchys() {
        // With one degree of freedom p = 1 - 2 atan(t) / pi; here t = 1.5 / 0.5.
        let test = paired_t_test(&[2.0, 5.0], &[1.0, 3.0]).expect("a test");
        assert!((test.difference - 1.5).abs() < 1e-12);
        let expected = 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI;
        assert!((test.p_value - expected).abs() < 1e-9, "{}", test.p_value);
        assert_eq!(paired_t_test(&[1.0, 2.0], &[0.0, 1.0]), None);
        assert_eq!(paired_t_test(&[0.3, 0.5, 0.8], &[0.2, 0.4, 0.7]), None);
        assert_eq!(paired_t_test(&[1.0], &[0.0]), None);
    }
}
