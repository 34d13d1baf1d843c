//! `attriburn evaluate`: tables, results that survive being killed, and what cannot be measured.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use attriburn::metrics::{Region, gini, pixel_scores, pointing_game};
use attriburn::npy;
use serde_json::Value;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    program(args).output().expect("the program's output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn results(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("results.jsonl")).expect("the results");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// A model and the same one quantized, and a model and itself.
#[test]
fn two_models_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) =
        (data("zoo/lenet/model.onnx"), data("quantized/lenet-qoperator/model.onnx"));
    let pictures = ["rgb.png", "rgb.jpg", "grey.png"].map(|name| data(&format!("pictures/{name}")));
    let compared = |second: &str, name: &str| {
        let out = folder.path().join(name);
        let out_name = out.display().to_string();
        let options = ["--device", "cpu", "--samples", "10", "--methods", "gradient,adaptgrad"];
        let models = ["compare", &first, second, "--out", &out_name, "--images"];
        let pictures: Vec<&str> = pictures.iter().map(String::as_str).collect();
        let output = run(&[&models[..], &pictures, &options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let mut table = csv::Reader::from_path(out.join("models.csv")).expect("a table");
        type Row = std::collections::HashMap<String, String>;
        let rows: Vec<Row> = table.deserialize().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 6);
        rows
    };
    let number = |row: &std::collections::HashMap<String, String>, name: &str| -> f64 {
        row[name].parse().expect("a number")
    };
    for row in compared(&second, "quantized") {
        let (models, share) = (number(&row, "between_models"), number(&row, "not_noise"));
        assert!((0.3..1.0).contains(&models), "{row:?}");
        // Without noise all of the difference is real.
        match row["method"].as_str() {
            "gradient" => assert!(share > 0.999 && row["real"] == "yes", "{row:?}"),
            _ => assert!((-0.5..1.0).contains(&share), "{row:?}"),
        }
    }
    for row in compared(&first, "itself") {
        assert!(number(&row, "between_models") > 1.0 - 1e-9, "{row:?}");
        assert_eq!((number(&row, "not_noise"), row["real"].as_str()), (0.0, "no"), "{row:?}");
    }
    let given = run(&["compare", &first, &second, "--model", &first, "--images", &pictures[0]]);
    assert_eq!(given.status.code(), Some(2));
    assert!(text(&given.stderr).contains("unexpected argument '--model'"));
}

#[test]
fn a_papers_table_in_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, mnist) = (folder.path().join("out"), data("mnist"));
    let out_name = out.display().to_string();
    let preset = ["evaluate", "--paper", "adaptgrad-table2", "--data", &mnist, "--device", "cpu"];
    let more = ["--limit", "4", "--repeats", "2", "--samples", "5", "--out", &out_name];
    let output = run(&[&preset[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("| consistency | lower | adaptgrad |"));
    // The gradient has no noise, so that a repeat would be the same.
    assert_eq!(results(&out).len(), 4 * (1 + 2 + 2) * 2);
    let mut table = csv::Reader::from_path(out.join("table.csv")).expect("a table");
    type Row = std::collections::HashMap<String, String>;
    let rows: Vec<Row> = table.deserialize().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let value: f64 = row["value"].parse().expect("a number");
        assert!((0.0..=1.0).contains(&value) && row["pictures"] == "4", "{row:?}");
        assert_eq!(row["over_seeds"].is_empty(), row["method"] == "gradient", "{row:?}");
    }
    let output = run(&["evaluate", "--paper", "adaptgrad-table2", "--data", &out_name]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("lacks mlp-normal.onnx") && message.contains("digits.npy"),
        "{message}"
    );
}

