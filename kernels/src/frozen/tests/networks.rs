//! Tests of blocks of networks.

use super::super::build::{Builder, Normalization};
use super::super::window::Window;
use super::check::{Random, check, convolution, image_input, window};
use crate::Activation;

/// A residual network with branches that are joined in every way.
#[test]
fn residual_branches_match_reference() {
    let mut random = Random(5);
    let (mut builder, input) = image_input([3, 17, 15]);
    let conv = |builder: &mut Builder, random: &mut Random, x, outputs, kernel: usize, stride| {
        let inputs = builder.dims(x)[0];
        let pad = kernel / 2;
        let shape = window([kernel; 2], [stride; 2], [pad; 4]);
        builder
            .convolution(x, convolution(random, inputs, outputs, 1, shape))
            .expect("matching shapes")
    };
    let stem = conv(&mut builder, &mut random, input, 20, 7, 2);
    let stem = builder.activate(stem, Activation::Relu).expect("an activation");
    let stem = builder.largest(stem, window([3, 3], [2, 2], [1; 4])).expect("a pooling");
    let main = conv(&mut builder, &mut random, stem, 12, 1, 1);
    let main = builder.activate(main, Activation::Relu).expect("an activation");
    let main = conv(&mut builder, &mut random, main, 20, 3, 1);
    let sum = builder.add(main, stem).expect("compatible shapes");
    let block = builder.activate(sum, Activation::Relu).expect("an activation");
    // A shortcut that is computed after the main path, and a branch that is read three times.
    let main = conv(&mut builder, &mut random, block, 33, 3, 2);
    let main = builder.activate(main, Activation::Swish { alpha: 1.0 }).expect("an activation");
    let main = conv(&mut builder, &mut random, main, 33, 3, 1);
    let shortcut = conv(&mut builder, &mut random, block, 33, 1, 2);
    let sum = builder.add(main, shortcut).expect("compatible shapes");
    let squeezed = builder.mean(sum, &[2, 3]).expect("a mean");
    let gate = conv(&mut builder, &mut random, squeezed, 9, 1, 1);
    let gate = builder.activate(gate, Activation::Relu).expect("an activation");
    let gate = conv(&mut builder, &mut random, gate, 33, 1, 1);
    let gate = builder.activate(gate, Activation::Sigmoid).expect("an activation");
    let gated = builder.multiply(sum, gate).expect("a gate");
    let again = builder.add(gated, sum).expect("compatible shapes");
    let twice = builder.add(again, again).expect("compatible shapes");
    let branch = conv(&mut builder, &mut random, twice, 5, 1, 1);
    let joined = builder.concat(&[branch, twice, branch], 1).expect("compatible shapes");
    let pooled =
        builder.window_mean(joined, window([2, 2], [1, 1], [0; 4]), true).expect("a pooling");
    check("the block", &builder, block, &mut random);
    check("the gated sum", &builder, again, &mut random);
    check("the complete network", &builder, pooled, &mut random);
    let flat = builder.mean(pooled, &[2, 3]).expect("a mean");
    check("the mean of the complete network", &builder, flat, &mut random);
}

/// Single pixels with a halo: a mean that a padded convolution reads, a gate computed by a padded
/// convolution, and a gate that a padded convolution reads.
#[test]
fn single_pixels_with_a_halo_match_reference() {
    let mut random = Random(8);
    let (mut builder, x) = image_input([18, 6, 5]);
    let layer = convolution(&mut random, 18, 18, 1, Window::pixel());
    let x = builder.convolution(x, layer).expect("matching shapes");
    let around = || window([3, 3], [1, 1], [1; 4]);
    let mean = builder.mean(x, &[2, 3]).expect("a mean");
    let layer = convolution(&mut random, 18, 18, 1, around());
    let gate = builder.convolution(mean, layer).expect("matching shapes");
    check("a padded convolution of a mean", &builder, gate, &mut random);
    let gate = builder.activate(gate, Activation::Sigmoid).expect("an activation");
    let gated = builder.multiply(x, gate).expect("a gate");
    check("a gate of a padded convolution", &builder, gated, &mut random);
    let layer = convolution(&mut random, 18, 18, 1, around());
    let other = builder.convolution(gate, layer).expect("matching shapes");
    let gated = builder.multiply(gated, other).expect("a gate");
    check("a gate that a padded convolution reads", &builder, gated, &mut random);
}

