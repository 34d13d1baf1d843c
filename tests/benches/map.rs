//! Run time and peak memory of an AdaptGrad map of 50 samples.
//!
//! ```text
//! cargo bench --bench map [-- MODEL.onnx ...]          time of each part of a map, and peak memory
//! cargo bench --bench map -- --device wgpu MODEL.onnx  the same on another device than the CPU
//! cargo bench --bench map -- --steps MODEL.onnx        time of every step of the CPU segments, on one core
//! cargo bench --bench map -- --segments MODEL.onnx     the CPU segments, and the nodes outside of segments
//! cargo bench --bench map -- --first wgpu MODEL.onnx   time to the first gradient, empty and filled caches
//! cargo bench --bench map -- --once DEVICE MODEL.onnx  seconds of one map, for `peer.py`
//! ```
//!
//! The measured parts alternate within one run, and medians are printed. Peak memory is measured in a
//! separate process for each number of samples.

use std::process::Command;
use std::time::Instant;

use attriburn::{Domain, Explainer, Input, Model, Plan, Target};
use attriburn_kernels::estimator::Estimator;
use attriburn_kernels::frozen::Segment;
use attriburn_kernels::noise::Points;
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Width, noise};
use attriburn_onnx::OnnxModel;
use burn::tensor::{Tensor, TensorData};

const ROUNDS: usize = 5;
const SAMPLES: u32 = 50;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["first", model, device] => drop(gradient(model, device)),
        ["--first", device, ref models @ ..] => {
            models.iter().for_each(|model| print_first_gradient(model, device))
        }
        ["memory", samples, model, device] => {
            print_peak_memory(model, device, samples.parse().unwrap());
        }
        ["--steps", model] => print_steps(model),
        ["--once", device, model] => print_seconds_of_one_map(model, device),
        ["--segments", ref models @ ..] => models.iter().for_each(|model| print_segments(model)),
        ["--device", device, ref models @ ..] => {
            models.iter().for_each(|model| bench(model, device))
        }
        [] => bench(&attriburn_tests::efficientnet().display().to_string(), "cpu"),
        ref models => models.iter().for_each(|model| bench(model, "cpu")),
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

fn print_segments(path: &str) {
    let (model, _) = load(path, "cpu");
    println!("model {path}");
    for segment in model.segments() {
        let operations = segment.operations() as f64 / 1e6;
        let (input, output) = (segment.input(), segment.output());
        println!("  segment {input:?} to {output:?}: {operations:.0} MFLOP per pass");
    }
    println!("  outside: {}", model.outside_segments().join(", "));
}

/// The seconds of each part of a map.
#[derive(Clone, Copy, Default)]
struct PartSeconds {
    noise: f64,
    forward: f64,
    backward: f64,
    estimator: f64,
}

fn bench(path: &str, device: &str) {
    let start = Instant::now();
    let (model, input) = load(path, device);
    let loading = start.elapsed().as_secs_f64();
    let plan = Plan::adaptgrad().samples(SAMPLES);
    let explain = |plan: &Plan| {
        Explainer::new(&model).explain(&input, Target::Index(0), plan).expect("a map")
    };
    let start = Instant::now();
    let batch = explain(&plan).batch;
    let first = start.elapsed().as_secs_f64();
    let (mut maps, mut gradients, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        maps.push(explain(&plan).seconds);
        parts.push(time_parts(&model, &input, batch));
        gradients.push(explain(&Plan::gradient()).seconds);
    }
    let part = |part: fn(&PartSeconds) -> f64| median(parts.iter().map(part).collect());
    let (noise, forward) = (part(|parts| parts.noise), part(|parts| parts.forward));
    let (backward, estimator) = (part(|parts| parts.backward), part(|parts| parts.estimator));
    let map = median(maps);
    let rest = map - noise - forward - backward - estimator;
    println!(
        "model {path}, device {device}, {SAMPLES} samples in batches of {batch}, medians of {ROUNDS}"
    );
    println!("loading the model, first map          {loading:.3} s, {first:.3} s");
    println!("AdaptGrad map                         {map:.3} s");
    println!("  per gradient                        {:.2} ms", 1e3 * map / f64::from(SAMPLES));
    for (name, seconds) in [
        ("noise", noise),
        ("forward", forward),
        ("backward", backward),
        ("estimator", estimator),
        ("rest", rest),
    ] {
        println!("  {name:<35} {:.1} %", 100.0 * seconds / map);
    }
    println!("gradient without noise                {:.2} ms", 1e3 * median(gradients));
    for segment in model.segments() {
        let (forward, backward) = gigaflops(segment, batch);
        println!(
            "segment {:?} to {:?}: {:.0} MFLOP per pass, {forward:.0} and {backward:.0} GFLOP/s (forward, backward), {:.1} MB per sample",
            segment.input(),
            segment.output(),
            segment.operations() as f64 / 1e6,
            segment.bytes_per_sample() as f64 / 1e6,
        );
    }
    println!("outside segments: {}", model.outside_segments().join(", "));
    for samples in [50, 500] {
        println!(
            "peak memory at {samples:>3} samples            {}",
            peak_memory_of_child(path, device, samples)
        );
    }
}

