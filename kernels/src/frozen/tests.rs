//! Segments against the plain reference in double precision, at every level of instructions.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::build::{Builder, Convolution, Value, Weights};
use super::pack::Window;
use super::reference;
use super::segment::Segment;
use super::tile::Level;
use crate::Activation;

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
    Convolution { weights: Weights::Given(weights), bias, outputs, groups, window, exact: false }
}

fn levels() -> Vec<Level> {
    let all = [Level::Avx512, Level::Avx2, Level::Plain];
    // Each is a subset of the one before it.
    let best = all.iter().position(|&level| level == Level::detected()).unwrap_or(2);
    all[best..].to_vec()
}

/// A segment of pictures of `dims`.
fn shaped(dims: [usize; 3]) -> (Builder, Value) {
    let [channels, height, width] = dims;
    Builder::new(&[1, channels, height, width]).expect("an input")
}

/// Numbers of a value in the order of its axes, from `[channels][height][width]` of its picture.
fn outside(builder: &Builder, value: Value, planes: &[f64]) -> Vec<f64> {
    let places = builder.view(value).places(builder.dims(value));
    places.into_iter().map(|at| planes[at]).collect()
}

/// The other way.
fn inside(builder: &Builder, value: Value, tensor: &[f64]) -> Vec<f64> {
    let mut planes = vec![0.0; builder.dims(value).iter().product()];
    let places = builder.view(value).places(builder.dims(value));
    places.into_iter().zip(tensor).for_each(|(at, own)| planes[at] += own);
    planes
}

/// Two samples through the segment and back, against the reference.
fn check(name: &str, builder: &Builder, output: Value, numbers: &mut Numbers) {
    let size = |value: Value| builder.shape(value).iter().product::<usize>();
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
                let own = inside(builder, Value(0), &wide(&x[sample * read..][..read]));
                let expected = &reference::values(builder, &own)[output.0];
                let expected = outside(builder, output, expected);
                let label = format!("{name}, {level:?}, quick {quick}, sample {sample}");
                near(&format!("{label}: value"), &y[sample * written..][..written], &expected);
                let g = inside(builder, output, &wide(&g[sample * written..][..written]));
                let expected = reference::gradient(builder, output, &own, &g);
                let expected = outside(builder, Value(0), &expected);
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
        let (mut builder, x) = shaped(dims);
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
        let (mut builder, x) = shaped(dims);
        // What it reads is itself activated, and a branch is added to it.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 }).expect("a whole");
        let name = format!("case {case}: {dims:?} to {outputs}, {shape:?}");
        let own = convolution(&mut numbers, inputs, outputs, 1, shape.clone());
        let Some(y) = builder.convolution(x, own) else { continue };
        let other = convolution(&mut numbers, inputs, outputs, 1, shape);
        let other = builder.convolution(x, other).expect("it fits");
        let y = builder.add(y, other).expect("one shape");
        let y = builder.activate(y, Activation::Relu).expect("a whole");
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
        let (mut builder, x) = shaped(dims);
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let own = convolution(&mut numbers, channels, channels, channels, shape);
        let Some(y) = builder.convolution(x, own) else { continue };
        let y = builder.activate(y, Activation::Clip { low: 0.0, high: 0.3 }).expect("a whole");
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
        Activation::Swish { alpha: 1.0 },
        Activation::Swish { alpha: 1.702 },
        Activation::Tanh,
        Activation::GeluTanh,
        Activation::HardSigmoid { alpha: 0.7, beta: 0.4 },
        Activation::HardSwish,
        Activation::Gelu,
        Activation::FakeQuantize { scale: 0.03125, unit: 0.5, zero: 5.0, low: -16.0, high: 15.0 },
    ] {
        let (mut builder, x) = shaped([19, 5, 4]);
        let alone = builder.activate(x, activation).expect("a whole");
        check(&format!("{activation:?} alone"), &builder, alone, &mut numbers);
        let (mut builder, x) = shaped([19, 5, 4]);
        let own = convolution(&mut numbers, 19, 21, 1, window([3, 3], [1, 1], [1; 4]));
        let y = builder.convolution(x, own).expect("a convolution");
        let y = builder.activate(y, activation).expect("a whole");
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
        let (mut builder, x) = shaped(dims);
        // What the pool reads is itself activated, so that its gradient is finished.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 }).expect("a whole");
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let y = match numbers.from(0, 2) {
            0 => builder.largest(x, shape),
            1 => builder.window_mean(x, shape, false),
            _ => builder.window_mean(x, shape, true),
        };
        check(&name, &builder, y.expect("a pool"), &mut numbers);
    }
}

