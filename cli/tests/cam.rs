//! Class activation maps from the command line.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use attriburn_picture::npy;
use serde_json::Value;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

fn run(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.output().expect("the program's output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("valid JSON")
}

const METHODS: &str = "gradient,grad-cam,smooth-grad-cam++";

#[test]
fn maps_have_one_channel_and_name_their_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (picture, model) = (data("pictures/rgb.png"), data("cam/resnet/model.onnx"));
    let explain = ["explain", &picture, "--model", &model, "--device", "cpu", "--samples", "3"];
    let options = ["--method", METHODS, "--preprocess", "imagenet", "--standard-error"];
    let output = run(&[&explain[..], &options].concat(), folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let maps = folder.path().join("attriburn-out/rgb");
    let shape = |name: &str| npy::read(maps.join(name)).expect("a map").shape;
    assert_eq!(shape("gradient.npy"), [3, 32, 32]);
    for name in ["grad-cam.npy", "smooth-grad-cam++.npy", "smooth-grad-cam++.standard-error.npy"] {
        assert_eq!(shape(name), [1, 32, 32], "{name}");
    }
    for name in ["grad-cam.png", "smooth-grad-cam++.overlay.png", "grid.png"] {
        assert!(maps.join(name).is_file(), "{name}");
    }
    let manifest = json(&maps.join("manifest.json"));
    let layer = std::fs::read_to_string(data("cam/resnet/layer.txt")).expect("a name");
    let methods = &manifest["methods"];
    assert!(methods[0]["layer"].is_null() && methods[0]["plan"]["cam"].is_null());
    for method in 1..3 {
        assert_eq!(methods[method]["layer"], layer.trim());
    }
    let plan: attriburn::Plan = serde_json::from_value(methods[2]["plan"].clone()).expect("a plan");
    assert_eq!(plan.cam.map(|cam| cam.rule), Some(attriburn::CamRule::GradCamPlusPlus));

    // The layer by name, which the manifest repeats.
    let named = ["--method", "layer-cam", "--layer", "relu_2", "--preprocess", "imagenet"];
    let output = run(&[&explain[..4], &named, &["--out", "named"]].concat(), folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let named = folder.path().join("named/rgb/manifest.json");
    let like = ["explain", "--like", &named.display().to_string(), "--out", "again"];
    assert_eq!(run(&like, folder.path()).status.code(), Some(0));
    let again = json(&folder.path().join("again/rgb/manifest.json"));
    assert_eq!(again["methods"][0]["layer"], "relu_2");
    let map = |out: &str| npy::read(folder.path().join(out).join("rgb/layer-cam.npy"));
    assert_eq!(map("named").expect("a map").values, map("again").expect("a map").values);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (picture, model) = (data("pictures/rgb.png"), data("cam/resnet/model.onnx"));
    let refused = |options: &[&str]| {
        let output = run(&[&["explain", &picture][..], options].concat(), folder.path());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        text(&output.stderr)
    };
    let message = refused(&[
        "--model",
        &model,
        "--method",
        "grad-cam",
        "--layer",
        "Relu_5",
        "--samples",
        "2",
    ]);
    assert!(message.contains("--samples is not used by grad-cam"), "{message}");
    let message = refused(&["--model", &model, "--method", "grad-cam", "--layer", "Relu_5"]);
    assert!(message.contains("no layer \"Relu_5\"") && message.contains("\"relu_5\""), "{message}");
    let message = refused(&["--model", &model, "--method", "gradient", "--layer", "relu_5"]);
    assert!(message.contains("--layer is not used by gradient"), "{message}");
    let flat = data("zoo/mlp/model.onnx");
    let message = refused(&["--model", &flat, "--method", "grad-cam"]);
    assert!(message.contains("no layer whose elements have positions"), "{message}");
}

#[test]
fn inspect_lists_layers_and_marks_the_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = data("cam/vit/model.onnx");
    let output = run(&["inspect", &model], folder.path());
    let layer = std::fs::read_to_string(data("cam/vit/layer.txt")).expect("a name");
    let line = format!("  {} [32, 4, 4]  (default)", layer.trim());
    assert!(text(&output.stdout).contains(&line), "{}", text(&output.stdout));
    let output = run(&["inspect", "--json", &model], folder.path());
    let inspected: Value = serde_json::from_str(&text(&output.stdout)).expect("valid JSON");
    assert_eq!(inspected["layer"], layer.trim());
    assert!(inspected["layers"].as_array().is_some_and(|layers| layers.len() > 3));
}

#[test]
fn metrics_are_measured_on_class_activation_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let (picture, model) = (data("pictures/rgb.png"), data("cam/resnet/model.onnx"));
    let metrics =
        "sparseness,insertion,deletion,adversarial-pixels,random-logit,cascade,error,fidelity";
    let evaluate = ["evaluate", metrics, "--methods", "s-layer-cam", "--images", &picture];
    let settings = ["--model", &model, "--device", "cpu", "--samples", "3", "--out", "results"];
    let output =
        run(&[&evaluate[..], &settings, &["--preprocess", "imagenet"]].concat(), folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = std::fs::read_to_string(folder.path().join("results/results.jsonl"));
    let lines = lines.expect("the results");
    let records: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records.len(), 8);
    for record in records {
        match record["metric"].as_str() {
            // The class of this image is not probable enough.
            Some("adversarial-pixels") => {}
            Some("fidelity") => {
                assert_eq!(record["not_applicable"], true);
                assert!(record["reason"].to_string().contains("not a noisy form"), "{record}");
            }
            _ => assert!(record["value"].is_number(), "{record}"),
        }
    }
}
