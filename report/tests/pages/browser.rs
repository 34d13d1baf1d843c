//! The scripts of the pages, in a browser. Each page gets a test script, which writes its results into the page.

use std::process::Command;

use crate::{evaluation, maps};

/// Opens a page in Chromium and returns the results of the test script, one line each.
fn results(name: &str, page: &str, test: &str) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let harness = include_str!("browser/harness.js").replace("/* TESTS */", test);
    let page = page.replace("</body>", &format!("<script>{harness}</script></body>"));
    let file = folder.join("page.html");
    std::fs::write(&file, page).expect("a file");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=60000", "--window-size=1300,3600", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("chromium");
    let dom = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = dom.split_once("<pre id=\"test-results\">").expect("results");
    let (text, _) = rest.split_once("</pre>").expect("an end");
    text.lines().map(String::from).collect()
}

fn check(results: &[String], count: usize) {
    let failed: Vec<&String> = results.iter().filter(|line| !line.starts_with("pass ")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(results.len(), count, "{results:#?}");
}

#[test]
#[ignore = "needs chromium"]
fn controls_of_the_maps_work() {
    let page = maps::page().html().expect("a page");
    check(&results("maps", &page, include_str!("browser/maps.js")), 27);
}

#[test]
#[ignore = "needs chromium"]
fn tables_sort_and_curves_are_read() {
    let page = evaluation::page().html();
    check(&results("evaluation", &page, include_str!("browser/evaluation.js")), 9);
}
