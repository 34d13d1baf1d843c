//! Metrics against public implementations; closed forms stand beside each metric.

use mollify::metrics::{gini, overlap, paired_t_test, spearman, ssim, unit_distance};
use mollify_tests::{array, data};

#[test]
fn are_those_of_public_implementations() {
    let folder = data("metrics");
    let (a, b) = (array(&folder.join("a.npy")), array(&folder.join("b.npy")).values);
    let (&[height, width], a) = (&a.shape[..], a.values) else { panic!("two axes") };
    let sizes = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    let rank = spearman(&a, &b).expect("a correlation");
    let few = spearman(&a[..12], &b[..12]).expect("a correlation");
    let doubles = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let paired = paired_t_test(&doubles(&a[..40]), &doubles(&b[..40])).expect("a test");
    let text = std::fs::read_to_string(folder.join("expected.txt")).expect("the values");
    let mut count = 0;
    for line in text.lines() {
        let (name, expected) = line.split_once('\t').expect("a name and a value");
        let expected: f64 = expected.parse().expect("a number");
        let value = match name {
            "spearman" => rank.coefficient,
            "spearman p of 12" => few.p_value,
            "paired t p" => paired.p_value,
            "ssim" => ssim(&a, &b, height, width).expect("a similarity"),
            "gini" => gini(&a).expect("an index"),
            "unit distance" => unit_distance(&a, &b).expect("a distance"),
            "overlap" => overlap(&sizes(&a), &sizes(&b), 0.05).expect("a share"),
            other => panic!("{other} has no metric"),
        };
        assert!((value - expected).abs() < 1e-6, "{name}: {value} for {expected}");
        count += 1;
    }
    assert_eq!(count, 7);
}
