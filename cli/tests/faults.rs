//! Faults of the environment: a full disk, a read-only folder, a killed process, a lost GPU, and an image
//! that changes while it is read. No file is incomplete, no finished file is lost, and one message gives the
//! reason.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn data(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    folder.join(path).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the arguments of a quick run.
fn quick(command: &str, out: &Path) -> Vec<String> {
    let (model, out) = (data("zoo/lenet/model.onnx"), out.display().to_string());
    let options = ["--device", "cpu", "--samples", "2", "--model", &model, "--out", &out];
    [command].into_iter().chain(options).map(str::to_owned).collect()
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_attriburn")
}

/// Mounts a separate file system at `folder` with `options`, then runs the program and the shell command
/// `afterwards`.
fn on_a_file_system(folder: &Path, options: &str, args: &[String], afterwards: &str) -> Output {
    let script = format!(
        "mount -t tmpfs -o {options} none {} || exit 99; \"$@\"; code=$?; {afterwards}; exit $code",
        folder.display()
    );
    let run = |namespace: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(namespace).args(["sh", "-c", &script, "sh", program()]).args(args);
        command.output().expect("unshare, of util-linux")
    };
    // As root, else as a user with root rights in a user namespace.
    let output = run(&["--mount"]);
    match output.status.code() {
        Some(99) | Some(1) if text(&output.stderr).contains("unshare") => {
            run(&["--user", "--map-root-user", "--mount"])
        }
        _ => output,
    }
}

/// Checks that every file below `folder` is complete. Returns the number of files.
fn check_complete(folder: &Path) -> usize {
    let mut count = 0;
    for path in files(folder) {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let bytes = std::fs::read(&path).expect("a file");
        let is_complete = match extension {
            "npy" => attriburn_picture::npy::from_bytes(&bytes, &path).is_ok(),
            "png" => attriburn_picture::Picture::from_bytes(&bytes).is_ok(),
            "html" => bytes.ends_with(b"</html>"),
            "json" => serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(),
            // A killed process leaves hidden temporary files.
            _ => path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')),
        };
        assert!(is_complete, "{} is incomplete", path.display());
        count += 1;
    }
    count
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn full_disk_leaves_complete_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, kept) = (folder.path().join("disk"), folder.path().join("kept"));
    std::fs::create_dir(&disk).expect("a folder");
    let mut args = quick("explain", &disk.join("out"));
    args.extend(["rgb.png", "rgb.jpg", "grey.png"].map(|name| data(&format!("pictures/{name}"))));
    // The disk has room for the maps of the first image only.
    let keep = format!("cp -r {} {}", disk.display(), kept.display());
    let output = on_a_file_system(&disk, "size=36k", &args, &keep);
    let message = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {message}", output.status);
    assert!(message.contains("cannot be written: No space left on device"), "{message}");
    assert!(!message.contains("internal failure"), "{message}");
    let written = check_complete(&kept);
    let hidden = files(&kept).iter().any(|path| path.to_string_lossy().contains(".attriburn-"));
    assert!(written > 0 && !hidden, "{written} files");
}

#[test]
fn read_only_output_folder_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["explain", "evaluate"] {
        let mut args = quick(command, &folder.path().join("out"));
        match command {
            "explain" => args.push(data("pictures/rgb.png")),
            _ => args.extend(["sparseness".into(), "--images".into(), data("pictures/rgb.png")]),
        }
        let output = on_a_file_system(folder.path(), "ro", &args, "true");
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("cannot be written: Read-only file system"), "{message}");
        assert!(message.contains("--out"), "{message}");
    }
}

#[test]
fn killed_process_leaves_complete_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let pictures =
        ["rgb.png", "rgb.jpg", "rgb.bmp", "rgb.webp", "rgb.tiff", "grey.png", "alpha.png"];
    let mut args = quick("explain", &out);
    args.extend(pictures.map(|name| data(&format!("pictures/{name}"))));
    let mut stopped = 0;
    for step in 0..12 {
        let mut child = Command::new(program())
            .args(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        std::thread::sleep(Duration::from_millis(15 * step));
        let _ = child.kill();
        stopped += usize::from(!child.wait().expect("its end").success());
        check_complete(&out);
    }
    assert!(stopped > 0, "no run was stopped");
    let output = Command::new(program()).args(&args).output().expect("the program");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // One manifest per image.
    let finished = files(&out).iter().filter(|path| path.ends_with("manifest.json")).count();
    assert_eq!(finished, pictures.len());
    check_complete(&out);
}

