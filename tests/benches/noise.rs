//! The noise and estimator device kernels on every device, compared with a copy of the same number of bytes
//! and with the same computation by burn's own operations; and their share of a ResNet-50 gradient.
//!
//! ```text
//! cargo bench --bench noise [-- DEVICE...]
//! ```
//!
//! The compared functions alternate within one run, and medians are printed.

use std::time::Instant;

use attriburn::{Domain, Explainer, Input, ModuleModel, Plan, Target};
use attriburn_kernels::estimator::Estimator;
use attriburn_kernels::noise::Points;
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Width, noise};
use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, linear, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor, TensorData};

const FEATURES: usize = 3 * 224 * 224;
const ROUNDS: usize = 15;

/// The number of rows of a batch. On a GPU the batch must exceed its cache by far, and a kernel must run
/// longer than its launch takes.
fn rows(device: &Device) -> usize {
    let description = attriburn::describe(device);
    if description == "cpu" || description.contains("llvmpipe") { 64 } else { 2048 }
}

fn bytes(device: &Device) -> f64 {
    (rows(device) * FEATURES * 4) as f64
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let devices: Vec<(String, Device)> = if names.is_empty() {
        let gpus = attriburn_tests::gpus().into_iter().map(|(name, device)| (name.into(), device));
        std::iter::once(("cpu".to_owned(), Device::flex())).chain(gpus).collect()
    } else {
        let open = |name: String| {
            let device = attriburn::device(&name).unwrap_or_else(|error| panic!("{error}"));
            (name, device)
        };
        names.into_iter().map(open).collect()
    };
    for (name, device) in &devices {
        let rows = rows(device);
        println!("{name}: {rows} rows of {FEATURES} elements, medians of {ROUNDS}");
        bench_noise(device);
        bench_estimator(device);
        bench_resnet50(device);
    }
}

/// A function to time, with its results. They are held until the device has computed them, because fusion
/// skips results that are dropped before.
type Call<'a> = &'a dyn Fn() -> Vec<Tensor<2>>;

/// Calls the functions in turn, synchronizes with the device after each call, and returns their median
/// seconds.
fn seconds<const N: usize>(device: &Device, rounds: usize, calls: [Call; N]) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    // The first round compiles kernels and warms the memory pools; it does not count.
    for round in 0..=rounds {
        for (call, times) in calls.iter().zip(&mut times) {
            device.sync().expect("the device");
            let start = Instant::now();
            let results = call();
            device.sync().expect("the device");
            if round > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
            drop(results);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn batch(rows: usize) -> Batch {
    Batch::samples(0, 0, 0, rows)
}

fn domains() -> [Domain; 1] {
    [Domain::per_channel(vec![-2.0; 3], vec![2.0; 3])]
}

fn node(device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..FEATURES).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_data(TensorData::new(values, [1, FEATURES]), device)
}

fn bench_noise(device: &Device) {
    let node = node(device);
    let (rows, bytes) = (rows(device), bytes(device));
    let batch = Tensor::<2>::zeros([rows, FEATURES], device);
    // The batch is held elsewhere, so the copy cannot be computed in place.
    let copy = || vec![batch.clone().mul_scalar(1.0)];
    let random = || {
        let shape = [rows, FEATURES];
        Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device)
    };
    let kind = |width, boundary| Noise { mollifier: Mollifier::Gaussian, width, boundary };
    let factor = Mollifier::Gaussian.width_factor(0.975);
    let adaptive = kind(Width::Adaptive(factor), Boundary::Free);
    let clipped = kind(Width::Relative(0.2), Boundary::Clipped);
    let composed_adaptive = || {
        let distance = (node.clone() + 2.0).min_pair(-node.clone() + 2.0).clamp_min(0.0);
        vec![random() * (distance * factor) + node.clone()]
    };
    let composed_clipped = || vec![(random() * 0.8 + node.clone()).clamp(-2.0, 2.0)];
    let points = Points::at(node.clone());
    let fused =
        |noise: &Noise| vec![noise::noise(&points, Some(noise), &domains(), &self::batch(rows))];
    let composed: [(&str, Noise, Call); 2] =
        [("AdaptGrad's", adaptive, &composed_adaptive), ("ClipGrad's", clipped, &composed_clipped)];
    for (name, kind, composed) in composed {
        let fused = || fused(&kind);
        let [fused, copy, composed] = seconds(device, ROUNDS, [&fused, &copy, composed]);
        println!(
            "  {name} noise: {:.2} GB/s written, {:.2} times a copy, {:.1} times burn's operations",
            bytes / fused / 1e9,
            copy / fused,
            composed / fused
        );
    }
}

