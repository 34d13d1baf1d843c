//! Resuming of interrupted runs.

use std::process::Stdio;
use std::time::Duration;

use super::{data, program, run, text};

/// A run that is killed twenty times and resumed writes the same bytes as an uninterrupted run.
#[test]
fn killed_run_resumes_with_identical_output() {
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
        // Half of the kills hit the start of the program, half the measurement.
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
    assert_eq!(killed, 20, "the run finished before it was killed 20 times");
    assert!(grown >= 10, "only {grown} of the killed runs made progress");
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

/// Results resume only with the same external weights.
#[test]
fn resume_rejects_changed_external_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    for file in ["model.onnx", "weights.bin"] {
        std::fs::copy(data(&format!("operators/external-data/{file}")), path(file))
            .expect("a copy");
    }
    let (model, out, picture) = (path("model.onnx"), path("out"), data("pictures/rgb.png"));
    let metric = ["evaluate", "sparseness", "--methods", "gradient", "--preprocess", "unit"];
    let more = ["--model", &model, "--images", &picture, "--device", "cpu", "--out", &out];
    let args = [&metric[..], &more].concat();
    assert_eq!(run(&args).status.code(), Some(0), "{}", text(&run(&args).stderr));
    let resumed = [&args[..], &["--resume"]].concat();
    assert_eq!(run(&resumed).status.code(), Some(0));
    let mut weights = std::fs::read(path("weights.bin")).expect("the weights");
    weights[..4].copy_from_slice(&1f32.to_le_bytes());
    std::fs::remove_file(path("weights.bin")).expect("the weights");
    std::fs::write(path("weights.bin"), weights).expect("other weights");
    let message = text(&run(&resumed).stderr);
    assert!(
        message.contains("belongs to a run with other settings") && message.contains("sha256"),
        "{message}"
    );
}
