//! Quantized models: their scores are ONNX Runtime's, and their gradients PyTorch's with
//! `fake_quantize`, which passes the gradient straight through the rounding.

use std::path::{Path, PathBuf};

use attriburn::Model;
use attriburn_onnx::{Loader, OnnxModel, Quantization};
use attriburn_tests::{array, data, folders, gpus, logits_and_gradients, relative_l2};
use burn::tensor::Device;

fn all() -> Vec<PathBuf> {
    let folders = folders("quantized");
    assert!(folders.len() >= 40, "{}", folders.len());
    folders
}

fn load(folder: &Path, device: &Device, quantization: Quantization) -> OnnxModel {
    let loader = Loader::new(device).quantization(quantization);
    loader.load(folder.join("model.onnx")).unwrap_or_else(|error| panic!("{error}"))
}

/// A model that averages levels and quantizes the mean with the same scale: a quarter of the means lie in
/// the middle between two levels, where the last digit decides. Its scores differ by two levels between
/// settings of ONNX Runtime itself.
const OF_MIDDLES: &str = "densenet-qdq";

/// What differs from PyTorch's and ONNX Runtime's numbers.
fn complaint(folder: &Path, device: &Device, tolerance: f64) -> Option<String> {
    let read = |file: &str| array(&folder.join(file)).values;
    let model = load(folder, device, Quantization::StraightThrough);
    let targets = read("target.npy");
    let (logits, gradient) =
        logits_and_gradients(&model, &array(&folder.join("input.npy")), &targets);
    let expected = read("logits.npy");
    let largest = expected.iter().fold(0f32, |all, logit| all.max(logit.abs()));
    let differences = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let away = differences.fold(0f32, f32::max);
    // Two levels of what is quantized last, or rounding where nothing is.
    let allowed = 2.0 * read("levels.npy")[0] + 1e-4 * largest;
    let error = relative_l2(&gradient, &read("gradient.npy"));
    let classes = model.classes();
    let top = |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let same = logits.chunks(classes).zip(&targets).all(|(row, &t)| top(row) == Some(t as usize));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{name}: logits {away:.1e} of {allowed:.1e}, gradient {error:.1e}");
    println!("{line}");
    let gradient_agrees = error <= tolerance || name == OF_MIDDLES;
    let good = away <= allowed && gradient_agrees && same && model.quantization().is_some();
    (!good).then_some(line)
}

fn check(folders: &[PathBuf], device: &Device, tolerance: f64) {
    let complaints: Vec<String> =
        folders.iter().filter_map(|folder| complaint(folder, device, tolerance)).collect();
    assert!(complaints.is_empty(), "{}:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn are_onnx_runtime_s_and_pytorch_s_on_the_cpu() {
    let rounds = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        !name.contains("n-bits") && !name.starts_with("integers")
    };
    let folders: Vec<_> = all().into_iter().filter(rounds).collect();
    check(&folders, &Device::flex(), 1e-4);
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn are_those_of_a_gpu() {
    let names = ["lenet-qoperator", "mlp-dynamic", "quantize-axis", "moved-between"];
    let folders = names.map(|name| data("quantized").join(name));
    for (_, device) in gpus() {
        check(&folders, &device, 1e-3);
    }
}

/// Weights of few bits are dequantized when the model is loaded, and leave nothing that rounds. Integers
/// as inputs are differentiated behind the first Cast.
#[test]
fn of_weights_of_few_bits_and_of_integers_are_plain() {
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

/// Without rounding the gradient is the exact one of a model that is only clamped.
#[test]
fn without_rounding_are_those_of_the_clamped_model() {
    for folder in all() {
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

/// Weights are constants when the model runs, so that the CPU computes convolutions in segments.
#[test]
fn are_computed_in_segments() {
    for name in ["resnet-qdq-channels", "resnet-qoperator", "vit-qdq-channels", "lenet-dynamic"] {
        let folder = data("quantized").join(name);
        let model = load(&folder, &Device::flex(), Quantization::StraightThrough);
        assert!(!model.segments().is_empty(), "{name}");
        if name.starts_with("resnet") {
            assert!(model.outside_segments().is_empty(), "{:?}", model.outside_segments());
        }
    }
}

/// A sample's levels do not depend on the others of its batch, also where the scale is of the sample.
#[test]
fn of_a_sample_do_not_depend_on_the_batch() {
    for name in ["mlp-dynamic", "vit-dynamic", "lenet-dynamic", "conv-integer"] {
        let folder = data("quantized").join(name);
        let model = load(&folder, &Device::flex(), Quantization::StraightThrough);
        assert_eq!(model.max_batch(), None, "{name}");
        let (mut rows, targets) =
            (array(&folder.join("input.npy")), array(&folder.join("target.npy")).values);
        let (_, both) = logits_and_gradients(&model, &rows, &targets);
        let half = rows.values.len() / 2;
        // The second is ten times as large.
        rows.values[half..].iter_mut().for_each(|value| *value *= 10.0);
        let (_, other) = logits_and_gradients(&model, &rows, &targets);
        assert!(relative_l2(&other[..half], &both[..half]) <= 1e-5, "{name}");
    }
}
