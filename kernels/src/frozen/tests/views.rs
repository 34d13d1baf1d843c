//! Tests of operations on views: permuted, sliced, broadcast and batched tensors.

use super::super::build::Builder;
use super::super::segment::Segment;
use super::check::{Random, check, convolution, image_input, window};
use crate::Activation;

#[test]
fn images_in_different_layouts_are_added_as_tensors() {
    let mut random = Random(10);
    let (mut builder, x) = image_input([8, 8, 8]);
    let permuted = builder.permute(x, &[0, 2, 3, 1]).expect("valid axes");
    let sum = builder.add(x, permuted).expect("compatible shapes");
    check("an image and its permutation", &builder, sum, &mut random);
    let other = builder.permute(x, &[0, 3, 2, 1]).expect("valid axes");
    let sum = builder.add(permuted, other).expect("compatible shapes");
    check("two permuted images", &builder, sum, &mut random);
    let (mut builder, x) = image_input([8, 7, 8]);
    let permuted = builder.permute(x, &[0, 2, 3, 1]).expect("valid axes");
    assert!(builder.add(x, permuted).is_none());
}

/// Matrix products of views with their axes in any order.
#[test]
fn matrix_products_of_any_views_match_reference() {
    let mut random = Random(12);
    for case in 0..40 {
        let [groups, rows, inner, columns] = [0; 4].map(|_| random.integer(1, 40));
        let groups = groups.div_ceil(10);
        // Both operands are slices of one image.
        let (a, b) = (groups * rows * inner, groups * inner * columns);
        let name = format!("case {case}: {groups} times {rows} by {inner} by {columns}");
        let (mut builder, x) = Builder::new(&[1, 1, a + b]).expect("a valid range");
        let mut matrix = |builder: &mut Builder, start: usize, rows: usize, columns: usize| {
            let mut sizes = [groups, rows, columns];
            let mut order = [0, 1, 2];
            for at in 0..3 {
                order.swap(at, random.integer(at, 2));
            }
            let mut back = [0, 1, 2, 3];
            let old = sizes;
            for (to, &from) in order.iter().enumerate() {
                sizes[to] = old[from];
                back[from + 1] = to + 1;
            }
            let matrix =
                builder.slice(x, 2, [start, groups * rows * columns, 1]).expect("a valid range");
            let matrix =
                builder.reshape(matrix, &[1, sizes[0], sizes[1], sizes[2]]).expect("valid axes");
            builder.permute(matrix, &back).expect("valid axes")
        };
        let left = matrix(&mut builder, 0, rows, inner);
        let right = matrix(&mut builder, a, inner, columns);
        let y = builder.product(left, right).expect("compatible shapes");
        assert_eq!(builder.shape(y), [1, groups, rows, columns]);
        check(&name, &builder, y, &mut random);
    }
}

/// The two samples of a batch are not mixed.
#[test]
fn batch_of_two_samples_stays_separate() {
    let (mut builder, x) = Builder::new(&[2, 5, 8]).expect("tokens");
    let split = builder.reshape(x, &[2, 5, 2, 4]).expect("valid axes");
    let heads = builder.permute(split, &[0, 2, 1, 3]).expect("valid axes");
    let keys = builder.permute(heads, &[0, 1, 3, 2]).expect("valid axes");
    let scores = builder.product(heads, keys).expect("compatible shapes");
    assert_eq!(builder.shape(scores), [2, 2, 5, 5]);
    assert!(builder.begins_with_batch(scores));
    let merged = builder.reshape(heads, &[4, 5, 4]).expect("valid axes");
    assert!(!builder.begins_with_batch(merged));
    let permuted = builder.permute(merged, &[0, 2, 1]).expect("valid axes");
    let product = builder.product(merged, permuted).expect("compatible shapes");
    assert_eq!(builder.shape(product), [4, 5, 5]);
    assert!(!builder.begins_with_batch(product));
    let apart = builder.reshape(product, &[2, 2, 5, 5]).expect("valid axes");
    assert!(builder.begins_with_batch(apart));
    let scores = builder.add(scores, apart).expect("compatible shapes");
    let segment = Segment::new(builder, scores);
    assert_eq!((segment.input(), segment.output()), (&[5, 8][..], &[2, 5, 5][..]));
    let x: Vec<f32> = (0..80).map(|at| (at as f32).sin()).collect();
    let (y, _) = segment.forward(&x);
    let expected: f32 = (0..4).map(|k| x[40 + 8 + 4 + k] * x[40 + 16 + 4 + k]).sum();
    assert!((y[50 + 25 + 5 + 2] - 2.0 * expected).abs() < 1e-5);
}

