//! The example commands in the README and in docs/ run without errors.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the example commands in the indented blocks and the `sh` blocks of a page, without the comments behind
/// them. A backslash at the end of a line continues the command.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut in_shell_block = false;
    let mut is_example = |line: &&str| {
        if line.starts_with("```") {
            in_shell_block = *line == "```sh";
        }
        let command = line.split('|').next_back().unwrap_or(line).trim_start();
        (in_shell_block || line.starts_with("    ")) && command.starts_with("attriburn ")
    };
    let without_comment = |line: &str| line.split("  #").next().unwrap_or(line).trim().to_owned();
    joined.lines().filter(&mut is_example).map(without_comment).collect()
}

/// Returns the content of the first code block in `language`.
fn fenced<'t>(text: &'t str, language: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    rest.split_once("```").map(|(inner, _)| inner)
}

/// Creates a folder with all files that the examples name.
fn example_folder() -> tempfile::TempDir {
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
    let rows = attriburn_picture::npy::read(data("shapes/vector/input.npy")).expect("an array");
    let row = &rows.values[..rows.values.len() / rows.shape[0]];
    let mut bytes = Vec::new();
    attriburn_picture::npy::write(&mut bytes, &rows.shape[1..], row).expect("an array");
    std::fs::write(folder.path().join("row.npy"), bytes).expect("a file");
    folder
}

/// Runs the commands of a page in one folder. Each must exit with code 0 and print something.
fn run_examples(page: &str) {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let commands = commands(&text);
    assert!(!commands.is_empty(), "{page} has no examples");
    let folder = example_folder();
    if let Some(settings) = fenced(&text, "toml") {
        std::fs::write(folder.path().join("run.toml"), settings).expect("a file");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_attriburn"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().expect("a folder").display());
    for command in commands {
        // A table of a paper uses many images; a few suffice to check the command.
        let command = match command.contains("--paper") {
            true => format!("{command} --limit 3"),
            false => command,
        };
        // The results of an earlier example must not stop this one.
        let _ = std::fs::remove_dir_all(folder.path().join("attriburn-evaluation"));
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{page}: {command}\n{stderr}");
        assert!(
            !output.stdout.is_empty() || command.contains('>'),
            "{page}: {command} prints nothing"
        );
    }
}

#[test]
fn readme_examples_run() {
    run_examples("README.md");
}

#[test]
fn command_line_examples_run() {
    run_examples("docs/command-line.md");
}

#[test]
fn preprocessing_examples_run() {
    run_examples("docs/preprocessing.md");
}

#[test]
fn evaluation_examples_run() {
    run_examples("docs/evaluation.md");
}

#[test]
fn cluster_examples_run() {
    run_examples("docs/clusters.md");
}

#[test]
fn class_activation_map_examples_run() {
    run_examples("docs/cam.md");
}

#[test]
fn quantization_examples_run() {
    run_examples("docs/quantization.md");
}

/// Returns the paths of all pages of the repository.
fn pages() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    };
    in_folder(".").chain(in_folder("docs")).collect()
}

/// The anchor of a heading, as GitHub and mdbook write it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (path, section) = target.split_once('#').unwrap_or((&target, ""));
            let file = match path {
                "" => page.clone(),
                path => page.parent().expect("a folder").join(path),
            };
            assert!(file.exists(), "{}: {target} does not exist", page.display());
            if !section.is_empty() {
                let other = std::fs::read_to_string(&file).expect("a page");
                let headings = other.lines().filter(|line| line.starts_with('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
                assert!(anchors.any(|own| own == section), "{}: {target}", page.display());
            }
        }
    }
    assert!(count > 20, "only {count} links");
}

#[test]
fn book_contains_every_page_of_its_folder() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("a summary");
    for page in pages().iter().filter(|page| page.parent().is_some_and(|at| at.ends_with("docs"))) {
        let name = page.file_name().expect("a name").to_string_lossy();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name}");
    }
}

/// The files and folders that the guides for contributors name.
#[test]
fn paths_in_the_guides_exist() {
    let path = regex::Regex::new(r"`([a-z_]+/[A-Za-z0-9_][A-Za-z0-9_./-]*)`").expect("a pattern");
    let mut count = 0;
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "llms.txt"] {
        let text = std::fs::read_to_string(root().join(page)).expect("a page");
        for found in path.captures_iter(&text).map(|found| found[1].to_owned()) {
            // A name in capitals stands for any name.
            if !found.contains("NAME") && !found.contains("FAMILY") {
                count += 1;
                assert!(root().join(&found).exists(), "{page}: {found} does not exist");
            }
        }
    }
    assert!(count > 30, "only {count} paths");
}
