//! What the program prints, word by word: help, lists and complaints. After a change that is meant,
//! `TRYCMD=overwrite cargo test --release --test commands` writes them anew.

#[test]
fn print_what_they_should() {
    trycmd::TestCases::new().case("tests/commands/*.trycmd");
}

/// All options of a command fit two screens of 60 lines, and the common ones one.
#[test]
fn help_fits_the_screen() {
    let lines = |args: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_attriburn"));
        let output = { program }.args(args).output().expect("the program");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    for command in ["explain", "evaluate", "compare", "inspect", "devices", "methods", "metrics"] {
        assert!(lines(&[command, "-h"]) <= 60, "{command} -h");
        assert!(lines(&[command, "--help"]) <= 120, "{command} --help");
    }
}
