//! Values of the metrics.

use std::path::Path;

use attriburn_metrics::{Region, gini, pixel_scores, pointing_game, ssim};
use attriburn_picture::npy;
use serde_json::Value;

use super::{data, results, run, text};

#[test]
fn values_match_the_saved_maps_and_failures_have_reasons() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, good) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let bad = data("pictures/truncated.png");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (maps, out) = (path("maps"), path("out"));
    let plan = ["--model", &model, "--device", "cpu", "--samples", "6", "--seed", "3"];
    let explain = ["explain", &good, "--method", "adaptgrad", "--out", &maps];
    assert_eq!(run(&[&explain[..], &plan].concat()).status.code(), Some(0));
    let metrics = "sparseness,insertion,deletion,out-of-domain-share,error,gap";
    let evaluate = ["evaluate", metrics, "--methods", "adaptgrad,gradient", "--out", &out];
    let images = ["--images", &good, &bad];
    let output = run(&[&evaluate[..], &plan, &images].concat());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let records = results(&folder.path().join("out"));
    assert_eq!(records.len(), 2 * 2 * 6);
    let record = |method: &str, metric: &str| {
        let same = |r: &&Value| {
            r["picture"] == good.as_str() && r["method"] == method && r["metric"] == metric
        };
        records.iter().find(same).expect("a record")
    };
    let map = npy::read(folder.path().join("maps/rgb/adaptgrad.npy")).expect("a map");
    let expected = gini(&pixel_scores(&map.values, &map.shape)).expect("an index");
    let found = record("adaptgrad", "sparseness")["value"].as_f64().expect("a value");
    assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    let reason = &record("adaptgrad", "gap")["reason"];
    assert_eq!(reason, "only Integrated Gradients has a completeness gap");
    assert_eq!(record("gradient", "out-of-domain-share")["value"], 0.0);
    for record in records.iter().filter(|record| record["picture"] == bad.as_str()) {
        assert!(record["value"].is_null() && record["reason"].is_string(), "{record}");
    }
    // Existing results are neither overwritten nor mixed with those of another run.
    let output = run(&[&evaluate[..], &plan, &images].concat());
    assert!(
        text(&output.stderr).contains(
            "already exists; resume the run, or choose another folder (--resume or --out)"
        )
    );
    let other = ["--images", &good, "--resume"];
    let output = run(&[&evaluate[..], &plan, &other].concat());
    assert!(
        text(&output.stderr).contains("belongs to a run with other settings"),
        "{}",
        text(&output.stderr)
    );
}

/// Fidelity compares a map with the gradient of the same output, so the gradient itself has a distance of 0.
#[test]
fn fidelity_of_the_gradient_is_perfect() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out").display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let metrics = "fidelity,fidelity-ssim,fidelity-overlap,adversarial-pixels,sic,aic";
    let methods = ["--methods", "gradient", "--model", &model, "--images", &picture];
    let more = ["--score", "probability", "--device", "cpu", "--out", &out];
    let threshold = ["--min-probability", "0"];
    let output = run(&[&["evaluate", metrics], &methods[..], &more, &threshold].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let records = results(&folder.path().join("out"));
    let values: Vec<Option<f64>> = records.iter().map(|record| record["value"].as_f64()).collect();
    assert_eq!(&values[..2], [Some(0.0), Some(1.0)]);
    assert_eq!(values[2], Some(1.0));
    for record in &records[3..] {
        let is_measured = record["value"].is_number();
        assert!(is_measured || record["not_applicable"] == true, "{record}");
        assert_eq!(is_measured, record["reason"].is_null(), "{record}");
    }
}

