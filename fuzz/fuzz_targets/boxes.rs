//! The boxes of a picture of any bytes: a CSV file, or after a first byte that is odd a Pascal VOC file.
//! They are refused, or become regions inside the picture.
#![no_main]
#![allow(dead_code)]

// The program is no library: its modules are taken as they are.
#[path = "../../cli/src/evaluate/boxes.rs"]
mod boxes;
#[path = "../../cli/src/labels.rs"]
mod labels;
#[path = "../../cli/src/nearest.rs"]
mod nearest;

mod assets {
    pub const LABELS: &str = "tench\ngoldfish\ntabby";
    pub const SYNSETS: &str = "n01440764\nn01443537\nn02123045";
}

type Fatal = Box<dyn std::error::Error>;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use attriburn::picture::Preprocess;
use boxes::{Boxes, Seen, Wanted};
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
    let given = match kind % 2 {
        0 => {
            std::fs::write(&csv, bytes).expect("a file");
            Boxes::read(&csv)
        }
        _ => {
            std::fs::write(&xml, bytes).expect("a file");
            Boxes::read(folder())
        }
    };
    let Ok(given) = given else { return };
    let labels = labels::Labels::load(None, true).expect("the built-in ones");
    let preprocess = Preprocess::imagenet(32, 32).expect("sizes");
    let scaled = Some((&preprocess, (40, 50)));
    for wanted in [Wanted::All, Wanted::Class(&labels, 2)] {
        let seen = Seen { shape: [32, 32], scaled };
        if let Ok(regions) = given.regions(Path::new("cat.png"), &seen, wanted) {
            assert!(!regions.is_empty());
            assert!(regions.iter().all(|region| region.right <= 32 && region.bottom <= 32));
        }
    }
});
