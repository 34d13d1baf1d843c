//! Peak memory does not grow with the number of samples, path nodes or maps, and loading a file stays within
//! a limit.
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

/// A lock that every test holds while it runs, because memory is measured for the whole process.
static ONE_TEST: Mutex<()> = Mutex::new(());

const MIB: u64 = 1 << 20;

/// Returns a memory figure of this process in bytes: `VmRSS` (current) or `VmHWM` (peak).
fn process_memory(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(figure)).expect("the figure exists");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number of kB") << 10
}

fn reset_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
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
fn peak_memory_does_not_grow_with_samples() {
    let _guard = ONE_TEST.lock();
    let (model, input) = load("lenet", &Device::flex());
    let explain = |samples| {
        let plan = Plan::adaptgrad().samples(samples);
        let explainer = Explainer::new(&model).batch(50);
        explainer.explain(&input, Target::Predicted, &plan).expect("a map").samples
    };
    assert_eq!(explain(50), 50);
    reset_peak_memory();
    assert_eq!(explain(50), 50);
    let peak = process_memory("VmHWM");
    assert_eq!(explain(10_000), 10_000);
    let growth = process_memory("VmHWM").saturating_sub(peak);
    assert!(growth < 4 * MIB, "{} MiB more", growth / MIB);
}

/// Path nodes are computed batch by batch, and the sums of finished maps are moved to the host. Neither many
/// nodes nor many simultaneous maps may raise peak memory by more than the results themselves need.
#[test]
fn peak_memory_does_not_grow_with_path_nodes_or_maps() {
    const FEATURES: usize = 3 * 224 * 224;
    let _guard = ONE_TEST.lock();
    let device = Device::flex();
    let model =
        ModuleModel::<2>::new(&[FEATURES], &device, |x: Tensor<2>| x.powi_scalar(2).sum_dim(1));
    let input = |shift: f32| {
        let values = (0..FEATURES).map(|i| (i as f32 * 0.37 + shift).sin()).collect();
        Input::new(values, &[FEATURES], Domain::uniform(-1.0, 1.0)).expect("an input")
    };
    let peak = |maps: usize, steps: u32| {
        let inputs: Vec<Input> = (0..maps).map(|map| input(map as f32)).collect();
        let explainer = Explainer::new(&model).batch(8);
        let predictions: Vec<_> =
            inputs.iter().map(|input| explainer.predict(input).expect("a score")).collect();
        let pairs = inputs.iter().zip(&predictions);
        let task = |(input, prediction)| {
            explainer.task_with(input, prediction, Score::Class(0)).expect("a task")
        };
        let tasks: Vec<Task> = pairs.map(task).collect();
        let path = Path::new(Baseline::Black).quadrature(Quadrature::Midpoint).steps(steps);
        let plan = Plan::gradient().path(path);
        reset_peak_memory();
        let before = process_memory("VmRSS");
        let maps = explainer.explain_all(&tasks, &plan).expect("maps");
        assert!(maps.iter().all(Result::is_ok));
        process_memory("VmHWM").saturating_sub(before)
    };
    peak(1, 8);
    let few_nodes = peak(1, 8);
    // Together the nodes of this path would need 1.2 GiB.
    let many_nodes = peak(1, 2000);
    assert!(
        many_nodes < few_nodes + 32 * MIB,
        "{} MiB, and {} MiB with few nodes",
        many_nodes / MIB,
        few_nodes / MIB
    );
    // For each element of a map the host keeps the map, its standard error and the baseline, each of four or
    // eight bytes. Maps that stay on the device would need four values more.
    let bytes = (peak(40, 8).saturating_sub(few_nodes)) / 39 / FEATURES as u64;
    assert!(bytes <= 40, "{bytes} bytes for each element of a map");
}

