//! `--shard` and `merge`: several processes write what one writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn program(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(args: &[&str], folder: &Path) -> Output {
    program(args, folder).output().expect("the program's output")
}

/// Runs the program, which must exit with `code`, and returns what it wrote to standard error.
fn run_with_code(args: &[&str], folder: &Path, code: i32) -> String {
    let output = run(args, folder);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    message
}

/// Creates a folder with these pictures in `photos`.
fn folder_with_photos(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("photos")).expect("a folder");
    for name in names {
        let photo = folder.path().join("photos").join(name);
        std::fs::copy(data(&format!("pictures/{name}")), photo).expect("a picture");
    }
    folder
}

const PHOTOS: [&str; 9] = [
    "alpha.png",
    "cmyk.jpg",
    "grey.png",
    "lossless.webp",
    "palette.png",
    "rgb.bmp",
    "rgb.jpg",
    "rgb.png",
    // A picture that cannot be read is a failure with a reason.
    "truncated.png",
];

/// The content of every file below `folder`, by its path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|(inner, b)| (name.join(inner), b))),
            false => drop(found.insert(name, std::fs::read(&path).expect("a file"))),
        }
    }
    found
}

/// Checks that both folders have the same files with the same bytes.
fn assert_same_files(found: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<PathBuf, Vec<u8>>) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{} differs", name.display());
    }
}

