//! Models with several inputs, of which one is explained, and regions of spatial outputs.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, Model, Plan, Target};
use attriburn_onnx::{ErrorKind, Loader, OnnxModel, Region};
use attriburn_picture::npy;
use attriburn_tests::{data, relative_l2};
use burn::tensor::{Device, Tensor, TensorData};

fn array(name: &str) -> npy::Array {
    npy::read(data(&format!("inputs/{name}.npy"))).expect("an array")
}

/// Fixes the input called `name` to a value.
fn fix(loader: Loader, name: &str, value: npy::Array) -> Loader {
    loader.fixed(name, &value.shape, value.values)
}

/// A loader that fixes all inputs of `several.onnx` except the image.
fn loader_with_fixed_inputs() -> Loader {
    let names = ["condition", "class", "temperature"].into_iter();
    names.fold(Loader::new(&Device::flex()), |loader, name| fix(loader, name, array(name)))
}

fn input(model: &OnnxModel) -> Input {
    let count: usize = model.input_shape().iter().product();
    let values = (0..count).map(|at| (at as f32 * 0.61).sin().abs()).collect();
    Input::new(values, model.input_shape(), Domain::uniform(0.0, 1.0)).expect("an input")
}

fn map(model: &OnnxModel, plan: &Plan, target: Target) -> Vec<f32> {
    let map = Explainer::new(model).explain(&input(model), target, plan);
    map.expect("a map").values
}

/// A model with fixed inputs has the same outputs and maps as a model that stores their values, for all batch
/// sizes.
#[test]
fn fixed_inputs_equal_stored_constants() {
    let file = data("inputs/several.onnx");
    let stored = OnnxModel::load(data("inputs/stored.onnx"), &Device::flex()).expect("a model");
    for parameters in [false, true] {
        let fixed = loader_with_fixed_inputs().parameters(parameters).load(&file).expect("a model");
        assert_eq!(fixed.input_shape(), [3, 6, 6]);
        for rows in [1, 2, 5] {
            let values = (0..rows * 108).map(|at| (at as f32 * 0.7).cos()).collect::<Vec<f32>>();
            let batch = || {
                let data = TensorData::new(values.clone(), [rows, 108]);
                Tensor::<2>::from_data(data, &Device::flex())
            };
            let logits = |model: &OnnxModel| {
                let logits = model.forward(batch()).expect("logits").into_data();
                logits.try_into_vec::<f32>().expect("floats")
            };
            assert!(relative_l2(&logits(&fixed), &logits(&stored)) < 1e-6, "{rows} rows");
        }
        for class in 0..3 {
            let map = |model| map(model, &Plan::adaptgrad().samples(7), Target::Index(class));
            assert!(relative_l2(&map(&fixed), &map(&stored)) < 1e-6);
        }
    }
    // A value without the batch axis is accepted as one sample.
    let condition = npy::Array { shape: vec![4], ..array("condition") };
    let model = fix(loader_with_fixed_inputs(), "condition", condition).load(&file);
    assert!(model.is_ok());
}

#[test]
fn fixed_values_that_do_not_fit_are_refused() {
    let file = data("inputs/several.onnx");
    let message = |loader: Loader| {
        let error = loader.load(&file).map(drop).expect_err("no model");
        assert!(matches!(error.kind(), ErrorKind::Input | ErrorKind::SeveralInputs));
        error.to_string()
    };
    let plain = || Loader::new(&Device::flex());
    let found = message(plain());
    assert!(found.contains("4 inputs, but exactly one can be explained"), "{found}");
    assert!(found.contains("fix the others to a value"), "{found}");
    let found = message(fix(plain(), "condition", array("condition")));
    assert!(found.contains("the model has 3 inputs"), "{found}");
    let wrong = npy::Array { shape: vec![2, 2], ..array("condition") };
    let found = message(fix(loader_with_fixed_inputs(), "noise", wrong.clone()));
    assert!(found.contains("there is no input \"noise\""), "{found}");
    let message_for = |name: &str, value: npy::Array| {
        let others =
            ["condition", "class", "temperature"].into_iter().filter(|other| *other != name);
        let loader = others.fold(plain(), |loader, other| fix(loader, other, array(other)));
        message(fix(loader, name, value))
    };
    let found = message_for("condition", wrong);
    assert!(found.contains("does not take an array of [2, 2]"), "{found}");
    let fraction = npy::Array { shape: vec![1], values: vec![1.5] };
    let found = message_for("class", fraction);
    assert!(found.contains("takes whole numbers, not 1.5"), "{found}");
}

/// The map of the whole output is the mean of the maps of its two halves. The map of a mask is their weighted
/// mean.
#[test]
fn map_of_a_region_averages_its_positions() {
    let file = data("shapes/spatial/model.onnx");
    let load = |region: Option<Region>| {
        Loader::new(&Device::flex()).region(region).load(&file).expect("a model")
    };
    let whole = load(None);
    let &[_, height, width] = whole.input_shape() else { panic!("an image") };
    let middle = width / 2;
    let share = middle as f32 / width as f32;
    let part = |x, width| Region::Rectangle { x, y: 0, width, height };
    let parts = [part(0, middle), part(middle, width - middle)];
    let weights: Vec<f32> =
        (0..height * width).map(|at| if at % width < middle { 3.0 } else { 1.0 }).collect();
    let mask = load(Some(Region::Mask { height, width, weights }));
    for plan in [Plan::gradient(), Plan::adaptgrad().samples(5)] {
        let [left, right] =
            parts.clone().map(|part| map(&load(Some(part)), &plan, Target::Index(1)));
        assert!(relative_l2(&left, &right) > 0.1, "the maps of the halves do not differ");
        let mean = |a: f32, b: f32| -> Vec<f32> {
            left.iter().zip(&right).map(|(left, right)| a * left + b * right).collect()
        };
        let map = |model| map(model, &plan, Target::Index(1));
        assert!(relative_l2(&map(&whole), &mean(share, 1.0 - share)) < 1e-5);
        let (heavy, light) = (3.0 * share, 1.0 - share);
        let weighted = mean(heavy / (heavy + light), light / (heavy + light));
        assert!(relative_l2(&map(&mask), &weighted) < 1e-5);
    }
    let flat = Loader::new(&Device::flex()).region(Some(part(0, middle)));
    let error = flat.load(Path::new(&data("zoo/lenet/model.onnx"))).map(drop);
    let message = error.expect_err("no positions").to_string();
    assert!(message.contains("has no height and width axes"), "{message}");
}