/// A residual network with branches that meet in every way.
#[test]
fn sums_of_branches_are_right() {
    let mut numbers = Numbers(5);
    let (mut builder, input) = shaped([3, 17, 15]);
    let conv = |builder: &mut Builder, numbers: &mut Numbers, x, outputs, kernel: usize, stride| {
        let inputs = builder.dims(x)[0];
        let pad = kernel / 2;
        let shape = window([kernel; 2], [stride; 2], [pad; 4]);
        builder.convolution(x, convolution(numbers, inputs, outputs, 1, shape)).expect("it fits")
    };
    let stem = conv(&mut builder, &mut numbers, input, 20, 7, 2);
    let stem = builder.activate(stem, Activation::Relu).expect("a whole");
    let stem = builder.largest(stem, window([3, 3], [2, 2], [1; 4])).expect("a pool");
    let main = conv(&mut builder, &mut numbers, stem, 12, 1, 1);
    let main = builder.activate(main, Activation::Relu).expect("a whole");
    let main = conv(&mut builder, &mut numbers, main, 20, 3, 1);
    let sum = builder.add(main, stem).expect("one shape");
    let block = builder.activate(sum, Activation::Relu).expect("a whole");
    // The shortcut behind the main path, and a branch that is read three times.
    let main = conv(&mut builder, &mut numbers, block, 33, 3, 2);
    let main = builder.activate(main, Activation::Swish { alpha: 1.0 }).expect("a whole");
    let main = conv(&mut builder, &mut numbers, main, 33, 3, 1);
    let shortcut = conv(&mut builder, &mut numbers, block, 33, 1, 2);
    let sum = builder.add(main, shortcut).expect("one shape");
    let squeezed = builder.mean(sum, &[2, 3]).expect("a mean");
    let gate = conv(&mut builder, &mut numbers, squeezed, 9, 1, 1);
    let gate = builder.activate(gate, Activation::Relu).expect("a whole");
    let gate = conv(&mut builder, &mut numbers, gate, 33, 1, 1);
    let gate = builder.activate(gate, Activation::Sigmoid).expect("a whole");
    let gated = builder.multiply(sum, gate).expect("a gate");
    let again = builder.add(gated, sum).expect("one shape");
    let twice = builder.add(again, again).expect("one shape");
    let own = conv(&mut builder, &mut numbers, twice, 5, 1, 1);
    let joined = builder.concat(&[own, twice, own], 1).expect("one size");
    let pooled = builder.window_mean(joined, window([2, 2], [1, 1], [0; 4]), true).expect("a pool");
    check("the block", &builder, block, &mut numbers);
    check("the gated sum", &builder, again, &mut numbers);
    check("the whole", &builder, pooled, &mut numbers);
    let flat = builder.mean(pooled, &[2, 3]).expect("a mean");
    check("its mean", &builder, flat, &mut numbers);
}