/// Broadcast arithmetic, and sums over any axes.
#[test]
fn broadcast_arithmetic_and_reductions_match_reference() {
    let mut random = Random(14);
    let (mut builder, input) = image_input([6, 5, 4]);
    let layer = convolution(&mut random, 6, 18, 1, window([3, 3], [1, 1], [1; 4]));
    let x = builder.convolution(input, layer).expect("matching shapes");
    let tokens = builder.reshape(x, &[1, 3, 6, 20]).expect("valid axes");
    let tokens = builder.permute(tokens, &[0, 1, 3, 2]).expect("valid axes");
    assert_eq!(builder.shape(tokens), [1, 3, 20, 6]);
    for axes in [&[1][..], &[2], &[3], &[1, 3], &[2, 3], &[1, 2, 3]] {
        let mean = builder.mean(tokens, axes).expect("a mean");
        check(&format!("a mean along {axes:?}"), &builder, mean, &mut random);
        let less = builder.scale(mean, -1.0).expect("a scale");
        let centred = builder.add(tokens, less).expect("compatible shapes");
        check(&format!("a difference along {axes:?}"), &builder, centred, &mut random);
        let gated = builder.multiply(mean, tokens).expect("compatible shapes");
        check(&format!("a product along {axes:?}"), &builder, gated, &mut random);
    }
    let squares = builder.multiply(tokens, tokens).expect("compatible shapes");
    let squares = builder.sum(squares, &[3], 1.0).expect("a sum");
    let shifted = builder.add_constant(squares, &[1.0], &[]).expect("a number");
    let length = builder.activate(shifted, Activation::Root).expect("an activation");
    let inverse = builder.activate(length, Activation::Reciprocal).expect("an activation");
    let units = builder.multiply(tokens, inverse).expect("compatible shapes");
    check("vectors of length 1", &builder, units, &mut random);
    let values = random.floats(60);
    let weighted = builder.multiply_constant(units, &values, &[3, 20, 1]).expect("a valid range");
    check("weighted vectors", &builder, weighted, &mut random);
    let other = builder.slice(tokens, 1, [1, 1, 1]).expect("a head");
    let permuted = builder.permute(other, &[0, 1, 3, 2]).expect("valid axes");
    let scores = builder.product(tokens, permuted).expect("compatible shapes");
    assert_eq!(builder.shape(scores), [1, 3, 20, 20]);
    check("one head broadcast to all", &builder, scores, &mut random);
    let spread = builder.expand(permuted, &[1, 2, 6, 20]).expect("valid axes");
    let both = builder.concat(&[spread, permuted], 1).expect("heads");
    check("a head broadcast to two and concatenated", &builder, both, &mut random);
    let even = builder.slice(x, 2, [1, 2, 2]).expect("every other row");
    let even = builder.slice(even, 3, [0, 2, 2]).expect("every other column");
    assert_eq!(builder.shape(even), [1, 18, 2, 2]);
    let even = builder.activate(even, Activation::Tanh).expect("an activation");
    check("every other pixel", &builder, even, &mut random);
    let (scale, shift) = (random.floats(20), random.floats(20));
    let affine = builder.affine(tokens, 2, scale, shift).expect("a scale for each token");
    assert_eq!(builder.shape(affine), [1, 3, 20, 6]);
    let affine = builder.activate(affine, Activation::GeluTanh).expect("an activation");
    check("a scale for each token", &builder, affine, &mut random);
    let few = builder.slice(tokens, 2, [0, 11, 1]).expect("parts of rows");
    let few = builder.reshape(few, &[1, 33, 6]).expect("valid axes");
    let few = builder.activate(few, Activation::Swish { alpha: 1.702 }).expect("an activation");
    check("parts of rows", &builder, few, &mut random);
    let merged = builder.reshape(tokens, &[3, 20, 6]).expect("valid axes");
    let mean = builder.mean(merged, &[1]).expect("a mean");
    assert_eq!(builder.shape(mean), [3, 1, 6]);
    let centred = builder.multiply(merged, mean).expect("compatible shapes");
    let centred = builder.reshape(centred, &[1, 60, 6]).expect("valid axes");
    check("a mean of each head", &builder, centred, &mut random);
    let matrix = builder.constant(&random.floats(42), &[1, 6, 7]).expect("a matrix");
    let matrix = builder.reshape(matrix, &[1, 1, 6, 7]).expect("valid axes");
    let product = builder.product(tokens, matrix).expect("compatible shapes");
    check("a product with a constant", &builder, product, &mut random);
    assert!(builder.sum(tokens, &[0], 1.0).is_none(), "a reduction over the batch");
    assert!(builder.add(tokens, scores).is_none() && builder.expand(tokens, &[6]).is_none());
}

/// Tensors without axes or elements, and operations that would combine samples.
#[test]
fn unsupported_shapes_are_refused() {
    let (mut builder, x) = Builder::new(&[1, 1, 1]).expect("a number");
    let number = builder.reshape(x, &[]).expect("no axes");
    assert!(!builder.begins_with_batch(number));
    assert!(Builder::new(&[1, 0, 4]).is_none() && Builder::new(&[]).is_none());
    assert!(builder.expand(x, &[1, 0, 1]).is_none());
    let (mut builder, x) = Builder::new(&[2, 3, 4]).expect("vectors");
    let permuted = builder.permute(x, &[2, 1, 0]).expect("valid axes");
    assert!(builder.softmax(permuted).is_none(), "a reduction over the batch");
    let (mut builder, x) = Builder::new(&[2, 2, 5, 4]).expect("heads");
    let permuted = builder.permute(x, &[1, 0, 2, 3]).expect("valid axes");
    let merged = builder.reshape(permuted, &[4, 5, 4]).expect("valid axes");
    let other = builder.permute(merged, &[0, 2, 1]).expect("valid axes");
    assert!(builder.product(merged, other).is_none(), "the batch is not the first leading axis");
}
