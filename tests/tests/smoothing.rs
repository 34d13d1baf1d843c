//! Smoothed gradients are what their definitions say, and agree with PyTorch's estimates.

use attriburn::{
    AdaptiveRule, Attribution, Boundary, Domain, Explainer, Input, ModuleModel, Mollifier, Plan,
    Sampler, Target, WidthRule,
};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, data, efficientnet};
use burn::tensor::{Device, Tensor};

/// `F(x) = sum x_i^3`, whose gradient under noise of variance `s_i^2` has the mean
/// `3 (x_i^2 + s_i^2)`.
fn cubes(features: usize) -> ModuleModel<2> {
    ModuleModel::new(&[features], &Device::flex(), |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

const LOWER: f32 = -1.0;
const UPPER: f32 = 2.0;
/// Inside the domain, on its bounds, and outside.
const POINTS: [f32; 9] = [-0.9, -0.4, 0.0, 0.5, 1.3, 1.9, LOWER, UPPER, 2.5];

fn gaussian(width: WidthRule) -> Plan {
    let boundary = Boundary::Free;
    Plan::smoothed(Sampler { mollifier: Mollifier::Gaussian, width, boundary }).samples(200_000)
}

fn map(plan: &Plan) -> Attribution {
    let domain = Domain::uniform(LOWER, UPPER);
    let input = Input::new(POINTS.to_vec(), &[POINTS.len()], domain).expect("an input");
    Explainer::new(&cubes(POINTS.len()))
        .batch(Some(5000))
        .explain(plan, &input, Target::Index(0))
        .expect("a map")
}

#[test]
fn the_width_of_every_element_is_recovered() {
    let reach = |x: f32| f64::from((x - LOWER).min(UPPER - x).max(0.0));
    // Quantiles of the standard normal distribution at (1 + p) / 2, for p = 0.975 and 0.95.
    let (paper, published) = (2.241_402_727_604_947, 1.959_963_984_540_054);
    let adaptive = |rule| WidthRule::Adaptive { confidence: 0.95, rule };
    type Expected = Box<dyn Fn(f32) -> f64>;
    let cases: [(WidthRule, Expected); 4] = [
        (WidthRule::Relative { alpha: 0.2 }, Box::new(|_| 0.6)),
        (WidthRule::Absolute { sigma: 0.25 }, Box::new(|_| 0.25)),
        (adaptive(AdaptiveRule::Paper), Box::new(move |x| reach(x) / paper)),
        (adaptive(AdaptiveRule::PublishedCode), Box::new(move |x| reach(x) / published)),
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
                "{width:?} at {x}: sigma^2 {squared}, not {} (standard error {error})",
                expected.powi(2)
            );
            // Where there is room, tight enough to tell the two rules apart: their sigma^2 differ
            // by 30 %. Next to a bound the noise is too narrow for that many samples.
            let is_narrow = expected.powi(2) < 0.01;
            assert!(is_narrow || error <= 0.06 * expected.powi(2), "{width:?} at {x}: {error}");
        }
    }
}

/// Under noise of a mollifier with the second moment `m` at unit scale, the mean of the gradient
/// of `x^3` is `3 (x^2 + m sigma^2)`. Poisson has no second moment.
#[test]
fn every_mollifier_adds_its_second_moment() {
    let pi = std::f64::consts::PI;
    for (mollifier, moment) in [
        (Mollifier::Gaussian, 1.0),
        (Mollifier::Hyperbolic, pi.powi(2) / 12.0),
        (Mollifier::Sigmoid, pi.powi(2) / 3.0),
        (Mollifier::Rect, 1.0 / 3.0),
    ] {
        let c = 0.9;
        let adaptive = WidthRule::Adaptive { confidence: c, rule: AdaptiveRule::PublishedCode };
        let factor = mollifier.width_factor(c);
        for width in [WidthRule::Absolute { sigma: 0.25 }, adaptive] {
            let sampler = Sampler { mollifier, width, boundary: Boundary::Free };
            let map = map(&Plan::smoothed(sampler).samples(100_000));
            for (i, &x) in POINTS.iter().enumerate() {
                let reach = f64::from((x - LOWER).min(UPPER - x).max(0.0));
                let sigma = if width == adaptive { reach * factor } else { 0.25 };
                let expected = 3.0 * (f64::from(x).powi(2) + moment * sigma * sigma);
                let error = f64::from(map.standard_error[i]);
                assert!(
                    (f64::from(map.values[i]) - expected).abs() <= 4.5 * error + 1e-5,
                    "{mollifier:?}, {width:?} at {x}: {} for {expected} +- {error}",
                    map.values[i]
                );
            }
        }
    }
}

/// Of a step the smoothed gradient is the mollifier's density. The step rises over `RISE`, so that
/// it has a gradient; the density is then averaged over as much.
#[test]
fn of_a_step_the_smoothed_gradient_is_the_density() {
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
        };
        let sampler =
            Sampler { mollifier, width: WidthRule::Absolute { sigma }, boundary: Boundary::Free };
        let plan = Plan::smoothed(sampler).samples(200_000);
        let explainer = Explainer::new(&step).batch(Some(10_000));
        let map = explainer.explain(&plan, &input, Target::Predicted).expect("a map");
        for (i, x) in points.into_iter().map(f64::from).enumerate() {
            let half = f64::from(RISE) / 2.0;
            let inside = cumulative((half - x) / sigma) - cumulative((-half - x) / sigma);
            let expected = inside / f64::from(RISE);
            let difference = (f64::from(map.values[i]) - expected).abs();
            let error = f64::from(map.standard_error[i]);
            assert!(
                difference <= 4.5 * error + 1e-6,
                "{name} at {x}: {} for {expected} +- {error}",
                map.values[i]
            );
        }
    }
}

/// The error function by its power series, which is exact enough for the few arguments here.
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

/// Two estimates of one map differ, element by element, by a standard normal times their joint
/// standard error.
fn agrees(plan: &Plan, reference: &str) {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound =
        |value: f32| mean.iter().zip(std).map(|(m, s)| (value - m) / s).collect::<Vec<f32>>();
    let domain = Domain::per_channel(bound(0.0), bound(1.0));
    let input = Input::new(read("input.npy"), &[3, 224, 224], domain).expect("an input");
    let map = Explainer::new(&model).explain(plan, &input, Target::Predicted).expect("a map");
    let (expected, error) =
        (read(&format!("{reference}_mean.npy")), read(&format!("{reference}_stderr.npy")));
    let scores: Vec<f64> = (0..expected.len())
        .filter_map(|i| {
            let own = f64::from(map.standard_error[i]);
            let joint = (own.powi(2) + f64::from(error[i]).powi(2)).sqrt();
            (joint > 0.0).then(|| (f64::from(map.values[i]) - f64::from(expected[i])) / joint)
        })
        .collect();
    assert!(scores.len() > expected.len() / 2);
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let square = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    let spread = (square / scores.len() as f64).sqrt();
    println!(
        "{reference}: mean {mean:.4}, spread {spread:.4}, relative standard error {:.3}",
        map.relative_standard_error().expect("a standard error")
    );
    assert!(mean.abs() <= 0.05, "{reference}: the mean is {mean}");
    assert!((spread - 1.0).abs() <= 0.05, "{reference}: the spread is {spread}");
}

#[test]
fn adaptgrad_agrees_with_the_reference() {
    agrees(&Plan::adaptgrad().samples(400), "adaptgrad_c0.95");
}

#[test]
fn smoothgrad_agrees_with_the_reference() {
    agrees(&Plan::smoothgrad().samples(400), "smoothgrad_a0.2");
}
