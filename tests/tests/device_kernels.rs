//! The device kernels on every device against reference implementations on the CPU: noise, estimator,
//! convolution and matrix product.

use attriburn::Domain;
use attriburn_kernels::convolution::{convolve, reference as convolution};
use attriburn_kernels::estimator::{Estimator, reference};
use attriburn_kernels::noise::Points;
use attriburn_kernels::noise::reference::{Element, bounds, draw, element, point, word};
use attriburn_kernels::product::{multiply, split};
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Row, Width, noise};
use attriburn_tests::{gpus, values};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

const FEATURES: usize = 3 * 701;
const ROWS: usize = 11;

/// A batch whose rows cycle through `inputs` inputs, and through three positions on the paths to them.
fn batch(inputs: usize) -> Batch {
    let row = |index: usize| {
        let input = index % inputs;
        let position = [0.0, 0.3, 1.0][index % 3];
        Row { input, position, sample: (index / inputs) as u32, node: 2 + input as u32 }
    };
    Batch { seed: 0x0123_4567_89AB_CDEF, stream: 3, rows: (5..5 + ROWS).map(row).collect() }
}

fn tensor(values: &[f32], features: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / features, features]);
    Tensor::from_data(data, device)
}

/// Compares every element of a batch of noisy points with the reference. The points are those of `inputs`
/// inputs, or lie on paths from baselines to the inputs if `on_paths` is set.
///
/// The tolerance is the rounding of the result, plus 1e-5 of the noise width, times the draw where the draw
/// is larger than one.
fn check_noise(device: &Device, kind: Option<Noise>, inputs: usize, on_paths: bool) {
    let domain = |input: usize| {
        let shift = input as f32 * 0.25;
        let moved = |bounds: [f32; 3]| bounds.map(|bound| bound - shift).to_vec();
        Domain::per_channel(moved([-1.0, -2.0, 0.0]), moved([1.0, 2.5, 4.0]))
    };
    let domains: Vec<Domain> = (0..inputs).map(domain).collect();
    let pseudorandom = |offset: usize| -> Vec<f32> {
        let value = |i| ((i * 7919 + offset) % 1000) as f32 * 0.006 - 2.5;
        (0..inputs * FEATURES).map(value).collect()
    };
    let (x, baselines) = (pseudorandom(0), pseudorandom(331));
    let points = Points {
        inputs: tensor(&x, FEATURES, device),
        baselines: on_paths.then(|| tensor(&baselines, FEATURES, device)),
    };
    let batch = batch(inputs);
    let rows = values(noise::noise(&points, kind.as_ref(), &domains, &batch));
    for (i, &value) in rows.iter().enumerate() {
        let (row, index) = (i / FEATURES, i % FEATURES);
        let address = Element { batch: &batch, row, index, features: FEATURES };
        let offset = address.row().input * FEATURES + index;
        let (magnitude, x) = match on_paths {
            true => {
                let (x, baseline) = (x[offset], baselines[offset]);
                (x.abs() + baseline.abs(), point(x, baseline, address.row().position))
            }
            false => (x[offset].abs(), x[offset]),
        };
        let (expected, width) = match &kind {
            None => (x.into(), 0.0),
            Some(kind) => {
                let (lower, upper) = bounds(&domains, &address);
                let size = draw(&address, kind).abs().max(1.0);
                let width = kind.width.at(x.into(), lower, upper).abs() * size;
                (element(x, &address, kind, &domains), width)
            }
        };
        let rounding = 2.0 * f64::from(f32::EPSILON) * expected.abs().max(f64::from(magnitude));
        assert!(
            (f64::from(value) - expected).abs() <= 1e-5 * width + rounding,
            "{kind:?}, {inputs} inputs, row {row}, element {index}: {value}, expected {expected}"
        );
    }
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn noise_matches_the_reference() {
    for (_, device) in gpus() {
        let free = |mollifier, width| Noise { mollifier, width, boundary: Boundary::Free };
        for (mollifier, _) in Mollifier::ALL {
            check_noise(&device, Some(free(mollifier, Width::Adaptive(0.446))), 1, false);
        }
        let gaussian = |width| free(Mollifier::Gaussian, width);
        let clipped = Noise { boundary: Boundary::Clipped, ..gaussian(Width::Relative(0.2)) };
        check_noise(&device, Some(gaussian(Width::Proportional(0.2))), 1, false);
        check_noise(&device, Some(clipped), 1, false);
        for (inputs, on_paths) in [(3, false), (1, true), (3, true)] {
            check_noise(&device, Some(clipped), inputs, on_paths);
            check_noise(&device, Some(gaussian(Width::Adaptive(0.446))), inputs, on_paths);
            check_noise(&device, None, inputs, on_paths);
        }
        check_noise(&device, None, 1, false);
    }
}

/// With the quantile of the uniform distribution, a draw shows its random word: the highest bit is the sign, and the
/// low 31 bits give the size, which every device rounds alike.
#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn random_words_equal_the_reference() {
    let (mollifier, boundary) = (Mollifier::Rect, Boundary::Free);
    let uniform = Noise { mollifier, width: Width::Absolute(1.0), boundary };
    for (name, device) in gpus() {
        for count in [1, 3] {
            let batch = batch(count);
            let zeros = tensor(&vec![0.0; count * FEATURES], FEATURES, &device);
            let domains = vec![Domain::uniform(-1.0, 1.0); count];
            let rows = noise::noise(&Points::at(zeros), Some(&uniform), &domains, &batch);
            let expected = (0..ROWS * FEATURES).map(|i| {
                let (row, index) = (i / FEATURES, i % FEATURES);
                let word = word(&Element { batch: &batch, row, index, features: FEATURES });
                let size = ((0x7FFF_FFFF - (word & 0x7FFF_FFFF)) as f32 + 0.5) / 2f32.powi(31);
                if word >> 31 == 1 { -size } else { size }
            });
            assert!(values(rows).into_iter().eq(expected), "{name}, {count} inputs");
        }
    }
}

