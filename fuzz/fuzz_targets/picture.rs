//! A picture file of any bytes: it is refused, or it becomes an input. Decoding takes 2 GiB at the most, and
//! the decoded bytes are turned upright and to RGB.
#![no_main]

mod common;

use attriburn::picture::{Picture, Preprocess};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: common::quiet_panics(), |bytes: &[u8]| {
    let decode = || Picture::from_bytes(bytes);
    let Ok(picture) = common::within(5 << 30, decode) else { return };
    assert_eq!(picture.rgb().len(), 3 * picture.height() * picture.width());
    let prepared = Preprocess::imagenet(32, 32).expect("sizes").apply(&picture).expect("an input");
    assert!(prepared.values.iter().all(|value| value.is_finite()));
});
