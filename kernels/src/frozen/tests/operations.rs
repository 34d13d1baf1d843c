//! Tests of single operations.

use super::super::segment::Segment;
use super::check::{Random, check, convolution, image_input, window};
use crate::Activation;

#[test]
fn convolutions_of_random_shapes_match_reference() {
    let mut random = Random(1);
    for case in 0..60 {
        let groups = [1, 1, 1, 2, 3][random.integer(0, 4)];
        let (inputs, outputs) = (groups * random.integer(1, 24), groups * random.integer(1, 40));
        let dims = [inputs, random.integer(3, 13), random.integer(3, 13)];
        let kernel = [random.integer(1, 3), random.integer(1, 3)];
        let mut shape = window(
            kernel,
            [random.integer(1, 3), random.integer(1, 2)],
            [0; 4].map(|_| random.integer(0, 2)),
        );
        if random.integer(0, 3) == 0 {
            shape.dilations = [random.integer(1, 2), random.integer(1, 2)];
        }
        let (mut builder, x) = image_input(dims);
        let name = format!("case {case}: {dims:?} to {outputs} in {groups}, {shape:?}");
        let layer = convolution(&mut random, inputs, outputs, groups, shape);
        let Some(y) = builder.convolution(x, layer) else { continue };
        check(&name, &builder, y, &mut random);
    }
}

#[test]
fn winograd_of_random_shapes_matches_reference() {
    let mut random = Random(9);
    for case in 0..12 {
        let (inputs, outputs) = (random.integer(16, 50), random.integer(16, 50));
        let dims = [inputs, random.integer(9, 19), random.integer(9, 19)];
        let shape = window([3, 3], [1, 1], [0; 4].map(|_| random.integer(0, 2)));
        let (mut builder, x) = image_input(dims);
        // The input has an activation, and a second branch is added to the result.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 }).expect("an activation");
        let name = format!("case {case}: {dims:?} to {outputs}, {shape:?}");
        let layer = convolution(&mut random, inputs, outputs, 1, shape.clone());
        let Some(y) = builder.convolution(x, layer) else { continue };
        let other = convolution(&mut random, inputs, outputs, 1, shape);
        let other = builder.convolution(x, other).expect("matching shapes");
        let y = builder.add(y, other).expect("compatible shapes");
        let y = builder.activate(y, Activation::Relu).expect("an activation");
        check(&name, &builder, y, &mut random);
    }
}

#[test]
fn depthwise_convolutions_of_random_shapes_match_reference() {
    let mut random = Random(2);
    for case in 0..40 {
        let channels = random.integer(2, 70);
        let dims = [channels, random.integer(3, 12), random.integer(3, 12)];
        let shape = window(
            [random.integer(1, 5), random.integer(1, 3)],
            [random.integer(1, 2), random.integer(1, 3)],
            [0; 4].map(|_| random.integer(0, 2)),
        );
        let (mut builder, x) = image_input(dims);
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let layer = convolution(&mut random, channels, channels, channels, shape);
        let Some(y) = builder.convolution(x, layer) else { continue };
        let y =
            builder.activate(y, Activation::Clip { low: 0.0, high: 0.3 }).expect("an activation");
        check(&name, &builder, y, &mut random);
    }
}

#[test]
fn activations_match_reference() {
    let mut random = Random(3);
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
        let (mut builder, x) = image_input([19, 5, 4]);
        let alone = builder.activate(x, activation).expect("an activation");
        check(&format!("{activation:?} alone"), &builder, alone, &mut random);
        let (mut builder, x) = image_input([19, 5, 4]);
        let layer = convolution(&mut random, 19, 21, 1, window([3, 3], [1, 1], [1; 4]));
        let y = builder.convolution(x, layer).expect("a convolution");
        let y = builder.activate(y, activation).expect("an activation");
        check(&format!("{activation:?} after a convolution"), &builder, y, &mut random);
    }
}

#[test]
fn pooling_of_random_shapes_matches_reference() {
    let mut random = Random(4);
    for case in 0..60 {
        let dims = [random.integer(1, 20), random.integer(3, 11), random.integer(3, 11)];
        let kernel = [random.integer(2, 3), random.integer(2, 3)];
        let pads = [0; 4].map(|_| random.integer(0, 1));
        let mut shape = window(kernel, [random.integer(1, 3), random.integer(1, 2)], pads);
        shape.ceil = random.integer(0, 1) == 1;
        let (mut builder, x) = image_input(dims);
        // The input has an activation, so that the gradient of the pooling needs an epilogue.
        let x = builder.activate(x, Activation::Leaky { slope: 0.5 }).expect("an activation");
        let name = format!("case {case}: {dims:?}, {shape:?}");
        let y = match random.integer(0, 2) {
            0 => builder.largest(x, shape),
            1 => builder.window_mean(x, shape, false),
            _ => builder.window_mean(x, shape, true),
        };
        check(&name, &builder, y.expect("a pooling"), &mut random);
    }
}

#[test]
fn max_pool_of_an_empty_window_is_negative_infinity() {
    let (mut builder, x) = image_input([3, 4, 4]);
    let pool = builder.largest(x, window([2, 2], [1, 1], [0, 0, 2, 0])).expect("a pooling");
    let segment = Segment::new(builder, pool);
    let (y, mut tapes) = segment.forward(&[1.0; 48]);
    let &[_, height, width] = segment.output() else { panic!("three axes") };
    let last = &y[(height - 1) * width..height * width];
    assert!(last.iter().all(|&value| value == f32::NEG_INFINITY), "{last:?}");
    let gradient = segment.backward(&vec![1.0; y.len()], &mut tapes);
    assert!(gradient.iter().all(|value| value.is_finite()));
}

#[test]
fn swish_is_fused_from_its_parts() {
    let mut random = Random(6);
    let (mut builder, x) = image_input([18, 3, 3]);
    let layer = convolution(&mut random, 18, 18, 1, window([1, 1], [1, 1], [0; 4]));
    let y = builder.convolution(x, layer).expect("matching shapes");
    let sigmoid = builder.activate(y, Activation::Sigmoid).expect("an activation");
    let y = builder.multiply(y, sigmoid).expect("a swish");
    let ramp = builder
        .activate(y, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })
        .expect("an activation");
    let y = builder.multiply(ramp, y).expect("a hard swish");
    check("two swishes", &builder, y, &mut random);
}
