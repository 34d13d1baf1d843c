//! Logits and gradients of every reference model agree with PyTorch's, or with finite differences
//! in double precision.

use std::path::Path;

use burn::tensor::Device;
use mollify::{Domain, Explainer, Input, Plan, Readout, Target};
use mollify_onnx::OnnxModel;
use mollify_tests::{
    array, cosine, data, efficientnet, folders, logits_and_gradients, relative_l2,
    relative_maximum, wgpu,
};

/// What is wrong with the model in `folder`, at a tolerance for logits and for gradients.
fn complaints(folder: &Path, device: &Device, tolerance: f64) -> Option<String> {
    let name = folder.file_name()?.to_string_lossy().into_owned();
    let model = match OnnxModel::load(folder.join("model.onnx"), device) {
        Ok(model) => model,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    let read = |file: &str| array(&folder.join(file));
    let targets = read("target.npy").values;
    let (logits, gradient) = logits_and_gradients(&model, &read("input.npy"), &targets);
    let logit_error = relative_maximum(&logits, &read("logits.npy").values);
    let gradient_error = relative_l2(&gradient, &read("gradient.npy").values);
    println!("{name}: logits {logit_error:.1e}, gradient {gradient_error:.1e}");
    let good = logit_error <= tolerance && gradient_error <= tolerance;
    (!good).then(|| format!("{name}: logits {logit_error:.1e}, gradient {gradient_error:.1e}"))
}

fn check(folders: &[std::path::PathBuf], device: &Device, tolerance: f64) {
    assert!(!folders.is_empty());
    let complaints: Vec<String> =
        folders.iter().filter_map(|folder| complaints(folder, device, tolerance)).collect();
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        folders.len(),
        complaints.join("\n")
    );
}

#[test]
fn of_the_zoo_on_the_cpu() {
    let folders = folders("zoo");
    assert_eq!(folders.len(), 14);
    check(&folders, &Device::flex(), 1e-4);
}

/// The operators that are known not to be supported, each with an error that names it.
const NOT_SUPPORTED: [&str; 1] = ["einsum"];

#[test]
fn of_each_operator_on_the_cpu() {
    let supported: Vec<_> = folders("operators")
        .into_iter()
        .filter(|folder| !NOT_SUPPORTED.iter().any(|name| folder.ends_with(name)))
        .collect();
    check(&supported, &Device::flex(), 1e-4);
}

/// Odd sizes and strides, depthwise convolutions, attention.
#[test]
fn of_a_handful_on_wgpu() {
    let Some(device) = wgpu() else { return };
    let names = ["mlp", "resnet-tiny", "mobilenetv3-small-tiny", "vit-tiny"];
    let folders: Vec<_> = names.iter().map(|name| data("zoo").join(name)).collect();
    check(&folders, &device, 1e-3);
}

#[test]
fn of_efficientnet_on_the_cpu() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    let domain = Domain::uniform(-2.2, 2.7);
    let input = Input::new(read("input.npy"), &[3, 224, 224], domain).expect("an input");
    let explainer = Explainer::new(&model);
    let prediction = explainer.predict(&input).expect("a prediction");
    assert!(relative_maximum(&prediction.logits, &read("logits.npy")) <= 1e-4);
    assert_eq!(prediction.ranking()[0], read("target.npy")[0] as usize);

    let times_input = Plan { readout: Readout::TimesInput, ..Plan::gradient() };
    let cases = [(Plan::gradient(), "gradient.npy"), (times_input, "gradient_x_input.npy")];
    for (plan, file) in cases {
        let map = explainer.explain(&plan, &input, Target::Predicted).expect("a map");
        let expected = read(file);
        let (error, cosine) = (relative_l2(&map.values, &expected), cosine(&map.values, &expected));
        println!("{file}: relative L2 error {error:.1e}, cosine {cosine:.6}");
        assert!(error <= 1e-2 && cosine >= 0.9999, "{file}: {error:.1e}, {cosine}");
    }
}