fn bench_estimator(device: &Device) {
    let kind = Noise {
        mollifier: Mollifier::Gaussian,
        width: Width::Relative(0.2),
        boundary: Boundary::Free,
    };
    let points = Points::at(node(device));
    let batch = noise::noise(&points, Some(&kind), &domains(), &batch(rows(device)));
    let empty = Estimator::new(FEATURES, device);
    let fused = || {
        let mut estimator = empty.clone();
        estimator.update(batch.clone());
        vec![estimator.into_state()]
    };
    let composed = || vec![batch.clone().mean_dim(0), batch.clone().var(0)];
    let [fused, composed] = seconds(device, ROUNDS, [&fused, &composed]);
    println!(
        "  estimator: {:.2} GB/s read, {:.1} times the rate of burn's mean and variance",
        bytes(device) / fused / 1e9,
        composed / fused
    );
}

/// Measures the share of noise and estimator in the time of a ResNet-50 gradient, with 10 samples.
fn bench_resnet50(device: &Device) {
    if attriburn::describe(device).contains("llvmpipe") {
        println!("  (ResNet-50 is skipped on a software renderer)");
        return;
    }
    let model = resnet50(device);
    let values = (0..FEATURES).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &[3, 224, 224], Domain::uniform(-2.0, 2.0)).expect("an input");
    let samples = 10;
    let plan = Plan::adaptgrad().samples(samples as u32);
    let explainer = Explainer::new(&model).batch(samples);
    let points = Points::at(node(device));
    let factor = Mollifier::Gaussian.width_factor(0.975);
    let kind = Noise {
        mollifier: Mollifier::Gaussian,
        width: Width::Adaptive(factor),
        boundary: Boundary::Free,
    };
    let noise_and_estimator = || {
        let rows = noise::noise(&points, Some(&kind), &domains(), &batch(samples));
        let mut estimator = Estimator::new(FEATURES, device);
        estimator.update(rows);
        vec![estimator.into_state()]
    };
    let map = || {
        explainer.explain(&input, Target::Index(0), &plan).expect("a map");
        Vec::new()
    };
    let [kernels, map] = seconds(device, 5, [&noise_and_estimator, &map]);
    println!(
        "  ResNet-50: {:.1} ms per gradient, of which noise and estimator {:.2} %",
        1e3 * map / samples as f64,
        100.0 * kernels / map
    );
}

/// A ResNet-50 (He et al. 2016) with random weights and without batch normalization, as if it had been
/// folded.
fn resnet50(device: &Device) -> ModuleModel<4> {
    let weight = |output: usize, input: usize, size: usize| {
        let deviation = (2.0 / (input * size * size) as f64).sqrt() * 0.5;
        Tensor::<4>::random(
            [output, input, size, size],
            Distribution::Normal(0.0, deviation),
            device,
        )
    };
    let mut blocks = Vec::new();
    let mut input = 64;
    for (width, depth, first) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for i in 0..depth {
            let stride = if i == 0 { first } else { 1 };
            let shortcut = (i == 0).then(|| weight(4 * width, input, 1));
            let main =
                [weight(width, input, 1), weight(width, width, 3), weight(4 * width, width, 1)];
            blocks.push((main, shortcut, stride));
            input = 4 * width;
        }
    }
    let stem = weight(64, 3, 7);
    let head = Tensor::<2>::random([2048, 1000], Distribution::Normal(0.0, 0.02), device);
    let conv = |x: Tensor<4>, weight: &Tensor<4>, stride: usize| {
        let [channels, _, size, _] = weight.dims();
        let bias = Tensor::<1>::zeros([channels], &weight.device());
        let options = ConvOptions::new([stride; 2], [size / 2; 2], [1; 2], 1);
        conv2d(x, weight.clone(), Some(bias), options)
    };
    ModuleModel::new(&[3, 224, 224], device, move |x: Tensor<4>| {
        let mut x = relu(conv(x, &stem, 2));
        let pool = MaxPoolOptions { padding: [(1, 1); 2], ..MaxPoolOptions::new([3; 2]) };
        x = max_pool2d(x, pool.with_stride([2; 2]));
        for ([reduce, spatial, expand], shortcut, stride) in &blocks {
            let main = relu(conv(x.clone(), reduce, 1));
            let main = conv(relu(conv(main, spatial, *stride)), expand, 1);
            let skip = shortcut.as_ref().map_or(x.clone(), |weight| conv(x, weight, *stride));
            x = relu(main + skip);
        }
        let pooled = x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        linear(pooled, head.clone(), None)
    })
}
