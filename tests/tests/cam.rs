//! Class activation maps against those of pytorch-grad-cam, and the layers that models choose.

use std::path::{Path, PathBuf};

use attriburn::{
    Attribution, Baseline, Cam, CamRule, Domain, ErrorKind, Explainer, Input, Model, Plan, Sampler,
    Target,
};
use attriburn_onnx::{Layout, Loader, OnnxModel};
use attriburn_tests::{array, data, efficientnet, folders, relative_maximum};
use burn::tensor::{Device, Tensor, TensorData};

/// The models whose `layer.txt` names the layer that the model chooses.
const DEFAULTS: [&str; 5] = ["not-square", "resnet", "swin", "vit", "vit-registers"];

fn layer_name(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("layer.txt")).expect("the name of a layer");
    text.trim().to_owned()
}

/// The samples and classes of a folder.
fn cases(folder: &Path) -> Vec<(Input, Target)> {
    let rows = array(&folder.join("input.npy"));
    let targets = array(&folder.join("target.npy")).values;
    let features = rows.values.len() / targets.len();
    let case = |(values, target): (&[f32], &f32)| {
        let domain = Domain::uniform(-10.0, 10.0);
        let input = Input::new(values.to_vec(), &rows.shape[1..], domain).expect("an input");
        (input, Target::Index(*target as usize))
    };
    rows.values.chunks(features).zip(&targets).map(case).collect()
}

fn explain(model: &dyn Model, input: &Input, target: &Target, plan: &Plan) -> Attribution {
    Explainer::new(model).explain(input, target.clone(), plan).unwrap_or_else(|e| panic!("{e}"))
}

/// Scales a map to [0, 1] as pytorch-grad-cam does. That it adds 1e-7 to the divisor, after a first scaling,
/// changes the result by less than 1e-6.
fn scaled(map: &[f32]) -> Vec<f32> {
    let smallest = map.iter().copied().fold(f32::INFINITY, f32::min);
    let largest = map.iter().map(|value| value - smallest).fold(0.0, f32::max);
    map.iter().map(|value| (value - smallest) / largest).collect()
}

/// Compares the maps of all rules with the reference in `folder`; returns the largest error, relative to the
/// largest value of each map, of the maps and of the scaled maps.
fn errors(model: &dyn Model, folder: &Path, layer: &str) -> [f64; 2] {
    let mut worst = [0f64; 2];
    for (rule, name) in CamRule::ALL {
        let plan = Plan::gradient().cam(Cam::new(rule).layer(layer));
        let reference = |suffix: &str| array(&folder.join(format!("{name}{suffix}.npy"))).values;
        let (maps, scaled_maps) = (reference(""), reference(".scaled"));
        for (row, (input, target)) in cases(folder).iter().enumerate() {
            let map = explain(model, input, target, &plan);
            let pixels = map.values.len();
            assert_eq!(map.shape, [&[1], &input.shape()[1..]].concat());
            let of_row = |values: &'_ [f32]| values[row * pixels..][..pixels].to_vec();
            let error = relative_maximum(&map.values, &of_row(&maps));
            let scaled_error = relative_maximum(&scaled(&map.values), &of_row(&scaled_maps));
            worst = [worst[0].max(error), worst[1].max(scaled_error)];
        }
    }
    worst
}

