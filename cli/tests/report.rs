//! The pages that `explain` and `evaluate` write. The ignored tests open them in Chromium, which `.ci/run` installs:
//!
//!     cargo test --release --test report -- --ignored

use std::path::{Path, PathBuf};
use std::process::Command;

use attriburn_picture::Picture;

fn attriburn(args: &[&str], folder: &Path) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    let output = command.args(args).current_dir(folder).output().expect("output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

const TWO_METHODS: [&str; 5] = ["explain", "--method", "gradient,adaptgrad", "--samples", "8"];

fn evaluate(folder: &Path) {
    let images = folder.join("images");
    std::fs::create_dir_all(&images).expect("a folder");
    for name in ["rgb.png", "rgb-exif6.jpg", "grey.png", "palette.png", "alpha.png"] {
        std::fs::copy(data(&format!("pictures/{name}")), images.join(name)).expect("an image");
    }
    let model = data("zoo/lenet/model.onnx");
    let args = ["evaluate", "sparseness,deletion", "--methods", "gradient,adaptgrad,smoothgrad"];
    let more = ["--samples", "4", "--model", &model, "--images", "images"];
    attriburn(&[&args[..], &more[..]].concat(), folder);
}

fn page(folder: &Path, out: &str) -> String {
    std::fs::read_to_string(folder.join(out).join("report.html")).expect("a page")
}

#[test]
fn several_maps_or_the_option_write_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("attriburn-out/report.html");
    let single = ["explain", "--method", "gradient"];
    attriburn(&single, folder.path());
    assert!(!path.exists(), "a single map has no page");
    let (stdout, _) = attriburn(&[&single[..], &["--report"]].concat(), folder.path());
    assert!(path.exists() && stdout.contains("report.html"), "{stdout}");

    attriburn(&TWO_METHODS, folder.path());
    let first = page(folder.path(), "attriburn-out");
    for part in [
        "attriburn explain --method",
        "gradient,adaptgrad",
        "--samples 8",
        "Egyptian cat",
        "relative standard error",
        "more noise than signal",
        "SHA-256",
        "chelsea",
    ] {
        assert!(first.contains(part), "{part:?} is not in the page");
    }
    attriburn(&TWO_METHODS, folder.path());
    assert_eq!(page(folder.path(), "attriburn-out"), first, "the same run, the same bytes");
}

#[test]
fn inputs_that_fail_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("broken.png"), b"not a picture").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    let picture = data("pictures/rgb.png");
    let args = ["explain", &picture, "broken.png", "--method", "gradient,gi"];
    let output = command.args(args).current_dir(folder.path()).output().expect("output");
    assert_eq!(output.status.code(), Some(1));
    let page = page(folder.path(), "attriburn-out");
    assert!(page.contains("Left out") && page.contains("broken.png"));
    // A script gets the other results as JSON and no text.
    let args = [&TWO_METHODS[..], &["--json"]].concat();
    let (stdout, _) = attriburn(&args, folder.path());
    assert!(stdout.lines().all(|line| line.starts_with('{')), "{stdout}");
}

#[test]
fn evaluation_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    evaluate(folder.path());
    let first = page(folder.path(), "attriburn-evaluation");
    for part in ["sparseness", "deletion", "smoothgrad", "attriburn evaluate", "data:image/jpeg"] {
        assert!(first.contains(part), "{part:?} is not in the page");
    }
    std::fs::remove_dir_all(folder.path().join("attriburn-evaluation")).expect("a folder");
    evaluate(folder.path());
    assert_eq!(page(folder.path(), "attriburn-evaluation"), first, "the same run, the same bytes");
}

/// Runs Chromium on a page with these arguments and returns its standard output.
fn chromium(args: &[&str], page: &Path) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // A frame in a process of its own may be painted after the screenshot.
            "--disable-features=IsolateSandboxedIframes",
            "--virtual-time-budget=20000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("Chromium, from Debian's package chromium");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Adds a script to the end of a page, and returns the text that it leaves in the element `result`.
fn run_script(page: &str, script: &str, folder: &Path) -> String {
    let html = page
        .replace("</body>", &format!("<pre id=\"result\"></pre><script>{script}</script></body>"));
    let path = folder.join("scripted.html");
    std::fs::write(&path, html).expect("a page");
    let dom = chromium(&["--dump-dom"], &path);
    let start = dom.find("<pre id=\"result\">").expect("the result") + "<pre id=\"result\">".len();
    dom[start..].split("</pre>").next().expect("an end").to_owned()
}