/// Single pixels with zeros around them: a mean that a padded convolution reads, and a gate that one
/// makes and one reads.
#[test]
fn single_pixels_with_a_halo_are_right() {
    let mut numbers = Numbers(8);
    let (mut builder, x) = shaped([18, 6, 5]);
    let own = convolution(&mut numbers, 18, 18, 1, Window::pixel());
    let x = builder.convolution(x, own).expect("it fits");
    let around = || window([3, 3], [1, 1], [1; 4]);
    let mean = builder.mean(x, &[2, 3]).expect("a mean");
    let own = convolution(&mut numbers, 18, 18, 1, around());
    let gate = builder.convolution(mean, own).expect("it fits");
    check("a padded convolution of a mean", &builder, gate, &mut numbers);
    let gate = builder.activate(gate, Activation::Sigmoid).expect("a whole");
    let gated = builder.multiply(x, gate).expect("a gate");
    check("a gate of a padded convolution", &builder, gated, &mut numbers);
    let own = convolution(&mut numbers, 18, 18, 1, around());
    let other = builder.convolution(gate, own).expect("it fits");
    let gated = builder.multiply(gated, other).expect("a gate");
    check("a gate that a padded convolution reads", &builder, gated, &mut numbers);
}

#[test]
fn pictures_in_different_orders_are_added_as_tensors() {
    let mut numbers = Numbers(10);
    let (mut builder, x) = shaped([8, 8, 8]);
    let turned = builder.permute(x, &[0, 2, 3, 1]).expect("axes");
    let sum = builder.add(x, turned).expect("one shape");
    check("a picture and itself turned", &builder, sum, &mut numbers);
    let other = builder.permute(x, &[0, 3, 2, 1]).expect("axes");
    let sum = builder.add(turned, other).expect("one shape");
    check("two that are turned", &builder, sum, &mut numbers);
    let (mut builder, x) = shaped([8, 7, 8]);
    let turned = builder.permute(x, &[0, 2, 3, 1]).expect("axes");
    assert!(builder.add(x, turned).is_none());
}

#[test]
fn a_window_without_elements_has_no_largest() {
    let (mut builder, x) = shaped([3, 4, 4]);
    let pool = builder.largest(x, window([2, 2], [1, 1], [0, 0, 2, 0])).expect("a pool");
    let segment = Segment::new(builder, pool);
    let (y, mut tapes) = segment.forward(&[1.0; 48]);
    let &[_, height, width] = segment.output() else { panic!("three axes") };
    let last = &y[(height - 1) * width..height * width];
    assert!(last.iter().all(|&value| value == f32::NEG_INFINITY), "{last:?}");
    let gradient = segment.backward(&vec![1.0; y.len()], &mut tapes);
    assert!(gradient.iter().all(|value| value.is_finite()));
}

#[test]
fn swish_is_found_in_its_parts() {
    let mut numbers = Numbers(6);
    let (mut builder, x) = shaped([18, 3, 3]);
    let own = convolution(&mut numbers, 18, 18, 1, window([1, 1], [1, 1], [0; 4]));
    let y = builder.convolution(x, own).expect("it fits");
    let sigmoid = builder.activate(y, Activation::Sigmoid).expect("a whole");
    let y = builder.multiply(y, sigmoid).expect("a swish");
    let ramp = builder
        .activate(y, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })
        .expect("a whole");
    let y = builder.multiply(ramp, y).expect("a hard swish");
    check("two swishes", &builder, y, &mut numbers);
}

