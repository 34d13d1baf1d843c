//! A preprocessing configuration of arbitrary text: it is refused, it contains no preprocessing, or it turns
//! a picture into an input.
#![no_main]

mod common;

use attriburn_picture::{Picture, recipe_from_config};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || recipe_from_config(text);
    let limit = 64 * bytes.len() + (64 << 10);
    let Ok(Some(recipe)) = common::with_memory_limit(limit, read) else { return };
    let picture = Picture::new(3, 4, (0..36).collect()).expect("a picture");
    let (height, width) = recipe.size.unwrap_or((8, 8));
    if height.saturating_mul(width) > 1 << 12 {
        return;
    }
    let Ok(preprocess) = recipe.preprocess([3, height, width]) else { return };
    let prepared = preprocess.apply(&picture).expect("a picture with pixels");
    assert_eq!(prepared.values.len(), 3 * height * width);
});
