//! Files that fuzzing found, and files built to exhaust memory: each is read or refused without a panic.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, Model, Plan, Target};
use attriburn_onnx::Loader;
use attriburn_picture::Picture;
use attriburn_picture::npy;
use attriburn_tests::data;
use burn::tensor::Device;

/// Lists the files of a fuzz target, sorted by name.
fn files(target: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(data("fuzzed").join(target)).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Loads the model and computes a map, as the fuzz target `model` does.
fn explain(bytes: &[u8]) -> Result<(), String> {
    let model = Loader::new(&Device::flex()).load_bytes(bytes).map_err(|e| e.to_string())?;
    let shape = model.input_shape().to_vec();
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| (at as f32 * 0.37).sin()).collect();
    let input =
        Input::new(values, &shape, Domain::uniform(-1.0, 1.0)).map_err(|e| e.to_string())?;
    let plan = Plan::adaptgrad().samples(2);
    let map = Explainer::new(&model).explain(&input, Target::Predicted, &plan);
    map.map(drop).map_err(|error| error.to_string())
}

#[test]
fn models_do_not_panic() {
    let files = files("model");
    assert!(files.len() >= 2);
    for path in files {
        let result = explain(&std::fs::read(&path).expect("a file"));
        println!("{}: {result:?}", path.display());
    }
}

/// The product of a tensor's sizes exceeds 64 bits.
#[test]
fn overflowing_sizes_saturate() {
    let summary = attriburn_onnx::summary(data("fuzzed/model/sizes-that-overflow.onnx"));
    let parameters = summary.expect("a summary").parameters;
    assert_eq!(parameters, u64::MAX);
}

#[test]
fn padding_of_gigabytes_is_refused() {
    let bytes = std::fs::read(data("fuzzed/model/padding-of-gigabytes.onnx")).expect("a file");
    let message = explain(&bytes).expect_err("refused");
    assert!(message.contains("Pad ") && message.contains("exceeds the memory limit"), "{message}");
}

#[test]
fn transpose_that_repeats_an_axis_is_refused() {
    let path = data("fuzzed/model/transpose-that-repeats-an-axis.onnx");
    let message = explain(&std::fs::read(path).expect("a file")).expect_err("refused");
    assert!(message.contains("[0, 0, 3, 1] does not permute the axes"), "{message}");
}

#[test]
fn arrays_and_pictures_do_not_panic() {
    for path in files("npy") {
        let _ = npy::from_bytes(&std::fs::read(&path).expect("a file"), Path::new("fuzzed"));
    }
    for path in files("picture") {
        let read = Picture::from_bytes(&std::fs::read(&path).expect("a file"));
        let message = read.expect_err("refused").to_string();
        assert!(message.contains("PNG"), "{}: {message}", path.display());
    }
}
