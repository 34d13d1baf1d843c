//! Compares the noise kernel on the CPU with its reference.

use attriburn_kernels::noise::reference::{Element, bounds, draw, element, point, word};
use attriburn_kernels::noise::{Points, noise};
use attriburn_kernels::parameter::{ParameterAddress, perturb};
use attriburn_kernels::streams::PARAMETERS;
use attriburn_kernels::{Batch, Boundary, Domain, Mollifier, Noise, Row, Width};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::ThreadPoolBuilder;

/// An odd size: the quarters have different lengths, and there is more than one tile.
const FEATURES: usize = 3 * 1501;
const INPUTS: usize = 3;
const ROWS: usize = 11;

/// The domains of the first `count` inputs, each with its own bounds.
fn domains(count: usize) -> Vec<Domain> {
    let of = |input: usize| {
        let shift = input as f32 * 0.25;
        let moved = |bounds: [f32; 3]| bounds.map(|bound| bound - shift).to_vec();
        Domain::per_channel(moved([-1.0, -2.0, 0.0]), moved([1.0, 2.5, 4.0]))
    };
    (0..count).map(of).collect()
}

/// Values inside the domain, on its bounds and outside of it.
fn values(seed: usize) -> Vec<f32> {
    (0..INPUTS * FEATURES).map(|i| ((i * 7919 + seed) % 1000) as f32 * 0.006 - 2.5).collect()
}

fn tensor(values: &[f32], device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / FEATURES, FEATURES]);
    Tensor::from_data(data, device)
}

/// The first `count` inputs, or points on the paths to them.
fn points(count: usize, on_paths: bool, device: &Device) -> Points {
    let of = |seed| tensor(&values(seed)[..count * FEATURES], device);
    Points { inputs: of(0), baselines: on_paths.then(|| of(331)) }
}

/// A batch of rows from index `first` on; inputs and path positions alternate.
fn batch(first: usize, rows: usize, count: usize) -> Batch {
    let row = |index: usize| {
        let node = index % count;
        let position = [0.0, 0.3, 1.0][index % 3];
        Row { input: node, position, sample: (index / count) as u32, node: 2 + node as u32 }
    };
    let rows = (first..first + rows).map(row).collect();
    Batch { seed: 0x0123_4567_89AB_CDEF, stream: 3, rows }
}

fn rows(points: &Points, kind: Option<&Noise>, batch: &Batch) -> Vec<f32> {
    let domains = domains(points.inputs.dims()[0]);
    noise(points, kind, &domains, batch).into_data().try_into_vec().expect("float32")
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

/// The point of an element without noise.
fn at(element: &Element, on_paths: bool) -> f32 {
    let index = element.row().input * FEATURES + element.index;
    let x = values(0)[index];
    if on_paths { point(x, values(331)[index], element.row().position) } else { x }
}

/// Compares every element with the reference. The tolerance is relative to the width times the draw (at least
/// 1), plus the rounding error of the result.
fn check(device: &Device, noises: &[Noise], tolerance: f64) {
    let (x, baseline) = (values(0), values(331));
    for noise in noises {
        for (count, on_paths) in [(1, false), (INPUTS, false), (1, true), (INPUTS, true)] {
            let batch = batch(5, ROWS, count);
            let result = rows(&points(count, on_paths, device), Some(noise), &batch);
            assert_eq!(result.len(), ROWS * FEATURES);
            for (i, &value) in result.iter().enumerate() {
                let (row, index) = (i / FEATURES, i % FEATURES);
                let entry = Element { batch: &batch, row, index, features: FEATURES };
                let offset = entry.row().input * FEATURES + index;
                let x = match on_paths {
                    true => point(x[offset], baseline[offset], entry.row().position),
                    false => x[offset],
                };
                let expected = element(x, &entry, noise, &domains(count));
                let (lower, upper) = bounds(&domains(count), &entry);
                let width = noise.width.at(x.into(), lower, upper).abs();
                let scale = width * draw(&entry, noise).abs().max(1.0);
                let rounding = f64::from(f32::EPSILON) * expected.abs().max(f64::from(x.abs()));
                assert!(
                    (f64::from(value) - expected).abs() <= tolerance * scale + rounding,
                    "{noise:?}, {count} inputs, row {row}, element {index}: {value}, expected {expected}"
                );
            }
        }
    }
}

/// Without noise, the rows are exactly the points.
#[test]
fn rows_without_noise_are_the_points() {
    for (count, on_paths) in [(1, false), (INPUTS, false), (INPUTS, true)] {
        let batch = batch(5, ROWS, count);
        let result = rows(&points(count, on_paths, &Device::flex()), None, &batch);
        for (i, &value) in result.iter().enumerate().step_by(97) {
            let (row, index) = (i / FEATURES, i % FEATURES);
            let entry = Element { batch: &batch, row, index, features: FEATURES };
            assert_eq!(value, at(&entry, on_paths), "row {row}, element {index}");
        }
    }
}

#[test]
fn cpu_matches_the_reference() {
    check(&Device::flex(), &every_noise(), 1e-6);
}

#[test]
fn batch_size_and_threads_do_not_change_a_bit() {
    let noise = every_noise()[4];
    let points = points(INPUTS, true, &Device::flex());
    let whole = rows(&points, Some(&noise), &batch(0, 64, INPUTS));
    for size in [1, 7, 50, 64] {
        for threads in [1, 2] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let parts = pool.install(|| {
                let part = |first: usize| {
                    rows(&points, Some(&noise), &batch(first, size.min(64 - first), INPUTS))
                };
                (0..64).step_by(size).flat_map(part).collect::<Vec<f32>>()
            });
            assert!(parts == whole, "batches of {size} on {threads} threads");
        }
    }
}

