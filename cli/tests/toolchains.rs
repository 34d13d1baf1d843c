//! Classifiers exported by other toolchains, explained with an image and no further options.

use std::path::{Path, PathBuf};
use std::process::Command;

use attriburn_picture::npy;
use serde_json::Value;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/toolchains").join(path)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("valid JSON")
}

/// Explains an image. Returns the manifest, the shape of the map, and stderr.
fn explain(model: &str, picture: &str, options: &[&str]) -> (Value, Vec<usize>, String) {
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
    let map = npy::read(folder.join("adaptgrad.npy")).expect("a map");
    assert!(folder.join("adaptgrad.overlay.png").is_file(), "{model}");
    (json(&folder.join("manifest.json")), map.shape, stderr)
}

struct Case {
    model: &'static str,
    /// The file with the logits that the toolchain itself computes.
    reference: &'static str,
    /// Options for the preprocessing of the training.
    training_options: &'static [&'static str],
    /// The shape of the map.
    shape: [usize; 3],
    /// The minimum and maximum of the input.
    domain: [f64; 2],
    /// The end of the source that the manifest gives for the scale.
    scale_source: &'static str,
    /// Whether a part of the preprocessing is guessed.
    is_guessed: bool,
}

const CASES: [Case; 5] = [
    Case {
        model: "tensorflow.onnx",
        reference: "tensorflow.json",
        training_options: &["--resize-mode", "squash"],
        shape: [32, 32, 3],
        domain: [0.0, 255.0],
        scale_source: "the model's first nodes",
        is_guessed: true,
    },
    Case {
        model: "tensorflow-uint8.onnx",
        reference: "tensorflow-uint8.json",
        training_options: &["--resize-mode", "squash"],
        shape: [32, 32, 3],
        domain: [0.0, 255.0],
        scale_source: "the model's integer input",
        is_guessed: true,
    },
    Case {
        model: "keras.onnx",
        reference: "keras.json",
        training_options: &["--resize-mode", "squash", "--crop", "32"],
        shape: [224, 224, 3],
        domain: [0.0, 255.0],
        scale_source: "the model's first nodes",
        is_guessed: true,
    },
    Case {
        model: "paddle.onnx",
        reference: "paddle.json",
        training_options: &["--resize-mode", "squash"],
        shape: [3, 32, 32],
        domain: [-2.117904, 2.2489083],
        scale_source: "a guess",
        is_guessed: true,
    },
    Case {
        model: "pytorch/model.onnx",
        reference: "pytorch.json",
        training_options: &[],
        shape: [3, 32, 32],
        domain: [-1.0, 1.0],
        scale_source: "preprocessor_config.json",
        is_guessed: false,
    },
];

#[test]
fn class_domain_and_map_match_the_toolchain() {
    for case in &CASES {
        let reference = json(&data(case.reference));
        for (class, picture) in ["red", "green", "blue"].into_iter().enumerate() {
            let (manifest, shape, stderr) = explain(case.model, picture, &[]);
            assert_eq!(manifest["target"]["index"], class, "{} {picture}", case.model);
            assert_eq!(shape, case.shape, "{}", case.model);
            let bound = |which: &str| manifest["domain"][which][0].as_f64().expect("a bound");
            for (found, expected) in [bound("lower"), bound("upper")].iter().zip(case.domain) {
                assert!((found - expected).abs() < 1e-5, "{}: {found}", case.model);
            }
            let source = manifest["image"]["preprocess_parts"]["scale"]["source"]
                .as_str()
                .expect("a source");
            assert!(source.ends_with(case.scale_source), "{}: {source}", case.model);
            assert_eq!(stderr.contains("guessed"), case.is_guessed, "{}: {stderr}", case.model);

            // With the preprocessing of the training, the logit equals that of the toolchain.
            let (manifest, ..) = explain(case.model, picture, case.training_options);
            let logit = manifest["target"]["logit"].as_f64().expect("a logit");
            let expected = reference[picture][class].as_f64().expect("a logit");
            assert!(
                (logit - expected).abs() < 1e-3,
                "{} {picture}: {logit} for {expected}",
                case.model
            );
        }
    }
}

#[test]
fn class_names_are_found_beside_the_model() {
    let (manifest, ..) = explain("pytorch/model.onnx", "green", &["--target", "blue"]);
    assert_eq!(manifest["target"]["label"], "blue");
}

/// A free input size comes from the options, else it is guessed with a warning.
#[test]
fn a_free_size_is_found_or_guessed() {
    let explain = |options: &[&str]| explain("keras.onnx", "red", options);
    let (manifest, shape, _) = explain(&["--crop", "48,40"]);
    assert_eq!(shape, [48, 40, 3]);
    assert_eq!(manifest["image"]["preprocess_parts"]["size"]["source"], "the options");
    assert_eq!(explain(&["--input-shape", "33,44,3"]).1, [33, 44, 3]);
    let (manifest, _, stderr) = explain(&[]);
    assert_eq!(manifest["image"]["preprocess_parts"]["size"]["source"], "a guess");
    assert!(stderr.contains("size"), "{stderr}");
}
