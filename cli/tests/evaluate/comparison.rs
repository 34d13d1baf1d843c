//! `attriburn compare`.

use super::{data, run, text};

/// Compares a model with its quantized version, and with itself.
#[test]
fn compare_separates_quantization_error_from_noise() {
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
        // A method without noise attributes the whole difference to the models.
        match row["method"].as_str() {
            "gradient" => assert!(share > 0.999 && row["real"] == "yes", "{row:?}"),
            _ => assert!((-0.5..1.0).contains(&share), "{row:?}"),
        }
    }
    for row in compared(&first, "itself") {
        assert!(number(&row, "between_models") > 1.0 - 1e-9, "{row:?}");
        assert_eq!((number(&row, "not_noise"), row["real"].as_str()), (0.0, "no"), "{row:?}");
    }
    let output = run(&["compare", &first, &second, "--model", &first, "--images", &pictures[0]]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("unexpected argument '--model'"));
}
