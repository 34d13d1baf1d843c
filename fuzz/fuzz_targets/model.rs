//! A model file of arbitrary bytes: it is refused, or scores and a gradient are computed. Nothing panics, and
//! loading stays within the memory limit.
#![no_main]

mod common;

use attriburn::{Domain, Explainer, Input, Plan, Target};
use attriburn_onnx::Loader;
use libfuzzer_sys::fuzz_target;

/// The maximum number of elements of a sample. Larger samples are slow and find nothing more.
const MAX_ELEMENTS: usize = 1 << 14;

fuzz_target!(init: common::quiet_panics(), |bytes: &[u8]| {
    let device = attriburn::device("cpu").expect("the CPU");
    let load = || Loader::new(&device).load_bytes(bytes);
    let limit = common::limit_for_model(bytes.len());
    let Ok(model) = common::with_memory_limit(limit, load) else { return };
    let shape = attriburn::Model::input_shape(&model).to_vec();
    let count: usize = shape.iter().product();
    if count > MAX_ELEMENTS {
        return;
    }
    let values = (0..count).map(|at| (at as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &shape, Domain::uniform(-1.0, 1.0)).expect("an input");
    let plan = Plan::adaptgrad().samples(2);
    let _ = Explainer::new(&model).explain(&input, Target::Predicted, &plan);
});