/// A ConvNeXt block, whose linear layers have the channels as the last axis.
#[test]
fn convnext_block_matches_reference() {
    let mut random = Random(7);
    for channels in [32, 19] {
        let (mut builder, input) = image_input([3, 16, 12]);
        let patches = window([4, 4], [4, 4], [0; 4]);
        let layer = convolution(&mut random, 3, channels, 1, patches);
        let stem = builder.convolution(input, layer).expect("matching shapes");
        let normalize = |builder: &mut Builder, random: &mut Random, x| {
            let (scale, shift) = (random.floats(channels), random.floats(channels));
            let normalization =
                Normalization { scale, shift, epsilon: 1e-3, centred: channels % 2 == 0 };
            builder.normalize(x, normalization).expect("matching shapes")
        };
        let permuted = builder.permute(stem, &[0, 2, 3, 1]).expect("valid axes");
        let normal = normalize(&mut builder, &mut random, permuted);
        let stem = builder.permute(normal, &[0, 3, 1, 2]).expect("valid axes");
        let shape = window([7, 7], [1, 1], [3; 4]);
        let layer = convolution(&mut random, channels, channels, channels, shape);
        let x = builder.convolution(stem, layer).expect("matching shapes");
        let x = builder.permute(x, &[0, 2, 3, 1]).expect("valid axes");
        assert_eq!(builder.shape(x), [1, 4, 3, channels]);
        let x = normalize(&mut builder, &mut random, x);
        let layer = convolution(&mut random, channels, 4 * channels, 1, Window::pixel());
        let x = builder.linear(x, layer).expect("matching shapes");
        let x = builder.activate(x, Activation::Gelu).expect("an activation");
        let layer = convolution(&mut random, 4 * channels, channels, 1, Window::pixel());
        let x = builder.linear(x, layer).expect("matching shapes");
        let x = builder.permute(x, &[0, 3, 1, 2]).expect("valid axes");
        // The layer scale.
        let layer = convolution(&mut random, channels, channels, channels, Window::pixel());
        let x = builder.convolution(x, layer).expect("matching shapes");
        let x = builder.add(x, stem).expect("compatible shapes");
        check(&format!("a block of {channels} channels"), &builder, x, &mut random);
    }
}

/// Attention as exporters write it: one linear layer for queries, keys and values, split into heads by
/// reshaping.
#[test]
fn attention_matches_reference() {
    let mut random = Random(11);
    for (tokens, heads, size) in [(7, 2, 3), (37, 2, 16), (50, 1, 35), (1, 3, 8), (18, 3, 1)] {
        let channels = heads * size;
        let (mut builder, x) = Builder::new(&[1, tokens, channels]).expect("tokens");
        let constant = random.floats(tokens * channels);
        let x = builder.add_constant(x, &constant, &[tokens, channels]).expect("matching shapes");
        let layer = convolution(&mut random, channels, 3 * channels, 1, Window::pixel());
        let all = builder.linear(x, layer).expect("matching shapes");
        let split = builder.reshape(all, &[1, tokens, 3, heads, size]).expect("valid axes");
        let split = builder.permute(split, &[2, 0, 3, 1, 4]).expect("valid axes");
        let part = |builder: &mut Builder, at: usize| {
            let part = builder.slice(split, 0, [at, 1, 1]).expect("a part");
            builder.reshape(part, &[1, heads, tokens, size]).expect("a part")
        };
        let [queries, keys, values] = [0, 1, 2].map(|at| part(&mut builder, at));
        let queries = builder.scale(queries, 0.7).expect("a view");
        let keys = builder.permute(keys, &[0, 1, 3, 2]).expect("valid axes");
        let scores = builder.product(queries, keys).expect("compatible shapes");
        let constant = random.floats(heads * tokens);
        let scores =
            builder.add_constant(scores, &constant, &[heads, 1, tokens]).expect("matching shapes");
        let weights = builder.softmax(scores).expect("a last axis");
        check(&format!("weights of {tokens} tokens"), &builder, weights, &mut random);
        let mixed = builder.product(weights, values).expect("compatible shapes");
        let mixed = builder.permute(mixed, &[0, 2, 1, 3]).expect("valid axes");
        let mixed = builder.reshape(mixed, &[1, tokens, channels]).expect("valid axes");
        let layer = convolution(&mut random, channels, channels, 1, Window::pixel());
        let mixed = builder.linear(mixed, layer).expect("matching shapes");
        let x = builder.add(mixed, x).expect("compatible shapes");
        check(&format!("attention of {tokens} tokens"), &builder, x, &mut random);
        let one = builder.slice(x, 1, [tokens - 1, 1, 1]).expect("a token");
        let one = builder.reshape(one, &[1, channels]).expect("valid axes");
        check(&format!("the last of {tokens} tokens"), &builder, one, &mut random);
        let mean = builder.mean(x, &[1]).expect("a mean");
        assert_eq!(builder.shape(mean), [1, 1, channels]);
        check(&format!("the mean of {tokens} tokens"), &builder, mean, &mut random);
    }
}

