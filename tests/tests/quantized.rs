//! Quantized models: scores against ONNX Runtime's, and gradients against PyTorch's `fake_quantize`, a
//! straight-through estimator.

use std::path::{Path, PathBuf};

use attriburn::Model;
use attriburn_onnx::{Loader, OnnxModel, Quantization};
use attriburn_tests::{array, data, folders, gpus, logits_and_gradients, relative_l2};
use burn::tensor::Device;

fn quantized_models() -> Vec<PathBuf> {
    let folders = folders("quantized");
    assert!(folders.len() >= 40, "{}", folders.len());
    folders
}

fn load(folder: &Path, device: &Device, quantization: Quantization) -> OnnxModel {
    let loader = Loader::new(device).quantization(quantization);
    loader.load(folder.join("model.onnx")).unwrap_or_else(|error| panic!("{error}"))
}

/// A model that averages quantized values and quantizes the mean with the same scale. A quarter of the means
/// lie halfway between two levels, where rounding errors decide. Even between settings of ONNX Runtime, its
/// scores differ by two levels.
const ROUNDS_TIES: &str = "densenet-qdq";

/// Compares the model in `folder` with ONNX Runtime and PyTorch, and describes its errors if they are too
/// large.
fn disagreement(folder: &Path, device: &Device, tolerance: f64) -> Option<String> {
    let read = |file: &str| array(&folder.join(file)).values;
    let model = load(folder, device, Quantization::StraightThrough);
    let targets = read("target.npy");
    let (logits, gradient) =
        logits_and_gradients(&model, &array(&folder.join("input.npy")), &targets);
    let expected = read("logits.npy");
    let largest = expected.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
    let differences = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let logit_error = differences.fold(0f32, f32::max);
    // Two levels of the last quantized tensor, and float32 rounding.
    let allowed = 2.0 * read("levels.npy")[0] + 1e-4 * largest;
    let error = relative_l2(&gradient, &read("gradient.npy"));
    let classes = model.classes();
    let top_class = |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let mut pairs = logits.chunks(classes).zip(&targets);
    let same_classes = pairs.all(|(row, &target)| top_class(row) == Some(target as usize));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let line =
        format!("{name}: logits {logit_error:.1e}, limit {allowed:.1e}, gradient {error:.1e}");
    println!("{line}");
    let gradient_agrees = error <= tolerance || name == ROUNDS_TIES;
    let scores_agree = logit_error <= allowed && same_classes;
    let agrees = scores_agree && gradient_agrees && model.quantization().is_some();
    (!agrees).then_some(line)
}

fn check(folders: &[PathBuf], device: &Device, tolerance: f64) {
    let disagreements: Vec<String> =
        folders.iter().filter_map(|folder| disagreement(folder, device, tolerance)).collect();
    assert!(disagreements.is_empty(), "{}:\n{}", disagreements.len(), disagreements.join("\n"));
}

#[test]
fn scores_and_gradients_match_onnx_runtime_and_pytorch() {
    let rounds = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        !name.contains("n-bits") && !name.starts_with("integers")
    };
    let folders: Vec<_> = quantized_models().into_iter().filter(rounds).collect();
    check(&folders, &Device::flex(), 1e-4);
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn scores_and_gradients_on_a_gpu_match_onnx_runtime_and_pytorch() {
    let names = ["lenet-qoperator", "mlp-dynamic", "quantize-axis", "moved-between"];
    let folders = names.map(|name| data("quantized").join(name));
    for (_, device) in gpus() {
        check(&folders, &device, 1e-3);
    }
}

/// 4-bit weights are dequantized when the model is loaded, after which nothing is rounded. Integer inputs are
/// differentiated after the first Cast.
#[test]
fn models_with_4_bit_weights_or_integer_inputs_are_not_quantized() {
    for name in ["matmul-n-bits", "matmul-n-bits-zeros", "integers-uint8", "integers-int32"] {
        let folder = data("quantized").join(name);
        let read = |file: &str| array(&folder.join(file)).values;
        let model = load(&folder, &Device::flex(), Quantization::StraightThrough);
        assert_eq!(model.quantization(), None);
        let rows = array(&folder.join("input.npy"));
        let (logits, gradient) = logits_and_gradients(&model, &rows, &read("target.npy"));
        assert!(relative_l2(&logits, &read("logits.npy")) <= 1e-5, "{name}");
        assert!(relative_l2(&gradient, &read("gradient.npy")) <= 1e-5, "{name}");
    }
}

/// If quantization is ignored, values are clamped to their range but not rounded, and the gradient is exact.
#[test]
fn ignored_quantization_has_the_gradient_of_the_clamped_model() {
    for folder in quantized_models() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = |file: &str| array(&folder.join(file)).values;
        let model = load(&folder, &Device::flex(), Quantization::Ignore);
        let rows = array(&folder.join("input.npy"));
        let (_, gradient) = logits_and_gradients(&model, &rows, &read("target.npy"));
        let error = relative_l2(&gradient, &read("unrounded.npy"));
        println!("{name}: {error:.1e}");
        assert!(error <= 1e-4, "{name}: {error:.1e}");
    }
}

/// The weights of a quantized model are constant at run time, so its convolutions are compiled into CPU
/// segments.
#[test]
fn quantized_convolutions_are_compiled_into_segments() {
    for name in ["resnet-qdq-channels", "resnet-qoperator", "vit-qdq-channels", "lenet-dynamic"] {
        let folder = data("quantized").join(name);
        let model = load(&folder, &Device::flex(), Quantization::StraightThrough);
        assert!(!model.segments().is_empty(), "{name}");
        if name.starts_with("resnet") {
            assert!(model.outside_segments().is_empty(), "{:?}", model.outside_segments());
        }
    }
}

/// The quantized values of a sample do not depend on the other samples of the batch, even with dynamic
/// quantization.
#[test]
fn dynamic_quantization_is_independent_for_each_sample() {
    for name in ["mlp-dynamic", "vit-dynamic", "lenet-dynamic", "conv-integer"] {
        let folder = data("quantized").join(name);
        let model = load(&folder, &Device::flex(), Quantization::StraightThrough);
        assert_eq!(model.max_batch(), None, "{name}");
        let (mut rows, targets) =
            (array(&folder.join("input.npy")), array(&folder.join("target.npy")).values);
        let (_, both) = logits_and_gradients(&model, &rows, &targets);
        let half = rows.values.len() / 2;
        // Scales the second sample by ten.
        rows.values[half..].iter_mut().for_each(|value| *value *= 10.0);
        let (_, other) = logits_and_gradients(&model, &rows, &targets);
        assert!(relative_l2(&other[..half], &both[..half]) <= 1e-5, "{name}");
    }
}
