//! Inputs from lists, patterns and standard input; settings from files and manifests; printed output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

/// Runs the program in a folder with `stdin` as standard input.
fn run_with(args: &[&str], folder: &Path, stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_attriburn"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    // The program may have exited without reading its input.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
    child.wait_with_output().expect("its output")
}

fn run(args: &[&str], folder: &Path) -> Output {
    let output = run_with(args, folder, b"");
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("valid JSON")
}

/// Creates a folder with two folders of images, named after classes.
fn pictures() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    for class in ["3", "red"] {
        let own = folder.path().join("photos").join(class);
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::copy(data("pictures/rgb.png"), own.join("a.png")).expect("a picture");
    }
    std::fs::write(folder.path().join("labels.txt"), "a\nb\nc\nd\nred\nf\ng\nh\ni\nj\n")
        .expect("labels");
    let path = folder.path().to_owned();
    (folder, path)
}

/// Returns the options of a quick run.
fn quick() -> Vec<String> {
    let model = data("zoo/lenet/model.onnx");
    let options = ["--model", &model, "--device", "cpu", "--samples", "3"];
    options.map(str::to_owned).to_vec()
}

fn explain<'a>(quick: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    ["explain"]
        .into_iter()
        .chain(quick.iter().map(String::as_str))
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn inputs_come_from_lists_patterns_and_standard_input() {
    let (_held, folder) = pictures();
    let quick = quick();
    let check = |args: &[&str], stdin: &[u8], expected: &[&str]| {
        let out = folder.join("attriburn-out");
        let _ = std::fs::remove_dir_all(&out);
        let output = run_with(&explain(&quick, args), &folder, stdin);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        for path in expected {
            assert!(out.join(path).join("adaptgrad.npy").is_file(), "{args:?} lacks {path}");
        }
        let count = stdout(&output).lines().filter(|line| line.starts_with("  manifest")).count();
        assert_eq!(count, expected.len(), "{args:?}");
    };
    check(&["photos"], b"", &["3/a", "red/a"]);
    check(&["photos/r*/*.png"], b"", &["red/a"]);
    check(&["photos/**/a.png"], b"", &["3/a", "red/a"]);
    std::fs::write(folder.join("list"), "photos/3/a.png\nphotos/red\n").expect("a list");
    check(&["--files-from", "list"], b"", &["a", "a-2"]);
    check(&["--files-from", "-"], b"photos/3/a.png\n", &["a"]);
    let picture = std::fs::read(data("pictures/rgb.png")).expect("a picture");
    check(&["-"], &picture, &["stdin"]);
    let array = std::fs::read(data("bad/softmax-end.input.npy")).expect("an array");
    let output = run_with(&explain(&quick, &["-"]), &folder, &array);
    assert!(stderr(&output).contains("standard input holds an array"), "{}", stderr(&output));
    let output = run_with(&explain(&quick, &["-"]), &folder, b"no picture");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("standard input"), "{}", stderr(&output));
}

#[test]
fn expected_class_comes_from_the_folder_name() {
    let (_held, folder) = pictures();
    let quick = quick();
    let args = ["photos", "--labels", "labels.txt", "--target", "expected", "--json"];
    let output = run(&explain(&quick, &args), &folder);
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["target"]["index"], 3);
    assert_eq!(
        (&lines[1]["target"]["index"], &lines[1]["target"]["label"]),
        (&4.into(), &"red".into())
    );
    assert_eq!(lines[1]["target"]["expected"]["index"], 4);
    for line in &lines {
        let manifest = json(&folder.join(line["manifest"].as_str().expect("a path")));
        assert_eq!(
            (&manifest["target"], &manifest["methods"]),
            (&line["target"], &line["methods"])
        );
        let map = line["methods"][0]["files"][0].as_str().expect("a file");
        assert!(folder.join(line["folder"].as_str().expect("a path")).join(map).is_file());
    }
    // Without labels, the second folder names no class. The maps of the first folder are still written.
    let output = run_with(&explain(&quick, &["photos", "--target", "expected"]), &folder, b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("has the name of the folder \"red\""), "{}", stderr(&output));
}

