//! Explains a model whose code burn-onnx generates from an ONNX file at build time.

use attriburn::{Domain, Input, ModuleModel, Plan};
use burn::tensor::Tensor;

// Only part of the generated code is used.
#[allow(dead_code)]
mod lenet {
    include!(concat!(env!("OUT_DIR"), "/model/lenet.rs"));
}

fn main() -> Result<(), attriburn::Error> {
    let device = attriburn::device("cpu")?;
    let network = lenet::Model::from_embedded(&device);
    let forward = |network: &lenet::Model, images: Tensor<4>| network.forward(images);
    let model = ModuleModel::of(&network, &[3, 32, 32], &device, forward);

    let values = (0..3 * 32 * 32).map(|i| (i as f32 * 0.1).sin()).collect();
    let input = Input::new(values, &[3, 32, 32], Domain::uniform(-1.0, 1.0))?;
    let map = attriburn::explain(&model, &input, &Plan::adaptgrad())?;
    println!("{:?}, {} gradients in {:.2} s", map.score, map.gradients, map.seconds);
    Ok(())
}
