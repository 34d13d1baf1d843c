//! Every command of the README and of docs/ runs as it is written.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A line of an example, without the remark behind it. Lines that end in a backslash go on.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let is_ours = |line: &&str| {
        let command = line.split('|').next_back().unwrap_or(line).trim_start();
        line.starts_with("    ") && command.starts_with("attriburn ")
    };
    let stripped = |line: &str| line.split("  #").next().unwrap_or(line).trim().to_owned();
    joined.lines().filter(is_ours).map(stripped).collect()
}

/// The text between the first fences of this language.
fn fenced<'t>(text: &'t str, language: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    rest.split_once("```").map(|(inner, _)| inner)
}

/// A folder with everything that the examples name.
fn folder_of_examples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: PathBuf, to: &str| {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        std::fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    let assets = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
    let data = |name: &str| root().join("tests/data").join(name);
    for model in ["resnet50", "resnet50.int8", "vit", "net", "caffe", "model-b"] {
        copy(assets("efficientnet-lite0.onnx"), &format!("{model}.onnx"));
    }
    copy(assets("imagenet-labels.txt"), "imagenet.txt");
    copy(assets("chelsea.png"), "photo.jpg");
    copy(assets("chelsea.png"), "photos/cat.jpg");
    copy(assets("chelsea.png"), "imagenet/val/n02124075/cat.jpg");
    let vit = r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224},
        "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), vit).expect("a file");
    copy(data("shapes/spatial/model.onnx"), "segmentation.onnx");
    copy(data("inputs/several.onnx"), "several-inputs.onnx");
    for name in ["condition", "temperature", "class"] {
        copy(data(&format!("inputs/{name}.npy")), &format!("{name}.npy"));
    }
    let lenet = || data("zoo/lenet/model.onnx");
    for model in ["a.onnx", "b.onnx", "papers/vgg16.onnx"] {
        copy(lenet(), model);
    }
    copy(data("pictures/rgb.png"), "papers/images/rgb.png");
    for file in ["mlp-normal.onnx", "mlp-random.onnx", "mlp-bias.onnx", "digits.npy"] {
        copy(data("mnist").join(file), &format!("tests/data/mnist/{file}"));
    }
    let corners = "<xmin>100</xmin><ymin>20</ymin><xmax>400</xmax><ymax>290</ymax>";
    let cat = format!(
        "<annotation><object><name>Egyptian cat</name><bndbox>{corners}</bndbox></object></annotation>"
    );
    std::fs::create_dir(folder.path().join("annotations")).expect("a folder");
    std::fs::write(folder.path().join("annotations/cat.xml"), cat).expect("boxes");
    copy(data("shapes/vector/model.onnx"), "tabular.onnx");
    let rows = attriburn::npy::read(&data("shapes/vector/input.npy")).expect("an array");
    let row = &rows.values[..rows.values.len() / rows.shape[0]];
    let mut bytes = Vec::new();
    attriburn::npy::write(&mut bytes, &rows.shape[1..], row).expect("an array");
    std::fs::write(folder.path().join("row.npy"), bytes).expect("a file");
    folder
}

/// The page's commands, one after the other in one folder, each with exit code 0.
fn run(page: &str) {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let commands = commands(&text);
    assert!(!commands.is_empty(), "{page} has no examples");
    let folder = folder_of_examples();
    if let Some(settings) = fenced(&text, "toml") {
        std::fs::write(folder.path().join("run.toml"), settings).expect("a file");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_attriburn"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().expect("a folder").display());
    for command in commands {
        // A table of a paper is of many pictures; a few show that the command is right.
        let command = match command.contains("--paper") {
            true => format!("{command} --limit 3"),
            false => command,
        };
        // Another example's results are in nobody's way.
        let _ = std::fs::remove_dir_all(folder.path().join("attriburn-evaluation"));
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{page}: {command}\n{stderr}");
        assert!(!output.stdout.is_empty() || command.contains('>'), "{page}: {command} is silent");
    }
}

#[test]
fn the_readme() {
    run("README.md");
}

#[test]
fn the_command_line() {
    run("docs/command-line.md");
}

#[test]
fn preprocessing() {
    run("docs/preprocessing.md");
}

#[test]
fn evaluation() {
    run("docs/evaluation.md");
}

#[test]
fn quantization() {
    run("docs/quantization.md");
}
