//! A model file of any bytes: it is refused, or it gives scores and a gradient. Nothing panics, and
//! loading it takes no more memory than it may.
#![no_main]

mod common;

use attriburn::{Domain, Explainer, Input, Plan, Target};
use attriburn_onnx::Loader;
use libfuzzer_sys::fuzz_target;

/// Larger samples say nothing more, and take long.
const LARGEST: usize = 1 << 14;

fuzz_target!(init: common::quiet_panics(), |bytes: &[u8]| {
    let device = attriburn::device("cpu").expect("the CPU");
    let load = || Loader::new(&device).load_bytes(bytes);
    let Ok(model) = common::within(common::of_model(bytes.len()), load) else { return };
    let shape = attriburn::Model::input_shape(&model).to_vec();
    let count: usize = shape.iter().product();
    if count > LARGEST {
        return;
    }
    let values = (0..count).map(|at| (at as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &shape, Domain::uniform(-1.0, 1.0)).expect("an input");
    let plan = Plan::adaptgrad().samples(2);
    let _ = Explainer::new(&model).explain(&plan, &input, Target::Predicted);
});
