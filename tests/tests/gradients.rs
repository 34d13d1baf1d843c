//! Logits and gradients of every reference model against PyTorch's, or against finite differences in double
//! precision.

use std::collections::HashSet;
use std::path::Path;

use attriburn::{Domain, Explainer, Input, Output, Plan, Readout, Target};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{
    array, cosine, data, efficientnet, folders, logits_and_gradients, relative_l2, relative_maximum,
};
use burn::tensor::Device;

/// Checks the model in `folder`, and describes its errors if those of the logits or of the gradient exceed
/// the tolerance.
fn disagreement(folder: &Path, device: &Device, tolerance: f64) -> Option<String> {
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
    let agrees = logit_error <= tolerance && gradient_error <= tolerance;
    (!agrees).then(|| format!("{name}: logits {logit_error:.1e}, gradient {gradient_error:.1e}"))
}

fn check(folders: &[std::path::PathBuf], device: &Device, tolerance: f64) {
    assert!(!folders.is_empty());
    let disagreements: Vec<String> =
        folders.iter().filter_map(|folder| disagreement(folder, device, tolerance)).collect();
    assert!(
        disagreements.is_empty(),
        "{} of {}:\n{}",
        disagreements.len(),
        folders.len(),
        disagreements.join("\n")
    );
}

#[test]
fn gradients_of_the_zoo_match_pytorch() {
    let folders = folders("zoo");
    assert_eq!(folders.len(), 14);
    check(&folders, &Device::flex(), 1e-4);
}

/// Convolutions with constant weights are compiled into segments. Models that are loaded with separate
/// parameters have no segments.
#[test]
fn convolutions_with_constant_weights_are_compiled_into_segments() {
    for folder in folders("zoo") {
        let path = folder.join("model.onnx");
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let model = OnnxModel::load(&path, &Device::flex()).expect("the model");
        assert_eq!(model.segments().is_empty(), name.starts_with("mlp"), "{name}");
        let loader = Loader::new(&Device::flex()).parameters(true);
        let with_parameters = loader.load(&path).expect("the model");
        assert!(with_parameters.segments().is_empty(), "{name}");
    }
}

/// Vectors and sequences as inputs, outputs with several positions, and models that end in a softmax.
#[test]
fn gradients_of_other_shapes_match_pytorch() {
    let folders = folders("shapes");
    assert_eq!(folders.len(), 9);
    check(&folders, &Device::flex(), 1e-4);
}

#[test]
fn probability_gradients_of_models_with_a_final_softmax_match_pytorch() {
    for name in ["softmax-of-maps", "softmax-cast-and-turned"] {
        let folder = data("shapes").join(name);
        let model = OnnxModel::load(folder.join("model.onnx"), &Device::flex()).expect("the model");
        let read = |file: &str| array(&folder.join(file));
        let (inputs, expected) = (read("input.npy"), read("probability_gradient.npy").values);
        let features = expected.len() / 2;
        for (row, target) in read("target.npy").values.into_iter().enumerate() {
            let values = inputs.values[row * features..][..features].to_vec();
            let input = Input::new(values, &inputs.shape[1..], Domain::uniform(-5.0, 5.0));
            let plan = Plan::gradient().output(Output::Probability);
            let map = Explainer::new(&model)
                .explain(&input.expect("an input"), Target::Index(target as usize), &plan)
                .expect("a map");
            let error = relative_l2(&map.values, &expected[row * features..][..features]);
            assert!(error <= 1e-5, "{name}: {error:.1e}");
        }
    }
}

/// A mean over positions has no softmax, nor has a single score.
#[test]
fn probability_gradients_of_models_without_probabilities_are_refused() {
    for name in ["spatial", "sequence", "one-score"] {
        let folder = data("shapes").join(name);
        let model = OnnxModel::load(folder.join("model.onnx"), &Device::flex()).expect("the model");
        let rows = array(&folder.join("input.npy"));
        let values = rows.values[..rows.values.len() / 2].to_vec();
        let input = Input::new(values, &rows.shape[1..], Domain::uniform(-5.0, 5.0));
        let plan = Plan::gradient().output(Output::Probability);
        let map =
            Explainer::new(&model).explain(&input.expect("an input"), Target::Index(0), &plan);
        let message = map.expect_err("no probability").to_string();
        assert!(message.contains("has no probability"), "{name}: {message}");
    }
}

#[test]
fn gradients_of_each_operator_match_the_reference() {
    check(&folders("operators"), &Device::flex(), 1e-4);
}

/// Every differentiable operator is part of a model whose gradient is checked.
#[test]
fn every_differentiable_operator_has_a_checked_model() {
    let read = |path: &str| std::fs::read_to_string(data(path)).expect("an index");
    let (float, quantized) = (read("operators/index.tsv"), read("quantized/index.tsv"));
    let float = float.lines().filter(|line| line.starts_with("operators/"));
    let lines =
        float.map(|line| ("", line)).chain(quantized.lines().map(|line| ("quantized/", line)));
    let checked: HashSet<&str> = lines
        .filter(|(folder, line)| {
            data(&format!("{folder}{}", line.split('\t').next().unwrap_or(""))).exists()
        })
        .flat_map(|(_, line)| line.rsplit('\t').next().unwrap_or("").split(' '))
        .collect();
    let unchecked: Vec<String> = attriburn_onnx::operators(true)
        .into_iter()
        .map(|(domain, name)| match domain {
            "" => name.to_owned(),
            domain => format!("{domain}::{name}"),
        })
        .filter(|name| !checked.contains(name.as_str()))
        .collect();
    assert!(
        unchecked.is_empty(),
        "no model in tests/data/operators or tests/data/quantized has {unchecked:?}"
    );
}

#[test]
fn gradients_of_efficientnet_match_pytorch() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let read = |file: &str| array(&data("efficientnet-lite0").join(file)).values;
    let domain = Domain::uniform(-2.2, 2.7);
    let input = Input::new(read("input.npy"), &[3, 224, 224], domain).expect("an input");
    let explainer = Explainer::new(&model);
    let prediction = explainer.predict(&input).expect("a prediction");
    assert!(relative_maximum(prediction.logits(), &read("logits.npy")) <= 1e-4);
    assert_eq!(prediction.ranking()[0], read("target.npy")[0] as usize);

    let times_input = Plan::gradient().readout(Readout::TimesInput);
    let cases = [(Plan::gradient(), "gradient.npy"), (times_input, "gradient_x_input.npy")];
    for (plan, file) in cases {
        let map = explainer.explain(&input, Target::Predicted, &plan).expect("a map");
        let expected = read(file);
        let (error, cosine) = (relative_l2(&map.values, &expected), cosine(&map.values, &expected));
        println!("{file}: relative L2 error {error:.1e}, cosine {cosine:.6}");
        assert!(error <= 1e-2 && cosine >= 0.9999, "{file}: {error:.1e}, {cosine}");
    }
}
