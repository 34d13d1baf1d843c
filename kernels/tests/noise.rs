//! The noise kernel against its plain reference, on every device.

use attriburn_kernels::noise::reference::{Element, draw, element, point, sigma, word};
use attriburn_kernels::noise::{Domain, PARAMETERS, Points, noise, random_words};
use attriburn_kernels::parameter::{ParameterAddress, perturb};
use attriburn_kernels::{Batch, Boundary, Mollifier, Noise, Row, Width};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::ThreadPoolBuilder;

/// Odd sizes: quarters of different lengths, more than one tile.
const FEATURES: usize = 3 * 1501;
const INPUTS: usize = 3;
const ROWS: usize = 11;

/// The domains of the first `count` inputs, each with bounds of its own.
fn domain(count: usize) -> Domain {
    let of = |input: usize| {
        let shift = input as f32 * 0.25;
        let moved = |bounds: [f32; 3]| bounds.map(|bound| bound - shift).to_vec();
        Domain::new(moved([-1.0, -2.0, 0.0]), moved([1.0, 2.5, 4.0]), FEATURES / 3)
    };
    Domain::joined(&(0..count).map(of).collect::<Vec<_>>())
}

/// Values inside the domain, on its bounds and outside.
fn values(seed: usize) -> Vec<f32> {
    (0..INPUTS * FEATURES).map(|i| ((i * 7919 + seed) % 1000) as f32 * 0.006 - 2.5).collect()
}

fn tensor(values: &[f32], device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / FEATURES, FEATURES]);
    Tensor::from_data(data, device)
}

/// The first `count` inputs, at or on paths to them.
fn points(count: usize, on_paths: bool, device: &Device) -> Points {
    let of = |seed| tensor(&values(seed)[..count * FEATURES], device);
    Points { inputs: of(0), baselines: on_paths.then(|| of(331)) }
}

/// The rows from `first` on, which go round the inputs and along the paths.
fn batch(first: usize, rows: usize, count: usize) -> Batch {
    let row = |index: usize| {
        let node = index % count;
        let position = [0.0, 0.3, 1.0][index % 3];
        Row { input: node, position, sample: (index / count) as u32, node: 2 + node as u32 }
    };
    let rows = (first..first + rows).map(row).collect();
    Batch { seed: 0x0123_4567_89AB_CDEF, stream: 3, rows }
}

fn rows(points: &Points, noise_: Option<&Noise>, batch: &Batch) -> Vec<f32> {
    let domain = domain(points.inputs.dims()[0]);
    noise(points, noise_, &domain, batch).into_data().try_into_vec().expect("float32")
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

/// The point of an element.
fn at(element: &Element, on_paths: bool) -> f32 {
    let index = element.row().input * FEATURES + element.index;
    let x = values(0)[index];
    if on_paths { point(x, values(331)[index], element.row().position) } else { x }
}

/// Compares number by number, in units of the width (or of the draw, where that is larger) beyond
/// the rounding of the result.
fn check(device: &Device, noises: &[Noise], tolerance: f64) {
    let (x, baseline) = (values(0), values(331));
    for noise in noises {
        for (count, on_paths) in [(1, false), (INPUTS, false), (1, true), (INPUTS, true)] {
            let batch = batch(5, ROWS, count);
            let found = rows(&points(count, on_paths, device), Some(noise), &batch);
            assert_eq!(found.len(), ROWS * FEATURES);
            for (i, &value) in found.iter().enumerate() {
                let (row, index) = (i / FEATURES, i % FEATURES);
                let own = Element { batch: &batch, row, index, features: FEATURES };
                let place = own.row().input * FEATURES + index;
                let x = match on_paths {
                    true => point(x[place], baseline[place], own.row().position),
                    false => x[place],
                };
                let expected = element(x, &own, noise, &domain(count));
                let (lower, upper) = domain(count).bounds(own.row().input, index);
                let width = sigma(noise.width, x, lower.into(), upper.into()).abs();
                let scale = width * draw(&own, noise).abs().max(1.0);
                let rounding = f64::from(f32::EPSILON) * expected.abs().max(f64::from(x.abs()));
                assert!(
                    (f64::from(value) - expected).abs() <= tolerance * scale + rounding,
                    "{noise:?}, {count} inputs, row {row}, element {index}: {value} for {expected}"
                );
            }
        }
    }
}

/// Without noise rows are the points themselves, bit by bit.
#[test]
fn points_are_where_they_should_be() {
    for (count, on_paths) in [(1, false), (INPUTS, false), (INPUTS, true)] {
        let batch = batch(5, ROWS, count);
        let found = rows(&points(count, on_paths, &Device::flex()), None, &batch);
        for (i, &value) in found.iter().enumerate().step_by(97) {
            let (row, index) = (i / FEATURES, i % FEATURES);
            let own = Element { batch: &batch, row, index, features: FEATURES };
            assert_eq!(value, at(&own, on_paths), "row {row}, element {index}");
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

#[test]
fn random_words_are_those_of_philox() {
    let batch = batch(5, ROWS, INPUTS);
    let words = random_words(tensor(&values(0), &Device::flex()), &batch).into_data();
    let words: Vec<u32> = words.try_into_vec().expect("unsigned words");
    let expected = (0..ROWS * FEATURES).map(|i| {
        let (row, index) = (i / FEATURES, i % FEATURES);
        word(&Element { batch: &batch, row, index, features: FEATURES })
    });
    assert!(words.into_iter().eq(expected));
}

/// Domains of one pair and of one for each channel go together.
#[test]
fn domains_of_several_inputs_are_joined() {
    let one = Domain::new(vec![-1.0], vec![1.0], 4);
    let each = Domain::new(vec![0.0, 1.0], vec![2.0, 3.0], 4);
    let joined = Domain::joined(&[one, each]);
    assert_eq!((joined.channels, joined.inner), (2, 4));
    assert_eq!([joined.bounds(0, 0), joined.bounds(0, 7)], [(-1.0, 1.0); 2]);
    assert_eq!([joined.bounds(1, 3), joined.bounds(1, 4)], [(0.0, 2.0), (1.0, 3.0)]);
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
        let row = Row { node: parameter_, ..Row::sample(draw_) };
        let batch = Batch { seed: 9, stream: PARAMETERS, rows: vec![row] };
        draw(&Element { batch: &batch, row: 0, index: e, features: values.len() }, &noise)
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
