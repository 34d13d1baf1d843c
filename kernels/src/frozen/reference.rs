//! Reference implementation of segments: plain loops in double precision.

use super::build::{Builder, Convolution, MatMulViews, Node, Normalization, Operation, Value};
use super::window::Window;
use crate::Activation;
use crate::convolution::reference::Sizes;

/// Computes the values of all operations of `builder` for the sample `x`, each as
/// `[channels][height][width]`.
pub fn values(builder: &Builder, x: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::with_capacity(builder.nodes.len());
    for node in &builder.nodes {
        let input = |at: usize| &values[node.inputs[at].0];
        let dims = |at: usize| builder.dims(node.inputs[at]);
        let mut y = vec![0.0; node.dims.iter().product()];
        match &node.operation {
            Operation::Planned => {}
            Operation::Input => y.copy_from_slice(x),
            Operation::Convolution(convolution) => {
                each_product(convolution, dims(0), |out, from, weight| {
                    y[out] += input(0)[from] * weight;
                });
                if let Some(bias) = &convolution.bias {
                    let area = node.dims[1] * node.dims[2];
                    y.iter_mut().enumerate().for_each(|(at, y)| *y += f64::from(bias[at / area]));
                }
            }
            Operation::Activate(activation) => {
                y.iter_mut().zip(input(0)).for_each(|(y, x)| *y = at(*activation, *x).0);
            }
            Operation::Add => {
                y.iter_mut().enumerate().for_each(|(at, y)| *y = input(0)[at] + input(1)[at]);
            }
            Operation::Multiply => {
                let area = y.len() / input(1).len();
                for (at, y) in y.iter_mut().enumerate() {
                    *y = input(0)[at] * input(1)[at / area];
                }
            }
            Operation::MaxPool(window) => {
                let best = argmax(window, input(0), dims(0), node.dims);
                y.iter_mut().zip(best).for_each(|(y, from)| *y = input(0)[from]);
            }
            Operation::MeanPool(window, counts_padding) => {
                for_each_tap(window, *counts_padding, dims(0), node.dims, |out, from, weight| {
                    y[out] += input(0)[from] * weight;
                });
            }
            Operation::SpatialSum(factor) => {
                let area = dims(0)[1] * dims(0)[2];
                let sums = input(0).chunks(area).map(|plane| plane.iter().sum::<f64>());
                y.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum * f64::from(*factor));
            }
            Operation::View => y.copy_from_slice(input(0)),
            Operation::Constant(constant) => {
                y.iter_mut().zip(constant).for_each(|(y, constant)| *y = f64::from(*constant));
            }
            Operation::Softmax => {
                let area = node.dims[1] * node.dims[2];
                for pixel in 0..area {
                    let probabilities = softmax(input(0), pixel, area);
                    probabilities.iter().enumerate().for_each(|(at, p)| y[at * area + pixel] = *p);
                }
            }
            Operation::MatMul(views) => {
                for_each_factor(views, node, builder, |out, left, right| {
                    y[out] += f64::from(views.factor()) * input(0)[left] * input(1)[right];
                });
            }
            Operation::Copy(copies) => {
                for (at, copy) in copies.iter().enumerate() {
                    let from = copy.from.element_offsets(dims(at));
                    for (from, to) in from.into_iter().zip(copy.to.element_offsets(node.dims)) {
                        y[to] = f64::from(copy.from.factor) * input(at)[from];
                    }
                }
            }
            Operation::Normalize(normalization) => {
                let area = node.dims[1] * node.dims[2];
                for pixel in 0..area {
                    let (standard, _) = standardized(input(0), pixel, area, normalization);
                    for (channel, x) in standard.iter().enumerate() {
                        let (scale, shift) =
                            (normalization.scale[channel], normalization.shift[channel]);
                        y[channel * area + pixel] = x * f64::from(scale) + f64::from(shift);
                    }
                }
            }
        }
        values.push(y);
    }
    values
}

