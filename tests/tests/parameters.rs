//! Named parameters of a model: their gradients against PyTorch's, and noise on them against closed forms.

use attriburn::{
    AdaptiveRule, Domain, Estimate, Explainer, Input, Model, ModuleModel, Mollifier, Output,
    Parameter, Plan, Target, WeightNoise, WidthRule,
};
use attriburn_evaluate::{Method, Settings};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{
    array, data, efficientnet, folders, logits_and_gradients, relative_l2, relative_maximum,
};
use burn::tensor::{Device, Tensor, TensorData};

fn with_parameters(path: &std::path::Path) -> OnnxModel {
    let loader = Loader::new(&Device::flex()).parameters(true);
    loader.load(path).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn gradients_match_pytorch() {
    for name in ["lenet", "densenet-tiny", "convnext-tiny"] {
        let folder = data("zoo").join(name);
        let model = with_parameters(&folder.join("model.onnx"));
        let (inputs, targets) =
            (array(&folder.join("input.npy")), array(&folder.join("target.npy")).values);
        let names = std::fs::read_to_string(folder.join("parameters.txt")).expect("the names");
        let explainer = Explainer::new(&model);
        let mut sum: Vec<f32> = Vec::new();
        for (row, &target) in inputs.values.chunks(inputs.values.len() / 2).zip(&targets) {
            let input = Input::new(row.to_vec(), &inputs.shape[1..], Domain::uniform(-9.0, 9.0));
            let gradients = explainer
                .parameter_gradients(
                    &input.expect("an input"),
                    Target::Index(target as usize),
                    Output::Logit,
                    &[],
                )
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(gradients.iter().map(|gradient| gradient.name.as_str()).eq(names.lines()));
            let flat: Vec<f32> = gradients.into_iter().flat_map(|g| g.values).collect();
            sum.resize(flat.len(), 0.0);
            sum.iter_mut().zip(flat).for_each(|(sum, value)| *sum += value);
        }
        let error = relative_l2(&sum, &array(&folder.join("parameter_gradients.npy")).values);
        println!("{name}: {error:.1e}");
        assert!(error <= 1e-4, "{name}: {error:.1e}");
    }
}

/// Weights in Constant nodes are parameters. Masks, exponents and scalars are not.
#[test]
fn parameters_are_weight_tensors_only() {
    let model = with_parameters(&data("shapes/weights-in-nodes/model.onnx"));
    let names: Vec<&str> =
        model.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["u", "v"]);
    let loader = Loader::new(&Device::flex()).parameters(true);
    let Err(error) = loader.load(data("shapes/no-weights/model.onnx")) else {
        panic!("a model without parameters was loaded");
    };
    assert!(error.to_string().contains("no parameters to put noise on"), "{error}");
}

/// A node that reads a matrix or a convolution kernel starts a new layer, which includes the node's bias.
/// Scales and summands belong to the preceding layer.
#[test]
fn layers_start_at_matrices_and_convolution_kernels() {
    let layers = |name: &str| {
        let model = with_parameters(&data("zoo").join(name).join("model.onnx"));
        let layers =
            model.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.layer));
        layers.collect::<std::collections::HashMap<String, usize>>()
    };
    let lenet = layers("lenet");
    for (layer, name) in ["f.0", "f.3", "f.7", "f.9", "f.11"].into_iter().enumerate() {
        for part in ["weight", "bias"] {
            assert_eq!(lenet[&format!("{name}.{part}")], layer, "{name}.{part}");
        }
    }
    let vit = layers("vit-tiny");
    let first = "encoder.layers.encoder_layer_0";
    for (layer, names) in [
        (0, ["conv_proj.weight", "conv_proj.bias", "class_token"]),
        (1, ["encoder.pos_embedding", "{}.ln_1.weight", "{}.ln_1.bias"]),
        (2, ["onnx::MatMul_444", "{}.self_attention.in_proj_bias", "onnx::MatMul_444"]),
        (
            3,
            [
                "{}.self_attention.out_proj.weight",
                "{}.self_attention.out_proj.bias",
                "{}.ln_2.bias",
            ],
        ),
        (4, ["onnx::MatMul_452", "{}.mlp.0.bias", "onnx::MatMul_452"]),
        (10, ["heads.head.weight", "heads.head.bias", "heads.head.bias"]),
    ] {
        for name in names.map(|name| name.replace("{}", first)) {
            assert_eq!(vit[&name], layer, "{name}");
        }
    }
}

