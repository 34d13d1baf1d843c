//! The pictures of maps: overlays, options of pictures, and the remark on noise.

use std::path::Path;
use std::process::Command;

use attriburn_picture::{ColorMap, Picture};
use serde_json::Value;

fn explain(args: &[&str], folder: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attriburn"));
    let output = command.arg("explain").args(args).current_dir(folder).output().expect("output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("a code"), text(&output.stdout), text(&output.stderr))
}

fn picture(folder: &Path, name: &str) -> Picture {
    Picture::open(folder.join("attriburn-out/chelsea").join(name)).expect("a picture")
}

fn manifest(folder: &Path) -> Value {
    let path = folder.join("attriburn-out/chelsea/manifest.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a manifest")).expect("JSON")
}

/// Whether a PNG file holds `text`, uncompressed.
fn holds_text(folder: &Path, name: &str, text: &str) -> bool {
    let bytes = std::fs::read(folder.join("attriburn-out/chelsea").join(name)).expect("a file");
    text.is_empty() || bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The overlay shows the region of the image that the model received, in the resolution of the image.
#[test]
fn overlay_has_the_resolution_of_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, stderr) = explain(&["--method", "gradient", "--target", "285"], folder.path());
    assert_eq!(code, 0, "{stderr}");
    let folder = folder.path().join("attriburn-out/chelsea");
    let open = |name: &str| Picture::open(folder.join(name)).expect("a picture");
    let (map, overlay) = (open("gradient.png"), open("gradient.overlay.png"));
    assert_eq!((map.height(), map.width()), (224, 224), "one pixel per value");
    // The built-in image has 300 rows, of which the model receives 7/8; the text needs 320 pixels.
    assert_eq!(overlay.width(), 320 + 16);
    assert!(overlay.height() > 262 + 60, "with a title and a colour bar: {}", overlay.height());
    assert!(overlay.pixels().any(|[r, g, b]| r.abs_diff(g) > 30 || g.abs_diff(b) > 30), "coloured");
}

#[test]
fn options_of_pictures_change_the_pictures_and_are_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = ["--samples", "4"];
    let run = |args: &[&str]| {
        let (code, stdout, stderr) = explain(&[&base, args].concat(), folder.path());
        assert_eq!(code, 0, "{args:?}: {stdout}{stderr}");
        let map = std::fs::read(folder.path().join("attriburn-out/chelsea/adaptgrad.npy"));
        let overlay = picture(folder.path(), "adaptgrad.overlay.png");
        (map.expect("a map"), picture(folder.path(), "adaptgrad.png"), overlay)
    };
    let (map, plain, overlay) = run(&[]);
    let cases: [(&[&str], &str); 9] = [
        (&["--overlay", "mask"], ""),
        (&["--overlay", "contour", "--display-blur", "4"], "blurred for display"),
        (&["--view", "magnitude"], "magnitude values"),
        (&["--view", "positive", "--colormap", "viridis"], "positive values"),
        (&["--certain"], "within 2 standard errors of zero"),
        (&["--regions"], "summed over superpixels"),
        (&["--display-blur", "2.5"], "standard deviation 2.5 pixels"),
        (&["--colormap", "orange-purple"], ""),
        (&["--percentile", "90"], "percentile 90"),
    ];
    for (args, note) in cases {
        let (same_map, other_plain, other_overlay) = run(args);
        assert_eq!(same_map, map, "{args:?} must not change the map");
        assert_ne!(other_overlay, overlay, "{args:?}");
        assert_eq!(other_plain == plain, args == ["--overlay", "mask"], "{args:?}");
        for file in ["adaptgrad.png", "adaptgrad.overlay.png"] {
            assert!(
                holds_text(folder.path(), file, note),
                "{args:?}: {file} does not say {note:?}"
            );
        }
        let recorded = manifest(folder.path())["run"]["options"].clone();
        let name = args[0].trim_start_matches("--");
        assert!(recorded.get(name).is_some(), "{args:?}: {recorded}");
    }
    let blank = run(&["--certain"]).1;
    let zero = ColorMap::SIGNED.colour(0.0);
    let share = blank.pixels().filter(|pixel| *pixel == zero).count() as f64 / (224.0 * 224.0);
    assert!(share > 0.5, "with 4 samples few values are certain: {share}");
}