/// For a model of flat samples, pixel metrics use the image shape of `--picture-shape`.
#[test]
fn flat_samples_are_measured_as_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("mnist/mlp-normal.onnx"), data("pictures/rgb.png"));
    std::fs::write(path("boxes.csv"), "picture,left,top,right,bottom\nrgb,0,0,9999,9999\n")
        .expect("boxes");
    let (boxes, out) = (path("boxes.csv"), path("out"));
    let metrics =
        "sparseness,insertion,deletion,pointing-game,stability-ssim,sic,adversarial-pixels";
    let methods = ["--methods", "gradient", "--model", &model, "--images", &picture];
    let more = ["--picture-shape", "1,28,28", "--boxes", &boxes, "--other-model", &model];
    // The former name of --min-probability.
    let rest = ["--least-probability", "0", "--device", "cpu", "--out", &out];
    let output = run(&[&["evaluate", metrics], &methods[..], &more, &rest].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let records = results(&folder.path().join("out"));
    let value = |metric: &str| {
        let record = records.iter().find(|record| record["metric"] == metric).expect("a record");
        record["value"].as_f64()
    };
    assert_eq!((value("pointing-game"), value("stability-ssim")), (Some(1.0), Some(1.0)));
    assert!(value("insertion") > Some(0.0) && value("deletion") > Some(0.0));
    // Without an image shape, the information curve would be undefined.
    let sic = records.iter().find(|record| record["metric"] == "sic").expect("a record");
    let reason = sic["reason"].as_str().unwrap_or_default();
    assert!(!reason.contains("needs images"), "{sic}");
    value("adversarial-pixels");
}

