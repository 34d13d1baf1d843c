//! The comparison of a segment with the reference, and random convolutions.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::super::build::{Builder, Convolution, Value, Weights};
use super::super::reference;
use super::super::segment::Segment;
use super::super::tile::Level;
use super::super::window::Window;

/// A pseudorandom number generator with a seed.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// An integer from `low` to `high`, inclusive.
    pub fn integer(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

pub fn window(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
    let [top, left, bottom, right] = pads;
    Window {
        kernel,
        strides,
        dilations: [1, 1],
        begin: [top, left],
        end: [bottom, right],
        ceil: false,
    }
}

pub fn convolution(
    random: &mut Random,
    inputs: usize,
    outputs: usize,
    groups: usize,
    window: Window,
) -> Convolution {
    let count = outputs * (inputs / groups) * window.kernel[0] * window.kernel[1];
    let scale = (count as f32 / outputs as f32).sqrt().recip();
    let weights = random.floats(count).iter().map(|weight| weight * scale).collect();
    let bias = (random.integer(0, 1) == 1).then(|| random.floats(outputs));
    Convolution { weights: Weights::Values(weights), bias, outputs, groups, window, exact: false }
}

fn levels() -> Vec<Level> {
    let all = [Level::Avx512, Level::Avx2, Level::Plain];
    // Each instruction set is a subset of the previous one.
    let best = all.iter().position(|&level| level == Level::detected()).unwrap_or(2);
    all[best..].to_vec()
}

/// A builder with an input image of size `dims`.
pub fn image_input(dims: [usize; 3]) -> (Builder, Value) {
    let [channels, height, width] = dims;
    Builder::new(&[1, channels, height, width]).expect("an input")
}

/// Converts the elements of a value from the `[channels][height][width]` order of its image to the order of
/// its axes.
fn to_tensor_order(builder: &Builder, value: Value, planes: &[f64]) -> Vec<f64> {
    let offsets = builder.view(value).element_offsets(builder.dims(value));
    offsets.into_iter().map(|at| planes[at]).collect()
}

/// The inverse of [`to_tensor_order`]; elements that the view repeats are added up.
fn to_image_order(builder: &Builder, value: Value, tensor: &[f64]) -> Vec<f64> {
    let mut planes = vec![0.0; builder.dims(value).iter().product()];
    let offsets = builder.view(value).element_offsets(builder.dims(value));
    offsets.into_iter().zip(tensor).for_each(|(at, element)| planes[at] += element);
    planes
}

/// Compares the forward and the backward pass of two samples with the reference.
pub fn check(name: &str, builder: &Builder, output: Value, random: &mut Random) {
    let size = |value: Value| builder.shape(value).iter().product::<usize>();
    let (read, written) = (size(Value(0)), size(output));
    let x = random.floats(2 * read);
    let g = random.floats(2 * written);
    let to_f64 = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    for level in levels() {
        let segment = Segment::at(builder.clone(), output, level);
        // The second run, with Winograd's algorithm, also tests reused buffers.
        for winograd in [false, true] {
            if winograd {
                segment.use_winograd();
            }
            let (y, mut tapes) = segment.forward(&x);
            let gradient = segment.backward(&g, &mut tapes);
            assert_eq!(segment.scores(&x), y, "{name}, {level:?}, without tapes");
            for sample in 0..2 {
                let input = to_image_order(builder, Value(0), &to_f64(&x[sample * read..][..read]));
                let expected = &reference::values(builder, &input)[output.0];
                let expected = to_tensor_order(builder, output, expected);
                let label = format!("{name}, {level:?}, Winograd {winograd}, sample {sample}");
                assert_close(
                    &format!("{label}: value"),
                    &y[sample * written..][..written],
                    &expected,
                );
                let g = to_image_order(builder, output, &to_f64(&g[sample * written..][..written]));
                let expected = reference::gradient(builder, output, &input, &g);
                let expected = to_tensor_order(builder, Value(0), &expected);
                assert_close(
                    &format!("{label}: gradient"),
                    &gradient[sample * read..][..read],
                    &expected,
                );
            }
        }
    }
}

fn assert_close(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let size = expected.iter().map(|value| value.abs()).fold(1.0, f64::max);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / size;
        assert!(error < 1e-5, "{name}: element {at} is {found}, not {expected}");
    }
}