/// Compares each model loaded with separate parameters with the same model loaded without, and describes the
/// errors that are too large.
fn disagreements(folders: &[std::path::PathBuf]) -> Vec<String> {
    let disagreement = |folder: &std::path::PathBuf| {
        let path = folder.join("model.onnx");
        let plain = OnnxModel::load(&path, &Device::flex()).ok()?;
        let separate = match Loader::new(&Device::flex()).parameters(true).load(&path) {
            Ok(model) => model,
            Err(error) => return Some(error.to_string()),
        };
        let (inputs, targets) =
            (array(&folder.join("input.npy")), array(&folder.join("target.npy")).values);
        let (logits, gradient) = logits_and_gradients(&plain, &inputs, &targets);
        let (separate_logits, separate_gradient) =
            logits_and_gradients(&separate, &inputs, &targets);
        let errors = (
            relative_maximum(&separate_logits, &logits),
            relative_l2(&separate_gradient, &gradient),
        );
        (errors.0 > 1e-4 || errors.1 > 1e-4).then(|| format!("{}: {errors:?}", folder.display()))
    };
    folders.iter().filter_map(disagreement).collect()
}

#[test]
fn separate_parameters_do_not_change_models_of_the_zoo() {
    let disagreements = disagreements(&folders("zoo"));
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

#[test]
fn separate_parameters_do_not_change_operators() {
    let disagreements = disagreements(&[folders("operators"), folders("shapes")].concat());
    let refusal = "model.onnx: the model has no parameters to put noise on";
    let (refused, disagreements): (Vec<String>, Vec<String>) =
        disagreements.into_iter().partition(|message| message.contains(refusal));
    assert_eq!(refused.len(), 1, "only the model without weights is refused: {refused:?}");
    assert!(disagreements.is_empty(), "{}\n{}", disagreements.len(), disagreements.join("\n"));
}

const THETA: [f32; 4] = [1.5, -0.5, 2.0, 0.25];
const X: [f32; 4] = [0.9, -0.4, 0.3, 0.6];

fn parameter(values: &[f32], device: &Device) -> Vec<Parameter> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    let values = Tensor::from_data(data, device);
    vec![Parameter { name: "theta".into(), shape: values.dims().to_vec(), values, layer: 0 }]
}

/// The model `F(x) = sum theta^power x` with the parameters `theta`.
fn power(power: i32, device: &Device) -> ModuleModel<2> {
    ModuleModel::with_parameters(&[4], device, parameter(&THETA, device), move |x, parameters| {
        (x * parameters[0].clone().powi_scalar(power).unsqueeze::<2>()).sum_dim(1)
    })
}

fn input() -> Input {
    Input::new(X.to_vec(), &[4], Domain::uniform(-1.0, 1.0)).expect("an input")
}

fn noise(mollifier: Mollifier, width: WidthRule, draws: u32) -> WeightNoise {
    WeightNoise::new(width).mollifier(mollifier).draws(draws)
}

/// Checks that every element of the map is `expected(theta)` within 4.5 standard errors.
fn check(model: &dyn Model, plan: &Plan, expected: impl Fn(f64) -> f64) {
    let map = Explainer::new(model).explain(&input(), Target::Predicted, plan).expect("a map");
    for (e, &theta) in THETA.iter().enumerate() {
        let (value, error) = (f64::from(map.values[e]), f64::from(map.standard_error[e]));
        let z = (value - expected(theta.into())) / error;
        assert!(
            error > 0.0 && z.abs() < 4.5,
            "{value}, expected {}, z {z:.1}",
            expected(theta.into())
        );
    }
}

#[test]
fn mean_over_parameter_draws_matches_closed_forms() {
    let device = Device::flex();
    let s = 0.2;
    for (mollifier, second_moment) in [
        (Mollifier::Gaussian, 1.0),
        (Mollifier::Hyperbolic, std::f64::consts::PI.powi(2) / 12.0),
        (Mollifier::Sigmoid, std::f64::consts::PI.powi(2) / 3.0),
        (Mollifier::Rect, 1.0 / 3.0),
        (Mollifier::Laplace, 2.0),
    ] {
        let noisy = |width| Plan::gradient().weights(noise(mollifier, width, 4000));
        // For a model that is linear in its parameter, the mean is the gradient without noise.
        let relative = noisy(WidthRule::Relative { alpha: s });
        check(&power(1, &device), &relative, |theta| theta);
        let variance = s * s * second_moment;
        check(&power(2, &device), &relative, |theta| theta * theta * (1.0 + variance));
        let absolute = noisy(WidthRule::Absolute { sigma: s });
        check(&power(2, &device), &absolute, |theta| theta * theta + variance);
        // With the adaptive width the noise is smaller than |theta| with probability p = (1 + c) / 2.
        let rule = AdaptiveRule::Paper;
        let adaptive = noisy(WidthRule::Adaptive { confidence: 0.95, rule });
        let width = mollifier.width_factor(0.975);
        let variance = width * width * second_moment;
        check(&power(2, &device), &adaptive, |theta| theta * theta * (1.0 + variance));
    }
}

