//! A picture file of any bytes: it is refused, or it becomes an input.
#![no_main]

use attriburn::picture::{Picture, Preprocess};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(picture) = Picture::from_bytes(bytes) else { return };
    assert_eq!(picture.rgb().len(), 3 * picture.height() * picture.width());
    let prepared = Preprocess::imagenet(32, 32).expect("sizes").apply(&picture).expect("an input");
    assert!(prepared.values.iter().all(|value| value.is_finite()));
});
