//! A model file of arbitrary bytes that may refer to external weight files: it is refused or loaded. No file
//! outside the model's folder is opened; such a file exists under a name that is easy to guess.
#![no_main]

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;

use attriburn_onnx::Loader;
use libfuzzer_sys::fuzz_target;

/// The folder of the model, with a weight file. Its parent folder contains a file that must not be opened.
fn model_folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
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
    let folder = model_folder();
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).expect("a file");
    let device = attriburn::device("cpu").expect("the CPU");
    let load = || Loader::new(&device).load(&path);
    // The external weight file has 4 KiB.
    let limit = common::limit_for_model(bytes.len() + 4096);
    if let Ok(model) = common::with_memory_limit(limit, load) {
        for file in model.weight_files() {
            let file = file.canonicalize().expect("a file that was read");
            let folder = folder.canonicalize().expect("a folder");
            assert!(file.starts_with(folder), "{file:?} was read");
        }
    }
});
