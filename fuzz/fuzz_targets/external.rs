//! A model file of any bytes whose weights may lie in files beside it: it is refused, or it loads. No
//! file outside the folder is opened, of which there is one with a name that is easy to find.
#![no_main]

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;

use attriburn_onnx::Loader;
use libfuzzer_sys::fuzz_target;

/// A folder with a model's place and a file of weights, inside another with a file that is forbidden.
fn place() -> &'static PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let outer = std::env::temp_dir().join(format!("attriburn-fuzz-{}", std::process::id()));
        let inner = outer.join("model");
        std::fs::create_dir_all(&inner).expect("a folder");
        std::fs::write(outer.join("outside"), [0u8; 4096]).expect("a file");
        std::fs::write(inner.join("weights"), [1u8; 4096]).expect("a file");
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(outer.join("outside"), inner.join("link"));
        inner
    })
}

fuzz_target!(init: common::quiet_panics(), |bytes: &[u8]| {
    let folder = place();
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).expect("a file");
    let device = attriburn::device("cpu").expect("the CPU");
    let load = || Loader::new(&device).load(&path);
    // The weights beside it have 4 KiB.
    if let Ok(model) = common::within(common::of_model(bytes.len() + 4096), load) {
        for file in model.weight_files() {
            let own = file.canonicalize().expect("a file that was read");
            assert!(own.starts_with(folder.canonicalize().expect("a folder")), "{own:?} was read");
        }
    }
});
