//! Noise depends on the seed and on the sample's number only: another batch size changes a map by rounding at
//! most, and another seed changes the map.

use attriburn::{Domain, Explainer, Input, Plan, Target};
use attriburn_onnx::OnnxModel;
use attriburn_tests::{array, data, efficientnet, first_sample, folders, relative_l2};
use burn::tensor::Device;

const BATCHES: [usize; 4] = [1, 7, 50, 64];

fn maps(model: &OnnxModel, input: &Input, plan: &Plan, batches: &[usize]) -> Vec<Vec<f32>> {
    let map = |&batch: &usize| {
        let explainer = Explainer::new(model).batch(batch);
        explainer.explain(input, Target::Predicted, plan).expect("a map").values
    };
    batches.iter().map(map).collect()
}

#[test]
fn batch_size_does_not_change_the_maps_of_the_zoo() {
    for folder in folders("zoo") {
        let model = OnnxModel::load(folder.join("model.onnx"), &Device::flex()).expect("a model");
        let input = first_sample(&folder, Domain::uniform(-3.0, 3.0));
        let maps = maps(&model, &input, &Plan::adaptgrad().samples(64), &BATCHES);
        for (map, batch) in maps.iter().zip(BATCHES) {
            let error = relative_l2(map, &maps[0]);
            assert!(error <= 1e-5, "{}: {error:.1e} at batch {batch}", folder.display());
        }
    }
}

#[test]
fn batch_size_changes_the_map_of_efficientnet_only_at_kinks() {
    let model = OnnxModel::load(efficientnet(), &Device::flex()).expect("the model");
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let input = Input::new(values, &[3, 224, 224], Domain::uniform(-2.2, 2.7)).expect("an input");
    let maps = maps(&model, &input, &Plan::adaptgrad(), &[7, 50]);
    let error = relative_l2(&maps[0], &maps[1]);
    assert!(error <= 1e-2, "{error:.1e}");
}

#[test]
fn seeds_determine_maps() {
    let folder = data("zoo/lenet");
    let model = OnnxModel::load(folder.join("model.onnx"), &Device::flex()).expect("a model");
    let input = first_sample(&folder, Domain::uniform(-3.0, 3.0));
    let map = |seed| maps(&model, &input, &Plan::adaptgrad().seed(seed), &[16]).remove(0);
    assert_eq!(map(0), map(0));
    assert!(relative_l2(&map(0), &map(1)) > 1e-2);
    assert!(relative_l2(&map(0), &map(1 << 32)) > 1e-2);
}