/// A block of ConvNeXt: its linear layers see the channels as the last axis.
#[test]
fn normalizations_and_linear_layers_are_right() {
    let mut numbers = Numbers(7);
    for channels in [32, 19] {
        let (mut builder, input) = shaped([3, 16, 12]);
        let patches = window([4, 4], [4, 4], [0; 4]);
        let own = convolution(&mut numbers, 3, channels, 1, patches);
        let stem = builder.convolution(input, own).expect("it fits");
        let normalize = |builder: &mut Builder, numbers: &mut Numbers, x| {
            let (scale, shift) = (numbers.floats(channels), numbers.floats(channels));
            let own = super::build::Normalization {
                scale,
                shift,
                epsilon: 1e-3,
                centred: channels % 2 == 0,
            };
            builder.normalize(x, own).expect("it fits")
        };
        let turned = builder.permute(stem, &[0, 2, 3, 1]).expect("axes");
        let normal = normalize(&mut builder, &mut numbers, turned);
        let stem = builder.permute(normal, &[0, 3, 1, 2]).expect("axes");
        let shape = window([7, 7], [1, 1], [3; 4]);
        let own = convolution(&mut numbers, channels, channels, channels, shape);
        let x = builder.convolution(stem, own).expect("it fits");
        let x = builder.permute(x, &[0, 2, 3, 1]).expect("axes");
        assert_eq!(builder.shape(x), [1, 4, 3, channels]);
        let x = normalize(&mut builder, &mut numbers, x);
        let own = convolution(&mut numbers, channels, 4 * channels, 1, Window::pixel());
        let x = builder.linear(x, own).expect("it fits");
        let x = builder.activate(x, Activation::Gelu).expect("a whole");
        let own = convolution(&mut numbers, 4 * channels, channels, 1, Window::pixel());
        let x = builder.linear(x, own).expect("it fits");
        let x = builder.permute(x, &[0, 3, 1, 2]).expect("axes");
        // The scale of a layer.
        let own = convolution(&mut numbers, channels, channels, channels, Window::pixel());
        let x = builder.convolution(x, own).expect("it fits");
        let x = builder.add(x, stem).expect("one shape");
        check(&format!("a block of {channels} channels"), &builder, x, &mut numbers);
    }
}

/// Attention as exporters spell it: one product for queries, keys and values, whose heads are split by
/// reshaping.
#[test]
fn attention_is_right() {
    let mut numbers = Numbers(11);
    for (tokens, heads, size) in [(7, 2, 3), (37, 2, 16), (50, 1, 35), (1, 3, 8), (18, 3, 1)] {
        let channels = heads * size;
        let (mut builder, x) = Builder::new(&[1, tokens, channels]).expect("tokens");
        let constant = numbers.floats(tokens * channels);
        let x = builder.add_constant(x, &constant, &[tokens, channels]).expect("it fits");
        let own = convolution(&mut numbers, channels, 3 * channels, 1, Window::pixel());
        let all = builder.linear(x, own).expect("it fits");
        let split = builder.reshape(all, &[1, tokens, 3, heads, size]).expect("parts");
        let split = builder.permute(split, &[2, 0, 3, 1, 4]).expect("axes");
        let part = |builder: &mut Builder, at: usize| {
            let part = builder.slice(split, 0, [at, 1, 1]).expect("a part");
            builder.reshape(part, &[1, heads, tokens, size]).expect("a part")
        };
        let [queries, keys, values] = [0, 1, 2].map(|at| part(&mut builder, at));
        let queries = builder.scale(queries, 0.7).expect("a view");
        let keys = builder.permute(keys, &[0, 1, 3, 2]).expect("axes");
        let scores = builder.product(queries, keys).expect("they fit");
        let constant = numbers.floats(heads * tokens);
        let scores = builder.add_constant(scores, &constant, &[heads, 1, tokens]).expect("it fits");
        let weights = builder.softmax(scores).expect("a last axis");
        check(&format!("weights of {tokens} tokens"), &builder, weights, &mut numbers);
        let mixed = builder.product(weights, values).expect("they fit");
        let mixed = builder.permute(mixed, &[0, 2, 1, 3]).expect("axes");
        let mixed = builder.reshape(mixed, &[1, tokens, channels]).expect("axes");
        let own = convolution(&mut numbers, channels, channels, 1, Window::pixel());
        let mixed = builder.linear(mixed, own).expect("it fits");
        let x = builder.add(mixed, x).expect("one shape");
        check(&format!("attention of {tokens} tokens"), &builder, x, &mut numbers);
        let one = builder.slice(x, 1, [tokens - 1, 1, 1]).expect("a token");
        let one = builder.reshape(one, &[1, channels]).expect("axes");
        check(&format!("the last of {tokens} tokens"), &builder, one, &mut numbers);
        let mean = builder.mean(x, &[1]).expect("a mean");
        assert_eq!(builder.shape(mean), [1, 1, channels]);
        check(&format!("the mean of {tokens} tokens"), &builder, mean, &mut numbers);
    }
}

