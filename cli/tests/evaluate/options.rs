//! Checks of the options.

use std::path::Path;

use super::{data, run, text};

#[test]
fn invalid_options_are_rejected_before_any_output() {
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let copy = Path::new(&picture).with_file_name("../pictures/rgb.png").display().to_string();
    let twins = tempfile::tempdir().expect("a folder");
    let twin = twins.path().join("rgb.jpg").display().to_string();
    std::fs::copy(&picture, &twin).expect("a picture");
    let folder_of_pictures = data("pictures");
    std::fs::write(twins.path().join("rgb.xml"), "<annotation/>").expect("boxes");
    let annotations = twins.path().display().to_string();
    let cases: [(&[&str], &str); 29] = [
        (&["sparsness"], "tip: a similar value exists: 'sparseness'"),
        (&[], "describes: sparseness, insertion"),
        (&["consistency"], "the metric consistency needs --shuffled-model"),
        (&["invariance"], "the metric invariance needs --shifted-model and --shift"),
        (&["sparseness", "--repeats", "0"], "repeats is 0, but it must be at least 1"),
        (&["sparseness", "--target", "top:2"], "the metrics are defined for one class per image"),
        (&["deletion", "--fill", "grey"], "[possible values: zero, black, mean, blur]"),
        (&["sparseness", "--fill", "mean"], "--fill is not used by these metrics and methods"),
        (&["sparseness", "--limit", "0"], "there is no image to measure"),
        (&["sparseness", "--methods", "gradient", "--repeats", "2"], "--repeats is not used"),
        (&["sparseness", "--images", &picture], "rgb.png is given twice"),
        (&["sparseness", "--alpha", "0.1"], "--alpha is not used by adaptgrad"),
        (&["pointing-game"], "the metric pointing-game needs --boxes"),
        (&["stability"], "the metric stability needs --other-model"),
        (&["sparseness", "--boxes", &picture], "--boxes is not used by these metrics"),
        (&["pointing-game", "--boxes", &picture], "rgb.png: CSV parse error"),
        (
            &["sparseness", "--sweep", "alpha=0.1"],
            "--sweep alpha: none of the methods uses this setting",
        ),
        (&["sparseness", "--sweep", "seed=1"], "\"seed\" cannot be swept"),
        (
            &["sparseness", "--confidence", "0.9", "--sweep", "confidence=0.8"],
            "--sweep confidence: confidence is given twice",
        ),
        (&["sparseness", "--images", &copy], "rgb.png is given twice"),
        (
            &[
                "sparseness",
                "--methods",
                "ng",
                "--weight-sigma",
                "0.1",
                "--sweep",
                "weight-alpha=0.1",
            ],
            "--weight-sigma is not used by ng weight-alpha=0.1",
        ),
        (
            &[
                "sparseness",
                "--methods",
                "ng",
                "--weight-confidence",
                "0.9",
                "--sweep",
                "weight-sigma=1",
            ],
            "--weight-confidence is not used by ng weight-sigma=1",
        ),
        (
            &["pointing-game", "--boxes", &annotations, "--images", &twin],
            "would have the same boxes",
        ),
        (&["pointing-game", "--boxes", &folder_of_pictures], "the folder contains no .xml file"),
        (&["sparseness", "--all-boxes"], "--all-boxes is not used by these metrics"),
        (&["sparseness", "--sweep", "confidence=0.9,0.90"], "0.9 and 0.90 are the same"),
        (
            &["invariance", "--shifted-model", &model, "--shift", "NaN"],
            "--shift is NaN, but it must be finite",
        ),
        (&["cascade", "--stages", "0"], "stages is 0, but it must be at least 1"),
        (
            &["sic", "--min-probability", "1.5"],
            "min-probability is 1.5, but it must be from 0 to 1",
        ),
    ];
    for (args, expected) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out").display().to_string();
        let rest = ["--model", &model, "--device", "cpu", "--images", &picture, "--out", &out];
        let output = run(&[&["evaluate"], args, &rest].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
        assert!(!folder.path().join("out").exists(), "{args:?} left files");
    }
}
