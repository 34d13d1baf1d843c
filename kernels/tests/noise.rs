//! The noise kernel against its plain reference, on every device.

use attriburn_kernels::noise::reference::{Sizes, draw, element, sigma, word};
use attriburn_kernels::noise::{Domain, PARAMETERS, noise, noise_in, random_words};
use attriburn_kernels::parameter::{ParameterAddress, perturb};
use attriburn_kernels::{Address, Boundary, Mollifier, Noise, Width};
use burn::tensor::{Device, FloatDType, Tensor, TensorData, bf16, f16};
use rayon::ThreadPoolBuilder;

/// Odd sizes: quarters of different lengths, more than one tile.
const FEATURES: usize = 3 * 1501;
const NODES: usize = 3;
const ROWS: usize = 11;

fn domain() -> Domain {
    Domain { lower: vec![-1.0, -2.0, 0.0], upper: vec![1.0, 2.5, 4.0], inner: FEATURES / 3 }
}

/// Nodes inside the domain, on its bounds and outside.
fn nodes() -> Vec<f32> {
    (0..NODES * FEATURES).map(|i| ((i * 7919) % 1000) as f32 * 0.006 - 2.5).collect()
}

fn rows(device: &Device, nodes: &[f32], noise_: &Noise, address: &Address) -> Vec<f32> {
    let data = TensorData::new(nodes.to_vec(), [nodes.len() / FEATURES, FEATURES]);
    let nodes = Tensor::<2>::from_data(data, device);
    noise(nodes, noise_, &domain(), address).into_data().try_into_vec().expect("float32")
}

fn address(first: u64, rows: usize) -> Address {
    Address { seed: 0x0123_4567_89AB_CDEF, stream: 3, node: 2, first, rows }
}

fn every_noise() -> Vec<Noise> {
    let widths = [
        Width::Absolute(0.3),
        Width::Relative(0.2),
        Width::Adaptive(0.446),
        Width::Proportional(0.2),
    ];
    let mut all = Vec::new();
    for (mollifier, _) in Mollifier::ALL {
        for width in widths {
            for boundary in [Boundary::Free, Boundary::Clipped] {
                all.push(Noise { mollifier, width, boundary });
            }
        }
    }
    all
}

/// Compares number by number, in units of the width (or of the draw, where that is larger) beyond
/// the rounding of the result.
fn check(device: &Device, noises: &[Noise], tolerance: f64) {
    for noise in noises {
        for count in [1, NODES] {
            let nodes = &nodes()[..count * FEATURES];
            let address = address(5, ROWS);
            let values = rows(device, nodes, noise, &address);
            assert_eq!(values.len(), ROWS * FEATURES);
            let sizes = Sizes { nodes: count, features: FEATURES };
            for (i, &value) in values.iter().enumerate() {
                let (r, e) = (i / FEATURES, i % FEATURES);
                let node = (address.first as usize + r) % count;
                let x = nodes[node * FEATURES + e];
                let expected = element(x, (e, r), sizes, noise, &domain(), &address);
                let channel = domain().channel(e);
                let (lower, upper) = (domain().lower[channel], domain().upper[channel]);
                let width = sigma(noise.width, x, lower.into(), upper.into()).abs();
                let scale = width * draw((e, r), sizes, noise, &address).abs().max(1.0);
                let rounding = f64::from(f32::EPSILON) * expected.abs().max(f64::from(x.abs()));
                assert!(
                    (f64::from(value) - expected).abs() <= tolerance * scale + rounding,
                    "{noise:?}, {count} nodes, row {r}, element {e}: {value} for {expected}"
                );
            }
        }
    }
}

#[test]
fn the_cpu_agrees_with_the_reference() {
    check(&Device::flex(), &every_noise(), 1e-6);
}

