//! Explains a burn module that is written by hand, without ONNX and without picture files.
//!
//! ```text
//! cargo run --release --example burn_module
//! ```

use attriburn::{Domain, Input, ModuleModel, Plan};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// A convolution, global average pooling, and a linear layer.
#[derive(Module, Debug)]
struct Network {
    conv: Conv2d,
    linear: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Self {
            conv: Conv2dConfig::new([1, 8], [3, 3]).with_padding(padding).init(device),
            linear: LinearConfig::new(8, 10).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let features: Tensor<4> = relu(self.conv.forward(images));
        self.linear.forward(features.mean_dim(3).mean_dim(2).flatten(1, 3))
    }
}

fn main() -> Result<(), attriburn::Error> {
    let device = attriburn::device("cpu")?;
    let network = Network::new(&device);
    let model = ModuleModel::of(&network, &[1, 16, 16], &device, Network::forward);

    let values = (0..256).map(|i| (i % 16) as f32 / 16.0).collect();
    let input = Input::new(values, &[1, 16, 16], Domain::uniform(0.0, 1.0))?;
    let map = attriburn::explain(&model, &input, &Plan::adaptgrad())?;

    println!("{:?}, {} gradients in {:.3} s", map.score, map.gradients, map.seconds);
    for row in map.values.chunks(16).step_by(4) {
        println!("{}", row.iter().map(|v| format!("{v:+.0e} ")).collect::<String>());
    }
    Ok(())
}
