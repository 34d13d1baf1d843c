//! Snapshots of the printed text: help, lists and error messages. After an intended change,
//! `TRYCMD=overwrite cargo test --release --test commands` updates them.

#[test]
fn output_matches_the_snapshots() {
    trycmd::TestCases::new().case("tests/commands/*.trycmd");
}

/// The common options of a command fit one screen of 60 lines, and all options fit two screens.
#[test]
fn help_fits_the_screen() {
    let lines = |args: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_attriburn"));
        let output = { program }.args(args).output().expect("the program");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    for command in
        ["explain", "evaluate", "compare", "merge", "inspect", "devices", "methods", "metrics"]
    {
        assert!(lines(&[command, "-h"]) <= 60, "{command} -h");
        assert!(lines(&[command, "--help"]) <= 120, "{command} --help");
    }
}
