//! The clip limit of a map's colour scale, and quantiles.

use attriburn::{Scale, quantile};

#[test]
fn limit_is_the_99th_percentile_of_magnitudes() {
    let ramp: Vec<f32> = (0..=100).map(|i| if i % 2 == 0 { i as f32 } else { -i as f32 }).collect();
    let mut one_spike = vec![0.0; 1000];
    one_spike[3] = -7.0;
    let cases: [(&str, &[f32], f32); 7] = [
        ("0 to 100", &ramp, 99.0),
        ("interpolated: 1 + 0.99", &[-2.0, 1.0], 1.99),
        ("one value", &[-4.0], 4.0),
        ("one spike among zeros", &one_spike, 7.0),
        ("zeros", &[0.0; 5], 0.0),
        ("no values", &[], 0.0),
        ("values that are not finite", &[f32::NAN, 3.0, f32::INFINITY], 3.0),
    ];
    for (what, values, limit) in cases {
        assert_eq!(Scale::of(values).limit(), limit, "{what}");
    }
}

#[test]
fn strength_is_clipped_to_unit_range() {
    let scale = Scale::of(&[4.0]);
    let cases = [
        (0.0, 0.0),
        (2.0, 0.5),
        (-4.0, -1.0),
        (9.0, 1.0),
        (f32::NEG_INFINITY, 0.0),
        (f32::NAN, 0.0),
    ];
    for (value, strength) in cases {
        assert_eq!(scale.strength(value), strength, "{value}");
    }
    assert_eq!(Scale::of(&[]).strength(3.0), 0.0);
}

#[test]
fn quantiles_match_numpy() {
    let sorted = [1.0, 2.0, 3.0, 5.0];
    assert_eq!(quantile(&sorted, 0.0), 1.0);
    assert_eq!(quantile(&sorted, 0.5), 2.5);
    assert_eq!(quantile(&sorted, 1.0), 5.0);
    assert!((quantile(&sorted, 0.95) - 4.7).abs() < 1e-12);
    assert_eq!(quantile(&[], 0.5), 0.0);
}
