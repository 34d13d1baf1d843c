//! Tables of papers.

use serde_json::Value;

use super::{data, results, run, text};

#[test]
fn paper_table_of_a_few_digits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, mnist) = (folder.path().join("out"), data("mnist"));
    let out_name = out.display().to_string();
    let preset = ["evaluate", "--paper", "adaptgrad-table2", "--data", &mnist, "--device", "cpu"];
    let more = ["--limit", "4", "--repeats", "2", "--samples", "5", "--out", &out_name];
    let output = run(&[&preset[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("| consistency | lower | adaptgrad |"));
    // The gradient has no noise, so it has a single repeat.
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

/// The results of each model of a table go to a separate folder.
#[test]
fn paper_table_of_several_models() {
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
