//! Helpers that the integration tests share: paths of the test data, reference gradients and error measures.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use attriburn::{Domain, Input, Model};
use burn::tensor::{Device, Tensor, TensorData};

/// Returns the path of a file or folder below `tests/data`.
pub fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(path)
}

/// Lists the subfolders of a folder below `tests/data`, sorted by name.
///
/// # Panics
///
/// Panics if the folder cannot be read.
pub fn folders(path: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data(path)).expect("a folder below tests/data");
    let mut folders: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Returns the path of the built-in model, EfficientNet-Lite0.
pub fn efficientnet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/assets/efficientnet-lite0.onnx")
}

/// Reads a `.npy` file.
///
/// # Panics
///
/// Panics if the file cannot be read.
pub fn array(path: &Path) -> attriburn_picture::npy::Array {
    attriburn_picture::npy::read(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Reads the first sample of `input.npy` in `folder`, as an input with the given domain.
///
/// # Panics
///
/// Panics if the file cannot be read, or if the sample is not a valid input.
pub fn first_sample(folder: &Path, domain: Domain) -> Input {
    let rows = array(&folder.join("input.npy"));
    let features = rows.values.len() / rows.shape[0];
    let values = rows.values[..features].to_vec();
    Input::new(values, &rows.shape[1..], domain).expect("an input")
}

/// Returns the relative L2 error `||a - b|| / ||b||`, or `||a - b||` where `b` is zero.
pub fn relative_l2(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 =
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    match norm(b) {
        0.0 => difference.sqrt(),
        norm => difference.sqrt() / norm,
    }
}

/// Returns the cosine similarity of `a` and `b`.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    product / norm(a) / norm(b)
}

/// Returns the largest absolute difference, divided by the largest absolute value of `b`.
pub fn relative_maximum(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().map(|b| f64::from(b.abs())).fold(0.0, f64::max);
    let differences = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    differences.fold(0.0, f64::max) / largest
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// Computes the logits of all samples in `rows`, and the gradient of each sample's target logit.
///
/// All samples form one batch, or batches of the model's maximum size where the model has one.
///
/// # Panics
///
/// Panics if the model returns an error.
pub fn logits_and_gradients(
    model: &dyn Model,
    rows: &attriburn_picture::npy::Array,
    targets: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let features = rows.values.len() / targets.len();
    let batch = model.max_batch().unwrap_or(targets.len());
    let batches = rows.values.chunks(batch * features).zip(targets.chunks(batch));
    let (mut logits, mut gradients) = (Vec::new(), Vec::new());
    for (rows, targets) in batches {
        let (batch_logits, batch_gradients) = logits_and_gradients_of_batch(model, rows, targets);
        logits.extend(batch_logits);
        gradients.extend(batch_gradients);
    }
    (logits, gradients)
}

fn logits_and_gradients_of_batch(
    model: &dyn Model,
    rows: &[f32],
    targets: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (count, features) = (targets.len(), rows.len() / targets.len());
    let data = TensorData::new(rows.to_vec(), [count, features]);
    let input = Tensor::<2>::from_data(data, model.device()).autodiff().require_grad();
    let logits = model.forward(input.clone()).unwrap_or_else(|error| panic!("{error}"));
    let classes = logits.dims()[1];
    let mut one_hot = vec![0f32; count * classes];
    for (row, &target) in targets.iter().enumerate() {
        one_hot[row * classes + target as usize] = 1.0;
    }
    let one_hot =
        Tensor::<2>::from_data(TensorData::new(one_hot, [count, classes]), model.device());
    let gradients = (logits.clone() * one_hot).sum().backward();
    let gradient = input.grad(&gradients).expect("a gradient");
    (values(logits), values(gradient))
}

/// Reads a tensor's values back from its device, in row-major order.
///
/// # Panics
///
/// Panics if the device fails.
pub fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("float32 values")
}

/// Opens a device of every GPU runtime that is compiled in, and returns each with the runtime's name. Without
/// a GPU feature the list is empty.
///
/// # Panics
///
/// Panics if a compiled-in runtime finds no device, so that GPU tests cannot pass without a GPU.
pub fn gpus() -> Vec<(&'static str, Device)> {
    let runtimes = [
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
    ];
    let compiled_in = runtimes.into_iter().filter(|(_, is_enabled)| *is_enabled);
    let open = |(name, _)| match attriburn::device(name) {
        Ok(device) => (name, device),
        Err(error) => panic!("the tests of the feature {name} need a device: {error}"),
    };
    compiled_in.map(open).collect()
}

/// The code of the README and of the book, compiled and run as documentation tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/embedding.md")]
    mod embedding {}
}