#[test]
fn neither_batches_nor_threads_change_a_bit() {
    let noise = every_noise()[4];
    let device = Device::flex();
    let whole = rows(&device, &nodes(), &noise, &address(0, 64));
    for batch in [1, 7, 50, 64] {
        for threads in [1, 2] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let parts = pool.install(|| {
                let starts = (0..64).step_by(batch);
                let part = |first: usize| {
                    let address = address(first as u64, batch.min(64 - first));
                    rows(&device, &nodes(), &noise, &address)
                };
                starts.flat_map(part).collect::<Vec<f32>>()
            });
            assert!(parts == whole, "batches of {batch} on {threads} threads");
        }
    }
}

#[test]
fn half_precision_is_the_rounded_noise() {
    let (device, address) = (Device::flex(), address(5, ROWS));
    let in_half = |dtype, noise: &Noise| {
        let data = TensorData::new(nodes(), [NODES, FEATURES]);
        noise_in(dtype, Tensor::from_data(data, &device), noise, &domain(), &address).into_data()
    };
    for noise in every_noise() {
        let full = rows(&device, &nodes(), &noise, &address);
        let half: Vec<f16> = in_half(FloatDType::F16, &noise).try_into_vec().expect("float16");
        let brain: Vec<bf16> = in_half(FloatDType::BF16, &noise).try_into_vec().expect("bfloat16");
        for (i, &value) in full.iter().enumerate() {
            // Half a unit in the last place, and float32's own rounding.
            let close = |rounded: f32, digits: i32, least: f32| {
                let unit = 2f32.powi(-digits) + f32::EPSILON;
                (rounded - value).abs() <= value.abs() * unit + least
            };
            let (half, brain) = (half[i].to_f32(), brain[i].to_f32());
            assert!(close(half, 11, 3e-8) || value.abs() > 65_000.0, "{noise:?}: {half} {value}");
            assert!(close(brain, 8, 0.0), "{noise:?}: {brain} {value}");
        }
    }
}

#[test]
fn random_words_are_those_of_philox() {
    let at = address(5, ROWS);
    let data = TensorData::new(nodes(), [NODES, FEATURES]);
    let words = random_words(Tensor::from_data(data, &Device::flex()), &at).into_data();
    let words: Vec<u32> = words.try_into_vec().expect("unsigned words");
    let sizes = Sizes { nodes: NODES, features: FEATURES };
    let expected = (0..ROWS * FEATURES).map(|i| word((i % FEATURES, i / FEATURES), sizes, &at));
    assert!(words.into_iter().eq(expected));
}

#[test]
fn a_parameter_is_perturbed_in_proportion() {
    let values = [0.0f32, 1.0, -2.0, 1e-3, 250.0, -7.5];
    let parameter =
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 3]), &Device::flex());
    let draw_of = |parameter_: u32, draw_: u32, e: usize| {
        let noise = Noise {
            mollifier: Mollifier::Gaussian,
            width: Width::Proportional(0.2),
            boundary: Boundary::Free,
        };
        let at =
            Address { seed: 9, stream: PARAMETERS, node: parameter_, first: draw_.into(), rows: 1 };
        draw((e, 0), Sizes { nodes: 1, features: values.len() }, &noise, &at)
    };
    for (number, draw) in [(0, 0), (0, 1), (7, 0)] {
        let address = ParameterAddress { seed: 9, parameter: number, draw };
        let perturbed =
            perturb(parameter.clone(), Mollifier::Gaussian, Width::Proportional(0.2), address);
        assert_eq!(perturbed.dims(), [2, 3]);
        let perturbed: Vec<f32> = perturbed.into_data().try_into_vec().expect("float32");
        for (e, (&value, perturbed)) in values.iter().zip(perturbed).enumerate() {
            let expected = f64::from(value) * (1.0 + f64::from(0.2f32) * draw_of(number, draw, e));
            let error = (f64::from(perturbed) - expected).abs();
            assert!(error <= 1e-6 * f64::from(value.abs()), "{perturbed} for {expected}");
        }
    }
}