/// A screenshot, as large as a window of this size.
fn screenshot(page: &Path, options: &[&str], (width, height): (u32, u32)) -> Picture {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("screenshot.png");
    let shot = format!("--screenshot={}", path.display());
    let size = format!("--window-size={width},{height}");
    let args = [&["--run-all-compositor-stages-before-draw", &shot, &size], options].concat();
    chromium(&args, page);
    Picture::open(&path).expect("a screenshot")
}

/// The share of saturated pixels: those of coloured maps, not of text.
fn coloured(picture: &Picture) -> f64 {
    let is_coloured =
        |[r, g, b]: &[u8; 3]| u32::from(*r.max(g).max(b)) > 40 + u32::from(*r.min(g).min(b));
    picture.pixels().filter(|pixel| is_coloured(pixel)).count() as f64
        / picture.pixels().len() as f64
}

/// The slider, the thresholds, the pointer and the choices change what the page shows.
#[test]
#[ignore = "needs Chromium"]
fn page_of_maps_answers_the_pointer_and_the_controls() {
    let folder = tempfile::tempdir().expect("a folder");
    attriburn(&TWO_METHODS, folder.path());
    let page = page(folder.path(), "attriburn-out");
    let script = r##"
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      const set = async (id, value) => {
        const control = document.getElementById(id);
        control.value = value;
        control.dispatchEvent(new Event("input", { bubbles: true }));
        await wait(100);
      };
      const visible = () => {
        const canvas = document.querySelectorAll("[data-map] canvas")[1];
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 0) count++;
        return count / (canvas.width * canvas.height);
      };
      const bytes = () => Array.from(document.querySelectorAll("[data-map] canvas"), (canvas) => canvas.toDataURL()).join();
      (async () => {
        const started = performance.now();
        while (document.querySelectorAll("[data-map] canvas").length < 2) await wait(20);
        const result = { all: visible(), plain: bytes() };
        await set("opacity", 25);
        result.opacity = getComputedStyle(document.documentElement).getPropertyValue("--opacity");
        await set("percentile", 90);
        result.strongest = visible();
        await set("percentile", 0);
        await set("certainty", 2);
        result.certain = visible();
        await set("certainty", 0);
        await set("view", "magnitude");
        result.magnitude = bytes() !== result.plain;
        await set("view", "signed");
        await set("scale", "shared");
        result.shared = bytes() !== result.plain;
        await set("scale", "own");
        result.restored = bytes() === result.plain;
        delete result.plain;
        const map = document.querySelectorAll("[data-map]")[1];
        const box = map.getBoundingClientRect();
        const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
        map.dispatchEvent(new PointerEvent("pointermove", at));
        result.readout = document.getElementById("readout").textContent;
        map.focus();
        map.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
        result.moved = document.getElementById("readout").textContent;
        map.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
        await wait(100);
        result.enlarged = document.getElementById("enlarged").open;
        document.getElementById("result").textContent = JSON.stringify(result);
      })();
    "##;
    let text = run_script(&page, script, folder.path());
    let result: serde_json::Value = serde_json::from_str(&text).expect("a result");
    let number = |name: &str| result[name].as_f64().expect(name);
    assert!(number("all") > 0.99, "{result}");
    assert_eq!(result["opacity"], "0.25", "{result}");
    assert!((0.05..0.2).contains(&number("strongest")), "the strongest tenth: {result}");
    // With 8 samples, few values are twice as large as their standard error.
    assert!((0.01..0.6).contains(&number("certain")), "{result}");
    assert_eq!(result["magnitude"], true, "{result}");
    // The scales of the gradient and of the smoothed gradient differ, so one of the maps changes.
    assert_eq!(result["shared"], true, "{result}");
    assert_eq!(result["restored"], true, "{result}");
    let readout = result["readout"].as_str().expect("a text");
    assert!(readout.starts_with("adaptgrad: row 112, column 112, "), "{readout}");
    assert!(readout.contains(" ± ") && readout.contains("z ") && readout.contains("percentile"));
    assert!(result["moved"].as_str().is_some_and(|text| text.contains("column 113")), "{result}");
    assert_eq!(result["enlarged"], true, "{result}");
}