/// Killed twenty times at odd moments, a run ends with the bytes of one that was not.
#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let mnist = data("mnist");
    let args = |out: &str| -> Vec<String> {
        let out = folder.path().join(out).display().to_string();
        let preset =
            ["evaluate", "--paper", "adaptgrad-table2", "--data", &mnist, "--device", "cpu"];
        let more = ["--limit", "50", "--repeats", "1", "--samples", "1500", "--out", &out];
        [&preset[..], &more].concat().into_iter().map(str::to_owned).collect()
    };
    let start = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        program(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
    };
    assert!(start(&args("whole")).wait().expect("its end").success());
    let resumed = [args("killed"), vec!["--resume".into()]].concat();
    let size =
        || std::fs::metadata(folder.path().join("killed/results.jsonl")).map_or(0, |m| m.len());
    let (mut killed, mut grown, mut before) = (0, 0, 0);
    for i in 0..20u64 {
        let mut child = start(&resumed);
        // Half of the kills come while it starts, half while it measures.
        while i % 2 == 1 && size() <= before && child.try_wait().expect("its state").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(i * 7919 % 61));
        if child.try_wait().expect("its state").is_none() {
            child.kill().expect("a killed process");
            killed += 1;
        }
        child.wait().expect("its end");
        grown += usize::from(size() > before);
        before = size();
    }
    assert_eq!(killed, 20, "the run was over before it was killed as often as it should be");
    assert!(grown >= 10, "the run got on {grown} times before it was killed");
    assert!(start(&resumed).wait().expect("its end").success());
    for file in [
        "results.jsonl",
        "settings.json",
        "table.csv",
        "table.md",
        "differences.csv",
        "consistency.svg",
        "invariance.svg",
    ] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(file)).expect("a file");
        assert_eq!(read("killed"), read("whole"), "{file}");
    }
}