/// For a box over the upper half of the image, the metric equals the pointing game on the saved map.
#[test]
fn boxes_are_projected_into_the_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let (boxes, maps, out) = (path("boxes.csv"), path("maps"), path("out"));
    let common = ["--model", &model, "--device", "cpu", "--preprocess", "unit"];
    let gradient = ["--method", "gradient", "--out", &maps];
    let output = run(&[&["explain", &picture], &common[..], &gradient].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let map = npy::read(folder.path().join("maps/rgb/gradient.npy")).expect("a map");
    let [_, height, width] = map.shape[..] else { panic!("a picture") };
    let file = attriburn_picture::Picture::open(Path::new(&picture)).expect("a picture");
    let rows = format!("rgb,0,0,{},{}\n", file.width(), file.height() / 2);
    std::fs::write(&boxes, format!("picture,left,top,right,bottom\n{rows}")).expect("boxes");
    let points = ["--boxes", &boxes, "--points", "200", "--images", &picture];
    let methods = ["--methods", "gradient", "--out", &out];
    let output = run(&[&["evaluate", "pointing-game"], &common[..], &points, &methods].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // The preprocessing scales the whole image, so the upper halves coincide.
    let half = Region { left: 0, top: 0, right: width, bottom: height / 2 };
    let scores = pixel_scores(&map.values, &map.shape);
    let expected = pointing_game(&scores, width, &[half], 200).expect("a share");
    assert!(expected > 0.1 && expected < 0.9, "{expected}");
    let found = results(&folder.path().join("out"))[0]["value"].as_f64();
    assert_eq!(found, Some(expected));
}

/// Metrics with boxes, curves, sweeps, a second model and randomized models, with their tables and plots.
#[test]
fn metrics_that_need_more_than_a_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    std::fs::write(
        folder.path().join("boxes.csv"),
        "picture,left,top,right,bottom\nrgb,0,0,9999,9999\n",
    )
    .expect("boxes");
    let metrics = "insertion,pointing-game,box-precision,cascade,cascade-ssim,stability,fidelity,sparseness,out-of-domain-share-measured";
    let out = path("out");
    let output = run(&[
        "evaluate",
        metrics,
        "--methods",
        "gradient,smoothgrad",
        "--sweep",
        "alpha=0.1,0.3",
        "--samples",
        "4",
        "--images",
        &picture,
        "--model",
        &model,
        "--other-model",
        &model,
        "--boxes",
        &path("boxes.csv"),
        "--stages",
        "3",
        "--device",
        "cpu",
        "--out",
        &out,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let records = results(&folder.path().join("out"));
    assert_eq!(records.len(), 3 * 9);
    let value = |method: &str, metric: &str| {
        let same = |r: &&Value| r["method"] == method && r["metric"] == metric;
        records.iter().find(same).expect("a record")["value"].as_f64().expect("a value")
    };
    // The box covers the whole image, and the other model is the model itself.
    assert_eq!(value("gradient", "pointing-game"), 1.0);
    assert!(value("gradient", "box-precision") > 0.0);
    // Only the explained model has separate parameters, so its operations run in another order.
    assert!(value("smoothgrad alpha=0.3", "stability") < 1e-6);
    assert_eq!(value("gradient", "fidelity"), 0.0);
    assert!(value("smoothgrad alpha=0.3", "fidelity") > value("smoothgrad alpha=0.1", "fidelity"));
    let share = value("smoothgrad alpha=0.1", "out-of-domain-share-measured");
    assert!(share > 0.0 && share < value("smoothgrad alpha=0.3", "out-of-domain-share-measured"));
    let cascade = records.iter().find(|record| record["metric"] == "cascade").expect("a record");
    let curve = cascade["curve"].as_array().expect("a curve");
    assert_eq!(
        (curve.len(), curve[0][1].as_f64(), curve[3][0].as_f64()),
        (4, Some(1.0), Some(1.0))
    );
    assert!(curve[3][1].as_f64().expect("a correlation") < 0.6, "{cascade}");
    for (file, text) in [
        ("cascade-curve.svg", "share of layers randomized"),
        ("stability-alpha.svg", "stability against alpha"),
        ("stability-against-fidelity.svg", "smoothgrad over alpha"),
        ("insertion-curve.svg", "smoothgrad alpha=0.3"),
    ] {
        let svg = std::fs::read_to_string(folder.path().join("out").join(file)).expect(file);
        assert!(svg.starts_with("<svg") && svg.contains(text), "{file}");
    }
    let tests = std::fs::read_to_string(folder.path().join("out/correlations.csv")).expect("tests");
    assert_eq!(tests.lines().count(), 4, "{tests}");
}

/// The value is the structural similarity to the map of one of the other classes. The class depends on the seed only,
/// so two methods are compared with the same class.
#[test]
fn random_logit_is_the_similarity_to_the_map_of_another_class() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let (maps, out) = (path("maps"), path("out"));
    let with = ["--model", &model, "--device", "cpu", "--method"];
    let targets: Vec<String> = (0..10).flat_map(|c| ["--target".into(), c.to_string()]).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let explain = ["explain", &picture, "--out", &maps];
    let output = run(&[&explain[..], &with, &["gradient"], &targets].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let evaluate = ["evaluate", "random-logit", "--images", &picture, "--out", &out];
    let output =
        run(&[&evaluate[..], &with, &["gradient,gi"], &["--target", "4", "--seed", "3"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let value = results(&folder.path().join("out"))[0]["value"].as_f64().expect("a value");
    let scores = |class: usize| {
        let map = std::fs::read_dir(folder.path().join("maps/rgb")).expect("a folder");
        let of_class = |entry: &Path| {
            let manifest = std::fs::read_to_string(entry.join("manifest.json")).ok()?;
            let manifest: Value = serde_json::from_str(&manifest).ok()?;
            (manifest["target"]["index"] == class).then(|| entry.join("gradient.npy"))
        };
        let file = map.flatten().find_map(|entry| of_class(&entry.path())).expect("a map");
        let map = npy::read(&file).expect("a map");
        let scores = pixel_scores(&map.values, &map.shape);
        let norm = scores.iter().map(|&score| f64::from(score).powi(2)).sum::<f64>().sqrt();
        let unit = scores.iter().map(|&score| (f64::from(score) / norm) as f32).collect();
        (unit, map.shape)
    };
    let (own, shape): (Vec<f32>, Vec<usize>) = scores(4);
    let similarity = |class: usize| ssim(&own, &scores(class).0, shape[1], shape[2]);
    let others: Vec<f64> = (0..10).filter(|&c| c != 4).filter_map(similarity).collect();
    assert_eq!(others.len(), 9);
    let distances = others.iter().map(|other| (other - value).abs());
    assert!(distances.fold(f64::MAX, f64::min) < 1e-5, "{value} is not among {others:?}");
}
