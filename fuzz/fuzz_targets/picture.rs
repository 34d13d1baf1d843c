//! A picture file of arbitrary bytes: it is refused, or it becomes an input.
#![no_main]

mod common;

use attriburn_picture::{Picture, Preprocess};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: common::quiet_panics(), |bytes: &[u8]| {
    let decode = || Picture::from_bytes(bytes);
    // Decoding is limited to 2 GiB; the conversions of the orientation and to RGB need more.
    let Ok(picture) = common::with_memory_limit(5 << 30, decode) else { return };
    assert_eq!(picture.rgb().len(), 3 * picture.height() * picture.width());
    let prepared = Preprocess::imagenet(32, 32).expect("sizes").apply(&picture).expect("an input");
    assert!(prepared.values.iter().all(|value| value.is_finite()));
});
