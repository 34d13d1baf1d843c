//! Memory does not grow with the samples of a map, nor with the number of maps.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::Mutex;

use attriburn::{
    Baseline, Domain, Explainer, Input, Model, ModuleModel, Path, Plan, Quadrature, Score, Target,
    Task,
};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{data, gpus, relative_l2};
use burn::tensor::{Device, Tensor};

/// One test at a time: what is measured is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: u64 = 1 << 20;

/// A figure of the process, `VmRSS` (memory now) or `VmHWM` (the most so far), in bytes.
fn process(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(figure)).expect("a known figure");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number of kB") << 10
}

fn load(name: &str, device: &Device) -> (OnnxModel, Input) {
    let model =
        OnnxModel::load(data("zoo").join(name).join("model.onnx"), device).expect("a model");
    let shape = model.input_shape().to_vec();
    let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &shape, Domain::uniform(-2.0, 2.0)).expect("an input");
    (model, input)
}

#[test]
fn ten_thousand_samples_take_no_more_than_fifty() {
    let _alone = ALONE.lock();
    let (model, input) = load("lenet", &Device::flex());
    let explain = |samples| {
        let plan = Plan::adaptgrad().samples(samples);
        let explainer = Explainer::new(&model).batch(Some(50));
        explainer.explain(&plan, &input, Target::Predicted).expect("a map").samples
    };
    assert_eq!(explain(50), 50);
    // The most so far starts again from what is held now.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
    assert_eq!(explain(50), 50);
    let fifty = process("VmHWM");
    assert_eq!(explain(10_000), 10_000);
    let growth = process("VmHWM").saturating_sub(fifty);
    assert!(growth < 4 * MIB, "{} MiB more", growth / MIB);
}

/// Nodes of a path are computed, and sums of finished maps are brought to the host: neither many nodes nor many
/// maps at once take more than a few of them.
#[test]
fn nodes_and_maps_take_no_more_than_few_of_them() {
    const FEATURES: usize = 3 * 224 * 224;
    let _alone = ALONE.lock();
    let device = Device::flex();
    let model =
        ModuleModel::<2>::new(&[FEATURES], &device, |x: Tensor<2>| x.powi_scalar(2).sum_dim(1));
    let input = |shift: f32| {
        let values = (0..FEATURES).map(|i| (i as f32 * 0.37 + shift).sin()).collect();
        Input::new(values, &[FEATURES], Domain::uniform(-1.0, 1.0)).expect("an input")
    };
    let peak = |maps: usize, steps: u32| {
        let inputs: Vec<Input> = (0..maps).map(|map| input(map as f32)).collect();
        let explainer = Explainer::new(&model).batch(Some(8));
        let predictions: Vec<_> =
            inputs.iter().map(|input| explainer.predict(input).expect("a score")).collect();
        let pairs = inputs.iter().zip(&predictions);
        let task = |(input, prediction)| Task { input, score: Score::Class(0), prediction };
        let tasks: Vec<Task> = pairs.map(task).collect();
        let path = Path { baseline: Baseline::Black, quadrature: Quadrature::Midpoint, steps };
        let plan = Plan { path: Some(path), ..Plan::gradient() };
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
        let before = process("VmRSS");
        let maps = explainer.explain_all(&plan, &tasks).expect("maps");
        assert!(maps.iter().all(Result::is_ok));
        process("VmHWM").saturating_sub(before)
    };
    peak(1, 8);
    let few = peak(1, 8);
    // All nodes of this path are 1.2 GiB.
    let nodes = peak(1, 2000);
    assert!(nodes < few + 32 * MIB, "{} MiB, and {} for few", nodes / MIB, few / MIB);
    // The host keeps what a map is made of: three numbers of four or eight bytes for each element, the map, its
    // error, and the baseline; the device would keep four more.
    let each = (peak(40, 8).saturating_sub(few)) / 39 / FEATURES as u64;
    assert!(each <= 40, "{each} bytes for each element of a map");
}