/// Compares the estimator's state with the reference after three batches. The first two contain a row that is
/// not finite.
fn check_estimator(device: &Device) {
    let mut rows: Vec<f32> =
        (0..3 * ROWS * FEATURES).map(|i| ((i * 7919) % 1013) as f32 * 0.01 - 3.0).collect();
    rows[3 * FEATURES + 7] = f32::NAN;
    rows[15 * FEATURES + FEATURES - 1] = f32::INFINITY;
    let mut estimator = Estimator::new(FEATURES, device);
    for batch in rows.chunks(ROWS * FEATURES) {
        estimator.update(tensor(batch, FEATURES, device));
    }
    let state = values(estimator.into_state());
    for (e, expected) in reference::estimate(&rows, FEATURES).iter().enumerate() {
        for (part, expected) in expected.iter().enumerate() {
            let value = f64::from(state[part * FEATURES + e]);
            let close = (value - expected).abs() <= 1e-5 * expected.abs().max(1.0);
            assert!(close, "part {part} of element {e}: {value}, expected {expected}");
        }
    }
}

#[test]
fn estimator_on_the_cpu_matches_the_reference() {
    check_estimator(&Device::flex());
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn estimator_on_a_gpu_matches_the_reference() {
    for (_, device) in gpus() {
        check_estimator(&device);
    }
}

/// Compares convolutions and their input gradients with the reference: stride 1, strided, dilated, grouped
/// and depthwise, with asymmetric padding, with rows that no window reads, and with kernels smaller than the
/// stride.
fn check_convolutions(name: &str, device: &Device) {
    let case = |channels, weights, groups, strides, dilations, padding| convolution::Sizes {
        input: [2, channels, 9, 8],
        weights,
        groups,
        strides,
        dilations,
        padding,
    };
    let cases = [
        case(5, [7, 5, 3, 3], 1, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        case(5, [7, 5, 3, 2], 1, [1, 1], [2, 1], [(1, 2), (0, 1)]),
        case(3, [8, 3, 7, 7], 1, [2, 2], [1, 1], [(3, 3), (3, 3)]),
        case(5, [6, 5, 3, 3], 1, [2, 1], [1, 1], [(0, 1), (1, 1)]),
        case(5, [6, 5, 1, 1], 1, [2, 2], [1, 1], [(0, 0), (0, 0)]),
        case(4, [6, 4, 4, 4], 1, [4, 4], [1, 1], [(0, 0), (0, 0)]),
        case(4, [6, 4, 2, 2], 1, [3, 3], [1, 1], [(2, 2), (1, 0)]),
        case(4, [6, 4, 3, 3], 1, [2, 2], [2, 2], [(2, 2), (2, 2)]),
        case(6, [6, 1, 3, 3], 6, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        case(6, [6, 1, 5, 5], 6, [2, 2], [1, 1], [(1, 2), (2, 2)]),
        case(6, [12, 1, 3, 3], 6, [2, 2], [1, 1], [(1, 1), (1, 1)]),
        case(6, [4, 3, 3, 3], 2, [1, 1], [1, 1], [(1, 1), (1, 1)]),
        case(6, [4, 3, 3, 3], 2, [2, 2], [1, 2], [(1, 1), (2, 2)]),
        case(3, [4, 3, 2, 2], 1, [1, 1], [1, 1], [(3, 3), (2, 3)]),
    ];
    let pseudorandom = |count: usize, factor: usize| -> Vec<f32> {
        (0..count).map(|at| ((at * factor) % 101) as f32 * 0.02 - 1.0).collect()
    };
    let device = device.clone().autodiff();
    for sizes in cases {
        let tensor = |values: &[f32], dims: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), dims), &device)
        };
        let count = |dims: [usize; 4]| dims.iter().product::<usize>();
        let x = pseudorandom(count(sizes.input), 37);
        let weights = pseudorandom(count(sizes.weights), 29);
        let gradient = pseudorandom(count(sizes.output()), 53);
        let options = ConvOptions::new_with_padding(
            sizes.strides,
            sizes.padding,
            sizes.dilations,
            sizes.groups,
        );
        let input = tensor(&x, sizes.input).require_grad();
        let kernels = tensor(&weights, sizes.weights).into_dispatch();
        let y =
            Tensor::<4>::from_dispatch(convolve(input.clone().into_dispatch(), kernels, options));
        assert_eq!(y.dims(), sizes.output(), "{name}: {sizes:?}");
        let sum = (y.clone() * tensor(&gradient, sizes.output())).sum();
        let input_gradient = input.grad(&sum.backward()).expect("a gradient");
        let check = |what: &str, found: Tensor<4>, expected: Vec<f64>| {
            let found: Vec<f32> = found.into_data().try_into_vec().expect("floats");
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let close = (f64::from(*found) - expected).abs() <= 1e-5 * (1.0 + expected.abs());
                assert!(close, "{name}, {what} {at}: {found}, expected {expected}: {sizes:?}");
            }
        };
        check("output", y.inner(), convolution::output(&sizes, &x, &weights));
        check("gradient", input_gradient, convolution::gradient(&sizes, &gradient, &weights));
    }
}

