//! Segments against the plain reference in double precision, at every level of instructions.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::build::{Builder, Convolution, Value, Weights};
use super::finish::Activation;
use super::pack::Window;
use super::reference;
use super::segment::Segment;
use super::tile::Level;

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// A whole number from `low` to `high`.
    fn from(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
}

fn window(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
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

fn convolution(
    numbers: &mut Numbers,
    inputs: usize,
    outputs: usize,
    groups: usize,
    window: Window,
) -> Convolution {
    let count = outputs * (inputs / groups) * window.kernel[0] * window.kernel[1];
    let scale = (count as f32 / outputs as f32).sqrt().recip();
    let weights = numbers.floats(count).iter().map(|weight| weight * scale).collect();
    let bias = (numbers.from(0, 1) == 1).then(|| numbers.floats(outputs));
    Convolution { weights: Weights::Given(weights), bias, outputs, groups, window }
}

fn levels() -> Vec<Level> {
    let all = [Level::Avx512, Level::Avx2, Level::Plain];
    // Each is a subset of the one before it.
    let best = all.iter().position(|&level| level == Level::detected()).unwrap_or(2);
    all[best..].to_vec()
}

/// Two samples through the segment and back, against the reference.
fn check(name: &str, builder: &Builder, output: Value, numbers: &mut Numbers) {
    let size = |value: Value| builder.dims(value).iter().product::<usize>();
    let (read, written) = (size(Value(0)), size(output));
    let x = numbers.floats(2 * read);
    let g = numbers.floats(2 * written);
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    for level in levels() {
        let segment = Segment::at(builder.clone(), output, level);
        // Twice, since buffers are used again.
        for quick in [false, true] {
            if quick {
                segment.use_winograd();
            }
            let (y, mut tapes) = segment.forward(&x);
            let gradient = segment.backward(&g, &mut tapes);
            assert_eq!(segment.scores(&x), y, "{name}, {level:?}, without records");
            for sample in 0..2 {
                let own = wide(&x[sample * read..][..read]);
                let expected = &reference::values(builder, &own)[output.0];
                let label = format!("{name}, {level:?}, quick {quick}, sample {sample}");
                near(&format!("{label}: value"), &y[sample * written..][..written], expected);
                let g = wide(&g[sample * written..][..written]);
                let expected = reference::gradient(builder, output, &own, &g);
                near(&format!("{label}: gradient"), &gradient[sample * read..][..read], &expected);
            }
        }
    }
}

fn near(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let size = expected.iter().map(|value| value.abs()).fold(1.0, f64::max);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / size;
        assert!(error < 1e-5, "{name}: element {at} is {found}, not {expected}");
    }
}

#[test]
fn convolutions_of_random_shapes_are_right() {
    let mut numbers = Numbers(1);
    for case in 0..60 {
        let groups = [1, 1, 1, 2, 3][numbers.from(0, 4)];
        let (inputs, outputs) = (groups * numbers.from(1, 24), groups * numbers.from(1, 40));
        let dims = [inputs, numbers.from(3, 13), numbers.from(3, 13)];
        let kernel = [numbers.from(1, 3), numbers.from(1, 3)];
        let mut shape = window(
            kernel,
            [numbers.from(1, 3), numbers.from(1, 2)],
            [0; 4].map(|_| numbers.from(0, 2)),
        );
        if numbers.from(0, 3) == 0 {
            shape.dilations = [numbers.from(1, 2), numbers.from(1, 2)];
        }
        let (mut builder, x) = Builder::new(dims);
        let name = format!("case {case}: {dims:?} to {outputs} in {groups}, {shape:?}");
        let own = convolution(&mut numbers, inputs, outputs, groups, shape);
        let Some(y) = builder.convolution(x, own) else { continue };
        check(&name, &builder, y, &mut numbers);
    }
}

#[test]
fn winograd_of_random_shapes_is_right() {
    let mut numbers = Numbers(9);
    for case in 0..12 {
        let (inputs, outputs) = (numbers.from(16, 50), numbers.from(16, 50));
        let dims = [inputs, numbers.from(9, 19), numbers.from(9, 19)];
        let shape = window([3, 3], [1, 1], [0; 4].map(|_| numbers.from(0, 2)));
        let (mut builder, x) = Builder::new(dims);
        // What it reads is itself activated, and a branch is added to it.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 });
        let name = format!("case {case}: {dims:?} to {outputs}, {shape:?}");
        let own = convolution(&mut numbers, inputs, outputs, 1, shape.clone());
        let Some(y) = builder.convolution(x, own) else { continue };
        let other = convolution(&mut numbers, inputs, outputs, 1, shape);
        let other = builder.convolution(x, other).expect("it fits");
        let y = builder.add(y, other).expect("one shape");
        let y = builder.activate(y, Activation::Relu);
        check(&name, &builder, y, &mut numbers);
    }
}