/// Products of views in every order of their axes.
#[test]
fn products_of_any_views_are_right() {
    let mut numbers = Numbers(12);
    for case in 0..40 {
        let [groups, rows, inner, columns] = [0; 4].map(|_| numbers.from(1, 40));
        let groups = groups.div_ceil(10);
        // Both from one picture, beside each other among its channels or in its rows.
        let (a, b) = (groups * rows * inner, groups * inner * columns);
        let name = format!("case {case}: {groups} times {rows} by {inner} by {columns}");
        let (mut builder, x) = Builder::new(&[1, 1, a + b]).expect("numbers");
        let mut matrix = |builder: &mut Builder, start: usize, rows: usize, columns: usize| {
            let mut sizes = [groups, rows, columns];
            let mut order = [0, 1, 2];
            for at in 0..3 {
                order.swap(at, numbers.from(at, 2));
            }
            let mut back = [0, 1, 2, 3];
            let old = sizes;
            for (to, &from) in order.iter().enumerate() {
                sizes[to] = old[from];
                back[from + 1] = to + 1;
            }
            let own = builder.slice(x, 2, [start, groups * rows * columns, 1]).expect("numbers");
            let own = builder.reshape(own, &[1, sizes[0], sizes[1], sizes[2]]).expect("axes");
            builder.permute(own, &back).expect("axes")
        };
        let left = matrix(&mut builder, 0, rows, inner);
        let right = matrix(&mut builder, a, inner, columns);
        let y = builder.product(left, right).expect("they fit");
        assert_eq!(builder.shape(y), [1, groups, rows, columns]);
        check(&name, &builder, y, &mut numbers);
    }
}

/// Layers over tokens and over channels by turns, as in a Mixer; and pictures made of tokens.
#[test]
fn turned_layers_are_right() {
    let mut numbers = Numbers(13);
    let (mut builder, input) = shaped([3, 12, 8]);
    let own = convolution(&mut numbers, 3, 20, 1, window([4, 4], [4, 4], [0; 4]));
    let stem = builder.convolution(input, own).expect("it fits");
    let tokens = builder.reshape(stem, &[1, 20, 6]).expect("axes");
    let own = convolution(&mut numbers, 6, 6, 1, Window::pixel());
    let mixed = builder.linear(tokens, own).expect("it fits");
    let mixed = builder.activate(mixed, Activation::Gelu).expect("a whole");
    let sum = builder.add(mixed, tokens).expect("one shape");
    let turned = builder.permute(sum, &[0, 2, 1]).expect("axes");
    let own = convolution(&mut numbers, 20, 22, 1, Window::pixel());
    let wide = builder.linear(turned, own).expect("it fits");
    check("tokens and channels", &builder, wide, &mut numbers);
    let back = builder.permute(wide, &[0, 2, 1]).expect("axes");
    let back = builder.reshape(back, &[1, 22, 3, 2]).expect("axes");
    let own = convolution(&mut numbers, 22, 9, 1, window([3, 3], [1, 1], [1; 4]));
    let picture = builder.convolution(back, own).expect("it fits");
    check("a picture of tokens", &builder, picture, &mut numbers);
    let half = builder.slice(picture, 1, [3, 5, 1]).expect("channels");
    let half = builder.activate(half, Activation::Relu).expect("a whole");
    check("some channels", &builder, half, &mut numbers);
    let both = builder.concat(&[half, back], 1).expect("one size");
    check("channels together", &builder, both, &mut numbers);
    let token = numbers.floats(22);
    let token = builder.constant(&token, &[1, 1, 22]).expect("a token");
    let tokens = builder.concat(&[token, wide], 1).expect("one width");
    assert_eq!(builder.shape(tokens), [1, 7, 22]);
    check("a token in front", &builder, tokens, &mut numbers);
    let padded = builder.pad(both, &[(0, 0), (0, 2), (1, 0), (3, 1)]).expect("zeros around");
    assert_eq!(builder.shape(padded), [1, 29, 4, 6]);
    check("zeros around", &builder, padded, &mut numbers);
    let [lower, upper] = [(1, 2), (0, 1)]
        .map(|(from, count)| builder.slice(back, 2, [from, count, 1]).expect("rows"));
    let rolled = builder.concat(&[lower, upper], 2).expect("rows");
    check("rows rolled", &builder, rolled, &mut numbers);
    assert!(builder.concat(&[lower, back], 1).is_none() && builder.concat(&[back], 0).is_none());
    assert!(builder.pad(back, &[(0, 1), (0, 0), (0, 0), (0, 0)]).is_none(), "the batch");
}

