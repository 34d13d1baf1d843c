//! Which operations are computed as one.

use std::sync::Arc;

use super::super::build::{Builder, Convolution, Normalization, Operation, Value, Weights};
use super::super::depthwise::Taps;
use super::super::finish::Kept;
use super::super::image::{Image, LANES};
use super::super::pack::{Kernel, Packed, Shape, Window};
use super::super::segment::{Record, TapeSize};
use super::super::tile::Level;
use super::{Kind, Unit};
use crate::Activation;

/// The units that `output` needs, in order.
pub fn units(builder: &mut Builder, output: Value, level: Level, tape: &mut TapeSize) -> Vec<Unit> {
    let output = builder.root(output);
    let inputs_of: Vec<Vec<Value>> = builder
        .nodes
        .iter()
        .map(|node| node.inputs.iter().map(|&value| builder.root(value)).collect())
        .collect();
    let mut needed = vec![false; builder.nodes.len()];
    needed[output.0] = true;
    let mut readers: Vec<Vec<Value>> = vec![Vec::new(); builder.nodes.len()];
    for at in (0..builder.nodes.len()).rev().filter(|&at| at <= output.0) {
        if needed[at] {
            for &input in &inputs_of[at] {
                needed[input.0] = true;
                readers[input.0].push(Value(at));
            }
        }
    }
    // The one reader of a value that is not the output.
    let reader = |value: Value| match readers[value.0][..] {
        [reader] if value != output => Some(reader),
        _ => None,
    };
    let mut part_of_another = vec![false; builder.nodes.len()];
    let mut units = Vec::new();
    for at in 1..=output.0 {
        let constant = matches!(builder.nodes[at].operation, Operation::Constant(_));
        if !needed[at] || part_of_another[at] || constant {
            continue;
        }
        let dims = builder.nodes[at].dims;
        let operation = std::mem::replace(&mut builder.nodes[at].operation, Operation::Planned);
        let inputs = inputs_of[at].clone();
        let mut made = Value(at);
        let mut added = None;
        let mut activation = Activation::Identity;
        let (kind, inputs) = match operation {
            Operation::Input | Operation::View | Operation::Constant(_) | Operation::Planned => {
                continue;
            }
            Operation::Activate(own) => {
                activation = own;
                (Kind::Sum, inputs)
            }
            Operation::Add => (Kind::Sum, inputs),
            Operation::Multiply => (Kind::Multiply, inputs),
            Operation::Convolution(mut convolution) => {
                let mut weights = convolution.weights.read().into_owned();
                // Of a sum that is exact, what scales it behind the sum.
                let mut factors: Option<Vec<f32>> = None;
                convolution.weights = Weights::Given(Vec::new());
                while let Some(next) = reader(made)
                    && let Operation::Convolution(scale) = &builder.nodes[next.0].operation
                    && scale.window == Window::pixel()
                    && scale.groups == convolution.outputs
                    && scale.outputs == convolution.outputs
                    && !(convolution.exact && shifts(scale))
                {
                    match convolution.exact {
                        true => multiply(&mut factors, &scale.weights.read()),
                        false => scaled(&mut weights, &mut convolution, scale),
                    }
                    made = next;
                    part_of_another[next.0] = true;
                }
                if let Some(sum) = reader(made)
                    && let Operation::Add = builder.nodes[sum.0].operation
                    && let Some(other) = inputs_of[sum.0].iter().find(|&&v| v != made)
                    && other.0 < at
                {
                    (added, made) = (Some(*other), sum);
                    part_of_another[sum.0] = true;
                }
                let channels = builder.dims(inputs[0])[0];
                let shape = Shape {
                    outputs: convolution.outputs,
                    inputs: channels,
                    groups: convolution.groups,
                    window: convolution.window.clone(),
                };
                let kernel = Kernel { weights: &weights, shape: &shape };
                let whole = factors.as_ref().map(|factors| multiplied(&weights, factors));
                let of_gradient =
                    Kernel { weights: whole.as_ref().unwrap_or(&weights), shape: &shape };
                let scale = filled_up(factors.unwrap_or_default());
                let bias = filled_up(convolution.bias.take().unwrap_or_default());
                let each = convolution.groups == channels && convolution.outputs == channels;
                let kind = match each {
                    true => Kind::Depthwise {
                        forward: Taps::forward(&kernel).into(),
                        backward: Taps::backward(&of_gradient).into(),
                        bias,
                        scale,
                    },
                    false => {
                        let input = inputs == [Value(0)] && builder.is_planes(Value(0));
                        let alone = readers[0].len() == 1 && input;
                        let side = side(&shape).filter(|_| alone);
                        let mut forward = Packed::forward(&kernel, level);
                        forward.exact = convolution.exact;
                        let forward = Arc::new(forward);
                        let source = match whole {
                            Some(_) => Arc::new(Packed::forward(&of_gradient, level)),
                            None => Arc::clone(&forward),
                        };
                        let backward = match side {
                            Some(side) => Packed::backward_squares(&source, &shape, level, side),
                            None => Packed::backward(&source, &shape, level),
                        };
                        Kind::Convolution {
                            forward,
                            backward: backward.into(),
                            bias,
                            scale,
                            side: side.unwrap_or(1),
                        }
                    }
                };
                (kind, inputs)
            }
            Operation::Largest(window) => {
                let bytes = tape.bytes;
                tape.bytes += Image::new(dims, 0).area();
                (Kind::Largest { window, bytes }, inputs)
            }
            Operation::Mean(window, counts_padding) => {
                let kind = Kind::Mean { window, counts_padding };
                (kind, inputs)
            }
            Operation::Normalize(own) => {
                let own = Normalization {
                    scale: filled_up(own.scale),
                    shift: filled_up(own.shift),
                    centred: own.centred,
                    epsilon: own.epsilon,
                };
                let kept = tape.floats;
                tape.floats += Image::new(dims, 0).area() + dims[1] * dims[2];
                (Kind::Normalize { own: own.into(), kept }, inputs)
            }
            Operation::Total(factor) => (Kind::Total(factor), inputs),
            Operation::Softmax => (Kind::Softmax, inputs),
            Operation::Product(own) => (Kind::Product(own), inputs),
            Operation::Arrange(own) => (Kind::Arrange(own), inputs),
        };
        let takes_activation = matches!(
            kind,
            Kind::Convolution { .. } | Kind::Depthwise { .. } | Kind::Sum | Kind::Multiply
        );
        if let Some(next) = reader(made)
            && let Operation::Activate(own) = builder.nodes[next.0].operation
            && takes_activation
            && activation == Activation::Identity
        {
            (activation, made) = (own, next);
            part_of_another[next.0] = true;
        }
        let record = record(activation, builder.dims(made), tape);
        units.push(Unit { kind, inputs, added, activation, output: made, record });
    }
    units
}