/// Loading a file of `n` bytes, its external weights included, needs at most 4 GiB + `64 n` bytes, whatever
/// the file contains.
#[test]
fn memory_for_loading_a_file_is_limited() {
    let _guard = ONE_TEST.lock();
    let folders = ["fuzzed/model", "bad", "operators", "quantized", "shapes", "zoo"].map(data);
    let mut files: Vec<_> = folders.iter().flat_map(|folder| models_in(folder)).collect();
    files.push(attriburn_tests::efficientnet());
    assert!(files.len() > 100, "{} files", files.len());
    let mut largest: (u64, String) = (0, String::new());
    for path in files {
        let bytes = std::fs::read(&path).expect("a file");
        reset_peak_memory();
        let before = process_memory("VmRSS");
        let _ = Loader::new(&Device::flex()).load_bytes(&bytes);
        let used = process_memory("VmHWM").saturating_sub(before);
        let limit = (4 << 30) + 64 * bytes.len() as u64;
        assert!(used <= limit, "{}: {} of {} MiB", path.display(), used / MIB, limit / MIB);
        largest = largest.max((used, path.display().to_string()));
    }
    println!("largest: {} MiB, {}", largest.0 / MIB, largest.1);
    // Two files whose tensors are small enough one by one, but need gigabytes together.
    for name in ["constants-of-gigabytes", "values-of-gigabytes"] {
        let path = data("fuzzed/model").join(name).with_extension("onnx");
        let message = match OnnxModel::load(path, &Device::flex()) {
            Ok(_) => panic!("{name} was loaded"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains("exceeds the memory limit"), "{name}: {message}");
    }
}

/// Finds the ONNX files below `folder`.
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

/// Computes `maps` maps, and returns the memory that the process and the device hold afterwards.
fn memory_after(maps: usize, model: &OnnxModel, input: &Input) -> (u64, u64) {
    let plan = Plan::adaptgrad().samples(4);
    for _ in 0..maps {
        Explainer::new(model).explain(input, Target::Predicted, &plan).expect("a map");
    }
    let device = model.device().memory_pool_usage().map_or(0, |usage| usage.bytes_reserved);
    (process_memory("VmRSS"), device)
}

/// Checks that memory stops growing: a leak grows with every map, while allocations of the driver's threads
/// happen once, though late.
fn check_for_leaks(name: &str, device: &Device) {
    let (model, input) = load("mlp", device);
    let mut before = memory_after(100, &model, &input);
    for _ in 0..3 {
        let after = memory_after(900, &model, &input);
        println!("{name}: {before:?} bytes, {after:?} after 900 more maps");
        assert!(
            after.1 <= before.1,
            "{name}: the device's memory pools grew from {before:?} to {after:?}"
        );
        if after.0 < before.0 + 8 * MIB {
            return;
        }
        before = after;
    }
    panic!("{name}: the process grew by more than 8 MiB for every 900 maps");
}

#[test]
fn memory_does_not_grow_with_the_number_of_maps() {
    let _guard = ONE_TEST.lock();
    check_for_leaks("cpu", &Device::flex());
    for (name, device) in gpus() {
        check_for_leaks(name, &device);
    }
}

/// A batch of 2 GiB, more than a wgpu adapter can bind, is halved until it fits, and the map agrees with the
/// CPU's.
#[test]
#[cfg_attr(not(feature = "wgpu"), ignore = "needs the feature wgpu and a wgpu adapter")]
fn batch_that_exceeds_the_binding_limit_is_halved() {
    let _guard = ONE_TEST.lock();
    const FEATURES: usize = 1 << 20;
    const BATCH: usize = 512;
    let wgpu = gpus().into_iter().find(|(name, _)| *name == "wgpu");
    let (_, device) = wgpu.expect("the feature wgpu");
    let values = (0..FEATURES).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &[FEATURES], Domain::uniform(-2.0, 2.0)).expect("an input");
    let explain = |device: &Device, batch| {
        let model = ModuleModel::<2>::new(&[FEATURES], device, |x: Tensor<2>| x.powi_scalar(2));
        let plan = Plan::adaptgrad().samples(BATCH as u32);
        let explainer = Explainer::new(&model).batch(batch);
        explainer.explain(&input, Target::Index(7), &plan).expect("a map")
    };
    let map = explain(&device, BATCH);
    println!("batches of {} instead of {:?}", map.batch, map.refused_batch);
    assert_eq!(map.refused_batch, Some(BATCH));
    assert!(map.batch < BATCH);
    assert!(relative_l2(&map.values, &explain(&Device::flex(), 16).values) < 1e-5);
}