/// Times the parts of a map, and synchronizes with the device after each.
fn time_parts(model: &OnnxModel, input: &Input, batch: usize) -> PartSeconds {
    let features = input.values().len();
    let data = TensorData::new(input.values().to_vec(), [1, features]);
    let input = Points::at(Tensor::<2>::from_data(data, model.device()));
    let width = Width::Adaptive(Mollifier::Gaussian.width_factor(0.975));
    let kind = Noise { mollifier: Mollifier::Gaussian, width, boundary: Boundary::Free };
    let domain = [Domain::uniform(-2.0, 2.0)];
    let mut parts = PartSeconds::default();
    let timed = |part: &mut f64, start: Instant| {
        model.device().sync().expect("the device");
        *part += start.elapsed().as_secs_f64();
    };
    let mut estimator = Estimator::new(features, model.device());
    for first in (0..SAMPLES as usize).step_by(batch) {
        let rows = batch.min(SAMPLES as usize - first);
        let batch = Batch::samples(0, 0, first as u32, rows);
        let start = Instant::now();
        let points = noise::noise(&input, Some(&kind), &domain, &batch);
        timed(&mut parts.noise, start);
        let start = Instant::now();
        let points = points.autodiff().require_grad();
        let score = model.forward(points.clone()).expect("scores").narrow(1, 0, 1).sum();
        timed(&mut parts.forward, start);
        let start = Instant::now();
        let gradients = points.grad(&score.backward()).expect("a gradient");
        timed(&mut parts.backward, start);
        let start = Instant::now();
        estimator.update(gradients);
        timed(&mut parts.estimator, start);
    }
    let start = Instant::now();
    drop(estimator.into_state().into_data());
    timed(&mut parts.estimator, start);
    parts
}

/// Measures the GFLOP/s of a segment's forward and backward passes.
fn gigaflops(segment: &Segment, batch: usize) -> (f64, f64) {
    let count = |dims: &[usize]| batch * dims.iter().product::<usize>();
    let x: Vec<f32> = (0..count(segment.input())).map(|i| (i as f32 * 0.37).sin()).collect();
    let gradient = vec![1.0; count(segment.output())];
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (_, mut tapes) = segment.forward(&x);
        forward.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        segment.backward(&gradient, &mut tapes);
        backward.push(start.elapsed().as_secs_f64());
    }
    let operations = segment.operations() as f64 * batch as f64 / 1e9;
    (operations / median(forward), operations / median(backward))
}

fn print_steps(path: &str) {
    let (model, _) = load(path, "cpu");
    for segment in model.segments() {
        let count: usize = segment.input().iter().product();
        let x: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
        let timings = segment.profile(&x, 2 * ROUNDS);
        let total: f64 = timings.iter().map(|timing| timing.seconds).sum();
        println!("segment {:?} to {:?}: {:.2} ms", segment.input(), segment.output(), 1e3 * total);
        for timing in timings {
            println!(
                "{:>8} {:6.3} ms {:5.1} % {:5.0} GFLOP/s  {}",
                if timing.backward { "backward" } else { "forward" },
                1e3 * timing.seconds,
                100.0 * timing.seconds / total,
                timing.operations as f64 / timing.seconds / 1e9,
                timing.name
            );
        }
    }
}

/// Prints the seconds of one map after a warm-up map.
fn print_seconds_of_one_map(path: &str, device: &str) {
    let (model, input) = load(path, device);
    let plan = Plan::adaptgrad().samples(SAMPLES);
    let explain =
        || Explainer::new(&model).explain(&input, Target::Index(0), &plan).expect("a map");
    explain();
    println!("{}", explain().seconds);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn gradient(path: &str, device: &str) -> Vec<f32> {
    let (model, input) = load(path, device);
    let explainer = Explainer::new(&model);
    explainer.explain(&input, Target::Index(0), &Plan::gradient()).expect("a map").values
}

/// Prints the seconds of a process that computes one gradient: first with empty caches of compiled and tuned
/// kernels (of the driver and of burn), then with filled ones.
fn print_first_gradient(path: &str, device: &str) {
    let path = std::fs::canonicalize(path).expect("a model");
    let caches = std::env::temp_dir().join(format!("attriburn-caches-{}", std::process::id()));
    std::fs::create_dir_all(&caches).expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let seconds = || {
        let start = Instant::now();
        let status = Command::new(&program)
            .arg("first")
            .args([path.as_os_str(), device.as_ref()])
            .current_dir(&caches)
            .env("HOME", &caches)
            .env("XDG_CACHE_HOME", &caches)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "a gradient");
        start.elapsed().as_secs_f64()
    };
    let (empty, filled) = (seconds(), seconds());
    let _ = std::fs::remove_dir_all(&caches);
    println!(
        "{}, device {device}, first gradient: {empty:.1} s with empty caches, {filled:.1} s with filled caches",
        path.display()
    );
}

fn peak_memory_of_child(path: &str, device: &str, samples: u32) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["memory", &samples.to_string(), path, device])
        .output()
        .expect("a child process");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Computes one map and prints the peak memory of this process.
fn print_peak_memory(path: &str, device: &str, samples: u32) {
    let (model, input) = load(path, device);
    let plan = Plan::adaptgrad().samples(samples);
    let map = Explainer::new(&model).explain(&input, Target::Index(0), &plan).expect("a map");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let size = line.map_or("unknown", |line| line.trim_start_matches("VmHWM:").trim());
    println!("{size} in batches of {}", map.batch);
}
