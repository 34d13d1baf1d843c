//! Classifiers as other toolchains write them, given a photograph and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use attriburn::npy;
use serde_json::Value;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/toolchains").join(path)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("valid JSON")
}

/// The manifest of a picture, its map's shape, and what was said on stderr.
fn explained(model: &str, picture: &str, options: &[&str]) -> (Value, Vec<usize>, String) {
    let out = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_attriburn"))
        .arg("explain")
        .arg(data(&format!("{picture}.png")))
        .arg("--model")
        .arg(data(model))
        .args(["--samples", "4", "--device", "cpu", "--out"])
        .arg(out.path())
        .args(options)
        .output()
        .expect("the program");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{model}: {stderr}");
    let folder = out.path().join(picture);
    let map = npy::read(&folder.join("adaptgrad.npy")).expect("a map");
    assert!(folder.join("adaptgrad.overlay.png").is_file(), "{model}");
    (json(&folder.join("manifest.json")), map.shape, stderr)
}

/// A model's file, the options with which pictures are prepared as it was trained, its map's shape, the least
/// and greatest value of its input, and where the range comes from.
struct Case {
    model: &'static str,
    answers: &'static str,
    as_trained: &'static [&'static str],
    shape: [usize; 3],
    domain: [f64; 2],
    range_from: &'static str,
    is_guessed: bool,
}

const CASES: [Case; 5] = [
    Case {
        model: "tensorflow.onnx",
        answers: "tensorflow.json",
        as_trained: &["--resize-mode", "squash"],
        shape: [32, 32, 3],
        domain: [0.0, 255.0],
        range_from: "the model's first nodes",
        is_guessed: true,
    },
    Case {
        model: "tensorflow-uint8.onnx",
        answers: "tensorflow-uint8.json",
        as_trained: &["--resize-mode", "squash"],
        shape: [32, 32, 3],
        domain: [0.0, 255.0],
        range_from: "the model's integer input",
        is_guessed: true,
    },
    Case {
        model: "keras.onnx",
        answers: "keras.json",
        as_trained: &["--resize-mode", "squash", "--crop", "32"],
        shape: [224, 224, 3],
        domain: [0.0, 255.0],
        range_from: "the model's first nodes",
        is_guessed: true,
    },
    Case {
        model: "paddle.onnx",
        answers: "paddle.json",
        as_trained: &["--resize-mode", "squash"],
        shape: [3, 32, 32],
        domain: [-2.117904, 2.2489083],
        range_from: "a guess",
        is_guessed: true,
    },
    Case {
        model: "pytorch/model.onnx",
        answers: "pytorch.json",
        as_trained: &[],
        shape: [3, 32, 32],
        domain: [-1.0, 1.0],
        range_from: "preprocessor_config.json",
        is_guessed: false,
    },
];

#[test]
fn each_gives_the_right_class_domain_and_map() {
    for case in &CASES {
        let answers = json(&data(case.answers));
        for (class, picture) in ["red", "green", "blue"].into_iter().enumerate() {
            let (manifest, shape, stderr) = explained(case.model, picture, &[]);
            assert_eq!(manifest["target"]["index"], class, "{} {picture}", case.model);
            assert_eq!(shape, case.shape, "{}", case.model);
            let bound = |which: &str| manifest["domain"][which][0].as_f64().expect("a bound");
            for (found, expected) in [bound("lower"), bound("upper")].iter().zip(case.domain) {
                assert!((found - expected).abs() < 1e-5, "{}: {found}", case.model);
            }
            let from = manifest["image"]["preprocess_parts"]["scale"]["source"]
                .as_str()
                .expect("a source");
            assert!(from.ends_with(case.range_from), "{}: {from}", case.model);
            // What is guessed is said.
            assert_eq!(stderr.contains("guessed"), case.is_guessed, "{}: {stderr}", case.model);

            // Prepared as it was trained, it answers what it answers in its own toolchain.
            let (manifest, ..) = explained(case.model, picture, case.as_trained);
            let logit = manifest["target"]["logit"].as_f64().expect("a logit");
            let expected = answers[picture][class].as_f64().expect("a logit");
            assert!(
                (logit - expected).abs() < 1e-3,
                "{} {picture}: {logit} for {expected}",
                case.model
            );
        }
    }
}

#[test]
fn names_of_classes_are_found_beside_the_model() {
    let (manifest, ..) = explained("pytorch/model.onnx", "green", &["--target", "blue"]);
    assert_eq!(manifest["target"]["label"], "blue");
}

/// A size that the file leaves free is the preprocessing's, and a warning says where it was guessed.
#[test]
fn a_free_size_is_found_or_guessed() {
    let of = |options: &[&str]| explained("keras.onnx", "red", options);
    let (manifest, shape, _) = of(&["--crop", "48,40"]);
    assert_eq!(shape, [48, 40, 3]);
    assert_eq!(manifest["image"]["preprocess_parts"]["size"]["source"], "the options");
    assert_eq!(of(&["--input-shape", "33,44,3"]).1, [33, 44, 3]);
    let (manifest, _, stderr) = of(&[]);
    assert_eq!(manifest["image"]["preprocess_parts"]["size"]["source"], "a guess");
    assert!(stderr.contains("size"), "{stderr}");
}
