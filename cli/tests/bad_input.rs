//! Bad input is a clear error, says what would mend it, and loses nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

/// A folder of its own for each test's maps.
fn out() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn attriburn(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(args).output().expect("the program's output")
}

/// Explains on the CPU with the small model and few samples, unless `args` say otherwise.
fn explain(args: &[&str], out: &Path) -> Output {
    let (model, out) = (data("zoo/lenet/model.onnx"), out.display().to_string());
    let defaults = [("--device", "cpu"), ("--samples", "2"), ("--out", &out), ("--model", &model)];
    let mut all = vec!["explain"];
    for (option, value) in defaults.into_iter().filter(|(option, _)| !args.contains(option)) {
        // Not every method takes samples.
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

/// Files below `folder`.
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
fn models_that_cannot_be_explained() {
    let cases: [(&str, &[&str]); 20] = [
        ("missing", &["missing.onnx: the file cannot be read"]),
        ("empty", &["empty.onnx: the file is empty; export the model again"]),
        ("truncated", &["this is not an ONNX model, or it is cut short"]),
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
        ("if", &["If \"choice\": its condition depends on the values of the input"]),
        ("two-inputs", &["the model has 2 inputs, but one is explained: "]),
        ("int-input", &["Gather ", "its int64 depend on the values of the input"]),
        ("no-output", &["the model has no output"]),
        (
            "two-outputs",
            &["the model has 2 outputs; name the one to explain with --model-output: "],
        ),
        ("nan-weights", &["weights are not finite numbers: ", "input 1"]),
        ("inf-weights", &["weights are not finite numbers: "]),
        ("external-missing", &["which is not there; keep it beside the model"]),
        ("external-outside", &["lies outside the model's folder"]),
        ("training-dropout", &["training_mode is on; export the model for inference"]),
        ("training-bn", &["training_mode=1 is not supported"]),
        ("dangling", &["which no node produces"]),
        ("constant-output", &["does not depend on its input"]),
    ];
    let mut complaints = Vec::new();
    for (name, expected) in cases {
        let out = out();
        let model = data(&format!("bad/{name}.onnx"));
        let picture = data("pictures/rgb.png");
        let output = explain(&["--model", &model, &picture], out.path());
        let message = text(&output.stderr);
        let said = expected.iter().all(|part| message.contains(part));
        if output.status.code() != Some(2) || !said || message.contains("panicked") {
            complaints
                .push(format!("{name}: exit code {:?}, said {message}", output.status.code()));
        }
        assert_eq!(files(out.path()), Vec::<PathBuf>::new(), "{name} left files");
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Links to weights must stay in the model's folder, or in the folder to which a link to the model leads, as
/// in the cache of Hugging Face's hub.
#[cfg(unix)]
#[test]
fn weights_behind_links() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| folder.path().join(path);
    let weights: Vec<u8> = [0.01f32; 108].iter().flat_map(|value| value.to_le_bytes()).collect();
    for name in ["inside", "blobs", "snapshot"] {
        std::fs::create_dir(at(name)).expect("a folder");
    }
    let model = data("bad/external-missing.onnx");
    for path in ["inside/model.onnx", "blobs/model"] {
        std::fs::copy(&model, at(path)).expect("a model");
    }
    std::fs::write(at("outside.bin"), &weights).expect("weights");
    std::fs::write(at("blobs/weights"), &weights).expect("weights");
    symlink(at("outside.bin"), at("inside/missing.bin")).expect("a link");
    symlink("../blobs/model", at("snapshot/model.onnx")).expect("a link");
    symlink("../blobs/weights", at("snapshot/missing.bin")).expect("a link");
    let explained = |path: &str| {
        let model = at(path).display().to_string();
        explain(&["--model", &model, &data("pictures/rgb.png")], out().path())
    };
    let refused = explained("inside/model.onnx");
    let message = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("a link that leads out of the model's folder"), "{message}");
    let taken = explained("snapshot/model.onnx");
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
}

#[test]
fn pictures_that_cannot_be_explained() {
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
fn settings_that_cannot_be_honoured() {
    let picture = data("pictures/rgb.png");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let transposed = folder.path().join("transposed.npy");
    let mut array = Vec::new();
    attriburn::npy::write(&mut array, &[32, 32, 3], &[0.0; 32 * 32 * 3]).expect("an array");
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
            "--baseline holds an array of [32, 32, 3], but the model takes samples of [3, 32, 32]",
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
        (&["--method", "ng", "--weight-samples", "0"], "weight-samples is 0"),
        (&["--method", "ng", "--weight-confidence", "1"], "weight-confidence is 1, but it must be"),
        (
            &["--method", "ng", "--freeze", "g.*"],
            "the pattern \"g.*\" of frozen parameters matches none of the parameters f.0.weight",
        ),
        (&["--grid-scale", "shared"], "--grid-scale is not used: one map makes no grid"),
        (
            &["--grid-scale", "column"],
            "invalid value 'column' for '--grid-scale <NAME>'\n  [possible values: panel, row, shared]",
        ),
        (
            &["--method", "smoothgrad,clipgrad", "--width-rule", "paper"],
            "--width-rule is not used by smoothgrad, clipgrad",
        ),
        (&["--target", "99"], "the target 99 does not exist: the model has 10 classes, 0 to 9"),
        (&["--target", "cat"], "the classes' names are not known; give them with --labels"),
        (&["--target", "top:0"], "write top:K with K at least 1"),
        (&["--method", "adaptgard"], "tip: a similar value exists: 'adaptgrad'"),
        (
            &["--kernel", "gauss"],
            "[possible values: gaussian, poisson, hyperbolic, sigmoid, rect]\n\n  tip: a similar value exists: 'gaussian'",
        ),
        (&["--confidence", "1"], "confidence is 1, but it must be between 0 and 1"),
        (&["--batch", "0"], "batch is 0, but it must be at least 1"),
        (&["--threads", "0"], "0 threads compute nothing; give 1 or more"),
        (&["--memory", "much"], "write a size such as 512M or 2G"),
        (&["--device", "gpu"], "there is no such device; the devices are auto, cpu, cuda"),
        (&["--domain", "1,0"], "write the least and the greatest value, such as 0,1"),
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
fn labels_must_match_the_classes() {
    let out = out();
    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/imagenet-labels.txt");
    let args = ["--labels", &labels.display().to_string(), &data("pictures/rgb.png")];
    let output = explain(&args, out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("there are 1000 labels, one per line, but the model has 10 classes"));
}

#[test]
fn a_model_that_ends_in_a_softmax_is_explained_at_its_logits() {
    let out = out();
    let model = data("bad/softmax-end.onnx");
    let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("the model ends in a softmax; its input, the logits, is explained"));
}

#[test]
fn floats_of_other_widths_are_computed_in_float32_which_is_said() {
    for name in ["float16", "double"] {
        let (out, model) = (out(), data(&format!("bad/{name}.onnx")));
        let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {message}");
        let said = format!("the model is stored in {name} and computed in float32");
        assert!(message.contains(&said), "{message}");
        let manifest = std::fs::read_to_string(out.path().join("rgb/manifest.json"));
        let manifest = manifest.expect("the manifest");
        assert!(manifest.contains(&format!("\"stored_in\": [\n      \"{name}\"")), "{manifest}");
        let inspected = text(&attriburn(&["inspect", &model]).stdout);
        assert!(inspected.contains(&format!("precision  stored in {name}")), "{inspected}");
    }
}

#[test]
fn a_sample_of_absurd_size_is_refused() {
    let out = out();
    let output = explain(&["--input-shape", "3,1000000,1000000"], out.path());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("has no values, or more than "), "{message}");
}

#[test]
fn a_label_that_does_not_exist_suggests_near_ones() {
    let output = attriburn(&["explain", "--device", "cpu", "--target", "egyptain cat"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("there is no label \"egyptain cat\"; near ones are \"Egyptian cat\""));
}

#[test]
fn one_bad_picture_among_many_is_reported_and_the_others_are_explained() {
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
fn a_batch_fixed_to_one_is_run_sample_by_sample_with_a_warning() {
    for name in ["batch1", "batch1-reshape"] {
        let out = out();
        let model = data(&format!("bad/{name}.onnx"));
        let output = explain(&["--model", &model, &data("pictures/rgb.png")], out.path());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{message}");
        assert!(message.contains("warning: "), "{message}");
        assert!(message.contains("the model fixes its batch to 1"), "{message}");
        let manifest = std::fs::read_to_string(out.path().join("rgb/manifest.json")).expect("one");
        assert!(manifest.contains("\"batch\": 1"), "{manifest}");
    }
}
