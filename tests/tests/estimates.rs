//! The mean, the mean of squares and the variance of the samples' gradients, in closed form.

use attriburn::{
    Domain, Estimate, Explainer, Input, Method, ModuleModel, Readout, Settings, Target,
};
use burn::tensor::{Device, Tensor};

const SAMPLES: u32 = 20_000;
const SIGMA: f64 = 0.3;

/// Of `F = sum x^2 / 2` the gradient at a sample is the sample itself, `x + sigma z`.
fn map(estimate: Estimate, readout: Readout) -> Vec<f32> {
    let model = ModuleModel::<2>::new(&[4], &Device::flex(), |x: Tensor<2>| {
        x.powi_scalar(2).sum_dim(1) * 0.5
    });
    let input = Input::new(vec![0.9, -0.4, 0.0, 2.0], &[4], Domain::uniform(-1.0, 3.0));
    let settings =
        Settings { samples: SAMPLES, sigma: Some(SIGMA), estimate, ..Settings::default() };
    let mut plan = Method::named("smoothgrad").expect("a method").plan(&settings).expect("a plan");
    plan.readout = readout;
    let explainer = Explainer::new(&model);
    explainer.explain(&plan, &input.expect("an input"), Target::Predicted).expect("a map").values
}

#[test]
fn squares_and_variances_are_those_of_the_noise() {
    let n = f64::from(SAMPLES);
    for (e, x) in [0.9, -0.4, 0.0, 2.0].into_iter().enumerate() {
        let check = |what: &str, value: f32, expected: f64, spread: f64| {
            let z = (f64::from(value) - expected) / spread * n.sqrt();
            assert!(z.abs() < 4.5, "{what} at {x}: {value} for {expected}, {z:.1} standard errors");
        };
        let variance = SIGMA * SIGMA;
        let square = x * x + variance;
        let spread_of_square = (4.0 * x * x * variance + 2.0 * variance * variance).sqrt();
        let value = |estimate| map(estimate, Readout::Gradient)[e];
        check("mean", value(Estimate::Mean), x, SIGMA);
        check("square", value(Estimate::Square), square, spread_of_square);
        check("variance", value(Estimate::Variance), variance, variance * 2f64.sqrt());
        // Times the input, each gradient is multiplied before it is squared.
        let times_input = map(Estimate::Square, Readout::TimesInput)[e];
        assert!((times_input - value(Estimate::Square) * (x * x) as f32).abs() < 1e-5);
    }
}

#[test]
fn a_variance_takes_two_samples() {
    let settings = Settings { estimate: Estimate::Variance, samples: 1, ..Settings::default() };
    let plan = |name| Method::named(name).expect("a method").plan(&settings).expect("a plan");
    let message = plan("adaptgrad").check().expect_err("one draw").to_string();
    assert!(message.contains("at least 2"), "{message}");
    // A method without noise has nothing to estimate.
    assert_eq!(plan("gradient").estimate, Estimate::Mean);
}