/// A file of `n` bytes, with the weights beside it, takes no more than 4 GiB and 64 bytes for each of its
/// own while it is loaded, whatever it asks for.
#[test]
fn loading_a_file_takes_no_more_than_it_may() {
    let _alone = ALONE.lock();
    let folders = ["fuzzed/model", "bad", "operators", "quantized", "shapes", "zoo"].map(data);
    let mut files: Vec<_> = folders.iter().flat_map(|folder| models_in(folder)).collect();
    files.push(attriburn_tests::efficientnet());
    assert!(files.len() > 100, "{} files", files.len());
    let mut most: (u64, String) = (0, String::new());
    for path in files {
        let bytes = std::fs::read(&path).expect("a file");
        std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
        let before = process("VmRSS");
        let _ = Loader::new(&Device::flex()).load_bytes(&bytes);
        let taken = process("VmHWM").saturating_sub(before);
        let may = (4 << 30) + 64 * bytes.len() as u64;
        assert!(taken <= may, "{}: {} MiB of {}", path.display(), taken / MIB, may / MIB);
        most = most.max((taken, path.display().to_string()));
    }
    println!("the most: {} MiB, {}", most.0 / MIB, most.1);
    // The two that fill gigabytes with many small tensors are refused before they do.
    for name in ["constants-of-gigabytes", "values-of-gigabytes"] {
        let path = data("fuzzed/model").join(name).with_extension("onnx");
        let message = match OnnxModel::load(path, &Device::flex()) {
            Ok(_) => panic!("{name} was loaded"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains("numbers that there is room for"), "{name}: {message}");
    }
}

/// The ONNX files below `folder`.
fn models_in(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(models_in(&path)),
            path if path.extension().is_some_and(|ending| ending == "onnx") => found.push(path),
            _ => {}
        }
    }
    found
}

/// `maps` maps, and what the process and the device hold after them.
fn held_after(maps: usize, model: &OnnxModel, input: &Input) -> (u64, u64) {
    let plan = Plan::adaptgrad().samples(4);
    for _ in 0..maps {
        Explainer::new(model).explain(&plan, input, Target::Predicted).expect("a map");
    }
    let device = model.device().memory_pool_usage().map_or(0, |usage| usage.bytes_reserved);
    (process("VmRSS"), device)
}

/// A leak grows with every map; what a driver's threads take up late, once.
fn check_a_thousand_maps(name: &str, device: &Device) {
    let (model, input) = load("mlp", device);
    let mut before = held_after(100, &model, &input);
    for _ in 0..3 {
        let after = held_after(900, &model, &input);
        println!("{name}: {before:?} bytes, {after:?} after 900 maps more");
        assert!(
            after.1 <= before.1,
            "{name}: the device's pools grew from {before:?} to {after:?}"
        );
        if after.0 < before.0 + 8 * MIB {
            return;
        }
        before = after;
    }
    panic!("{name}: the process grew by more than 8 MiB with every 900 maps");
}

#[test]
fn a_thousand_maps_take_no_more_than_a_hundred() {
    let _alone = ALONE.lock();
    check_a_thousand_maps("cpu", &Device::flex());
    for (name, device) in gpus() {
        check_a_thousand_maps(name, &device);
    }
}

/// A batch of 2 GiB, more than any adapter binds at once, is halved until it fits, and the map is
/// the CPU's.
#[test]
#[cfg_attr(not(feature = "wgpu"), ignore = "takes an adapter, and the feature wgpu")]
fn a_batch_that_no_adapter_takes_is_halved() {
    let _alone = ALONE.lock();
    const FEATURES: usize = 1 << 20;
    const BATCH: usize = 512;
    let wgpu = gpus().into_iter().find(|(name, _)| *name == "wgpu");
    let (_, device) = wgpu.expect("the feature wgpu");
    let values = (0..FEATURES).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &[FEATURES], Domain::uniform(-2.0, 2.0)).expect("an input");
    let explain = |device: &Device, batch| {
        let model = ModuleModel::<2>::new(&[FEATURES], device, |x: Tensor<2>| x.powi_scalar(2));
        let plan = Plan::adaptgrad().samples(BATCH as u32);
        let explainer = Explainer::new(&model).batch(Some(batch));
        explainer.explain(&plan, &input, Target::Index(7)).expect("a map")
    };
    let map = explain(&device, BATCH);
    println!("batches of {} instead of {:?}", map.batch, map.refused_batch);
    assert_eq!(map.refused_batch, Some(BATCH));
    assert!(map.batch < BATCH);
    assert!(relative_l2(&map.values, &explain(&Device::flex(), 16).values) < 1e-5);
}
