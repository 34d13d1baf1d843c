//! `explain`, `inspect` and `devices` end to end, as a new user runs them.

use std::path::Path;
use std::process::Command;

use attriburn_picture::npy;
use serde_json::Value;

fn attriburn(args: &[&str], folder: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    let output = command.args(args).current_dir(folder).output().expect("its output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("a code"), text(&output.stdout), text(&output.stderr))
}

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

fn manifest(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a manifest");
    serde_json::from_str(&text).expect("valid JSON")
}

/// Without arguments, the built-in image is explained and the paths of the files are printed.
#[test]
fn without_arguments_the_built_in_image_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stdout, stderr) = attriburn(&[], folder.path());
    assert_eq!(code, 0, "{stderr}");
    let maps = folder.path().join("attriburn-out/chelsea");
    for file in ["adaptgrad.npy", "adaptgrad.png", "adaptgrad.overlay.png", "manifest.json"] {
        assert!(maps.join(file).is_file(), "{file}");
        assert!(stdout.contains(&format!("attriburn-out/chelsea/{file}")), "{stdout}");
    }
    let manifest = manifest(&maps.join("manifest.json"));
    assert_eq!(manifest["schema_version"], 3);
    assert_eq!(manifest["target"]["label"], "Egyptian cat");
    assert_eq!(manifest["methods"][0]["name"], "adaptgrad");
    assert_eq!(manifest["methods"][0]["samples"], 50);
    assert_eq!(manifest["methods"][0]["left_out"], 0);
    // The reference logit includes the preprocessing of the image.
    let logits = npy::read(Path::new(&data("efficientnet-lite0/logits.npy"))).expect("logits");
    let expected = f64::from(logits.values[285]);
    let logit = manifest["target"]["logit"].as_f64().expect("a logit");
    assert!((logit - expected).abs() <= 0.05, "{logit} for {expected}");
    let map = npy::read(maps.join("adaptgrad.npy")).expect("a map");
    assert_eq!(map.shape, [3, 224, 224]);
    assert!(map.values.iter().any(|value| *value != 0.0));
}

#[test]
fn several_methods_and_classes_print_manifests() {
    let folder = tempfile::tempdir().expect("a folder");
    let methods = "gradient,smoothgrad,adaptgrad,clipgrad,gi,s-gi,a-gi,ig-blur,a-ig-white";
    let model = data("zoo/lenet/model.onnx");
    let picture = data("pictures/rgb.png");
    let args = [
        "explain",
        &picture,
        "--model",
        &model,
        "--method",
        methods,
        "--target",
        "top:2",
        "--samples",
        "3",
        "--steps",
        "4",
        "--device",
        "cpu",
        "--json",
    ];
    let (code, stdout, stderr) = attriburn(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    let mut printed = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
    for _ in 0..2 {
        let manifest = printed.next().expect("a manifest").expect("valid JSON");
        let names: Vec<_> =
            manifest["methods"].as_array().expect("methods").iter().map(|m| &m["name"]).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(names[8], "a-ig-white");
        assert_eq!(manifest["methods"][8]["gradients"], 3 * 4);
        assert!(manifest["methods"][8]["completeness_gap"].is_number());
    }
    assert!(printed.next().is_none());
}

/// An array of the model's input shape is used without preprocessing, so the gradient equals the reference.
#[test]
fn arrays_are_used_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let reference = npy::read(Path::new(&data("zoo/lenet/input.npy"))).expect("the input");
    let features = reference.values.len() / 2;
    let mut bytes = Vec::new();
    npy::write(&mut bytes, &reference.shape[1..], &reference.values[..features]).expect("an array");
    std::fs::write(folder.path().join("row.npy"), bytes).expect("a file");
    let model = data("zoo/lenet/model.onnx");
    let args = ["explain", "row.npy", "--model", &model, "--method", "gradient", "--device", "cpu"];
    let (code, _, stderr) = attriburn(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    let map = npy::read(folder.path().join("attriburn-out/row/gradient.npy")).expect("a map");
    let expected = npy::read(Path::new(&data("zoo/lenet/gradient.npy"))).expect("the gradient");
    let error: f32 = map
        .values
        .iter()
        .zip(&expected.values[..features])
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let largest = expected.values.iter().map(|v| v.abs()).fold(0.0, f32::max);
    assert!(error <= 1e-4 * largest, "{error}");
    assert!(!folder.path().join("attriburn-out/row/gradient.overlay.png").exists());
}

#[test]
fn every_image_format_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = [
        "rgb.png",
        "grey.png",
        "grey16.png",
        "alpha.png",
        "palette.png",
        "rgb.jpg",
        "cmyk.jpg",
        "rgb.webp",
        "lossless.webp",
        "rgb.bmp",
        "animated.gif",
        "rgb.tiff",
        "rgb-exif6.jpg",
    ];
    let pictures = names.map(|name| data(&format!("pictures/{name}")));
    let model = data("zoo/lenet/model.onnx");
    let mut args = vec!["explain", "--model", &model, "--samples", "2", "--device", "cpu"];
    args.extend(pictures.iter().map(String::as_str));
    let (code, stdout, stderr) = attriburn(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.matches("manifest ").count(), names.len(), "{stdout}");
}