/// Two samples at a time stay apart.
#[test]
fn a_fixed_batch_is_no_axis_of_a_picture() {
    let (mut builder, x) = Builder::new(&[2, 5, 8]).expect("tokens");
    let split = builder.reshape(x, &[2, 5, 2, 4]).expect("axes");
    let heads = builder.permute(split, &[0, 2, 1, 3]).expect("axes");
    let keys = builder.permute(heads, &[0, 1, 3, 2]).expect("axes");
    let scores = builder.product(heads, keys).expect("they fit");
    assert_eq!(builder.shape(scores), [2, 2, 5, 5]);
    assert!(builder.begins_with_batch(scores));
    let merged = builder.reshape(heads, &[4, 5, 4]).expect("axes");
    assert!(!builder.begins_with_batch(merged));
    let turned = builder.permute(merged, &[0, 2, 1]).expect("axes");
    let product = builder.product(merged, turned).expect("they fit");
    assert_eq!(builder.shape(product), [4, 5, 5]);
    assert!(!builder.begins_with_batch(product));
    let apart = builder.reshape(product, &[2, 2, 5, 5]).expect("axes");
    assert!(builder.begins_with_batch(apart));
    let scores = builder.add(scores, apart).expect("one shape");
    let segment = Segment::new(builder, scores);
    assert_eq!((segment.input(), segment.output()), (&[5, 8][..], &[2, 5, 5][..]));
    let x: Vec<f32> = (0..80).map(|at| (at as f32).sin()).collect();
    let (y, _) = segment.forward(&x);
    let expected: f32 = (0..4).map(|k| x[40 + 8 + 4 + k] * x[40 + 16 + 4 + k]).sum();
    assert!((y[50 + 25 + 5 + 2] - 2.0 * expected).abs() < 1e-5);
}