#[test]
fn depthwise_convolutions_of_random_shapes_are_right() {
    let mut numbers = Numbers(2);
    for case in 0..40 {
        let channels = numbers.from(2, 70);
        let dims = [channels, numbers.from(3, 12), numbers.from(3, 12)];
        let shape = window(
            [numbers.from(1, 5), numbers.from(1, 3)],
            [numbers.from(1, 2), numbers.from(1, 3)],
            [0; 4].map(|_| numbers.from(0, 2)),
        );
        let (mut builder, x) = Builder::new(dims);
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let own = convolution(&mut numbers, channels, channels, channels, shape);
        let Some(y) = builder.convolution(x, own) else { continue };
        let y = builder.activate(y, Activation::Clip { low: 0.0, high: 0.3 });
        check(&name, &builder, y, &mut numbers);
    }
}

#[test]
fn activations_are_right() {
    let mut numbers = Numbers(3);
    for activation in [
        Activation::Identity,
        Activation::Relu,
        Activation::Clip { low: -0.25, high: 0.5 },
        Activation::Leaky { slope: 0.1 },
        Activation::Sigmoid,
        Activation::Silu,
        Activation::HardSigmoid { alpha: 0.7, beta: 0.4 },
        Activation::HardSwish,
        Activation::Gelu,
    ] {
        let (mut builder, x) = Builder::new([19, 5, 4]);
        let alone = builder.activate(x, activation);
        check(&format!("{activation:?} alone"), &builder, alone, &mut numbers);
        let (mut builder, x) = Builder::new([19, 5, 4]);
        let own = convolution(&mut numbers, 19, 21, 1, window([3, 3], [1, 1], [1; 4]));
        let y = builder.convolution(x, own).expect("a convolution");
        let y = builder.activate(y, activation);
        check(&format!("{activation:?} behind a convolution"), &builder, y, &mut numbers);
    }
}

#[test]
fn pools_of_random_shapes_are_right() {
    let mut numbers = Numbers(4);
    for case in 0..60 {
        let dims = [numbers.from(1, 20), numbers.from(3, 11), numbers.from(3, 11)];
        let kernel = [numbers.from(2, 3), numbers.from(2, 3)];
        let pads = [0; 4].map(|_| numbers.from(0, 1));
        let mut shape = window(kernel, [numbers.from(1, 3), numbers.from(1, 2)], pads);
        shape.ceil = numbers.from(0, 1) == 1;
        let (mut builder, x) = Builder::new(dims);
        // What the pool reads is itself activated, so that its gradient is finished.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 });
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let y = match numbers.from(0, 2) {
            0 => builder.largest(x, shape),
            1 => builder.mean(x, shape, false),
            _ => builder.mean(x, shape, true),
        };
        check(&name, &builder, y.expect("a pool"), &mut numbers);
    }
}

/// A residual network with branches that meet in every way.
#[test]
fn sums_of_branches_are_right() {
    let mut numbers = Numbers(5);
    let (mut builder, input) = Builder::new([3, 17, 15]);
    let conv = |builder: &mut Builder, numbers: &mut Numbers, x, outputs, kernel: usize, stride| {
        let inputs = builder.dims(x)[0];
        let pad = kernel / 2;
        let shape = window([kernel; 2], [stride; 2], [pad; 4]);
        builder.convolution(x, convolution(numbers, inputs, outputs, 1, shape)).expect("it fits")
    };
    let stem = conv(&mut builder, &mut numbers, input, 20, 7, 2);
    let stem = builder.activate(stem, Activation::Relu);
    let stem = builder.largest(stem, window([3, 3], [2, 2], [1; 4])).expect("a pool");
    let main = conv(&mut builder, &mut numbers, stem, 12, 1, 1);
    let main = builder.activate(main, Activation::Relu);
    let main = conv(&mut builder, &mut numbers, main, 20, 3, 1);
    let sum = builder.add(main, stem).expect("one shape");
    let block = builder.activate(sum, Activation::Relu);
    // The shortcut behind the main path, and a branch that is read three times.
    let main = conv(&mut builder, &mut numbers, block, 33, 3, 2);
    let main = builder.activate(main, Activation::Silu);
    let main = conv(&mut builder, &mut numbers, main, 33, 3, 1);
    let shortcut = conv(&mut builder, &mut numbers, block, 33, 1, 2);
    let sum = builder.add(main, shortcut).expect("one shape");
    let squeezed = builder.global_mean(sum);
    let gate = conv(&mut builder, &mut numbers, squeezed, 9, 1, 1);
    let gate = builder.activate(gate, Activation::Relu);
    let gate = conv(&mut builder, &mut numbers, gate, 33, 1, 1);
    let gate = builder.activate(gate, Activation::Sigmoid);
    let gated = builder.multiply(sum, gate).expect("a gate");
    let again = builder.add(gated, sum).expect("one shape");
    let twice = builder.add(again, again).expect("one shape");
    let own = conv(&mut builder, &mut numbers, twice, 5, 1, 1);
    let joined = builder.concat(&[own, twice, own]).expect("one size");
    let pooled = builder.mean(joined, window([2, 2], [1, 1], [0; 4]), true).expect("a pool");
    check("the block", &builder, block, &mut numbers);
    check("the gated sum", &builder, again, &mut numbers);
    check("the whole", &builder, pooled, &mut numbers);
    let flat = builder.global_mean(pooled);
    check("its mean", &builder, flat, &mut numbers);
}

