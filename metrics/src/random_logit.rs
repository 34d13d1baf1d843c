//! The other class of the Random Logit metric.

use attriburn_kernels::philox::{key, philox};
use attriburn_kernels::streams::OTHER_CLASSES;

/// Draws the class that the Random Logit metric (Sixt, Granz and Landgraf, ICML 2020) compares `class` with:
/// uniformly among the other `classes`. The metric is the SSIM of the maps of both classes; a map that is the same
/// for any class does not explain this one.
///
/// Returns `None` if there is no other class, or `class` is not below `classes`.
pub fn random_other_class(classes: usize, class: usize, seed: u64) -> Option<usize> {
    let others = classes.checked_sub(1).filter(|&others| others > 0 && class < classes)?;
    let word = philox([0, 0, 0, OTHER_CLASSES], key(seed))[0];
    let drawn = ((word as u64 * others as u64) >> 32) as usize;
    Some(if drawn < class { drawn } else { drawn + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_classes_are_drawn_uniformly() {
        let draws = 20_000;
        let mut counts = [0u32; 10];
        for seed in 0..draws {
            counts[random_other_class(10, 3, seed).expect("a class")] += 1;
        }
        assert_eq!(counts[3], 0);
        let expected = draws as f64 / 9.0;
        let others = counts.iter().enumerate().filter(|(class, _)| *class != 3);
        let chi2: f64 = others.map(|(_, &n)| (f64::from(n) - expected).powi(2) / expected).sum();
        // The 99.99 % quantile of chi-squared with 8 degrees of freedom.
        assert!(chi2 < 31.8, "{counts:?}: {chi2:.1}");
    }

    #[test]
    fn single_class_has_no_other() {
        assert_eq!(random_other_class(1, 0, 7), None);
        assert_eq!(random_other_class(3, 3, 7), None);
        assert_eq!(random_other_class(2, 0, 7), Some(1));
        assert_eq!(random_other_class(2, 1, 7), Some(0));
    }
}