#[test]
fn convolutions_on_the_cpu_match_the_reference() {
    check_convolutions("cpu", &Device::flex());
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn convolutions_on_a_gpu_match_the_reference() {
    for (name, device) in gpus() {
        check_convolutions(name, &device);
    }
}

/// Checks that `split` returns a high part that TF32 holds exactly, and the rest, for values of all
/// magnitudes.
fn check_split(name: &str, device: &Device) {
    let inputs: Vec<f32> = (0..4000)
        .map(|at| ((at * 7919) as f32 * 1e-3).sin() * 10f32.powi(at % 60 - 30))
        .chain([0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY])
        .collect();
    let x = Tensor::<1>::from_floats(&inputs[..], device);
    let (high, low) = split(x.into_dispatch());
    let read = |x| -> Vec<f32> {
        Tensor::<1>::from_dispatch(x).into_data().try_into_vec().expect("floats")
    };
    for ((x, high), low) in inputs.iter().zip(read(high)).zip(read(low)) {
        assert_eq!(high + low, *x, "{name}: {high} + {low}");
        assert_eq!(high.to_bits() & 0x1FFF, 0, "{name}: {high} of {x}");
        assert!(low.abs() <= x.abs() * 2f32.powi(-10) || !x.is_finite(), "{name}: {low} of {x}");
    }
}

/// Compares batched matrix products and the gradients of both factors with double precision, and checks that
/// three products of TF32 parts have the accuracy of one float32 product.
fn check_products(name: &str, device: &Device) {
    let pseudorandom = |count: usize, factor: usize| -> Vec<f32> {
        (0..count).map(|at| ((at * factor) % 1009) as f32 * 0.002 - 1.0).collect()
    };
    let device = device.clone().autodiff();
    let [batch, rows, inner, columns] = [3, 5, 67, 9];
    let a = pseudorandom(batch * rows * inner, 37);
    let b = pseudorandom(batch * inner * columns, 53);
    let tensor = |values: &[f32], dims: [usize; 3]| {
        Tensor::<3>::from_data(TensorData::new(values.to_vec(), dims), &device).require_grad()
    };
    let (x, y) = (tensor(&a, [batch, rows, inner]), tensor(&b, [batch, inner, columns]));
    let product = |a: Tensor<3>, b: Tensor<3>| {
        Tensor::<3>::from_dispatch(multiply(a.into_dispatch(), b.into_dispatch()))
    };
    let z = product(x.clone(), y.clone());
    let weights = tensor(&pseudorandom(batch * rows * columns, 29), [batch, rows, columns]);
    let gradients = (z.clone() * weights.clone().inner()).sum().backward();
    let read = |x: Tensor<3>| -> Vec<f32> { x.into_data().try_into_vec().expect("floats") };
    let at = |values: &[f32], [_, height, width]: [usize; 3], n: usize, i: usize, j: usize| {
        f64::from(values[(n * height + i) * width + j])
    };
    let (a_dims, b_dims) = ([batch, rows, inner], [batch, inner, columns]);
    let (w, w_dims) = (read(weights), [batch, rows, columns]);
    let check =
        |what: &str, found: Vec<f32>, dims: [usize; 3], exact: &dyn Fn([usize; 3]) -> f64| {
            for (index, found) in found.into_iter().enumerate() {
                let place = [index / dims[2] / dims[1], index / dims[2] % dims[1], index % dims[2]];
                let expected = exact(place);
                let error = (f64::from(found) - expected).abs();
                let is_close = error <= 1e-5 * (1.0 + expected.abs());
                assert!(is_close, "{name}, {what}: {found}, expected {expected}");
            }
        };
    let exact_product = |[n, i, j]: [usize; 3]| {
        (0..inner).map(|k| at(&a, a_dims, n, i, k) * at(&b, b_dims, n, k, j)).sum::<f64>()
    };
    check("product", read(z.inner()), w_dims, &exact_product);
    check("gradient of a", read(x.grad(&gradients).expect("a")), a_dims, &|[n, i, k]| {
        (0..columns).map(|j| at(&w, w_dims, n, i, j) * at(&b, b_dims, n, k, j)).sum()
    });
    check("gradient of b", read(y.grad(&gradients).expect("b")), b_dims, &|[n, k, j]| {
        (0..rows).map(|i| at(&w, w_dims, n, i, j) * at(&a, a_dims, n, i, k)).sum()
    });
    let parts = |x: Tensor<3>| {
        let (high, low) = split(x.inner().into_dispatch());
        (Tensor::<3>::from_dispatch(high), Tensor::<3>::from_dispatch(low))
    };
    let ((a_high, a_low), (b_high, b_low)) = (parts(x), parts(y));
    let rest = product(a_high.clone(), b_low) + product(a_low, b_high.clone());
    check("product of parts", read(rest + product(a_high, b_high)), w_dims, &exact_product);
}

#[test]
fn products_on_the_cpu_match_double_precision() {
    check_split("cpu", &Device::flex());
    check_products("cpu", &Device::flex());
}

#[test]
#[cfg_attr(not(feature = "gpu"), ignore = "needs a GPU feature, and a GPU or a software renderer")]
fn products_on_a_gpu_match_double_precision() {
    for (name, device) in gpus() {
        check_split(name, &device);
        check_products(name, &device);
    }
}
