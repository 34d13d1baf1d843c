//! Every device draws the same noise, keeps the same estimate and makes the same map as the CPU.

use std::path::Path;

use attriburn::{Domain, Explainer, Input, Method, Output, Plan, Settings, Target};
use attriburn_kernels::convolution::{convolve, reference as convolution};
use attriburn_kernels::estimator::{self, Estimator};
use attriburn_kernels::noise::Points;
use attriburn_kernels::noise::reference::{Element, bounds, draw, element, point, sigma, word};
use attriburn_kernels::product::{multiply, split};
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Row, Width, noise};
use attriburn_onnx::{Loader, OnnxModel};
use attriburn_tests::{
    array, data, efficientnet, first_sample, folders, gpus, logits_and_gradients, relative_l2,
    values,
};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

const FEATURES: usize = 3 * 701;
const ROWS: usize = 11;

/// Rows that go round `count` inputs, and along the paths to them.
fn batch(count: usize) -> Batch {
    let row = |index: usize| {
        let node = index % count;
        let position = [0.0, 0.3, 1.0][index % 3];
        Row { input: node, position, sample: (index / count) as u32, node: 2 + node as u32 }
    };
    Batch { seed: 0x0123_4567_89AB_CDEF, stream: 3, rows: (5..5 + ROWS).map(row).collect() }
}

fn tensor(values: &[f32], features: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / features, features]);
    Tensor::from_data(data, device)
}