#[test]
fn skip_existing_recomputes_maps_with_other_settings() {
    let (_held, folder) = pictures();
    let quick = quick();
    let modified = |path: &str| {
        let path = folder.join("attriburn-out").join(path).join("adaptgrad.npy");
        std::fs::metadata(path).and_then(|found| found.modified()).expect("a map")
    };
    let skipping = |more: &[&str]| -> String {
        let args = [&["photos", "--skip-existing"], more].concat();
        stdout(&run(&explain(&quick, &args), &folder))
    };
    assert_eq!(skipping(&[]).matches("manifest.json").count(), 2);
    let before = (modified("3/a"), modified("red/a"));
    let skipped = "photos/3/a.png: skipped, maps exist\nphotos/red/a.png: skipped, maps exist\n";
    assert_eq!(skipping(&[]), skipped);
    assert_eq!((modified("3/a"), modified("red/a")), before);
    // A missing file, a changed image, other settings, another target.
    std::fs::remove_file(folder.join("attriburn-out/3/a/adaptgrad.png")).expect("a file");
    assert_eq!(skipping(&[]).matches("manifest.json").count(), 1);
    std::fs::copy(data("pictures/grey.png"), folder.join("photos/red/a.png")).expect("a picture");
    assert_eq!(skipping(&[]).matches("manifest.json").count(), 1);
    for more in [["--seed", "1"], ["--target", "2"], ["--domain", "0,1"], ["--preprocess", "unit"]]
    {
        assert_eq!(skipping(&more).matches("manifest.json").count(), 2, "{more:?}");
        assert_eq!(skipping(&more), skipped, "{more:?}");
    }
    // With several targets, all maps are recomputed if one target is new or the grid is missing.
    assert_eq!(skipping(&["--target", "2,3"]).matches("manifest.json").count(), 4);
    assert_eq!(skipping(&["--target", "2,3,4-5"]).matches("manifest.json").count(), 6);
    assert_eq!(skipping(&["--target", "2,3,4-5"]), skipped);
    std::fs::remove_file(folder.join("attriburn-out/3/a/grid.png")).expect("a grid");
    assert_eq!(skipping(&["--target", "2,3,4-5"]).matches("manifest.json").count(), 3);
}

/// `--like` repeats a run bit for bit. The command line overrides the manifest.
#[test]
fn like_repeats_the_run_of_a_manifest() {
    let (_held, folder) = pictures();
    let quick = quick();
    let options = ["photos/3/a.png", "--method", "a-ig-black", "--steps", "4", "--seed", "7"];
    let more = ["--target=-2", "--sigma", "0.1"];
    let rejected = run_with(&explain(&quick, &[&options[..], &more].concat()), &folder, b"");
    assert!(stderr(&rejected).contains("--sigma is not used"), "{}", stderr(&rejected));
    run(&explain(&quick, &[&options[..], &more[..1]].concat()), &folder);
    let first = folder.join("attriburn-out/a");
    let manifest = first.join("manifest.json").display().to_string();
    run(&["explain", "--like", &manifest, "--out", "again"], &folder);
    let again = folder.join("again/a");
    let bytes = |folder: &Path| std::fs::read(folder.join("a-ig-black.npy")).expect("a map");
    assert!(bytes(&first) == bytes(&again));
    let plan = |folder: &Path| json(&folder.join("manifest.json"))["methods"][0]["plan"].clone();
    assert_eq!(plan(&first), plan(&again));
    // The library can deserialize the plan.
    let read: attriburn::Plan = serde_json::from_value(plan(&first)).expect("a plan");
    assert_eq!((read.sampler.map(|own| own.samples), read.seed), (Some(3), 7));
    // The command line overrides the seed, and a recorded option may be unused by another method.
    run(&["explain", "--like", &manifest, "--out", "other", "--seed", "8"], &folder);
    assert!(bytes(&first) != bytes(&folder.join("other/a")));
    run(&["explain", "--like", &manifest, "--out", "third", "--method", "smoothgrad"], &folder);
    let third = json(&folder.join("third/a/manifest.json"));
    assert_eq!(third["methods"][0]["plan"]["sampler"]["samples"], 3);
    assert_eq!(third["target"]["kind"], "against");
    // An evaluation is repeated from its settings.
    let model = data("zoo/lenet/model.onnx");
    let args =
        ["evaluate", "sparseness", "--images", "photos/3", "--samples", "2", "--model", &model];
    run(&[&args[..], &["--out", "measured"]].concat(), &folder);
    run(&["evaluate", "--like", "measured/settings.json", "--out", "twice"], &folder);
    let results =
        |name: &str| std::fs::read(folder.join(name).join("results.jsonl")).expect("results");
    assert!(results("measured") == results("twice"));
}