/// Noise on the parameters, standard errors, several targets, and the grid of all maps.
#[test]
fn several_methods_and_targets_make_a_grid() {
    let folder = tempfile::tempdir().expect("a folder");
    let (picture, model) = (data("pictures/rgb.png"), data("zoo/lenet/model.onnx"));
    let mut args = vec!["explain", &picture, "--model", &model, "--device", "cpu"];
    args.extend([
        "--method",
        "gradient,adaptgrad,ng,a-ng",
        "--samples",
        "3",
        "--weight-samples",
        "4",
    ]);
    args.extend([
        "--freeze",
        "f.1*",
        "--budget",
        "8",
        "--target",
        "top:2,3",
        "--target",
        "predicted",
    ]);
    args.extend(["--standard-error", "--grid-scale", "panel"]);
    let (code, stdout, stderr) = attriburn(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    let maps = folder.path().join("attriburn-out/rgb");
    assert!(maps.join("grid.png").is_file(), "{stdout}");
    let folders: Vec<_> = std::fs::read_dir(&maps)
        .expect("the maps")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(
        (2..=3).contains(&folders.len()),
        "expected the classes of top:2 and class 3, without duplicates"
    );
    for folder in folders {
        for file in [
            "ng.npy",
            "ng.standard-error.npy",
            "a-ng.png",
            "adaptgrad.standard-error.npy",
            "gradient.npy",
        ] {
            assert!(folder.join(file).is_file(), "{file} in {}", folder.display());
        }
        assert!(!folder.join("gradient.standard-error.npy").exists());
        let manifest = manifest(&folder.join("manifest.json"));
        let (ng, nested) = (&manifest["methods"][2], &manifest["methods"][3]);
        assert_eq!((&ng["gradients"], &nested["gradients"]), (&4.into(), &8.into()));
        assert_eq!(ng["plan"]["weights"]["freeze"][0], "f.1*");
        assert_eq!(nested["plan"]["budget"], 8);
        assert!(nested["relative_standard_error"].is_number());
        let notes = nested["notes"].as_array().expect("notes");
        let is_budget = |note: &Value| {
            note.as_str().is_some_and(|note| note.contains("4 draws of the parameters x 2 samples"))
        };
        assert!(notes.iter().any(is_budget), "{notes:?}");
    }
}

/// The maps of a folder, whose images share batches, equal the maps of each image alone.
#[test]
fn shared_batches_do_not_change_the_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    for name in ["rgb.png", "grey.png", "alpha.png", "truncated.png", "palette.png"] {
        std::fs::copy(data(&format!("pictures/{name}")), pictures.join(name)).expect("a picture");
    }
    let model = data("zoo/lenet/model.onnx");
    let explain = |inputs: &str, out: &str| {
        let args = ["explain", inputs, "--model", &model, "--device", "cpu", "--out", out];
        let more = ["--method", "gradient,adaptgrad", "--samples", "5"];
        attriburn(&[&args[..], &more].concat(), folder.path())
    };
    let (code, _, stderr) = explain("pictures", "together");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("truncated.png"), "{stderr}");
    for name in ["rgb", "grey", "alpha", "palette"] {
        let (code, _, stderr) = explain(&format!("pictures/{name}.png"), "alone");
        assert_eq!(code, 0, "{stderr}");
        for method in ["gradient", "adaptgrad"] {
            let read = |out: &str| {
                let path = folder.path().join(out).join(name).join(format!("{method}.npy"));
                npy::read(&path).expect("a map").values
            };
            let (together, alone) = (read("together"), read("alone"));
            let largest = alone.iter().map(|v| v.abs()).fold(0.0, f32::max);
            let differs = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * largest;
            assert!(!together.iter().zip(&alone).any(differs), "{method} of {name}");
        }
    }
}

