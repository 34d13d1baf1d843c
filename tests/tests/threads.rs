//! Maps do not depend on the number of threads.

use attriburn::{Domain, Explainer, Input, Plan, Target};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, data, efficientnet, first_sample, folders};
use burn::tensor::Device;

/// Computes a map in a pool of `threads` threads.
fn map(model: &OnnxModel, input: &Input, threads: usize) -> Vec<f32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let plan = Plan::adaptgrad().samples(10);
        Explainer::new(model).explain(input, Target::Predicted, &plan).expect("a map").values
    })
}

fn check(name: &str, model: &OnnxModel, input: &Input) {
    let expected = map(model, input, 1);
    for threads in [2, 3, 8] {
        assert!(map(model, input, threads) == expected, "{name}: {threads} threads");
    }
}

#[test]
fn number_of_threads_does_not_change_maps_of_the_zoo() {
    for folder in folders("zoo") {
        let model = OnnxModel::load(folder.join("model.onnx"), &Device::flex()).expect("a model");
        let input = first_sample(&folder, Domain::uniform(-3.0, 3.0));
        check(&folder.display().to_string(), &model, &input);
    }
}

#[test]
fn number_of_threads_does_not_change_the_map_of_efficientnet() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let input = Input::new(values, &[3, 224, 224], Domain::uniform(-2.2, 2.7)).expect("an input");
    check("EfficientNet-Lite0", &model, &input);
}