/// The samples of one draw share its parameters. The standard error must therefore be that of the means of
/// the draws.
#[test]
fn standard_error_of_nested_draws_is_that_of_draw_means() {
    let device = Device::flex();
    let settings = Settings::with(|settings| {
        settings.samples = 20;
        settings.weight_samples = 500;
    });
    let plan = Method::named("s-ng").expect("a method").plan(&settings).expect("a plan");
    check(&power(2, &device), &plan, |theta| theta * theta * 1.04);
    let explain = |plan: &Plan, model: &dyn Model| {
        Explainer::new(model).explain(&input(), Target::Predicted, plan).expect("a map")
    };
    let map = explain(&plan, &power(2, &device));
    assert_eq!((map.gradients, map.samples, map.left_out), (10_000, 10_000, 0));
    for (e, &theta) in THETA.iter().enumerate() {
        // The variance of (1 + 0.2 z)^2 is 4 s^2 + 2 s^4.
        let s = 0.2f64;
        let expected = f64::from(theta).powi(2) * (4.0 * s * s + 2.0 * s.powi(4)).sqrt();
        let ratio = f64::from(map.standard_error[e]) * 500f64.sqrt() / expected;
        assert!((ratio - 1.0).abs() < 0.2, "{ratio}");
    }
    for batch in [1, 7, 33] {
        let model = power(2, &device);
        let explainer = Explainer::new(&model).batch(batch);
        let other = explainer.explain(&input(), Target::Predicted, &plan).expect("a map");
        assert!(relative_l2(&other.values, &map.values) < 1e-5, "batches of {batch}");
    }
}

/// Five mollifiers, each as noise on the input, on the parameters and on both, with fixed and with adaptive
/// widths.
#[test]
fn mollifiers_and_methods_have_distinct_maps() {
    let folder = data("zoo/lenet");
    let model = with_parameters(&folder.join("model.onnx"));
    let rows = array(&folder.join("input.npy"));
    let row = rows.values[..rows.values.len() / 2].to_vec();
    let input = Input::new(row, &rows.shape[1..], Domain::uniform(-3.0, 3.0)).expect("an input");
    let mut maps: Vec<(String, Vec<f32>)> = Vec::new();
    for (mollifier, kernel) in Mollifier::ALL {
        let settings = Settings::with(|settings| {
            settings.mollifier = mollifier;
            settings.samples = 3;
            settings.weight_samples = 3;
        });
        for name in ["smoothgrad", "ng", "s-ng", "adaptgrad", "a-ng"] {
            let plan = Method::named(name).expect("a method").plan(&settings).expect("a plan");
            let map = Explainer::new(&model).explain(&input, Target::Index(3), &plan);
            let map = map.unwrap_or_else(|error| panic!("{name}, {kernel}: {error}"));
            assert_eq!(map.samples + map.left_out, plan.gradients(), "{name}, {kernel}");
            assert!(map.values.iter().all(|value| value.is_finite()), "{name}, {kernel}");
            maps.push((format!("{name}, {kernel}"), map.values));
        }
    }
    for (i, (name, map)) in maps.iter().enumerate() {
        for (other_name, other) in &maps[..i] {
            // Sigmoid and hyperbolic are both the logistic distribution, and AdaptGrad scales both to the
            // same interval.
            let same = (name == "adaptgrad, sigmoid") && (other_name == "adaptgrad, hyperbolic");
            assert_eq!(relative_l2(map, other) > 1e-3, !same, "{name} and {other_name}");
        }
    }
}

