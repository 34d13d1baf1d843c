//! `attriburn evaluate` and `attriburn compare`.

mod comparison;
mod metrics;
mod options;
mod paper;
mod resume;

use std::path::Path;
use std::process::{Command, Output, Stdio};

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
