//! Every device draws the same noise, keeps the same estimate and makes the same map as the CPU.

use burn::tensor::{Device, Tensor, TensorData};
use mollify::{Domain, Explainer, Input, Plan, Target};
use mollify_kernels::estimator::{self, Estimator};
use mollify_kernels::noise::reference::{Sizes, bounds, draw, element, sigma};
use mollify_kernels::{Address, Boundary, Mollifier, Noise, Width, noise};
use mollify_onnx::OnnxModel;
use mollify_tests::{array, data, relative_l2, values, wgpu};

const FEATURES: usize = 3 * 701;
const ROWS: usize = 11;

fn tensor(values: &[f32], features: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / features, features]);
    Tensor::from_data(data, device)
}

/// Number by number, within 1e-5 of the width (times the draw, where that is larger than one)
/// beyond the rounding of the result.
fn check_noise(device: &Device, kind: Noise, nodes: usize) {
    let domain = noise::Domain {
        lower: vec![-1.0, -2.0, 0.0],
        upper: vec![1.0, 2.5, 4.0],
        inner: FEATURES / 3,
    };
    let x: Vec<f32> =
        (0..nodes * FEATURES).map(|i| ((i * 7919) % 1000) as f32 * 0.006 - 2.5).collect();
    let address = Address { seed: 0x0123_4567_89AB_CDEF, stream: 3, first: 5, rows: ROWS };
    let rows = values(noise::noise(tensor(&x, FEATURES, device), &kind, &domain, &address));
    let sizes = Sizes { nodes, features: FEATURES };
    for (i, &value) in rows.iter().enumerate() {
        let (r, e) = (i / FEATURES, i % FEATURES);
        let x = x[(address.first as usize + r) % nodes * FEATURES + e];
        let expected = element(x, (e, r), sizes, &kind, &domain, &address);
        let (lower, upper) = bounds(&domain, e);
        let size = draw((e, r), sizes, &kind, &address).abs().max(1.0);
        let width = sigma(kind.width, x, lower, upper) * size;
        let rounding = f64::from(f32::EPSILON) * expected.abs().max(f64::from(x.abs()));
        assert!(
            (f64::from(value) - expected).abs() <= 1e-5 * width + rounding,
            "{kind:?}, {nodes} nodes, row {r}, element {e}: {value} for {expected}"
        );
    }
}

#[test]
fn the_noise_on_wgpu_is_the_reference_s() {
    let Some(device) = wgpu() else { return };
    let adaptive = Width::Adaptive(0.446);
    for (mollifier, _) in Mollifier::ALL {
        check_noise(&device, Noise { mollifier, width: adaptive, boundary: Boundary::Free }, 1);
    }
    let clipped = Noise {
        mollifier: Mollifier::Gaussian,
        width: Width::Relative(0.2),
        boundary: Boundary::Clipped,
    };
    check_noise(&device, clipped, 3);
}

/// Two batches, with a row that is not finite in each.
fn check_estimate(device: &Device) {
    let mut rows: Vec<f32> =
        (0..2 * ROWS * FEATURES).map(|i| ((i * 7919) % 1013) as f32 * 0.01 - 3.0).collect();
    rows[3 * FEATURES + 7] = f32::NAN;
    rows[15 * FEATURES + FEATURES - 1] = f32::INFINITY;
    let mut estimate = Estimator::new(FEATURES, device);
    for batch in rows.chunks(ROWS * FEATURES) {
        estimate = estimate.update(tensor(batch, FEATURES, device));
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
fn the_estimate_on_wgpu_is_the_reference_s() {
    let Some(device) = wgpu() else { return };
    check_estimate(&device);
}

#[test]
fn the_map_on_wgpu_is_the_cpu_s() {
    let Some(device) = wgpu() else { return };
    let rows = array(&data("zoo/mlp/input.npy"));
    let features = rows.values.len() / rows.shape[0];
    let input = &rows.values[..features];
    let input = Input::new(input.to_vec(), &rows.shape[1..], Domain::uniform(-3.0, 3.0));
    let input = input.expect("an input");
    let map = |device: &Device| {
        let model = OnnxModel::load(data("zoo/mlp/model.onnx"), device).expect("a model");
        let plan = Plan::adaptgrad().samples(20);
        Explainer::new(&model).explain(&plan, &input, Target::Predicted).expect("a map").values
    };
    let error = relative_l2(&map(&device), &map(&Device::flex()));
    assert!(error <= 1e-4, "{error:.1e}");
}
