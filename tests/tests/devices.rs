//! Whole models on every GPU device: gradients against PyTorch's, and maps against those of the CPU.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, Output, Plan, Target};
use attriburn_evaluate::{Method, Settings};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{
    array, data, efficientnet, first_sample, folders, gpus, logits_and_gradients, relative_l2,
};
use burn::tensor::Device;

/// Checks the model in `folder` on a device, and describes its errors if they are too large.
///
/// The gradient must agree with PyTorch's within 1e-3. AdaptGrad maps must agree with the CPU's within 1e-4
/// in the median of three seeds. The median is needed because the gradient of a ReLU is discontinuous: a
/// single unit whose input lies within rounding of zero can change the map of a small model by 1e-3.
fn disagreement(folder: &Path, device: &Device) -> Option<String> {
    let read = |file: &str| array(&folder.join(file));
    let load = |device: &Device| {
        OnnxModel::load(folder.join("model.onnx"), device).expect("a model of the test data")
    };
    let (model, rows) = (load(device), read("input.npy"));
    let (_, gradient) = logits_and_gradients(&model, &rows, &read("target.npy").values);
    let gradient_error = relative_l2(&gradient, &read("gradient.npy").values);

    let input = first_sample(folder, Domain::uniform(-3.0, 3.0));
    let map = |model: &OnnxModel, seed| {
        let plan = Plan::adaptgrad().seed(seed);
        Explainer::new(model).explain(&input, Target::Index(0), &plan).expect("a map").values
    };
    let cpu_model = load(&Device::flex());
    let mut errors = [0, 1, 2].map(|seed| relative_l2(&map(&model, seed), &map(&cpu_model, seed)));
    errors.sort_by(f64::total_cmp);
    let [_, map_error, worst] = errors;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let line = format!(
        "{name}: gradient {gradient_error:.1e}, maps: median {map_error:.1e}, largest {worst:.1e}"
    );
    println!("{line}");
    let agrees = gradient_error <= 1e-3 && map_error <= 1e-4;
    (!agrees).then_some(line)
}

fn check_models(folders: &[impl AsRef<Path>]) {
    for (name, device) in gpus() {
        let disagreements: Vec<String> =
            folders.iter().filter_map(|folder| disagreement(folder.as_ref(), &device)).collect();
        assert!(disagreements.is_empty(), "on {name}:\n{}", disagreements.join("\n"));
    }
}

/// Models with odd sizes and strides, depthwise convolutions, and attention.
#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn selected_models_agree_with_the_cpu() {
    check_models(
        &["zoo/mlp", "zoo/resnet-tiny", "operators/conv-depthwise", "operators/matmul-attention"]
            .map(data),
    );
}

/// AdaptGrad's noise along a path. The nodes of a sample lie in one batch, or in several.
#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn maps_of_noisy_paths_agree_with_the_cpu() {
    let input = first_sample(&data("zoo/mlp"), Domain::uniform(-3.0, 3.0));
    let settings = Settings::with(|settings| {
        settings.samples = 6;
        settings.steps = 5;
    });
    let plan = Method::named("a-ig-mean").and_then(|method| method.plan(&settings).ok());
    let plan = plan.expect("a plan");
    let map = |device: &Device, batch| {
        let model = OnnxModel::load(data("zoo/mlp/model.onnx"), device).expect("a model");
        let explainer = Explainer::new(&model).batch(batch);
        explainer.explain(&input, Target::Index(0), &plan).expect("a map").values
    };
    let expected = map(&Device::flex(), 30);
    for (name, device) in gpus() {
        for batch in [30, 7] {
            let error = relative_l2(&map(&device, batch), &expected);
            assert!(error <= 1e-4, "{name}, batches of {batch}: {error:.1e}");
        }
    }
}

/// Noise on the parameters, and gradients of the parameters.
#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn maps_with_parameter_noise_agree_with_the_cpu() {
    let input = first_sample(&data("zoo/mlp"), Domain::uniform(-3.0, 3.0));
    let settings = Settings::with(|settings| {
        settings.samples = 3;
        settings.weight_samples = 4;
    });
    let plan = Method::named("a-ng").and_then(|method| method.plan(&settings).ok());
    let plan = plan.expect("a plan");
    let load = |device: &Device| {
        let loader = Loader::new(device).parameters(true);
        loader.load(data("zoo/mlp/model.onnx")).expect("a model")
    };
    let map = |device: &Device| {
        let map = Explainer::new(&load(device)).explain(&input, Target::Index(0), &plan);
        map.expect("a map")
    };
    let parameter_gradients = |device: &Device| -> Vec<f32> {
        let model = load(device);
        let gradients = Explainer::new(&model)
            .parameter_gradients(&input, Target::Index(0), Output::Logit, &[])
            .expect("gradients");
        gradients.into_iter().flat_map(|gradient| gradient.values).collect()
    };
    let expected = map(&Device::flex());
    let expected_gradients = parameter_gradients(&Device::flex());
    for (name, device) in gpus() {
        let found = map(&device);
        let map_error = relative_l2(&found.values, &expected.values);
        let noise_error = relative_l2(&found.standard_error, &expected.standard_error);
        let gradient_error = relative_l2(&parameter_gradients(&device), &expected_gradients);
        println!(
            "{name}: map {map_error:.1e}, standard error {noise_error:.1e}, parameters {gradient_error:.1e}"
        );
        assert!(map_error <= 1e-4 && noise_error <= 1e-3 && gradient_error <= 1e-4, "{name}");
    }
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn models_of_the_zoo_agree_with_the_cpu() {
    check_models(&folders("zoo"));
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn map_of_efficientnet_agrees_with_the_cpu() {
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let domain = Domain::uniform(-2.2, 2.7);
    let input = Input::new(values, &[3, 224, 224], domain).expect("an input");
    let map = |device: &Device| {
        let model = OnnxModel::load(efficientnet(), device).expect("the model");
        let plan = Plan::adaptgrad().samples(4);
        Explainer::new(&model).explain(&input, Target::Predicted, &plan).expect("a map").values
    };
    let expected = map(&Device::flex());
    for (name, device) in gpus() {
        let error = relative_l2(&map(&device), &expected);
        println!("{name}: {error:.1e}");
        assert!(error <= 1e-2, "{name}: {error:.1e}");
    }
}