/// Number by number, within 1e-5 of the width (times the draw, where that is larger than one)
/// beyond the rounding of the result; of rows of so many inputs, at them or on paths to them.
fn check_noise(device: &Device, kind: Option<Noise>, count: usize, on_paths: bool) {
    let of = |input: usize| {
        let shift = input as f32 * 0.25;
        let moved = |bounds: [f32; 3]| bounds.map(|bound| bound - shift).to_vec();
        noise::Domain::new(moved([-1.0, -2.0, 0.0]), moved([1.0, 2.5, 4.0]), FEATURES / 3)
    };
    let domain = noise::Domain::joined(&(0..count).map(of).collect::<Vec<_>>());
    let numbers = |seed: usize| -> Vec<f32> {
        let number = |i| ((i * 7919 + seed) % 1000) as f32 * 0.006 - 2.5;
        (0..count * FEATURES).map(number).collect()
    };
    let (x, baselines) = (numbers(0), numbers(331));
    let points = Points {
        inputs: tensor(&x, FEATURES, device),
        baselines: on_paths.then(|| tensor(&baselines, FEATURES, device)),
    };
    let batch = batch(count);
    let rows = values(noise::noise(&points, kind.as_ref(), &domain, &batch));
    for (i, &value) in rows.iter().enumerate() {
        let (row, index) = (i / FEATURES, i % FEATURES);
        let own = Element { batch: &batch, row, index, features: FEATURES };
        let place = own.row().input * FEATURES + index;
        let (ends, x) = match on_paths {
            true => {
                let (x, baseline) = (x[place], baselines[place]);
                (x.abs() + baseline.abs(), point(x, baseline, own.row().position))
            }
            false => (x[place].abs(), x[place]),
        };
        let (expected, width) = match &kind {
            None => (x.into(), 0.0),
            Some(kind) => {
                let (lower, upper) = bounds(&domain, &own);
                let size = draw(&own, kind).abs().max(1.0);
                let width = sigma(kind.width, x, lower, upper).abs() * size;
                (element(x, &own, kind, &domain), width)
            }
        };
        let rounding = 2.0 * f64::from(f32::EPSILON) * expected.abs().max(f64::from(ends));
        assert!(
            (f64::from(value) - expected).abs() <= 1e-5 * width + rounding,
            "{kind:?}, {count} inputs, row {row}, element {index}: {value} for {expected}"
        );
    }
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn the_noise_is_the_reference_s() {
    for (_, device) in gpus() {
        let kind = |mollifier, width| Noise { mollifier, width, boundary: Boundary::Free };
        for (mollifier, _) in Mollifier::ALL {
            check_noise(&device, Some(kind(mollifier, Width::Adaptive(0.446))), 1, false);
        }
        let gaussian = |width| kind(Mollifier::Gaussian, width);
        let clipped = Noise { boundary: Boundary::Clipped, ..gaussian(Width::Relative(0.2)) };
        check_noise(&device, Some(gaussian(Width::Proportional(0.2))), 1, false);
        check_noise(&device, Some(clipped), 1, false);
        for (count, on_paths) in [(3, false), (1, true), (3, true)] {
            check_noise(&device, Some(clipped), count, on_paths);
            check_noise(&device, Some(gaussian(Width::Adaptive(0.446))), count, on_paths);
            check_noise(&device, None, count, on_paths);
        }
        check_noise(&device, None, 1, false);
    }
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn the_random_words_are_exactly_the_reference_s() {
    for (name, device) in gpus() {
        for count in [1, 3] {
            let batch = batch(count);
            let inputs = tensor(&vec![0.0; count * FEATURES], FEATURES, &device);
            let words: Vec<u32> =
                noise::random_words(inputs, &batch).into_data().try_into_vec().expect("words");
            let expected = (0..ROWS * FEATURES).map(|i| {
                let (row, index) = (i / FEATURES, i % FEATURES);
                word(&Element { batch: &batch, row, index, features: FEATURES })
            });
            assert!(words.into_iter().eq(expected), "{name}, {count} inputs");
        }
    }
}

/// Two batches, with a row that is not finite in each.
fn check_estimate(device: &Device) {
    let mut rows: Vec<f32> =
        (0..3 * ROWS * FEATURES).map(|i| ((i * 7919) % 1013) as f32 * 0.01 - 3.0).collect();
    // The last batch has no bad row.
    rows[3 * FEATURES + 7] = f32::NAN;
    rows[15 * FEATURES + FEATURES - 1] = f32::INFINITY;
    let mut estimate = Estimator::new(FEATURES, device);
    for batch in rows.chunks(ROWS * FEATURES) {
        estimate.update(tensor(batch, FEATURES, device));
    }
    let state = values(estimate.into_state());
    for (e, expected) in estimator::reference::estimate(&rows, FEATURES).iter().enumerate() {
        for (part, expected) in expected.iter().enumerate() {
            let value = f64::from(state[part * FEATURES + e]);
            let close = (value - expected).abs() <= 1e-5 * expected.abs().max(1.0);
            assert!(close, "part {part} of element {e}: {value} for {expected}");
        }
    }
}

#[test]
fn the_estimate_on_the_cpu_is_the_reference_s() {
    check_estimate(&Device::flex());
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn the_estimate_on_a_gpu_is_the_reference_s() {
    for (_, device) in gpus() {
        check_estimate(&device);
    }
}

/// Convolutions of every kind and their input gradients against the reference: of stride 1, strided,
/// dilated, grouped and depthwise, with uneven padding, windows that leave rows out, and kernels
/// smaller than the stride.
fn check_convolutions(name: &str, device: &Device) {
    let own = |channels, weights, groups, strides, dilations, padding| convolution::Sizes {
        input: [2, channels, 9, 8],
        weights,
        groups,
        strides,
        dilations,
        padding,
    };
    let all = [
        own(5, [7, 5, 3, 3], 1, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        own(5, [7, 5, 3, 2], 1, [1, 1], [2, 1], [(1, 2), (0, 1)]),
        own(3, [8, 3, 7, 7], 1, [2, 2], [1, 1], [(3, 3), (3, 3)]),
        own(5, [6, 5, 3, 3], 1, [2, 1], [1, 1], [(0, 1), (1, 1)]),
        own(5, [6, 5, 1, 1], 1, [2, 2], [1, 1], [(0, 0), (0, 0)]),
        own(4, [6, 4, 4, 4], 1, [4, 4], [1, 1], [(0, 0), (0, 0)]),
        own(4, [6, 4, 2, 2], 1, [3, 3], [1, 1], [(2, 2), (1, 0)]),
        own(4, [6, 4, 3, 3], 1, [2, 2], [2, 2], [(2, 2), (2, 2)]),
        own(6, [6, 1, 3, 3], 6, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        own(6, [6, 1, 5, 5], 6, [2, 2], [1, 1], [(1, 2), (2, 2)]),
        own(6, [12, 1, 3, 3], 6, [2, 2], [1, 1], [(1, 1), (1, 1)]),
        own(6, [4, 3, 3, 3], 2, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        own(6, [4, 3, 3, 3], 2, [2, 2], [1, 2], [(1, 1), (2, 2)]),
        own(3, [4, 3, 2, 2], 1, [1, 1], [1, 1], [(3, 3), (2, 3)]),
    ];
    let numbers = |count: usize, factor: usize| -> Vec<f32> {
        (0..count).map(|at| ((at * factor) % 101) as f32 * 0.02 - 1.0).collect()
    };
    let device = device.clone().autodiff();
    for sizes in all {
        let shaped = |values: &[f32], dims: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), dims), &device)
        };
        let count = |dims: [usize; 4]| dims.iter().product::<usize>();
        let (x, weights) = (numbers(count(sizes.input), 37), numbers(count(sizes.weights), 29));
        let gradient = numbers(count(sizes.output()), 53);
        let options = ConvOptions::new_with_padding(
            sizes.strides,
            sizes.padding,
            sizes.dilations,
            sizes.groups,
        );
        let input = shaped(&x, sizes.input).require_grad();
        let own = shaped(&weights, sizes.weights).into_dispatch();
        let y = Tensor::<4>::from_dispatch(convolve(input.clone().into_dispatch(), own, options));
        assert_eq!(y.dims(), sizes.output(), "{name}: {sizes:?}");
        let sum = (y.clone() * shaped(&gradient, sizes.output())).sum();
        let made = input.grad(&sum.backward()).expect("a gradient");
        let check = |what: &str, made: Tensor<4>, expected: Vec<f64>| {
            let made: Vec<f32> = made.into_data().try_into_vec().expect("floats");
            for (at, (made, expected)) in made.iter().zip(&expected).enumerate() {
                let close = (f64::from(*made) - expected).abs() <= 1e-5 * (1.0 + expected.abs());
                assert!(close, "{name}, {what} {at}: {made} for {expected} of {sizes:?}");
            }
        };
        check("output", y.inner(), convolution::output(&sizes, &x, &weights));
        check("gradient", made, convolution::gradient(&sizes, &gradient, &weights));
    }
}

#[test]
fn convolutions_on_the_cpu_are_the_reference_s() {
    check_convolutions("cpu", &Device::flex());
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn convolutions_on_a_gpu_are_the_reference_s() {
    for (name, device) in gpus() {
        check_convolutions(name, &device);
    }
}

/// What TF32 holds of numbers of every size, and the rest.
fn check_parts(name: &str, device: &Device) {
    let numbers: Vec<f32> = (0..4000)
        .map(|at| ((at * 7919) as f32 * 1e-3).sin() * 10f32.powi(at % 60 - 30))
        .chain([0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY])
        .collect();
    let x = Tensor::<1>::from_floats(&numbers[..], device);
    let (high, low) = split(x.into_dispatch());
    let read = |x| -> Vec<f32> {
        Tensor::<1>::from_dispatch(x).into_data().try_into_vec().expect("floats")
    };
    for ((x, high), low) in numbers.iter().zip(read(high)).zip(read(low)) {
        assert_eq!(high + low, *x, "{name}: {high} + {low}");
        assert_eq!(high.to_bits() & 0x1FFF, 0, "{name}: {high} of {x}");
        assert!(low.abs() <= x.abs() * 2f32.powi(-10) || !x.is_finite(), "{name}: {low} of {x}");
    }
}

/// Products and the gradients of both factors, alone and of a batch, against double precision; and that
/// three products of parts that TF32 holds make one of float32.
fn check_products(name: &str, device: &Device) {
    let numbers = |count: usize, factor: usize| -> Vec<f32> {
        (0..count).map(|at| ((at * factor) % 1009) as f32 * 0.002 - 1.0).collect()
    };
    let device = device.clone().autodiff();
    let [batch, rows, inner, columns] = [3, 5, 67, 9];
    let (a, b) = (numbers(batch * rows * inner, 37), numbers(batch * inner * columns, 53));
    let own = |values: &[f32], dims: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(values.to_vec(), dims), &device).require_grad()
    };
    let (x, y) = (own(&a, [batch, rows, inner]), own(&b, [batch, inner, columns]));
    let product = |a: Tensor<3>, b: Tensor<3>| {
        Tensor::<3>::from_dispatch(multiply(a.into_dispatch(), b.into_dispatch()))
    };
    let z = product(x.clone(), y.clone());
    let weights = own(&numbers(batch * rows * columns, 29), [batch, rows, columns]);
    let gradients = (z.clone() * weights.clone().inner()).sum().backward();
    let read = |x: Tensor<3>| -> Vec<f32> { x.into_data().try_into_vec().expect("floats") };
    let at = |values: &[f32], [_, height, width]: [usize; 3], n: usize, i: usize, j: usize| {
        f64::from(values[(n * height + i) * width + j])
    };
    let (of_a, of_b) = ([batch, rows, inner], [batch, inner, columns]);
    let (w, of_w) = (read(weights), [batch, rows, columns]);
    let close = |what: &str, made: Vec<f32>, dims: [usize; 3], of: &dyn Fn([usize; 3]) -> f64| {
        for (index, made) in made.into_iter().enumerate() {
            let place = [index / dims[2] / dims[1], index / dims[2] % dims[1], index % dims[2]];
            let expected = of(place);
            let error = (f64::from(made) - expected).abs();
            assert!(error <= 1e-5 * (1.0 + expected.abs()), "{name}, {what}: {made}, {expected}");
        }
    };
    let whole = |[n, i, j]: [usize; 3]| {
        (0..inner).map(|k| at(&a, of_a, n, i, k) * at(&b, of_b, n, k, j)).sum::<f64>()
    };
    close("product", read(z.inner()), of_w, &whole);
    close("gradient of a", read(x.grad(&gradients).expect("a")), of_a, &|[n, i, k]| {
        (0..columns).map(|j| at(&w, of_w, n, i, j) * at(&b, of_b, n, k, j)).sum()
    });
    close("gradient of b", read(y.grad(&gradients).expect("b")), of_b, &|[n, k, j]| {
        (0..rows).map(|i| at(&w, of_w, n, i, j) * at(&a, of_a, n, i, k)).sum()
    });
    let parts = |x: Tensor<3>| {
        let (high, low) = split(x.inner().into_dispatch());
        (Tensor::<3>::from_dispatch(high), Tensor::<3>::from_dispatch(low))
    };
    let ((a_high, a_low), (b_high, b_low)) = (parts(x), parts(y));
    let rest = product(a_high.clone(), b_low) + product(a_low, b_high.clone());
    close("product of parts", read(rest + product(a_high, b_high)), of_w, &whole);
}

#[test]
fn products_on_the_cpu_are_those_of_double_precision() {
    check_parts("cpu", &Device::flex());
    check_products("cpu", &Device::flex());
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn products_on_a_gpu_are_those_of_double_precision() {
    for (name, device) in gpus() {
        check_parts(name, &device);
        check_products(name, &device);
    }
}

/// The gradient is PyTorch's within 1e-3, and the AdaptGrad maps of three seeds in the median the
/// CPU's within 1e-4. The median, because the gradient of a rectified unit jumps: where one of a
/// map's samples lies within rounding of a jump, that unit alone moves the map of a small model by
/// as much as 1e-3, on the same points.
fn complaint(folder: &Path, device: &Device) -> Option<String> {
    let read = |file: &str| array(&folder.join(file));
    let load = |device: &Device| {
        OnnxModel::load(folder.join("model.onnx"), device).expect("a model of the tests' data")
    };
    let (model, rows) = (load(device), read("input.npy"));
    let (_, gradient) = logits_and_gradients(&model, &rows, &read("target.npy").values);
    let gradient_error = relative_l2(&gradient, &read("gradient.npy").values);

    let input = first_sample(folder, Domain::uniform(-3.0, 3.0));
    let map = |model: &OnnxModel, seed| {
        let plan = Plan::adaptgrad().seed(seed);
        Explainer::new(model).explain(&plan, &input, Target::Index(0)).expect("a map").values
    };
    let on_cpu = load(&Device::flex());
    let mut errors = [0, 1, 2].map(|seed| relative_l2(&map(&model, seed), &map(&on_cpu, seed)));
    errors.sort_by(f64::total_cmp);
    let [_, map_error, worst] = errors;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let line = format!(
        "{name}: gradient {gradient_error:.1e}, maps {map_error:.1e}, at worst {worst:.1e}"
    );
    println!("{line}");
    let good = gradient_error <= 1e-3 && map_error <= 1e-4;
    (!good).then_some(line)
}

fn check_models(folders: &[impl AsRef<Path>]) {
    for (name, device) in gpus() {
        let complaints: Vec<String> =
            folders.iter().filter_map(|folder| complaint(folder.as_ref(), &device)).collect();
        assert!(complaints.is_empty(), "on {name}:\n{}", complaints.join("\n"));
    }
}

/// Odd sizes and strides, depthwise convolutions, attention.
#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn a_handful_of_models_agree_with_the_cpu() {
    check_models(
        &["zoo/mlp", "zoo/resnet-tiny", "operators/conv-depthwise", "operators/matmul-attention"]
            .map(data),
    );
}

/// AdaptGrad's noise along a path, with the nodes of a sample in one batch and in several.
#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn a_path_agrees_with_the_cpu() {
    let input = first_sample(&data("zoo/mlp"), Domain::uniform(-3.0, 3.0));
    let settings = Settings { samples: 6, steps: 5, ..Settings::default() };
    let plan = Method::named("a-ig-mean").and_then(|method| method.plan(&settings).ok());
    let plan = plan.expect("a plan");
    let map = |device: &Device, batch| {
        let model = OnnxModel::load(data("zoo/mlp/model.onnx"), device).expect("a model");
        let explainer = Explainer::new(&model).batch(Some(batch));
        explainer.explain(&plan, &input, Target::Index(0)).expect("a map").values
    };
    let expected = map(&Device::flex(), 30);
    for (name, device) in gpus() {
        for batch in [30, 7] {
            let error = relative_l2(&map(&device, batch), &expected);
            assert!(error <= 1e-4, "{name}, batches of {batch}: {error:.1e}");
        }
    }
}