#[test]
fn config_sets_options_from_a_file() {
    let (_held, folder) = pictures();
    let model = data("zoo/lenet/model.onnx");
    let write = |text: &str| std::fs::write(folder.join("run.toml"), text).expect("a file");
    write(&format!(
        "inputs = [\"photos/3\"]\nmodel = \"{model}\"\nmethod = [\"smoothgrad\", \"adaptgrad\"]\n\
         samples = 4\nalpha = 0.3\ntarget = [\"top:2\"]\nstandard-error = true\nexact = false\n"
    ));
    let lines = |more: &[&str]| -> Vec<Value> {
        let args = [&["explain", "--config", "run.toml", "--json"], more].concat();
        let output = run(&args, &folder);
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let found = lines(&[]);
    assert_eq!(found.len(), 2);
    let smooth = &found[0]["methods"][0]["plan"];
    assert_eq!(
        (&smooth["sampler"]["samples"], &smooth["sampler"]["width"]["alpha"]),
        (&4.into(), &0.3.into())
    );
    assert!(found[0]["methods"][0]["files"].to_string().contains("standard-error"));
    // The command line overrides the file, also with a conflicting option.
    let found = lines(&["--sigma", "0.5", "--target", "1", "--samples", "2"]);
    assert_eq!(found.len(), 1);
    let smooth = &found[0]["methods"][0]["plan"];
    assert_eq!(smooth["sampler"]["width"]["kind"], "absolute");
    assert_eq!(smooth["sampler"]["samples"], 2);
    for (text, expected) in [
        ("sample = 4", "there is no option \"sample\"; similar options: \"samples\""),
        ("samples = \"many\"", "invalid value 'many' for '--samples <N>'"),
        ("samples = { more = 1 }", "is not a string, number or boolean"),
        ("exact = 3", "exact: write true or false"),
        ("samples = ", "is not valid TOML"),
    ] {
        write(text);
        let output = run_with(&["explain", "--config", "run.toml"], &folder, b"");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(stderr(&output).contains(expected), "{text}: {}", stderr(&output));
    }
}

/// Required arguments may come from a file.
#[test]
fn config_and_like_work_for_comparisons() {
    let (_held, folder) = pictures();
    let model = data("zoo/lenet/model.onnx");
    let settings =
        format!("model = \"{model}\"\nother = \"{model}\"\nimages = [\"photos/3\"]\nsamples = 2\n");
    std::fs::write(folder.join("run.toml"), settings).expect("a file");
    run(&["compare", "--config", "run.toml", "--out", "once"], &folder);
    run(&["compare", "--like", "once/settings.json", "--out", "twice"], &folder);
    let results =
        |name: &str| std::fs::read(folder.join(name).join("results.jsonl")).expect("results");
    assert!(results("once") == results("twice"));
    let output = run_with(&["compare", "--images", "photos/3"], &folder, b"");
    assert!(
        stderr(&output).contains("required arguments were not provided"),
        "{}",
        stderr(&output)
    );
}

/// `--like` warns if the image or the model has changed.
#[test]
fn like_warns_about_changes() {
    let (_held, folder) = pictures();
    let quick = quick();
    run(&explain(&quick, &["photos/3/a.png"]), &folder);
    let manifest = "attriburn-out/a/manifest.json";
    let again =
        |more: &[&str]| stderr(&run(&[&["explain", "--like", manifest], more].concat(), &folder));
    assert!(!again(&["--out", "again"]).contains("has changed since"));
    std::fs::copy(data("pictures/grey.png"), folder.join("photos/3/a.png")).expect("a picture");
    assert!(again(&["--out", "other"]).contains("photos/3/a.png has changed since"));
    assert!(
        again(&["--model", &data("zoo/mlp/model.onnx"), "--out", "third"])
            .contains("the model differs from the model recorded in")
    );
}

#[test]
fn quiet_prints_nothing_and_verbose_prints_details() {
    let (_held, folder) = pictures();
    let quick = quick();
    let output = run(&explain(&quick, &["photos", "--quiet"]), &folder);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
    let output = run(&explain(&quick, &["photos", "--verbose"]), &folder);
    let messages = stderr(&output);
    assert!(messages.contains("info: on cpu, 10 classes"), "{messages}");
    assert!(messages.contains("warning: the model does not specify"), "{messages}");
    let coloured = |choice: &str| {
        let args = explain(&quick, &["photos", "--color", choice]);
        stderr(&run(&args, &folder)).contains('\u{1b}')
    };
    assert_eq!([coloured("always"), coloured("never"), coloured("auto")], [true, false, false]);
}

/// `inspect`, `devices`, `methods` and `evaluate` print JSON objects with `--json`.
#[test]
fn other_commands_print_json() {
    let (_held, folder) = pictures();
    let model = data("zoo/lenet/model.onnx");
    let lines = |args: &[&str]| -> Vec<Value> {
        let output = run(args, &folder);
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let [inspected] = &lines(&["inspect", &model, "--json"])[..] else { panic!("one line") };
    assert_eq!((&inspected["classes"], &inspected["can_be_explained"]), (&10.into(), &true.into()));
    assert_eq!(inspected["outputs"][0]["shape"][1], 10);
    let devices = lines(&["devices", "--json"]);
    let cpu = devices.iter().find(|line| line["name"] == "cpu").expect("the CPU");
    assert_eq!((&cpu["ready"], &cpu["software"]), (&true.into(), &false.into()));
    assert_eq!(devices.iter().filter(|line| line["auto"] == true).count(), 1);
    let methods = lines(&["methods", "--json"]);
    assert_eq!(methods.len(), attriburn_evaluate::Method::all().len());
    let args = ["evaluate", "sparseness,gap", "--images", "photos/3", "--model", &model];
    let results = lines(&[&args[..], &["--samples", "2", "--json"]].concat());
    assert_eq!(results.len(), 2);
    assert!(results[0]["value"].is_number());
    // A metric that is not defined for the method is not a failure.
    assert_eq!(results[1]["not_applicable"], true);
}
