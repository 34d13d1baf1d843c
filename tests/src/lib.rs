//! What the tests across the crates share: their data, and comparisons.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use attriburn::{Domain, Input, Model};
use burn::tensor::{Device, Tensor, TensorData};

/// A file or folder of the tests' data.
pub fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(path)
}

/// The folders in a folder of the tests' data, in order.
///
/// # Panics
///
/// When there is no such folder.
pub fn folders(path: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data(path)).expect("a folder of the tests' data");
    let mut folders: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The built-in model.
pub fn efficientnet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/assets/efficientnet-lite0.onnx")
}

/// An array of the tests' data.
///
/// # Panics
///
/// When it cannot be read.
pub fn array(path: &Path) -> attriburn::npy::Array {
    attriburn::npy::read(path).unwrap_or_else(|error| panic!("{error}"))
}

/// The first of the samples in the file `input.npy` of `folder`.
///
/// # Panics
///
/// When it cannot be read, or is outside what an input may be.
pub fn first_sample(folder: &Path, domain: Domain) -> Input {
    let rows = array(&folder.join("input.npy"));
    let features = rows.values.len() / rows.shape[0];
    let values = rows.values[..features].to_vec();
    Input::new(values, &rows.shape[1..], domain).expect("an input")
}

/// `||a - b|| / ||b||`.
pub fn relative_l2(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 =
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    match norm(b) {
        0.0 => difference.sqrt(),
        norm => difference.sqrt() / norm,
    }
}

/// The cosine of the angle between `a` and `b`.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    product / norm(a) / norm(b)
}

/// The largest difference over the largest value of `b`.
pub fn relative_maximum(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().map(|b| f64::from(b.abs())).fold(0.0, f64::max);
    let differences = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    differences.fold(0.0, f64::max) / largest
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// The logits of `rows`, and the gradient of each row's target logit, as many rows in a batch as the
/// model takes.
///
/// # Panics
///
/// When the model fails.
pub fn logits_and_gradients(
    model: &dyn Model,
    rows: &attriburn::npy::Array,
    targets: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let features = rows.values.len() / targets.len();
    let at_once = model.max_batch().unwrap_or(targets.len());
    let batches = rows.values.chunks(at_once * features).zip(targets.chunks(at_once));
    let (mut logits, mut gradients) = (Vec::new(), Vec::new());
    for (rows, targets) in batches {
        let (own, gradient) = of_batch(model, rows.to_vec(), targets);
        logits.extend(own);
        gradients.extend(gradient);
    }
    (logits, gradients)
}

fn of_batch(model: &dyn Model, rows: Vec<f32>, targets: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (count, features) = (targets.len(), rows.len() / targets.len());
    let data = TensorData::new(rows, [count, features]);
    let input = Tensor::<2>::from_data(data, model.device()).autodiff().require_grad();
    let logits = model.forward(input.clone()).unwrap_or_else(|error| panic!("{error}"));
    let classes = logits.dims()[1];
    let mut chosen = vec![0f32; count * classes];
    for (row, &target) in targets.iter().enumerate() {
        chosen[row * classes + target as usize] = 1.0;
    }
    let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [count, classes]), model.device());
    let gradients = (logits.clone() * chosen).sum().backward();
    let gradient = input.grad(&gradients).expect("a gradient");
    (values(logits), values(gradient))
}

/// A tensor's values.
///
/// # Panics
///
/// When the device fails.
pub fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("float32 values")
}

/// A device of every GPU runtime that is compiled in, by name; none where none is.
///
/// # Panics
///
/// When one finds no device: a test that takes a GPU does not pass without.
pub fn gpus() -> Vec<(&'static str, Device)> {
    let runtimes = [
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
    ];
    let compiled_in = runtimes.into_iter().filter(|(_, is_there)| *is_there);
    let open = |(name, _)| match attriburn::device(name) {
        Ok(device) => (name, device),
        Err(error) => panic!("the feature {name} is on, so that its tests take a device: {error}"),
    };
    compiled_in.map(open).collect()
}