/// Computes the gradient with respect to the sample `x` of the sum of `output` times `gradient`.
pub fn gradient(builder: &Builder, output: Value, x: &[f64], gradient: &[f64]) -> Vec<f64> {
    let values = values(builder, x);
    let mut gradients: Vec<Vec<f64>> = values.iter().map(|value| vec![0.0; value.len()]).collect();
    gradients[output.0].copy_from_slice(gradient);
    for (at_node, node) in builder.nodes.iter().enumerate().rev() {
        let g = std::mem::take(&mut gradients[at_node]);
        let dims = |at: usize| builder.dims(node.inputs[at]);
        let first = node.inputs.first().map_or(0, |value| value.0);
        match &node.operation {
            Operation::Planned => {}
            Operation::Input => return g,
            Operation::Convolution(convolution) => {
                each_product(convolution, dims(0), |out, from, weight| {
                    gradients[first][from] += g[out] * weight;
                });
            }
            Operation::Activate(activation) => {
                for (at_value, g) in g.iter().enumerate() {
                    gradients[first][at_value] += g * at(*activation, values[first][at_value]).1;
                }
            }
            Operation::Add => {
                for value in &node.inputs {
                    gradients[value.0].iter_mut().zip(&g).for_each(|(sum, g)| *sum += g);
                }
            }
            Operation::Multiply => {
                let gate = node.inputs[1].0;
                let area = g.len() / values[gate].len();
                for (at, g) in g.iter().enumerate() {
                    gradients[first][at] += g * values[gate][at / area];
                    gradients[gate][at / area] += g * values[first][at];
                }
            }
            Operation::MaxPool(window) => {
                let best = argmax(window, &values[first], dims(0), node.dims);
                g.iter().zip(best).for_each(|(g, from)| gradients[first][from] += g);
            }
            Operation::MeanPool(window, counts_padding) => {
                for_each_tap(window, *counts_padding, dims(0), node.dims, |out, from, weight| {
                    gradients[first][from] += g[out] * weight;
                });
            }
            Operation::SpatialSum(factor) => {
                let area = dims(0)[1] * dims(0)[2];
                for (at, sum) in gradients[first].iter_mut().enumerate() {
                    *sum += g[at / area] * f64::from(*factor);
                }
            }
            Operation::View => {
                gradients[first].iter_mut().zip(&g).for_each(|(sum, g)| *sum += g);
            }
            Operation::Constant(_) => {}
            Operation::Softmax => {
                let area = node.dims[1] * node.dims[2];
                for pixel in 0..area {
                    let probabilities = softmax(&values[first], pixel, area);
                    let at = |channel: usize| channel * area + pixel;
                    let each = probabilities.iter().enumerate();
                    let projection: f64 = each.clone().map(|(channel, p)| g[at(channel)] * p).sum();
                    each.for_each(|(channel, p)| {
                        gradients[first][at(channel)] += p * (g[at(channel)] - projection);
                    });
                }
            }
            Operation::MatMul(views) => {
                let second = node.inputs[1].0;
                let factor = f64::from(views.factor());
                for_each_factor(views, node, builder, |out, left, right| {
                    gradients[first][left] += factor * g[out] * values[second][right];
                    gradients[second][right] += factor * g[out] * values[first][left];
                });
            }
            Operation::Copy(copies) => {
                for (at, copy) in copies.iter().enumerate() {
                    let from = copy.from.element_offsets(dims(at));
                    for (from, to) in from.into_iter().zip(copy.to.element_offsets(node.dims)) {
                        gradients[node.inputs[at].0][from] += f64::from(copy.from.factor) * g[to];
                    }
                }
            }
            Operation::Normalize(normalization) => {
                let area = node.dims[1] * node.dims[2];
                for pixel in 0..area {
                    let (standard, factor) =
                        standardized(&values[first], pixel, area, normalization);
                    let scaled = |channel: usize| {
                        g[channel * area + pixel] * f64::from(normalization.scale[channel])
                    };
                    let count = standard.len() as f64;
                    let channels = || (0..standard.len()).map(scaled);
                    let mean =
                        if normalization.centred { channels().sum::<f64>() / count } else { 0.0 };
                    let projection =
                        channels().zip(&standard).map(|(g, x)| g * x).sum::<f64>() / count;
                    for (channel, x) in standard.iter().enumerate() {
                        gradients[first][channel * area + pixel] +=
                            factor * (scaled(channel) - mean - x * projection);
                    }
                }
            }
        }
    }
    Vec::new()
}

