//! Invalid input: the error message names the cause and a remedy, and no files are left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

/// Creates a temporary output folder.
fn out() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn attriburn(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(args).output().expect("the program's output")
}

/// Runs `explain` on the CPU with a small model and few samples, unless `args` override these options.
fn explain(args: &[&str], out: &Path) -> Output {
    let (model, out) = (data("zoo/lenet/model.onnx"), out.display().to_string());
    let defaults = [("--device", "cpu"), ("--samples", "2"), ("--out", &out), ("--model", &model)];
    let mut all = vec!["explain"];
    for (option, value) in defaults.into_iter().filter(|(option, _)| !args.contains(option)) {
        // Some methods do not use --samples.
        if option != "--samples" || !args.contains(&"--method") {
            all.extend([option, value]);
        }
    }
    all.extend(args);
    attriburn(&all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns all files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn invalid_models_are_rejected() {
    let cases: [(&str, &[&str]); 20] = [
        ("missing", &["missing.onnx: the file cannot be read"]),
        ("empty", &["empty.onnx: the file is empty; export the model again"]),
        ("truncated", &["this is not an ONNX model, or the file is truncated"]),
        ("not-onnx", &["this is not an ONNX model"]),
        ("text", &["this is not an ONNX model"]),
        ("garbage", &["this is not an ONNX model"]),
        (
            "unsupported",
            &[
                "Det (node \"odd_det\")",
                "Unique (node \"odd_unique\")",
                "com.example::Mystery (node \"odd_mystery\")",
            ],
        ),
        ("if", &["If \"choice\": the condition depends on the values of the model's input"]),
        ("two-inputs", &["the model has 2 inputs, but exactly one can be explained: "]),
        (
            "int-input",
            &["Gather ", "int64 values that depend on the model's input are not supported"],
        ),
        ("no-output", &["the model has no output"]),
        ("two-outputs", &["the model has 2 outputs; name the one to explain: "]),
        ("nan-weights", &["weights are not finite numbers: ", "input 1"]),
        ("inf-weights", &["weights are not finite numbers: "]),
        ("external-missing", &["which is not there; keep it beside the model"]),
        ("external-outside", &["lies outside the model's folder"]),
        ("training-dropout", &["training_mode is on; export the model for inference"]),
        ("training-bn", &["training_mode=1 is not supported"]),
        ("dangling", &["which no node produces"]),
        ("constant-output", &["does not depend on its input"]),
    ];
    let mut failures = Vec::new();
    for (name, expected) in cases {
        let out = out();
        let model = data(&format!("bad/{name}.onnx"));
        let picture = data("pictures/rgb.png");
        let output = explain(&["--model", &model, &picture], out.path());
        let message = text(&output.stderr);
        let is_expected = expected.iter().all(|part| message.contains(part));
        if output.status.code() != Some(2) || !is_expected || message.contains("panicked") {
            failures
                .push(format!("{name}: exit code {:?}, stderr {message}", output.status.code()));
        }
        assert_eq!(files(out.path()), Vec::<PathBuf>::new(), "{name} left files");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A link to external weights must stay in the model's folder. If the model itself is a link, as in the cache
/// of the Hugging Face hub, the target's folder is allowed too.
#[cfg(unix)]
#[test]
fn links_to_weights_must_stay_in_the_model_folder() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = |path: &str| folder.path().join(path);
    let weights: Vec<u8> = [0.01f32; 108].iter().flat_map(|value| value.to_le_bytes()).collect();
    for name in ["inside", "blobs", "snapshot"] {
        std::fs::create_dir(in_folder(name)).expect("a folder");
    }
    let model = data("bad/external-missing.onnx");
    for path in ["inside/model.onnx", "blobs/model"] {
        std::fs::copy(&model, in_folder(path)).expect("a model");
    }
    std::fs::write(in_folder("outside.bin"), &weights).expect("weights");
    std::fs::write(in_folder("blobs/weights"), &weights).expect("weights");
    symlink(in_folder("outside.bin"), in_folder("inside/missing.bin")).expect("a link");
    symlink("../blobs/model", in_folder("snapshot/model.onnx")).expect("a link");
    symlink("../blobs/weights", in_folder("snapshot/missing.bin")).expect("a link");
    let explained = |path: &str| {
        let model = in_folder(path).display().to_string();
        explain(&["--model", &model, &data("pictures/rgb.png")], out().path())
    };
    let rejected = explained("inside/model.onnx");
    let message = text(&rejected.stderr);
    assert_eq!(rejected.status.code(), Some(2), "{message}");
    assert!(message.contains("a link that leads out of the model's folder"), "{message}");
    let accepted = explained("snapshot/model.onnx");
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));
}

#[test]
fn invalid_images_are_rejected() {
    let cases = [
        ("missing.png", "cannot read "),
        ("empty.png", "is not a picture that can be read: it is empty"),
        ("not-a-picture.png", "is not a picture that can be read"),
        ("truncated.jpg", "is a damaged "),
        ("truncated.png", "is a damaged "),
        ("one-pixel.png", "1x1"),
        ("wide.png", "20000x4"),
    ];
    for (name, expected) in cases {
        let out = out();
        let output = explain(&[&data(&format!("pictures/{name}"))], out.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        assert!(message.contains(expected) && message.contains(name), "{name}: {message}");
        assert_eq!(files(out.path()), Vec::<PathBuf>::new(), "{name} left files");
    }
}

#[test]
fn invalid_options_are_rejected() {
    let picture = data("pictures/rgb.png");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let transposed = folder.path().join("transposed.npy");
    let mut array = Vec::new();
    attriburn_picture::npy::write(&mut array, &[32, 32, 3], &[0.0; 32 * 32 * 3]).expect("an array");
    std::fs::write(&transposed, array).expect("a file");
    let transposed = transposed.display().to_string();
    let below_a_file = file.path().join("out").display().to_string();
    let cases: [(&[&str], &str); 34] = [
        (&["--samples", "0"], "samples is 0, but it must be at least 1"),
        (&["--method", "a-ig-black", "--steps", "0"], "steps is 0, but it must be at least 1"),
        (
            &["--method", "ig-zero", "--quadrature", "trapezoid", "--steps", "1", "--samples", "1"],
            "steps is 1, but it must be at least 2 for the trapezoid rule",
        ),
        (&["--method", "ig-file"], "the baseline of ig-file is missing; give its values"),
        (&["--method", "s-ig-file", "--baseline", "x.png"], "--baseline x.png: give a .npy file"),
        (
            &["--method", "adaptgrad,ig-file", "--baseline", &transposed],
            "--baseline holds an array of shape [32, 32, 3], but the model takes samples of shape [3, 32, 32]",
        ),
        (&["--steps", "9"], "--steps is not used by adaptgrad; leave it out"),
        (&["--alpha", "0.1"], "--alpha is not used by adaptgrad"),
        (&["--budget", "9"], "--budget is not used by adaptgrad"),
        (&["--freeze", "*"], "--freeze is not used by adaptgrad"),
        (&["--weight-alpha", "0.1"], "--weight-alpha is not used by adaptgrad"),
        (&["--until", "-1"], "until is -1, but it must be a positive number"),
        (&["--method", "gi,ig-zero", "--until", "0.1"], "--until is not used by gi, ig-zero"),
        (&["--method", "gradient", "--standard-error"], "--standard-error is not used by gradient"),
        (&["--method", "a-ng", "--budget", "0"], "budget is 0, but it must be at least 1"),
        (&["--method", "ng", "--weight-samples", "0"], "the number of parameter draws is 0"),
        (
            &["--method", "ng", "--weight-confidence", "1"],
            "confidence of the noise on the parameters is 1, but it must be",
        ),
        (
            &["--method", "ng", "--freeze", "g.*"],
            "the pattern \"g.*\" of frozen parameters matches none of the parameters f.0.weight",
        ),
        (&["--grid-scale", "shared"], "--grid-scale is not used: a single map has no grid"),
        (
            &["--grid-scale", "column"],
            "invalid value 'column' for '--grid-scale <NAME>'\n  [possible values: panel, row, shared]",
        ),
        (
            &["--method", "smoothgrad,clipgrad", "--width-rule", "paper"],
            "--width-rule is not used by smoothgrad, clipgrad",
        ),
        (&["--target", "99"], "the target 99 does not exist: the model has 10 classes, 0 to 9"),
        (&["--target", "cat"], "the class names are unknown; give them with --labels"),
        (&["--target", "top:0"], "write top:K with K at least 1"),
        (&["--method", "adaptgard"], "tip: a similar value exists: 'adaptgrad'"),
        (
            &["--kernel", "gauss"],
            "[possible values: gaussian, poisson, hyperbolic, sigmoid, rect, laplace]\n\n  tip: a similar value exists: 'gaussian'",
        ),
        (&["--confidence", "1"], "confidence is 1, but it must be between 0 and 1"),
        (&["--batch", "0"], "batch is 0, but it must be at least 1"),
        (&["--threads", "0"], "0 threads compute nothing; give 1 or more"),
        (&["--memory", "much"], "write a size such as 512M or 2G"),
        (&["--device", "gpu"], "there is no such device; the devices are auto, cpu, cuda"),
        (&["--domain", "1,0"], "write the minimum and the maximum, such as 0,1"),
        (&["--preprocess", "caffe"], "choose one of imagenet, inception, clip"),
        (&["--out", &below_a_file], "cannot be written"),
    ];
    for (args, expected) in cases {
        let folder = out();
        let output = explain(&[&[picture.as_str()], args].concat(), folder.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "{args:?} left files");
    }
}

#[test]
fn the_number_of_labels_must_match_the_classes() {
    let out = out();
    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/imagenet-labels.txt");
    let args = ["--labels", &labels.display().to_string(), &data("pictures/rgb.png")];
    let output = explain(&args, out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("there are 1000 labels, but the model has 10 classes"));
}

#[test]
fn a_final_softmax_is_removed_with_a_warning() {
    let out = out();
    let model = data("bad/softmax-end.onnx");
    let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("the model ends in a softmax; the logits before it are explained"));
}

#[test]
fn other_float_types_are_computed_in_float32_with_a_warning() {
    for name in ["float16", "double"] {
        let (out, model) = (out(), data(&format!("bad/{name}.onnx")));
        let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {message}");
        let warning = format!("the model is stored in {name} and computed in float32");
        assert!(message.contains(&warning), "{message}");
        let manifest = std::fs::read_to_string(out.path().join("rgb/manifest.json"));
        let manifest = manifest.expect("the manifest");
        assert!(manifest.contains(&format!("\"stored_in\": [\n      \"{name}\"")), "{manifest}");
        let inspected = text(&attriburn(&["inspect", &model]).stdout);
        assert!(inspected.contains(&format!("precision  stored in {name}")), "{inspected}");
    }
}

#[test]
fn an_oversized_sample_is_rejected() {
    let out = out();
    let output = explain(&["--input-shape", "3,1000000,1000000"], out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("has no elements, or more than "), "{message}");
}

#[test]
fn an_unknown_label_suggests_similar_labels() {
    let output = attriburn(&["explain", "--device", "cpu", "--target", "egyptain cat"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.contains("there is no label \"egyptain cat\"; similar labels: \"Egyptian cat\"")
    );
}

#[test]
fn an_invalid_image_does_not_affect_the_others() {
    let out = out();
    let names = ["rgb.png", "truncated.jpg", "rgb.bmp"];
    let pictures = names.map(|name| data(&format!("pictures/{name}")));
    let args: Vec<&str> = pictures.iter().map(String::as_str).collect();
    let output = explain(&args, out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("truncated.jpg") && message.contains("1 of 3 inputs failed"),
        "{message}"
    );
    for folder in ["rgb", "rgb-2"] {
        for file in ["adaptgrad.npy", "adaptgrad.png", "adaptgrad.overlay.png", "manifest.json"] {
            assert!(out.path().join(folder).join(file).is_file(), "{folder}/{file}");
        }
    }
    assert!(!out.path().join("truncated").exists());
}

#[test]
fn a_fixed_batch_size_of_one_runs_sample_by_sample_with_a_warning() {
    for name in ["batch1", "batch1-reshape"] {
        let out = out();
        let model = data(&format!("bad/{name}.onnx"));
        let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{message}");
        assert!(message.contains("warning: "), "{message}");
        assert!(message.contains("the model fixes its batch size to 1"), "{message}");
        let manifest =
            std::fs::read_to_string(out.path().join("rgb/manifest.json")).expect("a manifest");
        assert!(manifest.contains("\"batch\": 1"), "{manifest}");
    }
}