/// Arithmetic of tensors of which one stands for many, and sums along any axes.
#[test]
fn arithmetic_along_axes_is_right() {
    let mut numbers = Numbers(14);
    let (mut builder, input) = shaped([6, 5, 4]);
    let own = convolution(&mut numbers, 6, 18, 1, window([3, 3], [1, 1], [1; 4]));
    let x = builder.convolution(input, own).expect("it fits");
    let tokens = builder.reshape(x, &[1, 3, 6, 20]).expect("axes");
    let tokens = builder.permute(tokens, &[0, 1, 3, 2]).expect("axes");
    assert_eq!(builder.shape(tokens), [1, 3, 20, 6]);
    for axes in [&[1][..], &[2], &[3], &[1, 3], &[2, 3], &[1, 2, 3]] {
        let mean = builder.mean(tokens, axes).expect("a mean");
        check(&format!("a mean along {axes:?}"), &builder, mean, &mut numbers);
        let less = builder.scale(mean, -1.0).expect("a scale");
        let centred = builder.add(tokens, less).expect("they fit");
        check(&format!("a difference along {axes:?}"), &builder, centred, &mut numbers);
        let gated = builder.multiply(mean, tokens).expect("they fit");
        check(&format!("a product along {axes:?}"), &builder, gated, &mut numbers);
    }
    let squares = builder.multiply(tokens, tokens).expect("they fit");
    let squares = builder.sum(squares, &[3], 1.0).expect("a sum");
    let shifted = builder.add_constant(squares, &[1.0], &[]).expect("a number");
    let length = builder.activate(shifted, Activation::Root).expect("a whole");
    let inverse = builder.activate(length, Activation::Reciprocal).expect("a whole");
    let units = builder.multiply(tokens, inverse).expect("they fit");
    check("vectors of length 1", &builder, units, &mut numbers);
    let values = numbers.floats(60);
    let weighted = builder.multiply_constant(units, &values, &[3, 20, 1]).expect("numbers");
    check("weighted vectors", &builder, weighted, &mut numbers);
    let other = builder.slice(tokens, 1, [1, 1, 1]).expect("a head");
    let turned = builder.permute(other, &[0, 1, 3, 2]).expect("axes");
    let scores = builder.product(tokens, turned).expect("they fit");
    assert_eq!(builder.shape(scores), [1, 3, 20, 20]);
    check("one head for all", &builder, scores, &mut numbers);
    let spread = builder.expand(turned, &[1, 2, 6, 20]).expect("axes");
    let both = builder.concat(&[spread, turned], 1).expect("heads");
    check("a head twice and once more", &builder, both, &mut numbers);
    let even = builder.slice(x, 2, [1, 2, 2]).expect("every other row");
    let even = builder.slice(even, 3, [0, 2, 2]).expect("every other column");
    assert_eq!(builder.shape(even), [1, 18, 2, 2]);
    let even = builder.activate(even, Activation::Tanh).expect("a whole");
    check("every other pixel", &builder, even, &mut numbers);
    let (scale, shift) = (numbers.floats(20), numbers.floats(20));
    let affine = builder.affine(tokens, 2, scale, shift).expect("a number for each token");
    assert_eq!(builder.shape(affine), [1, 3, 20, 6]);
    let affine = builder.activate(affine, Activation::GeluTanh).expect("a whole");
    check("a number for each token", &builder, affine, &mut numbers);
    let few = builder.slice(tokens, 2, [0, 11, 1]).expect("parts of rows");
    let few = builder.reshape(few, &[1, 33, 6]).expect("axes");
    let few = builder.activate(few, Activation::Swish { alpha: 1.702 }).expect("a whole");
    check("parts of rows", &builder, few, &mut numbers);
    let merged = builder.reshape(tokens, &[3, 20, 6]).expect("axes");
    let mean = builder.mean(merged, &[1]).expect("a mean");
    assert_eq!(builder.shape(mean), [3, 1, 6]);
    let centred = builder.multiply(merged, mean).expect("they fit");
    let centred = builder.reshape(centred, &[1, 60, 6]).expect("axes");
    check("a mean of each head", &builder, centred, &mut numbers);
    let own = builder.constant(&numbers.floats(42), &[1, 6, 7]).expect("a matrix");
    let own = builder.reshape(own, &[1, 1, 6, 7]).expect("axes");
    let product = builder.product(tokens, own).expect("they fit");
    check("a product with numbers", &builder, product, &mut numbers);
    assert!(builder.sum(tokens, &[0], 1.0).is_none(), "over the batch");
    assert!(builder.add(tokens, scores).is_none() && builder.expand(tokens, &[6]).is_none());
}

/// What has no axes or no numbers, and what would take samples together.
#[test]
fn what_does_not_fit_is_refused() {
    let (mut builder, x) = Builder::new(&[1, 1, 1]).expect("a number");
    let number = builder.reshape(x, &[]).expect("no axes");
    assert!(!builder.begins_with_batch(number));
    assert!(Builder::new(&[1, 0, 4]).is_none() && Builder::new(&[]).is_none());
    assert!(builder.expand(x, &[1, 0, 1]).is_none());
    let (mut builder, x) = Builder::new(&[2, 3, 4]).expect("vectors");
    let turned = builder.permute(x, &[2, 1, 0]).expect("axes");
    assert!(builder.softmax(turned).is_none(), "over the batch");
    let (mut builder, x) = Builder::new(&[2, 2, 5, 4]).expect("heads");
    let turned = builder.permute(x, &[1, 0, 2, 3]).expect("axes");
    let merged = builder.reshape(turned, &[4, 5, 4]).expect("axes");
    let other = builder.permute(merged, &[0, 2, 1]).expect("axes");
    assert!(builder.product(merged, other).is_none(), "the batch behind the heads");
}
