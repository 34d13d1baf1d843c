//! Boxes from arbitrary bytes: a CSV file if the first byte is even, else a Pascal VOC file. The file is
//! rejected, or its boxes become regions inside the image.
#![no_main]
#![allow(dead_code)]

// The program is not a library, so its source files are included.
#[path = "../../cli/src/commands/evaluate/boxes/mod.rs"]
mod boxes;
#[path = "../../cli/src/setup/labels.rs"]
mod labels;
#[path = "../../cli/src/args/nearest.rs"]
mod nearest;

// The included files import these items by their paths in the program.
mod args {
    pub(crate) use crate::nearest::nearest;
}

mod setup {
    pub(crate) use crate::labels;
}

mod exit {
    pub type Fatal = Box<dyn std::error::Error>;
}

mod assets {
    pub const LABELS: &str = "tench\ngoldfish\ntabby";
    pub const SYNSETS: &str = "n01440764\nn01443537\nn02123045";
}

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use attriburn_picture::Preprocess;
use boxes::{Boxes, CountedObjects, ModelView};
use libfuzzer_sys::fuzz_target;

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("attriburn-boxes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let (csv, xml) = (folder().join("boxes.csv"), folder().join("cat.xml"));
    let boxes = match kind % 2 {
        0 => {
            std::fs::write(&csv, bytes).expect("a file");
            Boxes::read(&csv)
        }
        _ => {
            std::fs::write(&xml, bytes).expect("a file");
            Boxes::read(folder())
        }
    };
    let Ok(boxes) = boxes else { return };
    let labels = labels::Labels::load(None, true).expect("the built-in ones");
    let preprocess = Preprocess::imagenet(32, 32).expect("sizes");
    let scaled = Some((&preprocess, (40, 50)));
    for counted in [CountedObjects::All, CountedObjects::OfClass(&labels, 2)] {
        let view = ModelView { shape: [32, 32], scaled };
        if let Ok(regions) = boxes.regions(Path::new("cat.png"), &view, counted) {
            assert!(!regions.is_empty());
            assert!(regions.iter().all(|region| region.right <= 32 && region.bottom <= 32));
        }
    }
});
