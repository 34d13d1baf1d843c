//! Models of several inputs, of which one is explained, and outputs of which a part is.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, Model, Plan, Target, npy};
use attriburn_onnx::{ErrorKind, Loader, OnnxModel, Region};
use attriburn_tests::{data, relative_l2};
use burn::tensor::{Device, Tensor, TensorData};

fn array(name: &str) -> npy::Array {
    npy::read(&data(&format!("inputs/{name}.npy"))).expect("an array")
}

fn several() -> Loader {
    Loader::new(&Device::flex())
        .fixed("condition", array("condition"))
        .fixed("class", array("class"))
        .fixed("temperature", array("temperature"))
}

fn input(model: &OnnxModel) -> Input {
    let count: usize = model.input_shape().iter().product();
    let values = (0..count).map(|at| (at as f32 * 0.61).sin().abs()).collect();
    Input::new(values, model.input_shape(), Domain::uniform(0.0, 1.0)).expect("an input")
}

fn map(model: &OnnxModel, plan: &Plan, target: Target) -> Vec<f32> {
    let map = Explainer::new(model).explain(plan, &input(model), target);
    map.expect("a map").values
}

/// The model gives what the same model with these values stored in it gives, for batches of any size.
#[test]
fn inputs_that_are_fixed_are_constants() {
    let file = data("inputs/several.onnx");
    let stored = OnnxModel::load(data("inputs/stored.onnx"), &Device::flex()).expect("a model");
    for parameters in [false, true] {
        let fixed = several().parameters(parameters).load(&file).expect("a model");
        assert_eq!(fixed.input_shape(), [3, 6, 6]);
        for rows in [1, 2, 5] {
            let values = (0..rows * 108).map(|at| (at as f32 * 0.7).cos()).collect::<Vec<f32>>();
            let batch = || {
                let data = TensorData::new(values.clone(), [rows, 108]);
                Tensor::<2>::from_data(data, &Device::flex())
            };
            let of = |model: &OnnxModel| {
                let logits = model.forward(batch()).expect("logits").into_data();
                logits.try_into_vec::<f32>().expect("floats")
            };
            assert!(relative_l2(&of(&fixed), &of(&stored)) < 1e-6, "{rows} rows");
        }
        for class in 0..3 {
            let of = |model| map(model, &Plan::adaptgrad().samples(7), Target::Index(class));
            assert!(relative_l2(&of(&fixed), &of(&stored)) < 1e-6);
        }
    }
    // A sample without an axis for the batch is one as well.
    let condition = npy::Array { shape: vec![4], ..array("condition") };
    let again = several().fixed("condition", condition).load(&file);
    assert!(again.is_ok());
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let file = data("inputs/several.onnx");
    let message = |loader: Loader| {
        let error = loader.load(&file).map(drop).expect_err("no model");
        assert_eq!(error.kind(), ErrorKind::Input);
        error.to_string()
    };
    let plain = || Loader::new(&Device::flex());
    let found = message(plain());
    assert!(found.contains("4 inputs, but one is explained"), "{found}");
    assert!(found.contains("--fix NAME=FILE.npy"), "{found}");
    let found = message(plain().fixed("condition", array("condition")));
    assert!(found.contains("the model has 3 inputs"), "{found}");
    let wrong = npy::Array { shape: vec![2, 2], ..array("condition") };
    let found = message(several().fixed("noise", wrong.clone()));
    assert!(found.contains("there is no input \"noise\""), "{found}");
    let of = |name: &str, value: npy::Array| {
        let others = ["condition", "class", "temperature"].into_iter().filter(|own| *own != name);
        let loader = others.fold(plain(), |loader, own| loader.fixed(own, array(own)));
        message(loader.fixed(name, value))
    };
    let found = of("condition", wrong);
    assert!(found.contains("does not take an array of [2, 2]"), "{found}");
    let fraction = npy::Array { shape: vec![1], values: vec![1.5] };
    let found = of("class", fraction);
    assert!(found.contains("takes whole numbers, not 1.5"), "{found}");
}

/// The map of the whole output is the mean of those of its halves, and that of a mask their weighted mean.
#[test]
fn a_region_is_a_part_of_the_positions() {
    let file = data("shapes/spatial/model.onnx");
    let load = |region: Option<Region>| {
        Loader::new(&Device::flex()).region(region).load(&file).expect("a model")
    };
    let whole = load(None);
    let &[_, height, width] = whole.input_shape() else { panic!("a picture") };
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
        assert!(relative_l2(&left, &right) > 0.1, "the halves differ");
        let mean = |a: f32, b: f32| -> Vec<f32> {
            left.iter().zip(&right).map(|(left, right)| a * left + b * right).collect()
        };
        let of = |model| map(model, &plan, Target::Index(1));
        assert!(relative_l2(&of(&whole), &mean(share, 1.0 - share)) < 1e-5);
        let (heavy, light) = (3.0 * share, 1.0 - share);
        let of_mask = mean(heavy / (heavy + light), light / (heavy + light));
        assert!(relative_l2(&of(&mask), &of_mask) < 1e-5);
    }
    let flat = Loader::new(&Device::flex()).region(Some(part(0, middle)));
    let error = flat.load(Path::new(&data("zoo/lenet/model.onnx"))).map(drop);
    let message = error.expect_err("no positions").to_string();
    assert!(message.contains("has no rows and columns of positions"), "{message}");
}