/// With the quantile of the uniform distribution, a draw shows its random word: the highest bit is the sign, and the
/// low 31 bits `m` give the size `1 - 2 (m + 1/2) / 2^32`.
#[test]
fn random_words_match_philox() {
    let (mollifier, boundary) = (Mollifier::Rect, Boundary::Free);
    let uniform = Noise { mollifier, width: Width::Absolute(1.0), boundary };
    let batch = batch(5, ROWS, INPUTS);
    let zeros = Points::at(Tensor::zeros([INPUTS, FEATURES], &Device::flex()));
    let expected = (0..ROWS * FEATURES).map(|i| {
        let (row, index) = (i / FEATURES, i % FEATURES);
        let word = word(&Element { batch: &batch, row, index, features: FEATURES });
        let size = 1.0 - 2.0 * (f64::from(word & 0x7FFF_FFFF) + 0.5) / 2f64.powi(32);
        (if word >> 31 == 1 { -size } else { size }) as f32
    });
    assert!(rows(&zeros, Some(&uniform), &batch).into_iter().eq(expected));
}

#[test]
fn parameter_noise_is_proportional_to_the_parameter() {
    let values = [0.0f32, 1.0, -2.0, 1e-3, 250.0, -7.5];
    let parameter =
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 3]), &Device::flex());
    let draw_of = |index: u32, number: u32, e: usize| {
        let noise = Noise {
            mollifier: Mollifier::Gaussian,
            width: Width::Proportional(0.2),
            boundary: Boundary::Free,
        };
        let row = Row { node: index, ..Row::sample(number) };
        let batch = Batch { seed: 9, stream: PARAMETERS, rows: vec![row] };
        draw(&Element { batch: &batch, row: 0, index: e, features: values.len() }, &noise)
    };
    for (parameter_index, draw) in [(0, 0), (0, 1), (7, 0)] {
        let address = ParameterAddress { seed: 9, parameter: parameter_index, draw };
        let perturbed =
            perturb(parameter.clone(), Mollifier::Gaussian, Width::Proportional(0.2), address);
        assert_eq!(perturbed.dims(), [2, 3]);
        let perturbed: Vec<f32> = perturbed.into_data().try_into_vec().expect("float32");
        for (e, (&value, perturbed)) in values.iter().zip(perturbed).enumerate() {
            let expected =
                f64::from(value) * (1.0 + f64::from(0.2f32) * draw_of(parameter_index, draw, e));
            let error = (f64::from(perturbed) - expected).abs();
            assert!(error <= 1e-6 * f64::from(value.abs()), "{perturbed}, expected {expected}");
        }
    }
}