#[test]
fn overflowing_draws_are_left_out_and_counted() {
    let device = Device::flex();
    // exp(theta) overflows float32 for about half of the draws, and is about 1 / TINY for the others.
    const TINY: f32 = 1e-38;
    let model = ModuleModel::<2>::with_parameters(
        &[4],
        &device,
        parameter(&[88.7], &device),
        |x: Tensor<2>, parameters: &[Tensor<1>]| {
            (x * parameters[0].clone().exp().unsqueeze::<2>() * TINY).sum_dim(1)
        },
    );
    let clean = Input::new(vec![0.0; 4], &[4], Domain::uniform(-1.0, 1.0)).expect("an input");
    let width = WidthRule::Relative { alpha: 0.01 };
    let plan = |draws| Plan::gradient().weights(noise(Mollifier::Gaussian, width, draws));
    let explain = |plan: &Plan| Explainer::new(&model).explain(&clean, Target::Predicted, plan);
    let map = explain(&plan(100)).expect("a map");
    assert_eq!(map.samples + map.left_out, 100);
    assert!((30..70).contains(&map.left_out), "{}", map.left_out);
    assert!(map.values.iter().all(|value| value.is_finite()));
    // With several samples for each draw, all samples of an overflowing draw are left out.
    let mut nested = plan(100);
    nested.sampler = Plan::adaptgrad().samples(3).sampler;
    let nested = explain(&nested).expect("a map");
    assert_eq!((nested.left_out, nested.samples), (3 * map.left_out, 3 * map.samples));
    assert!(nested.standard_error.iter().all(|error| error.is_finite()));
}

#[test]
fn noise_leaves_the_model_and_frozen_parameters_unchanged() {
    let device = Device::flex();
    let model = with_parameters(&data("zoo/mlp/model.onnx"));
    let folder = data("zoo/mlp");
    let row = array(&folder.join("input.npy"));
    let values = row.values[..row.values.len() / 2].to_vec();
    let input = Input::new(values, &row.shape[1..], Domain::uniform(-3.0, 3.0)).expect("an input");
    let explainer = Explainer::new(&model);
    let explain = |plan: &Plan| explainer.explain(&input, Target::Index(3), plan);
    let clean = explain(&Plan::gradient()).expect("a map");
    let frozen = |patterns: &[&str]| {
        let freeze = patterns.iter().map(ToString::to_string).collect();
        let settings = Settings::with(|settings| {
            settings.weight_samples = 5;
            settings.freeze = freeze;
        });
        Method::named("ng").expect("a method").plan(&settings).expect("a plan")
    };
    let noisy = explain(&frozen(&[])).expect("a map");
    assert!(relative_l2(&noisy.values, &clean.values) > 1e-2);
    assert_eq!(explain(&Plan::gradient()).expect("a map").values, clean.values);
    // With all weights and the first biases frozen, only the last bias is drawn. The gradient does not depend
    // on it.
    let names: Vec<&str> =
        model.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(
        names,
        ["f.1.weight", "f.1.bias", "f.3.weight", "f.3.bias", "f.5.weight", "f.5.bias"]
    );
    let last = explain(&frozen(&["f.[13].*", "f.5.weight"])).expect("a map");
    assert!(
        relative_l2(&last.values, &clean.values) < 1e-6,
        "noise on the last bias changes the map"
    );
    for (patterns, expected) in [
        (
            &["f.9.*"][..],
            "\"f.9.*\" of frozen parameters matches none of the parameters f.1.weight",
        ),
        (&["*"][..], "leaves no parameter to draw"),
        (&["f.[1"][..], "is no pattern"),
    ] {
        let message = explain(&frozen(patterns)).expect_err("a pattern").to_string();
        assert!(message.contains(expected), "{message}");
    }
    let plain = OnnxModel::load(folder.join("model.onnx"), &device).expect("a model");
    let refused = Explainer::new(&plain).explain(&input, Target::Predicted, &frozen(&[]));
    let message = refused.expect_err("no parameters").to_string();
    assert!(message.contains("does not expose its parameters"), "{message}");
}

#[test]
fn parameter_noise_works_on_efficientnet() {
    let model = with_parameters(&efficientnet());
    let input = array(&data("efficientnet-lite0/input.npy")).values;
    let input = Input::new(input, &[3, 224, 224], Domain::uniform(-2.2, 2.7)).expect("an input");
    let explainer = Explainer::new(&model);
    let clean = explainer.explain(&input, Target::Predicted, &Plan::gradient()).expect("a map");
    let expected = array(&data("efficientnet-lite0/gradient.npy")).values;
    assert!(relative_l2(&clean.values, &expected) <= 1e-2);
    let settings = Settings::with(|settings| {
        settings.weight_samples = 2;
        settings.weight_width = WidthRule::Relative { alpha: 1e-4 };
        settings.estimate = Estimate::Mean;
    });
    let plan = Method::named("ng").expect("a method").plan(&settings).expect("a plan");
    let noisy = explainer.explain(&input, Target::Predicted, &plan).expect("a map");
    let difference = relative_l2(&noisy.values, &clean.values);
    assert!((1e-5..0.2).contains(&difference), "{difference}");
}