/// Starts the program and kills it as soon as `results` has a record.
fn kill_after_the_first_record(args: &[&str], folder: &Path, results: &Path) {
    let mut child: Child = program(args, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    while std::fs::metadata(results).map_or(0, |found| found.len()) == 0 {
        assert!(child.try_wait().expect("its state").is_none(), "it ended without a record");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("a killed process");
    child.wait().expect("its end");
}

/// Three shards, of which one is killed and resumed, are merged to the files of one run: records, settings, tables,
/// plots and the page with its warnings.
#[test]
fn merged_shards_are_one_run() {
    let one = folder_with_photos(&PHOTOS);
    let divided = folder_with_photos(&PHOTOS);
    // The maps of this model change their rounding with the images that share a batch: two, with 128 samples.
    let model = data("zoo/mlp/model.onnx");
    let args = ["evaluate", "sparseness,deletion,random-logit", "--model", &model];
    let methods = ["--methods", "gradient,smoothgrad,adaptgrad", "--sweep", "alpha=0.1,0.2"];
    // Values outside the domain give warnings, which the page shows.
    let settings = ["--samples", "128", "--repeats", "9", "--seed", "3", "--domain", "0.2,0.8"];
    let more = ["--images", "photos", "--device", "cpu", "--out", "measured"];
    let args = [&args[..], &methods, &settings, &more].concat();
    let with = |options: &[&'static str]| [&args[..], options].concat();

    run_with_code(&args, one.path(), 1);
    let measured = divided.path().join("measured");
    let results = measured.join("shards/2-of-3/results.jsonl");
    kill_after_the_first_record(&with(&["--shard", "2/3"]), divided.path(), &results);
    let killed = std::fs::read(&results).expect("the results");
    run_with_code(&with(&["--shard=1/3"]), divided.path(), 0);
    run_with_code(&with(&["--shard", "3/3"]), divided.path(), 0);

    // The message names the shard, and the command that finishes it.
    let message = run_with_code(&["merge", "measured"], divided.path(), 2);
    assert!(message.contains("shard 2/3 is incomplete: "), "{message}");
    assert!(message.contains("attriburn evaluate --shard 2/3 --resume "), "{message}");
    let command = message.lines().last().expect("a command").trim().to_owned();
    let words = shlex::split(&command).expect("words");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    run_with_code(&words, divided.path(), 1);
    let finished = std::fs::read(&results).expect("the results");
    assert!(finished.len() > killed.len(), "the shard was complete before it was killed");

    let message = run_with_code(&["merge", "measured"], divided.path(), 1);
    assert!(message.contains("values are missing"), "{message}");
    let found = files(&measured);
    let found: BTreeMap<_, _> =
        found.into_iter().filter(|(path, _)| !path.starts_with("shards")).collect();
    assert_same_files(&found, &files(&one.path().join("measured")));
    let page = String::from_utf8_lossy(&found[Path::new("report.html")]);
    assert!(page.contains("elements lie outside their domain") && !page.contains("--shard"));
    // Merging again changes nothing.
    run_with_code(&["merge", "measured"], divided.path(), 1);
    let again = files(&measured);
    assert!(found.iter().all(|(path, bytes)| again[path] == *bytes));
}

/// The shards of a comparison of two models, and those of a table with several models.
#[test]
fn comparisons_and_tables_of_several_models_have_shards() {
    let photos = &PHOTOS[..5];
    let (one, divided) = (folder_with_photos(photos), folder_with_photos(photos));
    for folder in [one.path(), divided.path()] {
        let papers = folder.join("papers");
        std::fs::create_dir(&papers).expect("a folder");
        std::fs::rename(folder.join("photos"), papers.join("images")).expect("a folder");
        for name in ["vgg16", "resnet50", "inception-v3"] {
            let model = papers.join(name).with_extension("onnx");
            std::fs::copy(data("zoo/lenet/model.onnx"), model).expect("a model");
        }
    }
    let compare =
        ["compare", "papers/vgg16.onnx", "papers/resnet50.onnx", "--methods", "adaptgrad"];
    let compare =
        [&compare[..], &["--images", "papers/images", "--samples", "128", "--device", "cpu"]]
            .concat();
    let table = ["evaluate", "--paper", "adaptgrad-table9", "--data", "papers", "--samples", "32"];
    let table = [&table[..], &["--repeats", "1", "--device", "cpu"]].concat();
    for (args, out) in [(compare, "attriburn-comparison"), (table, "attriburn-evaluation")] {
        run_with_code(&args, one.path(), 0);
        for shard in ["1/2", "2/2"] {
            run_with_code(&[&args[..], &["--shard", shard]].concat(), divided.path(), 0);
        }
        let printed = run(&["merge", out, "--json"], divided.path());
        assert!(text(&printed.stdout).lines().all(|line| line.starts_with('{')));
        let found = files(&divided.path().join(out));
        let is_of_shard = |path: &Path| path.iter().any(|part| part == "shards");
        let found = found.into_iter().filter(|(path, _)| !is_of_shard(path)).collect();
        assert_same_files(&found, &files(&one.path().join(out)));
    }
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let folder = folder_with_photos(&PHOTOS[..4]);
    let model = data("zoo/lenet/model.onnx");
    let args = ["evaluate", "sparseness", "--model", &model, "--images", "photos", "--out", "out"];
    let args = [&args[..], &["--samples", "256", "--device", "cpu"]].concat();
    let shard = |shard: &'static str, options: &[&'static str]| {
        let args = [&args[..], &["--shard", shard], options].concat();
        run_with_code(&args, folder.path(), 0)
    };
    let refused = |expected: &[&str]| {
        let message = run_with_code(&["merge", "out"], folder.path(), 2);
        for part in expected {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
        assert!(!folder.path().join("out/results.jsonl").exists());
    };
    let remove = |shard: &str| {
        std::fs::remove_dir_all(folder.path().join("out/shards").join(shard)).expect("a folder");
    };
    refused(&["out/shards has no shards", "the maps of `attriburn explain --shard I/N` need no"]);
    shard("1/3", &[]);
    refused(&["shard 2/3 is missing", "shard 3/3 is missing", "evaluate --shard 2/3 --resume"]);
    shard("2/3", &["--seed", "1"]);
    shard("3/3", &[]);
    refused(&["shard 2/3 was made with other settings", "\"seed\": 1", "evaluate --shard 2/3"]);
    remove("2-of-3");
    shard("2/3", &[]);
    // A shard without images: there are fewer groups of images than shards.
    let message = shard("9/9", &[]);
    assert!(message.contains("shard 9/9 has no images"), "{message}");
    refused(&["out/shards has shards 1/3 and 9/9", "divided in two ways"]);
    remove("9-of-9");
    // A list of images that has changed since.
    let added = folder.path().join("photos/b.png");
    std::fs::copy(data("pictures/rgb.png"), &added).expect("a picture");
    refused(&["shard 1/3 was made with", "other images", "then \"photos/", "now  \"photos/"]);
    std::fs::remove_file(&added).expect("the picture");
    // A record that was changed.
    let results = folder.path().join("out/shards/1-of-3/results.jsonl");
    let records = std::fs::read_to_string(&results).expect("the results");
    std::fs::write(&results, records.replacen("alpha", "alhpa", 1)).expect("the results");
    refused(&["shard 1/3: ", "line 1 is not a record"]);
    std::fs::write(&results, &records).expect("the results");
    run_with_code(&["merge", "out"], folder.path(), 0);
    // Merging that was interrupted continues.
    let merged = folder.path().join("out/results.jsonl");
    let whole = std::fs::read(&merged).expect("the results");
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&merged, &whole[..length]).expect("the results");
        run_with_code(&["merge", "out"], folder.path(), 0);
        assert_eq!(std::fs::read(&merged).expect("the results"), whole);
    }
    // Results of another run in the output folder are kept.
    std::fs::write(&merged, records.replacen("0.", "1.", 1)).expect("the results");
    let message = run_with_code(&["merge", "out"], folder.path(), 2);
    assert!(message.contains("already exists and differs from the results"), "{message}");
    // Results of a shard are not overwritten.
    let again = [&args[..], &["--shard", "1/3"]].concat();
    let message = run_with_code(&again, folder.path(), 2);
    assert!(message.contains("already exists; resume the run"), "{message}");
}

/// A shard of which all values are missing is complete, so it has the exit code 1.
#[test]
fn shard_of_broken_images_is_complete() {
    let folder = folder_with_photos(&["rgb.png", "truncated.png"]);
    let model = data("zoo/lenet/model.onnx");
    let args = ["evaluate", "sparseness", "--images", "photos", "--model", &model, "--out", "out"];
    let args = [&args[..], &["--samples", "256", "--device", "cpu"]].concat();
    for (shard, code) in [("1/2", 0), ("2/2", 1)] {
        run_with_code(&[&args[..], &["--shard", shard]].concat(), folder.path(), code);
    }
    run_with_code(&["merge", "out"], folder.path(), 1);
}

#[test]
fn shards_out_of_range_are_errors() {
    let folder = folder_with_photos(&PHOTOS[..1]);
    for (shard, expected) in [
        ("0/3", "there is no shard 0 of 3"),
        ("4/3", "there is no shard 4 of 3; shards are counted from 1 to 3"),
        ("1/0", "there must be at least 1 shard"),
        ("2", "write I/N, such as 1/8"),
    ] {
        for command in
            [&["evaluate", "sparseness", "--images", "photos"][..], &["explain", "photos"]]
        {
            let message = run_with_code(&[command, &["--shard", shard]].concat(), folder.path(), 2);
            assert!(message.contains(expected), "{message}");
        }
    }
    let list = ["evaluate", "sparseness", "--files-from", "-", "--shard", "1/2"];
    let message = run_with_code(&list, folder.path(), 2);
    assert!(message.contains("cannot read standard input"), "{message}");
}

/// Two shards write the maps of one run. Only the manifests have seconds that differ.
#[test]
fn explain_in_shards_writes_the_maps_of_one_run() {
    let (one, divided) = (folder_with_photos(&PHOTOS), folder_with_photos(&PHOTOS));
    for folder in [one.path(), divided.path()] {
        // The same file name in another folder.
        std::fs::create_dir(folder.join("more")).expect("a folder");
        std::fs::copy(data("pictures/grey.png"), folder.join("more/rgb.png")).expect("a picture");
    }
    let model = data("zoo/mlp/model.onnx");
    let inputs = ["explain", "photos", "more", "--target", "top:2", "--model", &model];
    let plan = ["--method", "gradient,adaptgrad", "--samples", "40", "--device", "cpu"];
    let args = [&inputs[..], &plan].concat();
    run_with_code(&args, one.path(), 1);
    run_with_code(&[&args[..], &["--shard", "1/2"]].concat(), divided.path(), 0);
    let second = run(&[&args[..], &["--shard", "2/2"]].concat(), divided.path());
    assert_eq!(second.status.code(), Some(1), "{}", text(&second.stderr));
    assert!(text(&second.stdout).ends_with("shard 2/2: 4 of 10 inputs\n"));
    let without_seconds = |folder: &Path| {
        let mut files = files(&folder.join("attriburn-out"));
        let manifests = files.iter_mut().filter(|(path, _)| path.ends_with("manifest.json"));
        for (_, bytes) in manifests {
            let kept = |line: &&[u8]| !text(line).trim_start().starts_with("\"seconds\":");
            *bytes =
                bytes.split_inclusive(|&b| b == b'\n').filter(kept).collect::<Vec<_>>().concat();
        }
        files
    };
    let mut expected = without_seconds(one.path());
    assert!(expected.remove(Path::new("report.html")).is_some(), "one run has a page");
    assert!(expected.keys().any(|path| path.starts_with("rgb-4")), "{:?}", expected.keys());
    assert_same_files(&without_seconds(divided.path()), &expected);
    let message = run_with_code(&["merge", "attriburn-out"], divided.path(), 2);
    assert!(message.contains("the maps of `attriburn explain --shard I/N` need no merging"));
    let page = [&args[..], &["--shard", "1/2", "--report"]].concat();
    assert!(run_with_code(&page, divided.path(), 2).contains("cannot be used with"));
}

/// The tasks of the Slurm script, run one after the other, and its job that merges them.
#[test]
#[cfg(unix)]
fn slurm_script_measures_and_merges() {
    let folder = folder_with_photos(&["grey.png", "rgb.png"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slurm/evaluate.sbatch");
    let script = std::fs::read_to_string(script).expect("the script");
    let shared = folder.path().display().to_string();
    let smaller =
        [("/shared", &*shared), ("shards=100", "shards=2"), ("--resume", "--resume -n 2")];
    let script = smaller.iter().fold(script, |script, (from, to)| {
        assert!(script.contains(from), "{from}");
        script.replace(from, to)
    });
    let program = Path::new(env!("CARGO_BIN_EXE_attriburn")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let task = |id: &str, args: &[&str]| {
        let output = Command::new("bash")
            .args(["-c", &script, "evaluate.sbatch"])
            .args(args)
            .env("PATH", format!("{}:{path}", program.display()))
            .env("SLURM_ARRAY_TASK_ID", id)
            .env("SLURM_CPUS_PER_TASK", "1")
            .output()
            .expect("bash");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    };
    task("1", &[]);
    // A task that is submitted again.
    task("1", &[]);
    task("2", &[]);
    task("1", &["merge"]);
    assert!(folder.path().join("measured/report.html").exists());
}