#[test]
fn maps_of_noise_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["--samples", "3", "--target", "predicted", "--out", "attriburn-out"];
    let (code, stdout, stderr) = explain(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("more noise than signal: the relative standard error is"), "{stdout}");
    assert!(stdout.contains("--until 0.5"), "{stdout}");
    let needed = stdout.split("--samples ").nth(1).and_then(|rest| rest.split(' ').next());
    let needed: u32 = needed.expect("a number").parse().expect("a number");
    let notes = manifest(folder.path())["methods"][0]["notes"].to_string();
    assert!(notes.contains("more noise than signal"), "{notes}");
    // The extrapolation holds: with that number the error is near 0.5, and the remark is gone.
    let args = ["--samples", &needed.to_string()];
    let (code, stdout, stderr) = explain(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("noise"), "{stdout}");
    let error = manifest(folder.path())["methods"][0]["relative_standard_error"].as_f64();
    assert!(error.is_some_and(|error| (0.4..0.6).contains(&error)), "{error:?} for {needed}");
}

#[test]
fn overlay_can_be_drawn_in_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stdout, stderr) = explain(&["--samples", "2", "--show"], folder.path());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("\u{2584}"), "half blocks: {stdout}");
    let (code, _, stderr) = explain(&["--show", "--json"], folder.path());
    assert_eq!(code, 2);
    assert!(stderr.contains("--show") && stderr.contains("--json"), "{stderr}");
}

#[test]
fn options_that_cannot_be_honoured_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[&str], &str); 4] = [
        (&["--method", "gradient", "--certain"], "--certain is not used"),
        (&["--colormap", "viridis"], "--colormap is not used: it cannot show signs"),
        (&["--percentile", "101"], "--percentile is 101"),
        (&["--display-blur", "0"], "--display-blur is 0"),
    ];
    for (args, part) in cases {
        let (code, _, stderr) = explain(args, folder.path());
        assert_eq!(code, 2, "{args:?}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
        assert!(!folder.path().join("attriburn-out").exists(), "{args:?}");
    }
}

/// `--skip-existing` computes maps again whose pictures were made with other options, and only these.
#[test]
fn skipping_compares_the_options_of_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = ["--samples", "4", "--skip-existing"];
    let is_skipped = |args: &[&str]| {
        let (code, stdout, stderr) = explain(&[&base, args].concat(), folder.path());
        assert_eq!(code, 0, "{args:?}: {stderr}");
        stdout.contains("skipped, maps exist")
    };
    assert!(!is_skipped(&["--certain"]));
    assert!(is_skipped(&["--certain"]));
    assert!(is_skipped(&["--certain", "--show"]), "what is shown in the terminal is no file");
    assert!(!is_skipped(&["--regions"]), "another option without a value");
    assert!(!is_skipped(&["--percentile", "95"]));
    assert!(!is_skipped(&["--display-blur", "95"]), "another option with the same value");
}

#[test]
fn arrays_are_explained_without_the_options_that_need_an_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let values: Vec<f32> = (0..3 * 224 * 224).map(|i| (i as f32 * 0.01).sin()).collect();
    let mut bytes = Vec::new();
    attriburn_picture::npy::write(&mut bytes, &[3, 224, 224], &values).expect("an array");
    std::fs::write(folder.path().join("x.npy"), bytes).expect("a file");
    let args = ["x.npy", "--samples", "4", "--regions", "--overlay", "mask", "--view", "positive"];
    let (code, _, stderr) = explain(&args, folder.path());
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("x.npy is an array, which has no image for --overlay and --regions"),
        "{stderr}"
    );
    let maps = folder.path().join("attriburn-out/x");
    assert!(maps.join("adaptgrad.npy").is_file() && maps.join("adaptgrad.png").is_file());
    assert!(!maps.join("adaptgrad.overlay.png").exists());
}
