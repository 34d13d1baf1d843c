//! Integrated Gradients against PyTorch and closed forms, and for different batch sizes.

use attriburn::{
    Attribution, Baseline, Domain, Explainer, Input, Model, ModuleModel, Path, Plan, Quadrature,
    Sampler, Target, Weighting, WidthRule,
};
use attriburn_evaluate::{Method, Settings};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, cosine, data, efficientnet, relative_l2};
use burn::tensor::{Device, Tensor};

fn map(model: &dyn Model, plan: &Plan, input: &Input, batch: Option<usize>) -> Attribution {
    let explainer = Explainer::new(model).batch(batch);
    explainer.explain(input, Target::Predicted, plan).expect("a map")
}

fn integrated_gradients(baseline: Baseline, quadrature: Quadrature, steps: u32) -> Plan {
    let path = Path::new(baseline).quadrature(quadrature).steps(steps);
    Plan::integrated_gradients(Baseline::Zero).path(path)
}

#[test]
fn maps_of_efficientnet_match_the_reference() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    // Black and white pixels after ImageNet's normalization.
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound = |pixel: f32| (0..3).map(|c| (pixel - mean[c]) / std[c]).collect();
    let domain = Domain::per_channel(bound(0.0), bound(1.0));
    let input = Input::new(read("input.npy"), &[3, 224, 224], domain).expect("an input");
    for name in ["zero", "black", "white"] {
        let method = Method::named(&format!("ig-{name}")).expect("a method");
        let plan = method.plan(&Settings::default()).expect("a plan");
        let map = map(&model, &plan, &input, None);
        let expected = read(&format!("ig_{name}_gauss50.npy"));
        let (error, cosine) = (relative_l2(&map.values, &expected), cosine(&map.values, &expected));
        let gap = map.completeness_gap.expect("a path has a gap");
        println!("{name}: relative L2 error {error:.1e}, cosine {cosine:.6}, gap {gap:.2e}");
        assert!(error <= 1e-2 && cosine >= 0.9999, "{name}: {error:.1e}, {cosine}");
    }
}

