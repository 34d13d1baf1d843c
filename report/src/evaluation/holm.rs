//! Holm's correction of p values for the number of tests.

/// The level below which an adjusted p value counts as a real difference.
pub(super) const LEVEL: f64 = 0.05;

/// Returns p values adjusted by Holm's step-down method, in the order of `p`.
///
/// With the `m` values in ascending order, `adjusted(i) = max over j <= i of min(1, (m - j + 1) * p(j))`. If values
/// below a level `a` count as differences, the probability of any false difference is at most `a`, whatever the
/// dependence of the tests. Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
pub(super) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Adjusts the p values that exist.
pub(super) fn holm_of_known(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = p.iter().flatten().copied().collect();
    let mut adjusted = holm(&known).into_iter();
    p.iter().map(|p| p.and_then(|_| adjusted.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_values_are_those_of_r() {
        // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((value - expected).abs() < 1e-12, "{adjusted:?}");
        }
    }

    #[test]
    fn adjusted_values_are_at_most_one_and_single_values_stay() {
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[0.2]), [0.2]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn missing_values_are_not_counted() {
        assert_eq!(holm_of_known(&[None, Some(0.01), Some(0.5)]), [None, Some(0.02), Some(0.5)]);
    }
}