/// With `--picture-shape`, a model of flat samples explains images.
#[test]
fn picture_shape_makes_images_of_flat_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let (picture, model) = (data("pictures/grey.png"), data("shapes/vector/model.onnx"));
    let explain = |more: &[&str]| {
        let args = ["explain", &picture, "--model", &model, "--device", "cpu", "--samples", "2"];
        attriburn(&[&args[..], more].concat(), folder.path())
    };
    let (code, stdout, stderr) = explain(&["--picture-shape", "1,2,4"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("adaptgrad.overlay.png"), "{stdout}");
    let map = npy::read(folder.path().join("attriburn-out/grey/adaptgrad.npy")).expect("a map");
    assert_eq!(map.shape, [8]);
    let (code, _, stderr) = explain(&["--picture-shape", "1,3,3"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--picture-shape [1, 3, 3] does not fit"), "{stderr}");
    let (code, _, stderr) = explain(&["--domain", "0,1"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--picture-shape"), "{stderr}");
}

#[test]
fn inspect_and_devices_print_summaries() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stdout, _) = attriburn(&["inspect", &data("zoo/lenet/model.onnx")], folder.path());
    assert_eq!(code, 0);
    for part in
        ["input      input float[N, 3, 32, 32]", "2  Conv", "can be explained: yes, 10 classes"]
    {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let lenet = data("zoo/lenet/model.onnx");
    let (code, stdout, _) = attriburn(&["inspect", "--parameters", &lenet], folder.path());
    assert!(code == 0 && stdout.contains("f.3.weight [16, 6, 5, 5]"), "{stdout}");
    let (code, stdout, stderr) =
        attriburn(&["inspect", &data("bad/unsupported.onnx")], folder.path());
    assert_eq!(code, 2);
    assert!(stdout.contains("Det  (not supported: node \"odd_det\")"), "{stdout}");
    assert!(stderr.contains("operators are not supported"), "{stderr}");
    let (code, stdout, _) = attriburn(&["devices"], folder.path());
    assert_eq!(code, 0);
    assert!(stdout.contains("cpu") && stdout.contains("auto means "), "{stdout}");
}

/// An NHWC model, with float or byte input, predicts the class of the same model in NCHW. Its map is the
/// transposed map.
#[test]
fn nhwc_models_give_transposed_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = data("pictures/rgb.png");
    let explain = |model: &str, out: &str, options: &[&str]| {
        let model = data(model);
        let common = ["explain", &picture, "--model", &model, "--device", "cpu", "--out", out];
        let plan = ["--samples", "4", "--resize-mode", "squash"];
        let (code, _, stderr) = attriburn(&[&common[..], &plan, options].concat(), folder.path());
        assert_eq!(code, 0, "{stderr}");
        let maps = folder.path().join(out).join("rgb");
        let map = npy::read(maps.join("adaptgrad.npy")).expect("a map");
        (map, manifest(&maps.join("manifest.json")), stderr)
    };
    let imagenet = ["--preprocess", "imagenet"];
    let (first, first_manifest, _) = explain("zoo/resnet-tiny/model.onnx", "first", &imagenet);
    let (last, last_manifest, _) = explain("layouts/nhwc.onnx", "last", &imagenet);
    assert_eq!((&first.shape[..], &last.shape[..]), (&[3, 63, 65][..], &[63, 65, 3][..]));
    assert_eq!(first_manifest["target"], last_manifest["target"]);
    assert_eq!(first_manifest["domain"], last_manifest["domain"]);
    let transposed = |i: usize| last.values[i % (63 * 65) * 3 + i / (63 * 65)];
    let (mut difference, mut size) = (0.0, 0.0);
    for (i, value) in first.values.iter().enumerate() {
        difference += f64::from(value - transposed(i)).powi(2);
        size += f64::from(*value).powi(2);
    }
    assert!(difference <= 1e-10 * size, "{difference} of {size}");
    assert!(folder.path().join("last/rgb/adaptgrad.overlay.png").is_file());

    // The gradient is with respect to bytes, so it is smaller.
    let (bytes, manifest, stderr) = explain("layouts/nhwc-uint8.onnx", "bytes", &[]);
    assert_eq!(bytes.shape, [63, 65, 3]);
    assert_eq!(manifest["domain"]["upper"][0], 255.0);
    assert_eq!(manifest["target"]["index"], first_manifest["target"]["index"]);
    assert_eq!(
        manifest["image"]["preprocess_parts"]["scale"]["source"],
        "the model's integer input"
    );
    assert!(stderr.contains("guessed"), "{stderr}");

    // The shape of an array is that of the model file.
    std::fs::copy(folder.path().join("last/rgb/adaptgrad.npy"), folder.path().join("rows.npy"))
        .expect("a file");
    let model = data("layouts/nhwc.onnx");
    let args = ["explain", "rows.npy", "--model", &model, "--device", "cpu", "--domain", "-1,1"];
    let (code, _, stderr) = attriburn(&[&args[..], &["--samples", "2"]].concat(), folder.path());
    assert_eq!(code, 0, "{stderr}");
    let map = folder.path().join("attriburn-out/rows/adaptgrad.npy");
    assert_eq!(npy::read(&map).expect("a map").shape, [63, 65, 3]);
}

/// A guessed preprocessing is reported by one warning. The manifest has the source of each part.
#[test]
fn a_guessed_preprocessing_gives_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model.onnx");
    std::fs::copy(data("zoo/lenet/model.onnx"), &model).expect("a model");
    let (model, picture) = (model.display().to_string(), data("pictures/rgb.png"));
    let explain = |options: &[&str]| {
        let common = ["explain", &picture, &picture, "--model", &model, "--samples", "2"];
        let (code, _, stderr) = attriburn(&[&common[..], options].concat(), folder.path());
        assert_eq!(code, 0, "{stderr}");
        (manifest(&folder.path().join("attriburn-out/rgb/manifest.json")), stderr)
    };
    let (guessed, stderr) = explain(&[]);
    assert_eq!(stderr.matches("guessed").count(), 1, "{stderr}");
    assert_eq!(guessed["image"]["preprocess_parts"]["mean"]["source"], "a guess");
    let config = r#"{"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), config).expect("a file");
    let (found, stderr) = explain(&[]);
    assert!(!stderr.contains("guessed"), "{stderr}");
    assert_eq!(found["domain"]["upper"][0], 2.0);
    let source = found["image"]["preprocess_parts"]["mean"]["source"].as_str().expect("a source");
    assert!(source.ends_with("preprocessor_config.json"), "{source}");
    let (set, _) = explain(&["--mean", "0.5", "--std", "0.5", "--interpolation", "lanczos"]);
    assert_eq!(set["domain"]["upper"][0], 1.0);
    assert_eq!(set["image"]["preprocess_parts"]["interpolation"]["source"], "--interpolation");
}
