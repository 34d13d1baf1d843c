//! SmoothDiff, the product of the mean Jacobians of a model's parts, against PyTorch and against what it must equal.

use std::path::Path;

use attriburn::{
    Attribution, Baseline, CamRule, Domain, Error, ErrorKind, Estimate, Explainer, Input, Model,
    ModuleModel, Path as LinePath, Plan, Sampler, Smoothed, Target, WeightNoise, WidthRule,
};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{
    array, data, first_sample, folders, gpus, logits_and_gradients, relative_l2, relative_maximum,
    values,
};
use burn::tensor::{Device, Tensor, TensorData};

fn load(folder: &Path, device: &Device) -> OnnxModel {
    let path = folder.join("model.onnx");
    Loader::new(device).load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the gradient of the `target` logit through the mean Jacobians over the `samples`.
fn smoothed(model: &dyn Model, samples: &[f32], count: usize, target: usize) -> Vec<f32> {
    let rows = TensorData::new(samples.to_vec(), [count, samples.len() / count]);
    let rows = Tensor::<2>::from_data(rows, model.device());
    // Two batches of different sizes.
    let first = count.div_ceil(3);
    let second = rows.clone().narrow(0, first, count - first);
    let mut batches = [rows.narrow(0, 0, first), second].into_iter().map(Ok);
    let Smoothed { point, logits } =
        model.forward_smoothed(&mut batches, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(logits.dims()[0], count);
    let gradients = logits.narrow(1, target, 1).mean().backward();
    values(point.grad(&gradients).expect("a gradient"))
}

fn check_references(device: &Device, tolerance: f64) {
    for folder in folders("smoothdiff") {
        let model = load(&folder, device);
        let samples = array(&folder.join("samples.npy"));
        let target = std::fs::read_to_string(folder.join("target.txt")).expect("a class");
        let target: usize = target.trim().parse().expect("a number");
        let reference = |name: &str| array(&folder.join(format!("{name}.npy"))).values;
        let found = smoothed(&model, &samples.values, samples.shape[0], target);
        let error = relative_maximum(&found, &reference("smoothdiff"));
        assert!(error < tolerance, "{}: {error:.1e}", folder.display());
        if folder.ends_with("convolutions") {
            let error = relative_maximum(&found, &reference("counted"));
            assert!(error < tolerance, "shares of samples: {error:.1e}");
        }
        // The reference differs from the mean gradient, so the comparison can tell them apart.
        assert!(relative_l2(&reference("mean"), &reference("smoothdiff")) > 0.1);
    }
}

#[test]
fn gradients_equal_those_of_pytorch() {
    check_references(&Device::flex(), 1e-5);
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs the feature of a GPU")]
fn gradients_on_gpus_equal_those_of_pytorch() {
    for (name, device) in gpus() {
        println!("{name}");
        check_references(&device, 1e-4);
    }
}

/// Over identical samples the mean Jacobians are the Jacobians, so the result is the gradient. The models cover every
/// place of the batch in values: first, moved, and merged with other axes.
#[test]
fn identical_samples_give_the_gradient() {
    let mut checked = 0;
    for folder in ["zoo", "shapes", "quantized"].into_iter().flat_map(folders) {
        if !folder.join("gradient.npy").exists() {
            continue;
        }
        let Ok(model) = Loader::new(&Device::flex()).load(folder.join("model.onnx")) else {
            continue;
        };
        if model.max_batch().is_some() {
            continue;
        }
        let input = array(&folder.join("input.npy"));
        let target = array(&folder.join("target.npy")).values[0];
        let features: usize = model.input_shape().iter().product();
        let row = &input.values[..features];
        let single = attriburn_picture::npy::Array {
            shape: [&[1], model.input_shape()].concat(),
            values: row.to_vec(),
        };
        let (_, gradient) = logits_and_gradients(&model, &single, &[target]);
        let found = smoothed(&model, &row.repeat(3), 3, target as usize);
        let error = relative_l2(&found, &gradient);
        assert!(error < 2e-5, "{}: {error:.1e}", folder.display());
        checked += 1;
    }
    assert!(checked > 30, "{checked} models were checked");
}

fn explain(model: &dyn Model, input: &Input, plan: &Plan) -> Result<Attribution, Error> {
    Explainer::new(model).explain(input, Target::Predicted, plan)
}

fn convolutions() -> (OnnxModel, Input) {
    let folder = data("smoothdiff/convolutions");
    let model = load(&folder, &Device::flex());
    let samples = array(&folder.join("samples.npy"));
    let features: usize = model.input_shape().iter().product();
    let values = samples.values[..features].to_vec();
    let input = Input::new(values, model.input_shape(), Domain::uniform(-4.0, 4.0));
    (model, input.expect("an input"))
}

/// The map of a plan averages over exactly the samples of its sampler.
#[test]
fn a_map_averages_over_the_samples_of_its_plan() {
    let (model, input) = convolutions();
    let plan = Plan::smoothdiff().samples(9).seed(4);
    let map = explain(&model, &input, &plan).expect("a map");
    let sampler = plan.sampler.expect("noise");
    let draw = |sample| sampler.draw(&input, 4, sample).expect("a sample");
    let samples: Vec<f32> = (0..9).flat_map(draw).collect();
    let prediction = Explainer::new(&model).predict(&input).expect("a prediction");
    let found = smoothed(&model, &samples, 9, prediction.class());
    assert!(relative_l2(&map.values, &found) < 1e-6);
    assert_eq!((map.samples, map.left_out, map.gradients), (9, 0, 9));
    // One product of means has no spread.
    assert!(map.standard_error.iter().all(|error| error.is_nan()));
    // The size of batches has no effect.
    let small = Explainer::new(&model).batch(2).explain(&input, Target::Predicted, &plan);
    assert!(relative_l2(&small.expect("a map").values, &map.values) < 1e-6);
    // Maps of several targets.
    let explainer = Explainer::new(&model);
    let task = |class| explainer.task(&input, Target::Index(class)).expect("a task");
    let tasks = [task(prediction.class()), task((prediction.class() + 1) % 6)];
    let maps = explainer.explain_all(&tasks, &plan).expect("maps");
    assert_eq!(maps[0].as_ref().expect("a map").values, map.values);
}

/// With noise on the parameters, each draw is one product of means, and the draws have a standard error.
#[test]
fn draws_of_the_parameters_are_averaged() {
    let folder = data("smoothdiff/convolutions");
    let model = Loader::new(&Device::flex()).parameters(true).load(folder.join("model.onnx"));
    let (model, (_, input)) = (model.expect("a model"), convolutions());
    let noise = WeightNoise::new(WidthRule::Relative { alpha: 0.05 }).draws(4);
    let plan = Plan::smoothdiff().samples(5).weights(noise);
    let map = explain(&model, &input, &plan).expect("a map");
    assert_eq!((map.samples, map.gradients), (20, 20));
    assert!(map.relative_standard_error().is_some_and(|error| error > 0.0));
    let mean = explain(&model, &input, &plan.estimate(Estimate::Mean)).expect("a map");
    assert!(relative_l2(&map.values, &mean.values) > 1e-3);
}

#[test]
fn what_cannot_be_averaged_is_refused() {
    let (model, input) = convolutions();
    let message = |model: &dyn Model, plan: &Plan, kind: ErrorKind, part: &str| {
        let error = explain(model, &input, plan).expect_err("an error");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let plan = Plan::smoothdiff().samples(4);
    let gradient = Plan::gradient().estimate(Estimate::SmoothDiff);
    message(&model, &gradient, ErrorKind::Plan, "no noise on the input");
    message(&model, &plan.clone().path(LinePath::new(Baseline::Zero)), ErrorKind::Plan, "path");
    message(&model, &plan.clone().cam(CamRule::GradCam), ErrorKind::Plan, "class activation map");
    message(&model, &plan.clone().until(0.5), ErrorKind::Plan, "until");
    let module = ModuleModel::<2>::new(&[768], &Device::flex(), |x: Tensor<2>| x.powi_scalar(2));
    let flat = Input::new(vec![0.5; 768], &[768], Domain::uniform(0.0, 1.0)).expect("an input");
    let error = explain(&module, &flat, &plan).expect_err("an error");
    assert!(error.kind() == ErrorKind::Plan && error.to_string().contains("ONNX"), "{error}");
    // The memory limit holds for what is kept of all samples: the inputs of maxima.
    let explainer = Explainer::new(&model).memory(1_000_000);
    let plan = Plan::smoothdiff().samples(1000);
    let error = explainer.explain(&input, Target::Predicted, &plan).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert!(error.to_string().contains("1000 samples"), "{error}");
    let sampler = Sampler::smoothgrad().samples(3);
    assert!(explainer.explain(&input, Target::Predicted, &plan.sampler(sampler)).is_ok());
}

/// Operators that are linear whatever their inputs, or that do not depend on the sample's values.
const LINEAR: [&str; 24] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "Pad",
    "Range",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// Where at most one node is nonlinear, one factor varies, so the product of means is the mean of the samples'
/// gradients. The models of single operators show that no operator counts as linear or as element-wise that is not.
#[test]
fn single_operators_have_no_bias() {
    let (mut checked, mut differing) = (0, Vec::new());
    for folder in folders("operators") {
        let name = folder.file_name().unwrap_or_default().display().to_string();
        if !folder.join("gradient.npy").exists() {
            continue;
        }
        let Ok(model) = Loader::new(&Device::flex()).load(folder.join("model.onnx")) else {
            continue;
        };
        let operators = model.summary().operators.iter();
        let nonlinear = operators.filter(|(name, _)| !LINEAR.contains(&name.as_str()));
        if model.max_batch().is_some() || nonlinear.map(|(_, count)| count).sum::<usize>() > 1 {
            continue;
        }
        let features: usize = model.input_shape().iter().product();
        let row = array(&folder.join("input.npy")).values[..features].to_vec();
        let target = array(&folder.join("target.npy")).values[0];
        // Samples that change signs and order or, where the model is not defined there, that do not.
        let mixed = [(1.0, 0.0), (-0.7, 0.2), (0.4, -0.9)];
        let positive = [(1.0, 0.0), (0.8, 0.0), (1.3, 0.0)];
        let means = [mixed, positive].map(|of| {
            let sample = |(factor, wave): (f32, f32)| {
                let value =
                    move |(i, value): (usize, &f32)| factor * value + wave * (i as f32).sin();
                row.iter().enumerate().map(value)
            };
            let samples: Vec<f32> = of.into_iter().flat_map(sample).collect();
            let rows = attriburn_picture::npy::Array {
                shape: [&[3], model.input_shape()].concat(),
                values: samples.clone(),
            };
            let (logits, gradients) = logits_and_gradients(&model, &rows, &[target; 3]);
            let mean_of =
                |i: usize| (0..3).map(|row| gradients[row * features + i]).sum::<f32>() / 3.0;
            let mean: Vec<f32> = (0..features).map(mean_of).collect();
            let is_finite = logits.iter().chain(&mean).all(|value| value.is_finite());
            is_finite.then_some((samples, mean))
        });
        let (samples, mean) = means.into_iter().flatten().next().expect("finite gradients");
        let error = relative_l2(&smoothed(&model, &samples, 3, target as usize), &mean);
        checked += 1;
        if error.is_nan() || error > 1e-5 {
            differing.push(format!("{name} {error:.1e}"));
        }
    }
    println!("{checked} models were checked");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(checked > 150, "{checked} models were checked");
}

/// The computation can be cancelled between batches.
#[test]
fn a_map_can_be_cancelled_between_batches() {
    use std::cell::Cell;
    use std::ops::ControlFlow;
    let (model, input) = convolutions();
    let seen = Cell::new(0);
    let progress = |progress: attriburn::Progress| {
        seen.set(progress.done);
        if progress.done >= 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let explainer = Explainer::new(&model).batch(2).progress(&progress);
    let plan = Plan::smoothdiff().samples(20);
    let error = explainer.explain(&input, Target::Predicted, &plan).expect_err("cancelled");
    assert_eq!((error.kind(), seen.get()), (ErrorKind::Cancelled, 4));
}

/// A sample whose logits are not finite spoils the means, and the error says so.
#[test]
fn samples_that_are_not_finite_are_an_error() {
    let folder = data("operators/reduce-logsum-input");
    let model = load(&folder, &Device::flex());
    let features: usize = model.input_shape().iter().product();
    let values = vec![-1.0; features];
    let input = Input::new(values, model.input_shape(), Domain::uniform(-4.0, 4.0));
    let error = Explainer::new(&model).predict(&input.expect("an input")).expect_err("logarithms");
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    // Around an input with finite logits.
    let input = first_sample(&folder, Domain::uniform(-4.0, 4.0));
    let plan = Plan::smoothdiff().samples(40);
    let error = explain(&model, &input, &plan).expect_err("logarithms of negative numbers");
    assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}");
    assert!(error.to_string().contains("SmoothDiff"), "{error}");
}
