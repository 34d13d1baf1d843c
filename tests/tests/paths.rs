//! Integrated Gradients: against references, in closed form, and however the nodes are batched.

use attriburn::{
    Attribution, Baseline, Boundary, Domain, Explainer, Input, Method, Model, ModuleModel,
    Mollifier, Path, Plan, Quadrature, Sampler, Settings, Target, WidthRule,
};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, cosine, data, efficientnet, relative_l2};
use burn::tensor::{Device, Tensor};

fn map(model: &dyn Model, plan: &Plan, input: &Input, batch: Option<usize>) -> Attribution {
    let explainer = Explainer::new(model).batch(batch);
    explainer.explain(plan, input, Target::Predicted).expect("a map")
}

fn with_rule(baseline: Baseline, quadrature: Quadrature, steps: u32) -> Plan {
    let path = Path { baseline, quadrature, steps };
    Plan { path: Some(path), ..Plan::integrated_gradients(Baseline::Zero) }
}

#[test]
fn of_efficientnet_are_the_references() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    // ImageNet's normalisation of black and white.
    let (mean, spread) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let bound = |pixel: f32| (0..3).map(|c| (pixel - mean[c]) / spread[c]).collect();
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

fn cubic(device: &Device) -> ModuleModel<2> {
    ModuleModel::new(&[6], device, |x: Tensor<2>| x.powi_scalar(3).sum_dim(1))
}

fn input() -> Input {
    let values = vec![0.9, -0.4, 0.1, 0.6, -0.8, 0.0];
    Input::new(values, &[6], Domain::uniform(-1.0, 1.5)).expect("an input")
}

/// A linear model's gradient is the same everywhere: every rule gives `weight * (x - b)`.
#[test]
fn are_exact_on_a_linear_model_for_every_rule() {
    let device = Device::flex();
    let weights = [1.0f32, -2.0, 3.0, 0.5, -0.25, 4.0];
    let weight = Tensor::<1>::from_floats(weights, &device).unsqueeze::<2>();
    let model =
        ModuleModel::<2>::new(&[6], &device, move |x: Tensor<2>| (x * weight.clone()).sum_dim(1));
    let start = vec![0.5, 0.25, -0.5, 1.0, -1.0, 0.75];
    for (rule, name) in Quadrature::ALL {
        for steps in [2, 3, 50] {
            let plan = with_rule(Baseline::Values(start.clone()), rule, steps);
            let map = map(&model, &plan, &input(), None);
            assert_eq!((map.gradients, map.samples), (steps.into(), 1));
            for (e, value) in map.values.iter().enumerate() {
                let expected = weights[e] * (input().values()[e] - start[e]);
                assert!((value - expected).abs() < 1e-5, "{name}, {steps}: {value} {expected}");
            }
            assert!(map.completeness_gap.expect("a gap") < 1e-5, "{name}, {steps}");
        }
    }
}

/// Of `sum x^3` the map is `x^3 - b^3`, which two Gauss-Legendre nodes give exactly; the gaps of
/// the other rules fall as their orders say.
#[test]
fn the_completeness_gap_falls_as_steps_grow() {
    let device = Device::flex();
    let model = cubic(&device);
    let gap = |rule, steps| {
        let plan = with_rule(Baseline::Black, rule, steps);
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
        assert!((0.6..1.8).contains(&(ratio / expected)), "{rule:?}: {ratio} for {expected}");
    }
    let plan = with_rule(Baseline::Black, Quadrature::GaussLegendre, 10);
    for (x, value) in input().values().iter().zip(map(&model, &plan, &input(), None).values) {
        assert!((value - (x.powi(3) + 1.0)).abs() < 1e-5);
    }
}

/// Samples whose nodes lie in several batches, whole ones, and both.
#[test]
fn batches_do_not_change_a_nested_map() {
    let device = Device::flex();
    let model = cubic(&device);
    let sampler = Sampler {
        mollifier: Mollifier::Gaussian,
        width: WidthRule::Relative { alpha: 0.2 },
        boundary: Boundary::Free,
    };
    let plan = Plan {
        sampler: Some(sampler),
        samples: 9,
        ..with_rule(Baseline::White, Quadrature::Midpoint, 7)
    };
    let whole = map(&model, &plan, &input(), Some(63));
    assert_eq!((whole.gradients, whole.samples), (63, 9));
    for batch in [1, 2, 6, 7, 8, 20, 62] {
        let cut = map(&model, &plan, &input(), Some(batch));
        assert_eq!(cut.batch, batch);
        assert!(relative_l2(&cut.values, &whole.values) < 1e-6, "batches of {batch}");
        let errors = relative_l2(&cut.standard_error, &whole.standard_error);
        assert!(errors < 1e-5, "batches of {batch}: standard errors differ by {errors}");
    }
}

/// The mean over noise of the derivative of `x^3` is `3 x^2 + 3 sigma^2`, so that S-IG's map is
/// IG's plus `3 sigma^2 (x - b)`, within its standard error.
#[test]
fn noise_on_a_path_adds_what_it_should() {
    let device = Device::flex();
    let model = cubic(&device);
    let settings = Settings { samples: 4000, sigma: Some(0.3), steps: 10, ..Settings::default() };
    let method = Method::named("s-ig-zero").expect("a method");
    let map = map(&model, &method.plan(&settings).expect("a plan"), &input(), None);
    for (e, &x) in input().values().iter().enumerate() {
        let expected = x.powi(3) + 3.0 * 0.09 * x;
        let error = map.standard_error[e];
        let difference = (map.values[e] - expected).abs();
        assert!(difference <= 4.5 * error + 1e-6, "{}: {expected} +- {error}", map.values[e]);
        assert!(x == 0.0 || error > 0.0);
    }
}
