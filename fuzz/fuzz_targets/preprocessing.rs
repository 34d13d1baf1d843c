//! A preprocessing of any text, as other libraries write it down: it is refused, it is none, or a picture
//! becomes an input of finite numbers with it.
#![no_main]

mod common;

use attriburn::picture::{Picture, recipe_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || recipe_of(text);
    let Ok(Some(recipe)) = common::within(64 * bytes.len() + (64 << 10), read) else { return };
    let picture = Picture::new(3, 4, (0..36).collect()).expect("a picture");
    let (height, width) = recipe.size.unwrap_or((8, 8));
    if height.saturating_mul(width) > 1 << 12 {
        return;
    }
    let Ok(preprocess) = recipe.preprocess([3, height, width]) else { return };
    let prepared = preprocess.apply(&picture).expect("a picture with pixels");
    assert_eq!(prepared.values.len(), 3 * height * width);
});