fn check(folders: &[PathBuf], load: impl Fn(&Path) -> OnnxModel) {
    let mut failures = Vec::new();
    for folder in folders {
        let model = load(&folder.join("model.onnx"));
        let [map, scaled] = errors(&model, folder, &layer_name(folder));
        println!("{}: maps {map:.1e}, scaled maps {scaled:.1e}", folder.display());
        if map.is_nan() || scaled.is_nan() || map.max(scaled) > 1e-4 {
            failures.push(format!("{}: {map:.1e}, {scaled:.1e}", folder.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn load(path: &Path) -> OnnxModel {
    OnnxModel::load(path, &Device::flex()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn maps_match_pytorch_grad_cam() {
    let folders = folders("cam");
    assert_eq!(folders.len(), 6);
    check(&folders, load);
    // With parameters the model has no segments, and no network is cut.
    check(&folders, |path| {
        Loader::new(&Device::flex()).parameters(true).load(path).expect("the model")
    });
}

/// Compares models outside the repository: `tests/data/cam.py OUT resnet18 vit_b_16` writes the folder OUT.
#[test]
#[ignore = "needs the folder that ATTRIBURN_CAM_MODELS names"]
fn maps_of_large_models_match_pytorch_grad_cam() {
    let root = std::env::var("ATTRIBURN_CAM_MODELS").expect("ATTRIBURN_CAM_MODELS names a folder");
    let entries = std::fs::read_dir(root).expect("the folder");
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    for folder in &folders {
        let model = load(&folder.join("model.onnx"));
        let chosen = model.layer(None).expect("a layer").name;
        println!("{}: chooses {chosen:?}; {:?}", folder.display(), layer_name(folder));
    }
    check(&folders, load);
}

#[test]
fn models_choose_the_layer_that_pytorch_grad_cam_recommends() {
    for name in DEFAULTS {
        let folder = data("cam").join(name);
        let model = load(&folder.join("model.onnx"));
        let chosen = model.layer(None).expect("a layer");
        assert!(model.layers().contains(&chosen), "{name}: {chosen:?} is not listed");
        let named = model.layer(Some(&layer_name(&folder))).expect("a layer");
        let of = |layer: Option<&str>| {
            let mut cam = Cam::new(CamRule::HiresCam);
            cam.layer = layer.map(str::to_owned);
            let (input, target) = &cases(&folder)[0];
            explain(&model, input, target, &Plan::gradient().cam(cam))
        };
        let (default, given) = (of(None), of(Some(&named.name)));
        assert_eq!(default.layer, Some(chosen), "{name}");
        // The layer may be another arrangement of the same elements.
        assert!(relative_maximum(&default.values, &given.values) < 1e-6, "{name}");
    }
}

/// LayerCAM of activations behind a ReLU has no negative values, so setting these to 0 commutes with the mean.
#[test]
fn smoothed_map_is_the_mean_of_the_samples() {
    let folder = data("cam/resnet");
    let model = load(&folder.join("model.onnx"));
    let (input, target) = &cases(&folder)[0];
    let plan = Plan::gradient().cam(CamRule::LayerCam);
    let sampler = Sampler::smoothgrad().samples(3);
    let smoothed = explain(&model, input, target, &plan.clone().sampler(sampler).seed(4));
    let map = |sample: u32| {
        let point = input.with_values(sampler.draw(input, 4, sample).expect("a sample"));
        explain(&model, &point.expect("an input"), target, &plan).values
    };
    let maps = [0, 1, 2].map(map);
    let mean: Vec<f32> =
        (0..maps[0].len()).map(|i| maps.iter().map(|map| map[i]).sum::<f32>() / 3.0).collect();
    assert!(relative_maximum(&maps[0], &mean) > 0.01, "the samples are alike");
    assert!(relative_maximum(&smoothed.values, &mean) < 1e-5);
}

/// Plans without a class activation map run the same program, whether or not a network was cut before.
#[test]
fn cut_networks_do_not_change_other_plans() {
    let folder = data("cam/resnet");
    let model = load(&folder.join("model.onnx"));
    let (input, target) = &cases(&folder)[0];
    let segments = model.segments().len();
    let before = explain(&model, input, target, &Plan::gradient());
    explain(&model, input, target, &Plan::grad_cam());
    assert_eq!(model.segments().len(), segments);
    let after = explain(&model, input, target, &Plan::gradient());
    assert_eq!(before.values, after.values);
}

/// The scores that follow from the activations are the model's own.
#[test]
fn scores_at_every_layer_are_those_of_the_model() {
    for folder in folders("cam") {
        let model = load(&folder.join("model.onnx"));
        let rows = array(&folder.join("input.npy"));
        let features = rows.values.len() / 2;
        let batch = TensorData::new(rows.values.clone(), [2, features]);
        let batch = Tensor::<2>::from_data(batch, model.device());
        let values = |logits: Tensor<2>| attriburn_tests::values(logits);
        let expected = values(model.forward(batch.clone()).expect("scores"));
        assert!(!model.layers().is_empty());
        for layer in model.layers() {
            let cut = model.forward_from(layer, batch.clone(), None).expect("activations");
            assert_eq!(cut.values.dims(), [2, layer.channels, layer.positions()]);
            let error = relative_maximum(&values(cut.logits.inner()), &expected);
            assert!(error < 1e-5, "{}, {}: {error:.1e}", folder.display(), layer.name);
        }
    }
}

#[test]
fn built_in_model_is_explained_at_its_last_feature_map() {
    let bytes = std::fs::read(efficientnet()).expect("the built-in model");
    let from_memory = Loader::new(&Device::flex()).load_bytes(&bytes).expect("the model");
    let from_file = load(&efficientnet());
    let layer = from_file.layer(None).expect("a layer");
    assert_eq!((layer.channels, layer.height, layer.width), (1280, 7, 7));
    assert_eq!(from_memory.layer(None).expect("a layer"), layer);
    let values = (0..3 * 224 * 224).map(|i| (i as f32 * 0.37).sin()).collect();
    let input = Input::new(values, &[3, 224, 224], Domain::uniform(-1.0, 1.0)).expect("an input");
    let map = |model| explain(model, &input, &Target::Predicted, &Plan::grad_cam()).values;
    let (first, second) = (map(&from_memory), map(&from_file));
    assert_eq!(first, second);
    assert!(first.iter().any(|&value| value > 0.0));
}

#[test]
fn unknown_layers_and_models_without_positions_are_errors() {
    let model = load(&data("cam/resnet/model.onnx"));
    let layer = layer_name(&data("cam/resnet"));
    let error = model.layer(Some(&layer.to_uppercase())).expect_err("an unknown layer");
    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains(&format!("{layer:?}")), "{error}");
    let mlp = load(&data("zoo/mlp/model.onnx"));
    let error = mlp.layer(None).expect_err("no positions");
    assert!(error.to_string().contains("no layer whose elements have positions"), "{error}");
}

/// A path whose nodes are averaged, and noise on the parameters.
#[test]
fn maps_with_paths_and_noise_on_parameters_are_finite() {
    let folder = data("cam/resnet");
    let loader = Loader::new(&Device::flex()).parameters(true).layout(Layout::ChannelsFirst);
    let model = loader.load(folder.join("model.onnx")).expect("the model");
    let (input, target) = &cases(&folder)[0];
    let noise = attriburn::WeightNoise::new(attriburn::WidthRule::Relative { alpha: 1e-4 });
    let clean = explain(&model, input, target, &Plan::grad_cam());
    let noisy = explain(&model, input, target, &Plan::grad_cam().weights(noise.draws(4)));
    let error = relative_maximum(&noisy.values, &clean.values);
    assert!(error > 0.0 && error < 0.05, "{error}");
    let path = attriburn::Path::new(Baseline::Values(input.values().to_vec())).steps(3);
    // All nodes of a path from the input to itself are the input, and their weights have the sum 1.
    let path = explain(&model, input, target, &Plan::grad_cam().path(path));
    assert!(relative_maximum(&path.values, &clean.values) < 1e-5);
}
