//! The estimates of a plan against closed forms: the mean, the mean square and the variance of the samples'
//! gradients.

use attriburn::{Domain, Estimate, Explainer, Input, ModuleModel, Readout, Target};
use attriburn_evaluate::{Method, Settings};
use burn::tensor::{Device, Tensor};

const SAMPLES: u32 = 20_000;
const SIGMA: f64 = 0.3;

/// Returns the map of `F(x) = sum x^2 / 2`, whose gradient at a sample is the sample itself, `x + sigma z`.
fn map(estimate: Estimate, readout: Readout) -> Vec<f32> {
    let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| {
        x.powi_scalar(2).sum_dim(1) * 0.5
    });
    let input = Input::new(vec![0.9, -0.4, 0.0, 2.0], &[4], Domain::uniform(-1.0, 3.0));
    let settings = Settings::with(|settings| {
        settings.samples = SAMPLES;
        settings.sigma = Some(SIGMA);
        settings.estimate = estimate;
    });
    let mut plan = Method::named("smoothgrad").expect("a method").plan(&settings).expect("a plan");
    plan.readout = readout;
    let explainer = Explainer::new(&model);
    explainer.explain(&input.expect("an input"), Target::Predicted, &plan).expect("a map").values
}

#[test]
fn estimates_match_closed_forms() {
    let n = f64::from(SAMPLES);
    for (e, x) in [0.9, -0.4, 0.0, 2.0].into_iter().enumerate() {
        let check = |what: &str, value: f32, expected: f64, deviation: f64| {
            let z = (f64::from(value) - expected) / deviation * n.sqrt();
            assert!(
                z.abs() < 4.5,
                "{what} at {x}: {value}, expected {expected}, {z:.1} standard errors"
            );
        };
        let variance = SIGMA * SIGMA;
        let square = x * x + variance;
        let deviation_of_square = (4.0 * x * x * variance + 2.0 * variance * variance).sqrt();
        let value = |estimate| map(estimate, Readout::Gradient)[e];
        check("mean", value(Estimate::Mean), x, SIGMA);
        check("square", value(Estimate::Square), square, deviation_of_square);
        check("variance", value(Estimate::Variance), variance, variance * 2f64.sqrt());
        // With gradient times input, each gradient is multiplied by the input before it is squared.
        let times_input = map(Estimate::Square, Readout::TimesInput)[e];
        assert!((times_input - value(Estimate::Square) * (x * x) as f32).abs() < 1e-5);
    }
}

#[test]
fn variance_requires_two_samples() {
    let settings = Settings::with(|settings| {
        settings.estimate = Estimate::Variance;
        settings.samples = 1;
    });
    let plan = |name| Method::named(name).expect("a method").plan(&settings).expect("a plan");
    let message = plan("adaptgrad").check().expect_err("one sample").to_string();
    assert!(message.contains("at least 2"), "{message}");
    // A method without noise ignores the estimate.
    assert_eq!(plan("gradient").estimate, Estimate::Mean);
}