/// Compiles the Vulkan layer that loses the device, and returns a folder with the layer and its manifest.
fn layer() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layer/lost.rs");
    let library = folder.path().join("liblost.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compile = Command::new(rustc);
    compile.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(source);
    let output = compile.output().expect("rustc");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let manifest = serde_json::json!({
        "file_format_version": "1.2.0",
        "layer": {
            "name": "VK_LAYER_ATTRIBURN_lost",
            "type": "GLOBAL",
            "library_path": library,
            "api_version": "1.3.0",
            "implementation_version": "1",
            "description": "loses the device",
        },
    });
    std::fs::write(folder.path().join("lost.json"), manifest.to_string()).expect("a file");
    folder
}

/// When the device is lost, finished files are complete and one message reports the loss. The next run
/// computes the rest.
#[test]
#[cfg_attr(
    not(all(feature = "wgpu", target_os = "linux")),
    ignore = "needs Vulkan on Linux and the feature wgpu"
)]
fn lost_device_is_reported_and_ends_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (layer, seen) = (layer(), folder.path().join("seen"));
    let pictures = ["rgb.png", "grey.png"];
    let run = |out: &Path, lost_when: &Path| {
        let mut args = quick("explain", out);
        args.iter_mut().filter(|arg| *arg == "cpu").for_each(|arg| *arg = "wgpu".into());
        // More gradients than a group holds, so that images are explained one at a time.
        args.iter_mut().filter(|arg| *arg == "2").for_each(|arg| *arg = "257".into());
        args.extend(pictures.map(|name| data(&format!("pictures/{name}"))));
        Command::new(program())
            .args(&args)
            .env("VK_LAYER_PATH", layer.path())
            .env("VK_INSTANCE_LAYERS", "VK_LAYER_ATTRIBURN_lost")
            .env("LOSE_WHEN", lost_when)
            .env("LAYER_SEEN", &seen)
            .output()
            .expect("the program")
    };
    let finished =
        |out: &Path| files(out).iter().filter(|path| path.ends_with("manifest.json")).count();
    let check_lost = |output: &Output, code: i32| {
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert_eq!(message.matches("device was lost").count(), 1, "{message}");
        assert!(message.contains("run the same command again"), "{message}");
        assert!(!message.contains("internal failure"), "{message}");
    };

    // The device is lost at the start, then after the first image.
    let out = folder.path().join("explained");
    let output = run(&out, folder.path());
    assert!(seen.exists(), "Vulkan did not load the layer: {}", text(&output.stderr));
    check_lost(&output, 2);
    check_lost(&run(&out, &out.join("rgb/manifest.json")), 1);
    check_complete(&out);
    assert!((1..pictures.len()).contains(&finished(&out)), "{} are finished", finished(&out));
    // While the device is not lost, the layer has no effect.
    let output = run(&out, &out.join("never"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Four files per picture, and the page of all maps.
    assert!(out.join("report.html").exists());
    assert_eq!((finished(&out), check_complete(&out)), (pictures.len(), 4 * pictures.len() + 1));
}

/// Returns the checksum of the image and the logit of the target in a manifest.
fn explained(out: &Path) -> [serde_json::Value; 2] {
    let bytes = std::fs::read(out.join("picture/manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("a manifest");
    [manifest["image"]["sha256"].clone(), manifest["target"]["logit"].clone()]
}

/// A map belongs to one complete version of the image, and the manifest has the checksum of this version.
#[test]
fn image_that_changes_during_reading_is_read_consistently() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("picture.png");
    let run = |name: &str| {
        let out = folder.path().join(name);
        let mut args = quick("explain", &out);
        args.push(picture.display().to_string());
        (Command::new(program()).args(&args).output().expect("the program"), out)
    };
    let versions = ["pictures/rgb.png", "pictures/grey.png"]
        .map(|path| std::fs::read(data(path)).expect("a picture"));
    let known = [0, 1].map(|at| {
        std::fs::write(&picture, &versions[at]).expect("a picture");
        explained(&run(&format!("version-{at}")).1)
    });
    assert_ne!(known[0], known[1]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in versions.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                // The file is empty, then half written, then complete.
                std::fs::write(&picture, &version[..version.len() / 2]).expect("a picture");
                std::thread::sleep(Duration::from_millis(1));
                std::fs::write(&picture, version).expect("a picture");
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let (mut successes, mut runs) = (0, 0);
        while (successes == 0 || runs < 20) && runs < 200 {
            let (output, out) = run(&format!("run-{runs}"));
            let message = text(&output.stderr);
            match output.status.code() {
                Some(0) => {
                    assert!(known.contains(&explained(&out)), "{:?}", explained(&out));
                    successes += 1;
                }
                Some(1 | 2) => assert!(
                    message.contains("damaged") || message.contains("it is empty"),
                    "{message}"
                ),
                code => panic!("{code:?}: {message}"),
            }
            check_complete(&out);
            runs += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert!(successes > 0, "no run read a complete image");
        println!("{successes} of {runs} runs read a complete image");
    });
}