/// Alternating layers over tokens and over channels, as in MLP-Mixer, and images made of tokens.
#[test]
fn mixer_layers_match_reference() {
    let mut random = Random(13);
    let (mut builder, input) = image_input([3, 12, 8]);
    let layer = convolution(&mut random, 3, 20, 1, window([4, 4], [4, 4], [0; 4]));
    let stem = builder.convolution(input, layer).expect("matching shapes");
    let tokens = builder.reshape(stem, &[1, 20, 6]).expect("valid axes");
    let layer = convolution(&mut random, 6, 6, 1, Window::pixel());
    let mixed = builder.linear(tokens, layer).expect("matching shapes");
    let mixed = builder.activate(mixed, Activation::Gelu).expect("an activation");
    let sum = builder.add(mixed, tokens).expect("compatible shapes");
    let permuted = builder.permute(sum, &[0, 2, 1]).expect("valid axes");
    let layer = convolution(&mut random, 20, 22, 1, Window::pixel());
    let wide = builder.linear(permuted, layer).expect("matching shapes");
    check("layers over tokens and channels", &builder, wide, &mut random);
    let back = builder.permute(wide, &[0, 2, 1]).expect("valid axes");
    let back = builder.reshape(back, &[1, 22, 3, 2]).expect("valid axes");
    let layer = convolution(&mut random, 22, 9, 1, window([3, 3], [1, 1], [1; 4]));
    let image = builder.convolution(back, layer).expect("matching shapes");
    check("an image made of tokens", &builder, image, &mut random);
    let half = builder.slice(image, 1, [3, 5, 1]).expect("channels");
    let half = builder.activate(half, Activation::Relu).expect("an activation");
    check("a slice of the channels", &builder, half, &mut random);
    let both = builder.concat(&[half, back], 1).expect("compatible shapes");
    check("concatenated channels", &builder, both, &mut random);
    let token = random.floats(22);
    let token = builder.constant(&token, &[1, 1, 22]).expect("a token");
    let tokens = builder.concat(&[token, wide], 1).expect("compatible shapes");
    assert_eq!(builder.shape(tokens), [1, 7, 22]);
    check("a prepended token", &builder, tokens, &mut random);
    let padded = builder.pad(both, &[(0, 0), (0, 2), (1, 0), (3, 1)]).expect("zero padding");
    assert_eq!(builder.shape(padded), [1, 29, 4, 6]);
    check("zero padding", &builder, padded, &mut random);
    let [lower, upper] = [(1, 2), (0, 1)]
        .map(|(from, count)| builder.slice(back, 2, [from, count, 1]).expect("rows"));
    let rolled = builder.concat(&[lower, upper], 2).expect("rows");
    check("rolled rows", &builder, rolled, &mut random);
    assert!(builder.concat(&[lower, back], 1).is_none() && builder.concat(&[back], 0).is_none());
    assert!(builder.pad(back, &[(0, 1), (0, 0), (0, 0), (0, 0)]).is_none(), "padding of the batch");
}
