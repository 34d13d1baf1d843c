//! Files that fuzzing found, or that were made to do harm: each is refused or read, and nothing panics.

use std::path::Path;

use attriburn::picture::Picture;
use attriburn::{Domain, Explainer, Input, Model, Plan, Target, npy};
use attriburn_onnx::Loader;
use attriburn_tests::data;
use burn::tensor::Device;

fn files(target: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(data("fuzzed").join(target)).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// What the fuzzing target `model` does.
fn explain(bytes: &[u8]) -> Result<(), String> {
    let model = Loader::new(&Device::flex()).load_bytes(bytes).map_err(|e| e.to_string())?;
    let shape = model.input_shape().to_vec();
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| (at as f32 * 0.37).sin()).collect();
    let input =
        Input::new(values, &shape, Domain::uniform(-1.0, 1.0)).map_err(|e| e.to_string())?;
    let plan = Plan::adaptgrad().samples(2);
    let map = Explainer::new(&model).explain(&plan, &input, Target::Predicted);
    map.map(drop).map_err(|error| error.to_string())
}

#[test]
fn models() {
    let files = files("model");
    assert!(files.len() >= 2);
    for path in files {
        let result = explain(&std::fs::read(&path).expect("a file"));
        println!("{}: {result:?}", path.display());
    }
}

/// A tensor whose sizes multiply to more than 64 bits hold.
#[test]
fn sizes_that_overflow_are_no_other_sizes() {
    let summary = attriburn_onnx::summary(data("fuzzed/model/sizes-that-overflow.onnx"));
    let parameters = summary.expect("a summary").parameters;
    assert_eq!(parameters, u64::MAX);
}

#[test]
fn a_padding_of_gigabytes_is_refused() {
    let bytes = std::fs::read(data("fuzzed/model/padding-of-gigabytes.onnx")).expect("a file");
    let message = explain(&bytes).expect_err("it is refused");
    assert!(
        message.contains("Pad ") && message.contains("numbers that there is room for"),
        "{message}"
    );
}

#[test]
fn a_transpose_that_repeats_an_axis_is_refused() {
    let path = data("fuzzed/model/transpose-that-repeats-an-axis.onnx");
    let message = explain(&std::fs::read(path).expect("a file")).expect_err("it is refused");
    assert!(message.contains("[0, 0, 3, 1] does not permute the axes"), "{message}");
}

#[test]
fn arrays_and_pictures() {
    for path in files("npy") {
        let _ = npy::from_bytes(&std::fs::read(&path).expect("a file"), Path::new("fuzzed"));
    }
    for path in files("picture") {
        let read = Picture::from_bytes(&std::fs::read(&path).expect("a file"));
        let message = read.expect_err("it is refused").to_string();
        assert!(message.contains("PNG"), "{}: {message}", path.display());
    }
}