/// Numbers of channels, zeros behind them up to whole lanes.
fn filled_up(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(values.len().next_multiple_of(LANES), 0.0);
    values
}

/// Makes a scale and a shift of every output part of the convolution in front of them.
fn scaled(weights: &mut [f32], convolution: &mut Convolution, scale: &Convolution) {
    let each = weights.len() / convolution.outputs;
    let factors = scale.weights.read();
    for (weights, factor) in weights.chunks_exact_mut(each).zip(factors.iter()) {
        weights.iter_mut().for_each(|weight| *weight *= factor);
    }
    let mut bias = convolution.bias.take().unwrap_or_else(|| vec![0.0; convolution.outputs]);
    for (at, bias) in bias.iter_mut().enumerate() {
        let shift = scale.bias.as_ref().map_or(0.0, |shift| shift[at]);
        *bias = *bias * factors[at] + shift;
    }
    convolution.bias = Some(bias);
}

/// Whether a scale of channels adds anything.
fn shifts(scale: &Convolution) -> bool {
    scale.bias.as_ref().is_some_and(|bias| bias.iter().any(|&shift| shift != 0.0))
}

/// Makes the factors of one more scale part of those before it.
fn multiply(factors: &mut Option<Vec<f32>>, more: &[f32]) {
    match factors {
        Some(factors) => factors.iter_mut().zip(more).for_each(|(own, more)| *own *= more),
        None => *factors = Some(more.to_vec()),
    }
}

/// The weights of every output times its factor.
fn multiplied(weights: &[f32], factors: &[f32]) -> Vec<f32> {
    let each = weights.len() / factors.len();
    let rows = weights.chunks_exact(each).zip(factors);
    rows.flat_map(|(row, factor)| row.iter().map(move |weight| weight * factor)).collect()
}

/// How many pixels to each side of an input of few channels have their gradient computed at once, so
/// that lanes are not left empty.
fn side(shape: &Shape) -> Option<usize> {
    let [down, right] = shape.window.strides;
    let lanes = |side: usize| side * side * shape.inputs;
    let few = shape.groups == 1 && shape.inputs < LANES && down == right;
    let side = match down {
        1 => (1..=4).rev().find(|&side| lanes(side) <= LANES)?,
        stride => stride,
    };
    (few && side > 1).then_some(side)
}

/// Room for an activation's derivative.
fn record(activation: Activation, dims: [usize; 3], tape: &mut TapeSize) -> Option<Record> {
    let area = Image::new(dims, 0).area();
    match activation.kept() {
        Kept::Nothing => None,
        Kept::Bytes => {
            tape.bytes += area;
            Some(Record::Bytes { first: tape.bytes - area, slopes: activation.slopes() })
        }
        Kept::Floats => {
            tape.floats += area;
            Some(Record::Floats { first: tape.floats - area })
        }
    }
}