/// Single pixels with zeros around them: a mean that a padded convolution reads, and a gate that one
/// makes and one reads.
#[test]
fn single_pixels_with_a_halo_are_right() {
    let mut numbers = Numbers(8);
    let (mut builder, x) = Builder::new([18, 6, 5]);
    let own = convolution(&mut numbers, 18, 18, 1, Window::pixel());
    let x = builder.convolution(x, own).expect("it fits");
    let around = || window([3, 3], [1, 1], [1; 4]);
    let mean = builder.global_mean(x);
    let own = convolution(&mut numbers, 18, 18, 1, around());
    let gate = builder.convolution(mean, own).expect("it fits");
    check("a padded convolution of a mean", &builder, gate, &mut numbers);
    let gate = builder.activate(gate, Activation::Sigmoid);
    let gated = builder.multiply(x, gate).expect("a gate");
    check("a gate of a padded convolution", &builder, gated, &mut numbers);
    let own = convolution(&mut numbers, 18, 18, 1, around());
    let other = builder.convolution(gate, own).expect("it fits");
    let gated = builder.multiply(gated, other).expect("a gate");
    check("a gate that a padded convolution reads", &builder, gated, &mut numbers);
}

#[test]
fn pictures_in_different_orders_are_not_added() {
    let (mut builder, x) = Builder::new([8, 8, 8]);
    let turned = builder.turn(x);
    assert!(builder.add(x, turned).is_none());
}

#[test]
fn a_window_without_elements_has_no_largest() {
    let (mut builder, x) = Builder::new([3, 4, 4]);
    let pool = builder.largest(x, window([2, 2], [1, 1], [0, 0, 2, 0])).expect("a pool");
    let segment = Segment::new(builder, pool);
    let (y, mut tapes) = segment.forward(&[1.0; 48]);
    let [_, height, width] = segment.output();
    let last = &y[(height - 1) * width..height * width];
    assert!(last.iter().all(|&value| value == f32::NEG_INFINITY), "{last:?}");
    let gradient = segment.backward(&vec![1.0; y.len()], &mut tapes);
    assert!(gradient.iter().all(|value| value.is_finite()));
}

#[test]
fn swish_is_found_in_its_parts() {
    let mut numbers = Numbers(6);
    let (mut builder, x) = Builder::new([18, 3, 3]);
    let own = convolution(&mut numbers, 18, 18, 1, window([1, 1], [1, 1], [0; 4]));
    let y = builder.convolution(x, own).expect("it fits");
    let sigmoid = builder.activate(y, Activation::Sigmoid);
    let y = builder.multiply(y, sigmoid).expect("a swish");
    let ramp = builder.activate(y, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
    let y = builder.multiply(ramp, y).expect("a hard swish");
    check("two swishes", &builder, y, &mut numbers);
}

/// A block of ConvNeXt: its linear layers see the channels as the last axis.
#[test]
fn normalizations_and_linear_layers_are_right() {
    let mut numbers = Numbers(7);
    for channels in [32, 19] {
        let (mut builder, input) = Builder::new([3, 16, 12]);
        let patches = window([4, 4], [4, 4], [0; 4]);
        let own = convolution(&mut numbers, 3, channels, 1, patches);
        let stem = builder.convolution(input, own).expect("it fits");
        let normalize = |builder: &mut Builder, numbers: &mut Numbers, x| {
            let (scale, shift) = (numbers.floats(channels), numbers.floats(channels));
            let own = super::build::Normalization { scale, shift, epsilon: 1e-3 };
            builder.normalize(x, own).expect("it fits")
        };
        let turned = builder.turn(stem);
        let normal = normalize(&mut builder, &mut numbers, turned);
        let stem = builder.turn(normal);
        let shape = window([7, 7], [1, 1], [3; 4]);
        let own = convolution(&mut numbers, channels, channels, channels, shape);
        let x = builder.convolution(stem, own).expect("it fits");
        let x = builder.turn(x);
        assert_eq!(builder.shape(x), [4, 3, channels]);
        let x = normalize(&mut builder, &mut numbers, x);
        let own = convolution(&mut numbers, channels, 4 * channels, 1, Window::pixel());
        let x = builder.convolution(x, own).expect("it fits");
        let x = builder.activate(x, Activation::Gelu);
        let own = convolution(&mut numbers, 4 * channels, channels, 1, Window::pixel());
        let x = builder.convolution(x, own).expect("it fits");
        let x = builder.turn(x);
        // The scale of a layer.
        let own = convolution(&mut numbers, channels, channels, channels, Window::pixel());
        let x = builder.convolution(x, own).expect("it fits");
        let x = builder.add(x, stem).expect("one shape");
        check(&format!("a block of {channels} channels"), &builder, x, &mut numbers);
    }
}