/// Noise on the parameters, whose kernels are those of the input.
#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn noise_on_parameters_agrees_with_the_cpu() {
    let input = first_sample(&data("zoo/mlp"), Domain::uniform(-3.0, 3.0));
    let settings = Settings { samples: 3, weight_samples: 4, ..Settings::default() };
    let plan = Method::named("a-ng").and_then(|method| method.plan(&settings).ok());
    let plan = plan.expect("a plan");
    let load = |device: &Device| {
        let loader = Loader::new(device).parameters(true);
        loader.load(data("zoo/mlp/model.onnx")).expect("a model")
    };
    let map = |device: &Device| {
        let map = Explainer::new(&load(device)).explain(&plan, &input, Target::Index(0));
        map.expect("a map")
    };
    let gradients = |device: &Device| -> Vec<f32> {
        let model = load(device);
        let gradients = Explainer::new(&model)
            .parameter_gradients(&input, Target::Index(0), Output::Logit, &[])
            .expect("gradients");
        gradients.into_iter().flat_map(|gradient| gradient.values).collect()
    };
    let (expected, own) = (map(&Device::flex()), gradients(&Device::flex()));
    for (name, device) in gpus() {
        let other = map(&device);
        let error = relative_l2(&other.values, &expected.values);
        let of_error = relative_l2(&other.standard_error, &expected.standard_error);
        let of_own = relative_l2(&gradients(&device), &own);
        println!("{name}: map {error:.1e}, its error {of_error:.1e}, parameters {of_own:.1e}");
        assert!(error <= 1e-4 && of_error <= 1e-3 && of_own <= 1e-4, "{name}");
    }
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn every_model_of_the_zoo_agrees_with_the_cpu() {
    check_models(&folders("zoo"));
}

#[test]
#[cfg_attr(
    not(feature = "gpu"),
    ignore = "takes a GPU, or a software renderer, and the feature of its runtime"
)]
fn the_map_of_efficientnet_is_the_cpu_s() {
    let values = array(&data("efficientnet-lite0/input.npy")).values;
    let domain = Domain::uniform(-2.2, 2.7);
    let input = Input::new(values, &[3, 224, 224], domain).expect("an input");
    let map = |device: &Device| {
        let model = OnnxModel::load(efficientnet(), device).expect("the model");
        let plan = Plan::adaptgrad().samples(4);
        Explainer::new(&model).explain(&plan, &input, Target::Predicted).expect("a map").values
    };
    let expected = map(&Device::flex());
    for (name, device) in gpus() {
        let error = relative_l2(&map(&device), &expected);
        println!("{name}: {error:.1e}");
        assert!(error <= 1e-2, "{name}: {error:.1e}");
    }
}