/// The model `F(x) = sum x^3`.
fn cubic(device: &Device) -> ModuleModel<2> {
    ModuleModel::new(&[6], device, |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

fn input() -> Input {
    let values = vec![0.9, -0.4, 0.1, 0.6, -0.8, 0.0];
    Input::new(values, &[6], Domain::uniform(-1.0, 1.5)).expect("an input")
}

/// The gradient of a linear model is constant: the map of every quadrature rule is `weight * (x - b)`.
#[test]
fn every_quadrature_rule_is_exact_for_a_linear_model() {
    let device = Device::flex();
    let weights = [1.0f32, -2.0, 3.0, 0.5, -0.25, 4.0];
    let weight = Tensor::<1>::from_floats(weights, &device).unsqueeze::<2>();
    let model =
        ModuleModel::<2>::new(&[6], &device, move |x: Tensor<2>| (x * weight.clone()).sum_dim(1));
    let baseline = vec![0.5, 0.25, -0.5, 1.0, -1.0, 0.75];
    for (rule, name) in Quadrature::ALL {
        for steps in [2, 3, 50] {
            let plan = integrated_gradients(Baseline::Values(baseline.clone()), rule, steps);
            let map = map(&model, &plan, &input(), None);
            assert_eq!((map.gradients, map.samples), (steps.into(), 1));
            for (e, value) in map.values.iter().enumerate() {
                let expected = weights[e] * (input().values()[e] - baseline[e]);
                assert!(
                    (value - expected).abs() < 1e-5,
                    "{name}, {steps}: {value}, expected {expected}"
                );
            }
            assert!(map.completeness_gap.expect("a gap") < 1e-5, "{name}, {steps}");
        }
    }
}

/// For `F = sum x^3` the map is `x^3 - b^3`. Two Gauss-Legendre nodes compute it exactly. The gap of every other
/// rule decreases with the number of steps at the order of the rule.
#[test]
fn completeness_gap_decreases_with_the_number_of_steps() {
    let device = Device::flex();
    let model = cubic(&device);
    let gap = |rule, steps| {
        let plan = integrated_gradients(Baseline::Black, rule, steps);
        map(&model, &plan, &input(), None).completeness_gap.expect("a gap")
    };
    assert!(gap(Quadrature::GaussLegendre, 2) < 1e-5);
    for (rule, order) in [
        (Quadrature::Left, 1),
        (Quadrature::Right, 1),
        (Quadrature::Midpoint, 2),
        (Quadrature::Trapezoid, 2),
    ] {
        let ratio = gap(rule, 5) / gap(rule, 20);
        let expected = 4f64.powi(order);
        assert!((0.6..1.8).contains(&(ratio / expected)), "{rule:?}: {ratio}, expected {expected}");
    }
    let plan = integrated_gradients(Baseline::Black, Quadrature::GaussLegendre, 10);
    for (x, value) in input().values().iter().zip(map(&model, &plan, &input(), None).values) {
        assert!((value - (x.powi(3) + 1.0)).abs() < 1e-5);
    }
}

/// Path-Sampled Integrated Gradients is the mean of Integrated Gradients over baselines drawn uniformly from the
/// path. For `F = sum x^3` and the baseline 0, Integrated Gradients from `u x` is `(1 - u) x dF/da` integrated from
/// `u` to 1, whose mean over `u` is the integral of `a 3 a^2 x^3`: `3/4 x^3`.
#[test]
fn path_sampling_is_the_mean_over_baselines_on_the_path() {
    let device = Device::flex();
    let model = cubic(&device);
    let path = Path::new(Baseline::Zero).steps(3).weighting(Weighting::Position);
    let plan = Plan::integrated_gradients(Baseline::Zero).path(path);
    let sampled = map(&model, &plan, &input(), None);
    assert_eq!(sampled.completeness_gap, None);
    // The mean of Integrated Gradients over 400 baselines on the path, at the midpoints of equal intervals.
    let mut mean = [0.0; 6];
    for i in 0..400 {
        let u = (i as f32 + 0.5) / 400.0;
        let baseline = input().values().iter().map(|x| u * x).collect();
        let plan = Plan::integrated_gradients(Baseline::Values(baseline));
        let map = map(&model, &plan, &input(), None);
        mean.iter_mut().zip(&map.values).for_each(|(mean, value)| *mean += value / 400.0);
    }
    for ((x, value), mean) in input().values().iter().zip(&sampled.values).zip(mean) {
        assert!((value - 0.75 * x.powi(3)).abs() < 1e-6, "{value} at {x}");
        assert!((value - mean).abs() < 1e-5, "{value}, the mean over baselines is {mean}");
    }
}

/// With a budget, each sample takes some of the nodes. The mean of their gradients estimates the same map.
#[test]
fn budget_does_not_change_the_scale_of_a_weighted_path() {
    let device = Device::flex();
    let model = cubic(&device);
    let settings = Settings::with(|settings| {
        settings.samples = 2000;
        settings.steps = 20;
    });
    let method = Method::named("a-ps-ig-black").expect("a method");
    let plan = method.plan(&settings).expect("a plan");
    let whole = map(&model, &plan, &input(), None);
    let some = map(&model, &plan.clone().budget(8000), &input(), None);
    assert_eq!((whole.gradients, some.gradients), (40_000, 8000));
    for (e, (a, b)) in whole.values.iter().zip(&some.values).enumerate() {
        let error = whole.standard_error[e].hypot(some.standard_error[e]);
        assert!((a - b).abs() <= 4.5 * error, "{a} and {b} at {e}, standard error {error}");
    }
}

/// Batches that split the nodes of a sample, batches of whole samples, and both.
#[test]
fn batch_size_does_not_change_a_map_with_noise_on_a_path() {
    let device = Device::flex();
    let model = cubic(&device);
    let sampler = Sampler::new(WidthRule::Relative { alpha: 0.2 });
    let plan =
        integrated_gradients(Baseline::White, Quadrature::Midpoint, 7).sampler(sampler).samples(9);
    let expected = map(&model, &plan, &input(), Some(63));
    assert_eq!((expected.gradients, expected.samples), (63, 9));
    for batch in [1, 2, 6, 7, 8, 20, 62] {
        let found = map(&model, &plan, &input(), Some(batch));
        assert_eq!(found.batch, batch);
        assert!(relative_l2(&found.values, &expected.values) < 1e-6, "batches of {batch}");
        let errors = relative_l2(&found.standard_error, &expected.standard_error);
        assert!(errors < 1e-5, "batches of {batch}: standard errors differ by {errors}");
    }
}

/// The mean of the derivative of `x^3` under the noise is `3 x^2 + 3 sigma^2`. The map of S-IG is therefore
/// the map of IG plus `3 sigma^2 (x - b)`, within its standard error.
#[test]
fn noise_on_a_path_matches_the_closed_form() {
    let device = Device::flex();
    let model = cubic(&device);
    let settings = Settings::with(|settings| {
        settings.samples = 4000;
        settings.sigma = Some(0.3);
        settings.steps = 10;
    });
    let method = Method::named("s-ig-zero").expect("a method");
    let map = map(&model, &method.plan(&settings).expect("a plan"), &input(), None);
    for (e, &x) in input().values().iter().enumerate() {
        let expected = x.powi(3) + 3.0 * 0.09 * x;
        let error = map.standard_error[e];
        let difference = (map.values[e] - expected).abs();
        assert!(
            difference <= 4.5 * error + 1e-6,
            "{}, expected {expected} +- {error}",
            map.values[e]
        );
        assert!(x == 0.0 || error > 0.0);
    }
}
