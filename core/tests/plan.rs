//! Validation of a plan's settings.

use attriburn::{AdaptiveRule, Plan, Sampler, WidthRule};

#[test]
fn errors_name_the_setting_and_its_range() {
    let width = |width| Plan::gradient().sampler(Sampler::new(width));
    let cases = [
        (Plan::adaptgrad().samples(0), "samples is 0, but it must be at least 1"),
        (
            width(WidthRule::Relative { alpha: -0.1 }),
            "alpha is -0.1, but it must be a positive number",
        ),
        (
            width(WidthRule::Absolute { sigma: f64::NAN }),
            "sigma is NaN, but it must be a positive number",
        ),
        (
            width(WidthRule::Adaptive { confidence: 1.0, rule: AdaptiveRule::Paper }),
            "confidence is 1, but it must be between 0 and 1, both excluded",
        ),
    ];
    for (plan, expected) in cases {
        assert_eq!(plan.check().unwrap_err().to_string(), expected);
    }
    assert!(Plan::adaptgrad().check().is_ok());
    assert!(Plan::gradient().samples(0).check().is_ok());
}