/// The maps stand in the page without scripts, and in light and dark colours.
#[test]
#[ignore = "needs Chromium"]
fn pages_are_readable_without_scripts_in_light_and_dark_and_on_a_phone() {
    let folder = tempfile::tempdir().expect("a folder");
    attriburn(&TWO_METHODS, folder.path());
    evaluate(folder.path());
    for out in ["attriburn-out", "attriburn-evaluation"] {
        let path = folder.path().join(out).join("report.html");
        let background = |picture: &Picture| {
            let [r, g, b] = picture.pixels().next().expect("a pixel");
            (u32::from(r) + u32::from(g) + u32::from(b)) / 3
        };
        let light = "--blink-settings=preferredColorScheme=1";
        let dark = "--blink-settings=preferredColorScheme=0";
        let wide = (1200, 1200);
        let with_scripts = screenshot(&path, &[light], wide);
        // A frame with restrictions runs no scripts.
        let frame =
            "<iframe sandbox src=\"report.html\" style=\"border:0;width:100%;height:95vh\">";
        let framed = path.with_file_name("without-scripts.html");
        std::fs::write(&framed, frame).expect("a page");
        let without_scripts = screenshot(&framed, &[light], wide);
        let in_the_dark = screenshot(&path, &[dark], wide);
        let on_a_phone = screenshot(&path, &[light], (500, 1200));
        assert!(background(&with_scripts) > 200, "{out}: light");
        assert!(background(&in_the_dark) < 80, "{out}: dark");
        assert_ne!(with_scripts, without_scripts, "{out}: the controls need scripts");
        let least = if out == "attriburn-out" { 0.05 } else { 0.001 };
        for (name, picture) in [
            ("with scripts", &with_scripts),
            ("without scripts", &without_scripts),
            ("dark", &in_the_dark),
            ("on a phone", &on_a_phone),
        ] {
            assert!(coloured(picture) > least, "{out} {name}: {}", coloured(picture));
        }
        let width = "document.getElementById('result').textContent = \
                     document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let page = std::fs::read_to_string(&path).expect("a page");
        assert_eq!(run_script(&page, width, folder.path()), "0", "{out} scrolls sideways");
    }
}

/// The curves of an evaluation are interactive, and the tables can be sorted.
#[test]
#[ignore = "needs Chromium"]
fn page_of_an_evaluation_sorts_its_tables_and_reads_its_curves() {
    let folder = tempfile::tempdir().expect("a folder");
    evaluate(folder.path());
    let page = page(folder.path(), "attriburn-evaluation");
    let script = r##"
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      (async () => {
        await wait(100);
        const result = {};
        const header = document.querySelector("th button");
        header.click();
        result.sorted = header.closest("th").getAttribute("aria-sort");
        header.click();
        result.reversed = header.closest("th").getAttribute("aria-sort");
        const chart = document.querySelector("[data-chart] svg");
        const box = chart.getBoundingClientRect();
        const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
        chart.dispatchEvent(new PointerEvent("pointermove", at));
        result.probe = document.querySelector(".probe-text").textContent;
        const values = () => Array.from(document.querySelectorAll("[data-chart] .legend .value"), (v) => v.textContent);
        result.values = values();
        document.querySelector("[data-chart] .legend button").click();
        result.hidden = values();
        document.getElementById("result").textContent = JSON.stringify(result);
      })();
    "##;
    let text = run_script(&page, script, folder.path());
    let result: serde_json::Value = serde_json::from_str(&text).expect("a result");
    let orders = ["ascending", "descending"];
    let (sorted, reversed) = (result["sorted"].as_str(), result["reversed"].as_str());
    assert!(sorted.is_some_and(|order| orders.contains(&order)), "{result}");
    assert!(
        reversed.is_some_and(|order| orders.contains(&order)) && sorted != reversed,
        "{result}"
    );
    assert!(result["probe"].as_str().is_some_and(|text| text.contains(" = 0.")), "{result}");
    let values = result["values"].as_array().expect("the values");
    assert_eq!(values.len(), 3, "a value for each method: {result}");
    assert!(values.iter().all(|value| value != ""), "{result}");
    assert!(result["hidden"][0] == "" && result["hidden"][1] == values[1], "{result}");
}
