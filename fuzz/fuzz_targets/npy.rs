//! An array file of arbitrary bytes: it is refused, or it keeps its shape and values when it is written and
//! read again.
#![no_main]

mod common;

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: &[u8]| attriburn_picture::npy::from_bytes(bytes, Path::new("fuzzed"));
    // One-byte elements become float32, so an array can be larger than its file.
    let limit = 16 * bytes.len() + (64 << 10);
    let Ok(array) = common::with_memory_limit(limit, || read(bytes)) else { return };
    let mut written = Vec::new();
    attriburn_picture::npy::write(&mut written, &array.shape, &array.values).expect("memory");
    let again = read(&written).expect("what was written");
    assert_eq!(again.shape, array.shape);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&again.values), bits(&array.values));
});