#[test]
fn values_are_those_of_the_maps_and_failures_have_reasons() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, good) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let bad = data("pictures/truncated.png");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (maps, out) = (place("maps"), place("out"));
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
    let of = |method: &str, metric: &str| {
        let same = |r: &&Value| {
            r["picture"] == good.as_str() && r["method"] == method && r["metric"] == metric
        };
        records.iter().find(same).expect("a record")
    };
    let map = npy::read(&folder.path().join("maps/rgb/adaptgrad.npy")).expect("a map");
    let expected = gini(&pixel_scores(&map.values, &map.shape)).expect("an index");
    let found = of("adaptgrad", "sparseness")["value"].as_f64().expect("a value");
    assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    let reason = &of("adaptgrad", "gap")["reason"];
    assert_eq!(reason, "a method without a path has no gap");
    assert_eq!(of("gradient", "out-of-domain-share")["value"], 0.0);
    for record in records.iter().filter(|record| record["picture"] == bad.as_str()) {
        assert!(record["value"].is_null() && record["reason"].is_string(), "{record}");
    }
    // What is there is not overwritten, nor mixed with another run.
    let output = run(&[&evaluate[..], &plan, &images].concat());
    assert!(text(&output.stderr).contains("is there already; go on with --resume"));
    let other = ["--images", &good, "--resume"];
    let output = run(&[&evaluate[..], &plan, &other].concat());
    assert!(text(&output.stderr).contains("is of another run"), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_measured_is_refused() {
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
        (&["consistency"], "the metric consistency takes --shuffled-model"),
        (&["invariance"], "the metric invariance takes --shifted-model and --shift"),
        (&["sparseness", "--repeats", "0"], "repeats is 0, but it must be at least 1"),
        (&["sparseness", "--target", "top:2"], "one class of each picture is evaluated"),
        (&["deletion", "--fill", "grey"], "[possible values: zero, black, mean, blur]"),
        (&["sparseness", "--fill", "mean"], "--fill is not used by these metrics and methods"),
        (&["sparseness", "--limit", "0"], "there is no picture to measure"),
        (&["sparseness", "--methods", "gradient", "--repeats", "2"], "--repeats is not used"),
        (&["sparseness", "--images", &picture], "rgb.png is given twice"),
        (&["sparseness", "--alpha", "0.1"], "--alpha is not used by adaptgrad"),
        (&["pointing-game"], "the metric pointing-game takes --boxes"),
        (&["stability"], "the metric stability takes --other-model"),
        (&["sparseness", "--boxes", &picture], "--boxes is not used by these metrics"),
        (&["pointing-game", "--boxes", &picture], "rgb.png: CSV parse error"),
        (&["sparseness", "--sweep", "alpha=0.1"], "--sweep alpha: none of the methods uses it"),
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
            "--sweep weight-alpha: none of the methods uses it",
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
            "--sweep weight-sigma: none of the methods uses it",
        ),
        (
            &["pointing-game", "--boxes", &annotations, "--images", &twin],
            "would have the same boxes",
        ),
        (&["pointing-game", "--boxes", &folder_of_pictures], "there is no .xml file in it"),
        (&["sparseness", "--all-boxes"], "--all-boxes is not used by these metrics"),
        (&["sparseness", "--sweep", "confidence=0.9,0.90"], "0.9 and 0.90 are the same"),
        (
            &["invariance", "--shifted-model", &model, "--shift", "NaN"],
            "--shift is NaN, but it must be finite",
        ),
        (&["cascade", "--stages", "0"], "stages is 0, but it must be at least 1"),
        (
            &["sic", "--least-probability", "1.5"],
            "least-probability is 1.5, but it must be from 0 to 1",
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

/// Weights beside the model are of the model: results go on with the same ones only.
#[test]
fn other_weights_are_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    for file in ["model.onnx", "weights.bin"] {
        std::fs::copy(data(&format!("operators/external-data/{file}")), place(file))
            .expect("a copy");
    }
    let (model, out, picture) = (place("model.onnx"), place("out"), data("pictures/rgb.png"));
    let given = ["evaluate", "sparseness", "--methods", "gradient", "--preprocess", "unit"];
    let more = ["--model", &model, "--images", &picture, "--device", "cpu", "--out", &out];
    let args = [&given[..], &more].concat();
    assert_eq!(run(&args).status.code(), Some(0), "{}", text(&run(&args).stderr));
    let resumed = [&args[..], &["--resume"]].concat();
    assert_eq!(run(&resumed).status.code(), Some(0));
    let mut weights = std::fs::read(place("weights.bin")).expect("the weights");
    weights[..4].copy_from_slice(&1f32.to_le_bytes());
    std::fs::remove_file(place("weights.bin")).expect("the weights");
    std::fs::write(place("weights.bin"), weights).expect("other weights");
    let message = text(&run(&resumed).stderr);
    assert!(message.contains("is of another run") && message.contains("sha256"), "{message}");
}

/// The clean gradient is of the output that the maps are of.
#[test]
fn the_gradient_is_as_faithful_as_can_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out").display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let metrics = "fidelity,fidelity-ssim,fidelity-overlap,adversarial-pixels,sic,aic";
    let given = ["--methods", "gradient", "--model", &model, "--images", &picture];
    let more = ["--score", "probability", "--device", "cpu", "--out", &out];
    let least = ["--least-probability", "0"];
    let output = run(&[&["evaluate", metrics], &given[..], &more, &least].concat());
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

/// A model of flat samples: metrics of pixels are those of the picture behind them.
#[test]
fn flat_samples_are_measured_as_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("mnist/mlp-normal.onnx"), data("pictures/rgb.png"));
    std::fs::write(place("boxes.csv"), "picture,left,top,right,bottom\nrgb,0,0,9999,9999\n")
        .expect("boxes");
    let (boxes, out) = (place("boxes.csv"), place("out"));
    let metrics =
        "sparseness,insertion,deletion,pointing-game,stability-ssim,sic,adversarial-pixels";
    let given = ["--methods", "gradient", "--model", &model, "--images", &picture];
    let more = ["--picture-shape", "1,28,28", "--boxes", &boxes, "--other-model", &model];
    let rest = ["--least-probability", "0", "--device", "cpu", "--out", &out];
    let output = run(&[&["evaluate", metrics], &given[..], &more, &rest].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let records = results(&folder.path().join("out"));
    let value = |metric: &str| {
        let record = records.iter().find(|record| record["metric"] == metric).expect("a record");
        record["value"].as_f64()
    };
    assert_eq!((value("pointing-game"), value("stability-ssim")), (Some(1.0), Some(1.0)));
    assert!(value("insertion") > Some(0.0) && value("deletion") > Some(0.0));
    // Flat, the curve would be refused for want of a picture.
    let sic = records.iter().find(|record| record["metric"] == "sic").expect("a record");
    let reason = sic["reason"].as_str().unwrap_or_default();
    assert!(!reason.contains("a picture has the shape"), "{sic}");
    value("adversarial-pixels");
}

