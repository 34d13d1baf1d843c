//! An array file of any bytes: it is refused, or what is written again is the same. Numbers of one byte
//! become floats of four.
#![no_main]

mod common;

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: &[u8]| attriburn::npy::from_bytes(bytes, Path::new("fuzzed"));
    let most = 16 * bytes.len() + (64 << 10);
    let Ok(array) = common::within(most, || read(bytes)) else { return };
    let mut written = Vec::new();
    attriburn::npy::write(&mut written, &array.shape, &array.values).expect("memory");
    let again = read(&written).expect("what was written");
    assert_eq!(again.shape, array.shape);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&again.values), bits(&array.values));
});
