//! Seconds per gradient and per AdaptGrad map, the share spent outside the model's passes, and
//! peak memory.
//!
//! ```text
//! cargo bench --bench map [-- MODEL.onnx [DEVICE]]
//! ```
//!
//! Everything is measured in one sitting, alternating, and medians are printed.
//! Peak memory is that of a process of its own per number of samples.

use std::process::Command;
use std::time::Instant;

use attriburn::{Domain, Explainer, Input, Model, Plan, Target};
use attriburn_kernels::estimator::Estimator;
use attriburn_kernels::{Address, Boundary, Mollifier, Noise, Width, noise};
use attriburn_onnx::OnnxModel;
use burn::tensor::{Tensor, TensorData};

const ROUNDS: usize = 7;
const SAMPLES: u32 = 50;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["memory", samples, model, device] => peak(model, device, samples.parse().unwrap()),
        [] => bench(&attriburn_tests::efficientnet().display().to_string(), "cpu"),
        [model] => bench(model, "cpu"),
        [model, device, ..] => bench(model, device),
    }
}

fn load(path: &str, device: &str) -> (OnnxModel, Input) {
    let device = attriburn::device(device).expect("a device");
    let model = OnnxModel::load(path, &device).expect("a model");
    let shape = model.input_shape().to_vec();
    let features: usize = shape.iter().product();
    let values = (0..features).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &shape, Domain::uniform(-2.0, 2.0)).expect("an input");
    (model, input)
}

fn bench(path: &str, device: &str) {
    let (model, input) = load(path, device);
    let plan = Plan::adaptgrad().samples(SAMPLES);
    let explain = |plan: &Plan| {
        Explainer::new(&model).explain(plan, &input, Target::Index(0)).expect("a map")
    };
    let batch = explain(&plan).batch;
    let mut seconds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        seconds[0].push(explain(&plan).seconds);
        seconds[1].push(outside(&model, &input, batch));
        seconds[2].push(explain(&Plan::gradient()).seconds);
    }
    let [map, outside, gradient] = seconds.map(median);
    println!(
        "model {path}, device {device}, {SAMPLES} samples in batches of {batch}, medians of {ROUNDS}"
    );
    println!("seconds per AdaptGrad map             {map:.3}");
    println!("seconds per gradient in a batch       {:.4}", map / f64::from(SAMPLES));
    println!("seconds per gradient alone            {gradient:.4}");
    println!("share outside the passes              {:.1} %", 100.0 * outside / map);
    for samples in [50, 500] {
        println!(
            "peak memory at {samples:>3} samples            {}",
            child_peak(path, device, samples)
        );
    }
}

/// Seconds of all that a map takes besides the model's passes: drawing the noise of every batch,
/// taking its gradients into the estimate, and reading that.
fn outside(model: &OnnxModel, input: &Input, batch: usize) -> f64 {
    let features = input.values().len();
    let data = TensorData::new(input.values().to_vec(), [1, features]);
    let node = Tensor::<2>::from_data(data, model.device());
    let width = Width::Adaptive(Mollifier::Gaussian.width_factor(0.975) as f32);
    let kind = Noise { mollifier: Mollifier::Gaussian, width, boundary: Boundary::Free };
    let domain = noise::Domain { lower: vec![-2.0], upper: vec![2.0], inner: 1 };
    model.device().sync().expect("the device");
    let start = Instant::now();
    let mut estimator = Estimator::new(features, model.device());
    for first in (0..SAMPLES as usize).step_by(batch) {
        let rows = batch.min(SAMPLES as usize - first);
        let address = Address { seed: 0, stream: 0, node: 0, first: first as u64, rows };
        estimator.update(noise::noise(node.clone(), &kind, &domain, &address));
    }
    // Waits for the device.
    drop(estimator.into_state().into_data());
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn child_peak(path: &str, device: &str, samples: u32) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["memory", &samples.to_string(), path, device])
        .output()
        .expect("a child process");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes one map and prints the process's largest memory.
fn peak(path: &str, device: &str, samples: u32) {
    let (model, input) = load(path, device);
    let plan = Plan::adaptgrad().samples(samples);
    Explainer::new(&model).explain(&plan, &input, Target::Index(0)).expect("a map");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("{}", line.map_or("unknown", |line| line.trim_start_matches("VmHWM:").trim()));
}
