//! Smoothed gradients against closed forms and against estimates by PyTorch.

use attriburn::{
    AdaptiveRule, Attribution, Boundary, Domain, Explainer, Input, ModuleModel, Mollifier, Plan,
    Sampler, Target, WidthRule,
};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, data, efficientnet};
use burn::tensor::{Device, Tensor};

/// The model `F(x) = sum x_i^3`. Under noise of variance `s_i^2`, the mean of its gradient is
/// `3 (x_i^2 + s_i^2)`.
fn cubic(features: usize) -> ModuleModel<2> {
    ModuleModel::new(&[features], &Device::flex(), |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

const LOWER: f32 = -1.0;
const UPPER: f32 = 2.0;
/// Values inside the domain, on its bounds, and outside.
const POINTS: [f32; 9] = [-0.9, -0.4, 0.0, 0.5, 1.3, 1.9, LOWER, UPPER, 2.5];

fn gaussian(width: WidthRule) -> Plan {
    let sampler = Sampler::new(width).boundary(Boundary::Free).samples(200_000);
    Plan::gradient().sampler(sampler)
}

fn map(plan: &Plan) -> Attribution {
    let domain = Domain::uniform(LOWER, UPPER);
    let input = Input::new(POINTS.to_vec(), &[POINTS.len()], domain).expect("an input");
    Explainer::new(&cubic(POINTS.len()))
        .batch(5000)
        .explain(&input, Target::Index(0), plan)
        .expect("a map")
}

#[test]
fn noise_width_of_every_element_matches_its_rule() {
    let distance = |x: f32| f64::from((x - LOWER).min(UPPER - x).max(0.0));
    // Quantiles of the standard normal distribution at (1 + p) / 2, for p = 0.975 and 0.95.
    let (paper, published) = (2.241_402_727_604_947, 1.959_963_984_540_054);
    let adaptive = |rule| WidthRule::Adaptive { confidence: 0.95, rule };
    type Expected = Box<dyn Fn(f32) -> f64>;
    let cases: [(WidthRule, Expected); 4] = [
        (WidthRule::Relative { alpha: 0.2 }, Box::new(|_| 0.6)),
        (WidthRule::Absolute { sigma: 0.25 }, Box::new(|_| 0.25)),
        (adaptive(AdaptiveRule::Paper), Box::new(move |x| distance(x) / paper)),
        (adaptive(AdaptiveRule::PublishedCode), Box::new(move |x| distance(x) / published)),
    ];
    for (width, sigma) in cases {
        let map = map(&gaussian(width));
        for (i, &x) in POINTS.iter().enumerate() {
            let expected = sigma(x);
            let clean = 3.0 * f64::from(x).powi(2);
            let squared = (f64::from(map.values[i]) - clean) / 3.0;
            let error = f64::from(map.standard_error[i]) / 3.0;
            assert!(
                (squared - expected.powi(2)).abs() <= 4.5 * error + 1e-6,
                "{width:?} at {x}: sigma^2 {squared}, expected {} (standard error {error})",
                expected.powi(2)
            );
            // The standard error must be small enough to distinguish the two rules, whose sigma^2 differ by
            // 30 %. Close to a bound the noise is too narrow for this at the given number of samples.
            let is_narrow = expected.powi(2) < 0.01;
            assert!(is_narrow || error <= 0.06 * expected.powi(2), "{width:?} at {x}: {error}");
        }
    }
}

/// If a mollifier has the second moment `m` at unit scale, the mean of the gradient of `x^3` is
/// `3 (x^2 + m sigma^2)`. The Poisson kernel has no second moment.
#[test]
fn smoothed_gradients_of_a_cubic_contain_the_second_moment() {
    let pi = std::f64::consts::PI;
    for (mollifier, moment) in [
        (Mollifier::Gaussian, 1.0),
        (Mollifier::Hyperbolic, pi.powi(2) / 12.0),
        (Mollifier::Sigmoid, pi.powi(2) / 3.0),
        (Mollifier::Rect, 1.0 / 3.0),
        (Mollifier::Laplace, 2.0),
    ] {
        let c = 0.9;
        let adaptive = WidthRule::Adaptive { confidence: c, rule: AdaptiveRule::PublishedCode };
        let factor = mollifier.width_factor(c);
        for width in [WidthRule::Absolute { sigma: 0.25 }, adaptive] {
            let sampler = Sampler::new(width).mollifier(mollifier);
            let map = map(&Plan::gradient().sampler(sampler).samples(100_000));
            for (i, &x) in POINTS.iter().enumerate() {
                let distance = f64::from((x - LOWER).min(UPPER - x).max(0.0));
                let sigma = if width == adaptive { distance * factor } else { 0.25 };
                let expected = 3.0 * (f64::from(x).powi(2) + moment * sigma * sigma);
                let error = f64::from(map.standard_error[i]);
                assert!(
                    (f64::from(map.values[i]) - expected).abs() <= 4.5 * error + 1e-5,
                    "{mollifier:?}, {width:?} at {x}: {}, expected {expected} +- {error}",
                    map.values[i]
                );
            }
        }
    }
}

/// The smoothed gradient of a step function is the mollifier's density. Here the step is a ramp of width
/// `RISE`, which has a gradient; the expected value is the density averaged over this width.
#[test]
fn smoothed_gradient_of_a_step_is_the_mollifier_density() {
    const RISE: f32 = 0.05;
    let sigma = 0.4;
    let step = ModuleModel::<2>::new(&[7], &Device::flex(), |x: Tensor<2>| {
        (x / RISE).clamp(-0.5, 0.5).sum_dim(1)
    });
    let points = [-1.5f32, -0.8, -0.3, 0.0, 0.2, 0.5, 1.1];
    let input = Input::new(points.to_vec(), &[7], Domain::uniform(-3.0, 3.0)).expect("an input");
    for (mollifier, name) in Mollifier::ALL {
        let pi = std::f64::consts::PI;
        let cumulative = |x: f64| match mollifier {
            Mollifier::Gaussian => 0.5 * (1.0 + erf(x / 2f64.sqrt())),
            Mollifier::Poisson => x.atan() / pi + 0.5,
            Mollifier::Hyperbolic => 0.5 * (x.tanh() + 1.0),
            Mollifier::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Mollifier::Rect => (0.5 * (x + 1.0)).clamp(0.0, 1.0),
            Mollifier::Laplace => 0.5 + 0.5 * x.signum() * (1.0 - (-x.abs()).exp()),
        };
        let sampler = Sampler::new(WidthRule::Absolute { sigma }).mollifier(mollifier);
        let plan = Plan::gradient().sampler(sampler).samples(200_000);
        let explainer = Explainer::new(&step).batch(10_000);
        let map = explainer.explain(&input, Target::Predicted, &plan).expect("a map");
        for (i, x) in points.into_iter().map(f64::from).enumerate() {
            let half = f64::from(RISE) / 2.0;
            let inside = cumulative((half - x) / sigma) - cumulative((-half - x) / sigma);
            let expected = inside / f64::from(RISE);
            let difference = (f64::from(map.values[i]) - expected).abs();
            let error = f64::from(map.standard_error[i]);
            assert!(
                difference <= 4.5 * error + 1e-6,
                "{name} at {x}: {}, expected {expected} +- {error}",
                map.values[i]
            );
        }
    }
}

/// Computes the error function by its power series, which is accurate for the small arguments used here.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..100 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

/// Compares the map of `plan` with the estimate `reference` by PyTorch. The differences of two estimates of
/// one map, in joint standard errors, must have a standard normal distribution.
fn check_against_pytorch(plan: &Plan, reference: &str) {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound =
        |value: f32| mean.iter().zip(std).map(|(m, s)| (value - m) / s).collect::<Vec<f32>>();
    let domain = Domain::per_channel(bound(0.0), bound(1.0));
    let input = Input::new(read("input.npy"), &[3, 224, 224], domain).expect("an input");
    let map = Explainer::new(&model).explain(&input, Target::Predicted, plan).expect("a map");
    let (expected, error) =
        (read(&format!("{reference}_mean.npy")), read(&format!("{reference}_stderr.npy")));
    let z_scores: Vec<f64> = (0..expected.len())
        .filter_map(|i| {
            let found_error = f64::from(map.standard_error[i]);
            let joint = (found_error.powi(2) + f64::from(error[i]).powi(2)).sqrt();
            (joint > 0.0).then(|| (f64::from(map.values[i]) - f64::from(expected[i])) / joint)
        })
        .collect();
    assert!(z_scores.len() > expected.len() / 2);
    let mean = z_scores.iter().sum::<f64>() / z_scores.len() as f64;
    let square = z_scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    let deviation = (square / z_scores.len() as f64).sqrt();
    println!(
        "{reference}: z-scores: mean {mean:.4}, deviation {deviation:.4}; relative standard error {:.3}",
        map.relative_standard_error().expect("a standard error")
    );
    assert!(mean.abs() <= 0.05, "{reference}: the mean z-score is {mean}");
    assert!((deviation - 1.0).abs() <= 0.05, "{reference}: the deviation is {deviation}");
}

#[test]
fn adaptgrad_matches_pytorch() {
    check_against_pytorch(&Plan::adaptgrad().samples(400), "adaptgrad_c0.95");
}

#[test]
fn smoothgrad_matches_pytorch() {
    check_against_pytorch(&Plan::smoothgrad().samples(400), "smoothgrad_a0.2");
}
