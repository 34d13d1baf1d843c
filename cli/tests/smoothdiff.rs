//! SmoothDiff and its bias from the command line.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use attriburn_picture::npy;
use serde_json::Value;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

/// Explains a picture into the folder `out`.
fn explain(folder: &Path, methods: &str, options: &[&str]) -> Output {
    let (picture, model) = (data("pictures/rgb.png"), data("cam/resnet/model.onnx"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(["explain", &picture, "--model", &model, "--device", "cpu", "--samples", "6"]);
    command.args(["--preprocess", "imagenet", "--out", "out", "--method", methods]).args(options);
    command.current_dir(folder).stdin(Stdio::null()).output().expect("the program's output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn bias_is_the_difference_from_the_mean_of_the_same_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let methods = "smoothgrad,smoothdiff,a-smoothdiff";
    let summary = succeeded(&explain(folder.path(), methods, &["--standard-error"]));
    assert!(summary.contains("smoothdiff-bias the difference from smoothgrad"), "{summary}");
    // AdaptGrad, to which the other could be compared, was not asked for.
    assert!(summary.contains("with --method adaptgrad,a-smoothdiff, without"), "{summary}");
    let maps = folder.path().join("out/rgb");
    let map = |name: &str| npy::read(maps.join(name)).expect("a map").values;
    let (mean, smoothed, bias) =
        (map("smoothgrad.npy"), map("smoothdiff.npy"), map("smoothdiff-bias.npy"));
    for ((mean, smoothed), bias) in mean.iter().zip(&smoothed).zip(&bias) {
        assert_eq!(smoothed - mean, *bias);
    }
    assert!(bias.iter().any(|value| *value != 0.0));
    let errors = map("smoothdiff-bias.standard-error.npy");
    assert_eq!(errors, map("smoothgrad.standard-error.npy"));
    // A product of means has no standard error.
    assert!(!maps.join("smoothdiff.standard-error.npy").exists());
    for name in ["smoothdiff-bias.png", "smoothdiff-bias.overlay.png", "grid.png"] {
        assert!(maps.join(name).is_file(), "{name}");
    }
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).expect("a page");
    assert!(page.contains("smoothdiff-bias"));

    let manifest = std::fs::read_to_string(maps.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("valid JSON");
    let methods = manifest["methods"].as_array().expect("methods");
    let names: Vec<&str> = methods.iter().filter_map(|method| method["name"].as_str()).collect();
    assert_eq!(names, ["smoothgrad", "smoothdiff", "a-smoothdiff", "smoothdiff-bias"]);
    assert_eq!((&methods[3]["is_bias"], &methods[3]["gradients"]), (&true.into(), &0.into()));
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let note = methods[3]["notes"][0].as_str().expect("a note");
    let expected = format!("{:.2} of smoothgrad", norm(&bias) / norm(&mean));
    assert!(note.starts_with(&expected), "{note} for {expected}");
}

#[test]
fn finished_maps_with_a_bias_are_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = || succeeded(&explain(folder.path(), "smoothgrad,smoothdiff", &["--skip-existing"]));
    assert!(!run().contains("skipped"));
    let second = run();
    assert!(second.contains("skipped, maps exist"), "{second}");
}

#[test]
fn options_that_do_not_concern_it_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for option in [&["--estimate", "square"][..], &["--until", "0.5"], &["--certain"]] {
        let output = explain(folder.path(), "smoothdiff", option);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(&format!("{} is not used", option[0])), "{message}");
    }
}