/// The standardized channels of a pixel (mean 0, variance 1), and the factor `1 / sqrt(variance + epsilon)`.
fn standardized(
    values: &[f64],
    pixel: usize,
    area: usize,
    normalization: &Normalization,
) -> (Vec<f64>, f64) {
    let channels: Vec<f64> = values.iter().skip(pixel).step_by(area).copied().collect();
    let count = channels.len() as f64;
    let mean = if normalization.centred { channels.iter().sum::<f64>() / count } else { 0.0 };
    let variance = channels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (variance + f64::from(normalization.epsilon)).sqrt();
    (channels.iter().map(|x| (x - mean) * factor).collect(), factor)
}

/// The softmax over the channels of a pixel.
fn softmax(values: &[f64], pixel: usize, area: usize) -> Vec<f64> {
    let channels: Vec<f64> = values.iter().skip(pixel).step_by(area).copied().collect();
    let largest = channels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = channels.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Calls `each` for every term of a matrix product with the offsets of the result and of the two factors.
fn for_each_factor(
    views: &MatMulViews,
    node: &Node,
    builder: &Builder,
    mut each: impl FnMut(usize, usize, usize),
) {
    let [rows, inner, columns] = views.sizes;
    let result = node.view.element_offsets(node.dims);
    let left = views.left.element_offsets(builder.dims(node.inputs[0]));
    let right = views.right.element_offsets(builder.dims(node.inputs[1]));
    for (at, out) in result.into_iter().enumerate() {
        let (matrix, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
        for k in 0..inner {
            each(
                out,
                left[(matrix * rows + row) * inner + k],
                right[(matrix * inner + k) * columns + column],
            );
        }
    }
}

/// Returns the value and the derivative of an activation at `x`.
pub fn at(activation: Activation, x: f64) -> (f64, f64) {
    let one = |inside: bool| if inside { 1.0 } else { 0.0 };
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Identity => (x, 1.0),
        Activation::Relu => (x.max(0.0), one(x > 0.0)),
        Activation::Clip { low, high } => {
            let (low, high) = (f64::from(low), f64::from(high));
            (x.clamp(low, high), one((low..=high).contains(&x)))
        }
        Activation::Leaky { slope } if x <= 0.0 => (x * f64::from(slope), f64::from(slope)),
        Activation::Leaky { .. } => (x, 1.0),
        Activation::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
        Activation::Swish { alpha } => {
            let alpha = f64::from(alpha);
            let s = 1.0 / (1.0 + (-alpha * x).exp());
            (x * s, s + alpha * x * s * (1.0 - s))
        }
        Activation::Reciprocal => (1.0 / x, -1.0 / (x * x)),
        Activation::Root => (x.sqrt(), 0.5 / x.sqrt()),
        Activation::Length if x == 0.0 => (0.0, 0.0),
        Activation::Length => (x.sqrt(), 0.5 / x.sqrt()),
        Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Activation::GeluTanh => {
            let (root, cubic) = ((2.0 / std::f64::consts::PI).sqrt(), 0.044_715);
            let t = (root * (x + cubic * x.powi(3))).tanh();
            let slope = root * (1.0 + 3.0 * cubic * x * x);
            (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
        }
        Activation::HardSigmoid { alpha, beta } => {
            let line = f64::from(alpha) * x + f64::from(beta);
            (line.clamp(0.0, 1.0), f64::from(alpha) * one((0.0..=1.0).contains(&line)))
        }
        Activation::HardSwish => {
            let line = x / 6.0 + 0.5;
            let ramp = line.clamp(0.0, 1.0);
            (x * ramp, ramp + one((0.0..=1.0).contains(&line)) * x / 6.0)
        }
        Activation::Gelu => {
            let below = 0.5 * statrs::function::erf::erfc(-x / std::f64::consts::SQRT_2);
            let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            (x * below, below + x * density)
        }
        Activation::FakeQuantize { scale, unit, zero, low, high } => {
            let [scale, unit, zero, low, high] = [scale, unit, zero, low, high].map(f64::from);
            let level = (x / scale).round_ties_even() + zero;
            let slope = unit / scale * one((low..=high).contains(&level));
            (unit * (level.clamp(low, high) - zero), slope)
        }
    }
}

/// The input position that `tap` of output `at` reads along `axis`, if it lies inside an input of `size`.
fn input_position(
    window: &Window,
    axis: usize,
    at: usize,
    tap: usize,
    size: usize,
) -> Option<usize> {
    let position = at * window.strides[axis] + tap * window.dilations[axis];
    position.checked_sub(window.begin[axis]).filter(|&position| position < size)
}

/// Calls `each` for every term of a convolution with the offsets of the output and the input, and the weight.
fn each_product(
    convolution: &Convolution,
    [channels, height, width]: [usize; 3],
    mut each: impl FnMut(usize, usize, f64),
) {
    let Convolution { window, weights, outputs, groups, .. } = convolution;
    let weights = weights.read();
    let sizes = Sizes {
        input: [1, channels, height, width],
        weights: [*outputs, channels / groups, window.kernel[0], window.kernel[1]],
        groups: *groups,
        strides: window.strides,
        dilations: window.dilations,
        padding: [0, 1].map(|axis| (window.begin[axis], window.end[axis])),
    };
    sizes.each_product(|out, from, index| each(out, from, f64::from(weights[index])));
}

/// Calls `each` for every tap of a pooling inside the input with the offsets of the output and the input, and
/// the reciprocal of the number of taps that count.
fn for_each_tap(
    window: &Window,
    counts_padding: bool,
    [channels, height, width]: [usize; 3],
    [_, rows, columns]: [usize; 3],
    mut each: impl FnMut(usize, usize, f64),
) {
    let counted = |axis: usize, at: usize, size: usize| {
        let taps = (0..window.kernel[axis]).filter(|&tap| match counts_padding {
            true => {
                let end = size + window.begin[axis] + window.end[axis];
                at * window.strides[axis] + tap < end
            }
            false => input_position(window, axis, at, tap, size).is_some(),
        });
        taps.count() as f64
    };
    for (channel, y, x) in (0..channels)
        .flat_map(|channel| (0..rows).map(move |y| (channel, y)))
        .flat_map(|(channel, y)| (0..columns).map(move |x| (channel, y, x)))
    {
        let weight = 1.0 / (counted(0, y, height) * counted(1, x, width));
        for (i, j) in (0..window.kernel[0]).flat_map(|i| (0..window.kernel[1]).map(move |j| (i, j)))
        {
            if let (Some(from_y), Some(from_x)) =
                (input_position(window, 0, y, i, height), input_position(window, 1, x, j, width))
            {
                let out = (channel * rows + y) * columns + x;
                each(out, (channel * height + from_y) * width + from_x, weight);
            }
        }
    }
}

/// The offset of the maximum of each window; the first one if several are equal.
fn argmax(window: &Window, values: &[f64], dims: [usize; 3], out: [usize; 3]) -> Vec<usize> {
    let mut best = vec![usize::MAX; out.iter().product()];
    for_each_tap(window, false, dims, out, |at, from, _| {
        if best[at] == usize::MAX || values[from] > values[best[at]] {
            best[at] = from;
        }
    });
    best
}