/// Of a box over the upper half the pointing game is that of the map that was saved.
#[test]
fn boxes_are_where_they_are_in_the_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    let (boxes, maps, out) = (place("boxes.csv"), place("maps"), place("out"));
    let given = ["--model", &model, "--device", "cpu", "--preprocess", "unit"];
    let gradient = ["--method", "gradient", "--out", &maps];
    let output = run(&[&["explain", &picture], &given[..], &gradient].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let map = npy::read(&folder.path().join("maps/rgb/gradient.npy")).expect("a map");
    let [_, height, width] = map.shape[..] else { panic!("a picture") };
    let file = attriburn::picture::Picture::open(Path::new(&picture)).expect("a picture");
    let rows = format!("rgb,0,0,{},{}\n", file.width(), file.height() / 2);
    std::fs::write(&boxes, format!("picture,left,top,right,bottom\n{rows}")).expect("boxes");
    let points = ["--boxes", &boxes, "--points", "200", "--images", &picture];
    let methods = ["--methods", "gradient", "--out", &out];
    let output = run(&[&["evaluate", "pointing-game"], &given[..], &points, &methods].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // The whole picture is scaled, so that its upper half is the map's.
    let half = Region { left: 0, top: 0, right: width, bottom: height / 2 };
    let scores = pixel_scores(&map.values, &map.shape);
    let expected = pointing_game(&scores, width, &[half], 200).expect("a share");
    assert!(expected > 0.1 && expected < 0.9, "{expected}");
    let found = results(&folder.path().join("out"))[0]["value"].as_f64();
    assert_eq!(found, Some(expected));
}

/// Boxes, curves, sweeps, second models and randomized ones, with their tables and plots.
#[test]
fn everything_that_takes_more_than_a_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (model, picture) = (data("zoo/lenet/model.onnx"), data("pictures/rgb.png"));
    std::fs::write(
        folder.path().join("boxes.csv"),
        "picture,left,top,right,bottom\nrgb,0,0,9999,9999\n",
    )
    .expect("boxes");
    let metrics = "insertion,pointing-game,box-precision,cascade,cascade-ssim,stability,fidelity,sparseness,out-of-domain-share-measured";
    let out = place("out");
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
        &place("boxes.csv"),
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
    // The box is the whole picture, and the other model is the model itself.
    assert_eq!(value("gradient", "pointing-game"), 1.0);
    assert!(value("gradient", "box-precision") > 0.0);
    // One of the two keeps its parameters apart, and so is computed in another order.
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
    for (file, says) in [
        ("cascade-curve.svg", "share of layers randomized"),
        ("stability-alpha.svg", "stability against alpha"),
        ("stability-against-fidelity.svg", "smoothgrad over alpha"),
        ("insertion-curve.svg", "smoothgrad alpha=0.3"),
    ] {
        let svg = std::fs::read_to_string(folder.path().join("out").join(file)).expect(file);
        assert!(svg.starts_with("<svg") && svg.contains(says), "{file}");
    }
    let tests = std::fs::read_to_string(folder.path().join("out/correlations.csv")).expect("tests");
    assert_eq!(tests.lines().count(), 4, "{tests}");
}

/// A table of two models: each is measured in a folder of its own.
#[test]
fn a_table_of_several_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_folder = folder.path().join("data");
    std::fs::create_dir_all(data_folder.join("images")).expect("a folder");
    std::fs::copy(data("pictures/rgb.png"), data_folder.join("images/rgb.png")).expect("a picture");
    let names = ["vgg16", "inception-v3", "resnet50"];
    for (name, model) in names.into_iter().zip(["lenet", "resnet-tiny", "vgg-tiny"]) {
        let to = data_folder.join(name).with_extension("onnx");
        std::fs::copy(data(&format!("zoo/{model}/model.onnx")), to).expect("a model");
    }
    let (data_name, out) = (data_folder.display().to_string(), folder.path().join("out"));
    let output = run(&[
        "evaluate",
        "--paper",
        "adaptgrad-table11",
        "--data",
        &data_name,
        "--samples",
        "3",
        "--device",
        "cpu",
        "--out",
        &out.display().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in names {
        let records = results(&out.join(name));
        let methods: Vec<&Value> = records.iter().map(|record| &record["method"]).collect();
        assert_eq!(methods, ["gradient", "smoothgrad", "adaptgrad"], "{name}");
        assert!(records.iter().all(|record| record["value"].as_f64() > Some(0.0)), "{name}");
        assert!(out.join(name).join("seconds.svg").is_file(), "{name}");
    }
}
