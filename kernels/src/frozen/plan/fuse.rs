//! Operator fusion.

use std::sync::Arc;

use super::super::arena::TapeSize;
use super::super::build::{Builder, Convolution, Normalization, Operation, Value, Weights};
use super::super::depthwise::PackedDepthwise;
use super::super::epilogue::SavedDerivative;
use super::super::image::{Image, LANES};
use super::super::pack::{Kernel, PackedConvolution, Shape};
use super::super::segment::Record;
use super::super::tile::Level;
use super::super::window::Window;
use super::unit::{Unit, UnitKind};
use crate::Activation;

/// Fuses the operations on which `output` depends into units, in order of execution.
pub fn fuse(builder: &mut Builder, output: Value, level: Level, tape: &mut TapeSize) -> Vec<Unit> {
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
    // The only reader of a value; `None` if there are several or the value is the output.
    let reader = |value: Value| match readers[value.0][..] {
        [reader] if value != output => Some(reader),
        _ => None,
    };
    let mut is_fused = vec![false; builder.nodes.len()];
    let mut units = Vec::new();
    for at in 1..=output.0 {
        let constant = matches!(builder.nodes[at].operation, Operation::Constant(_));
        if !needed[at] || is_fused[at] || constant {
            continue;
        }
        let dims = builder.nodes[at].dims;
        let operation = std::mem::replace(&mut builder.nodes[at].operation, Operation::Planned);
        let inputs = inputs_of[at].clone();
        let mut result = Value(at);
        let mut addend = None;
        let mut activation = Activation::Identity;
        let (kind, inputs) = match operation {
            Operation::Input | Operation::View | Operation::Constant(_) | Operation::Planned => {
                continue;
            }
            Operation::Activate(function) => {
                activation = function;
                (UnitKind::Add, inputs)
            }
            Operation::Add => (UnitKind::Add, inputs),
            Operation::Multiply => (UnitKind::Multiply, inputs),
            Operation::Convolution(mut convolution) => {
                let mut weights = convolution.weights.read().into_owned();
                // The scale of each channel that an exact convolution applies after the sum.
                let mut factors: Option<Vec<f32>> = None;
                convolution.weights = Weights::Values(Vec::new());
                while let Some(next) = reader(result)
                    && let Operation::Convolution(scale) = &builder.nodes[next.0].operation
                    && scale.window == Window::pixel()
                    && scale.groups == convolution.outputs
                    && scale.outputs == convolution.outputs
                    && !(convolution.exact && has_shift(scale))
                {
                    match convolution.exact {
                        true => fold_scale(&mut factors, &scale.weights.read()),
                        false => fold_affine(&mut weights, &mut convolution, scale),
                    }
                    result = next;
                    is_fused[next.0] = true;
                }
                if let Some(sum) = reader(result)
                    && let Operation::Add = builder.nodes[sum.0].operation
                    && let Some(other) = inputs_of[sum.0].iter().find(|&&v| v != result)
                    && other.0 < at
                {
                    (addend, result) = (Some(*other), sum);
                    is_fused[sum.0] = true;
                }
                let channels = builder.dims(inputs[0])[0];
                let shape = Shape {
                    outputs: convolution.outputs,
                    inputs: channels,
                    groups: convolution.groups,
                    window: convolution.window.clone(),
                };
                let kernel = Kernel { weights: &weights, shape: &shape };
                let scaled = factors.as_ref().map(|factors| scaled_weights(&weights, factors));
                let gradient_kernel =
                    Kernel { weights: scaled.as_ref().unwrap_or(&weights), shape: &shape };
                let scale = padded_to_lanes(factors.unwrap_or_default());
                let bias = padded_to_lanes(convolution.bias.take().unwrap_or_default());
                let is_depthwise =
                    convolution.groups == channels && convolution.outputs == channels;
                let kind = match is_depthwise {
                    true => UnitKind::Depthwise {
                        forward: PackedDepthwise::forward(&kernel).into(),
                        backward: PackedDepthwise::backward(&gradient_kernel).into(),
                        bias,
                        scale,
                    },
                    false => {
                        let input = inputs == [Value(0)] && builder.is_planes(Value(0));
                        let is_only_reader = readers[0].len() == 1 && input;
                        let block_size = gradient_block_size(&shape).filter(|_| is_only_reader);
                        let mut forward = PackedConvolution::forward(&kernel, level);
                        forward.exact = convolution.exact;
                        let forward = Arc::new(forward);
                        let source = match scaled {
                            Some(_) => {
                                Arc::new(PackedConvolution::forward(&gradient_kernel, level))
                            }
                            None => Arc::clone(&forward),
                        };
                        let backward = match block_size {
                            Some(block_size) => PackedConvolution::backward_space_to_depth(
                                &source, &shape, level, block_size,
                            ),
                            None => PackedConvolution::backward(&source, &shape, level),
                        };
                        UnitKind::Convolution {
                            forward,
                            backward: backward.into(),
                            bias,
                            scale,
                            block_size: block_size.unwrap_or(1),
                        }
                    }
                };
                (kind, inputs)
            }
            Operation::MaxPool(window) => {
                let bytes = tape.bytes;
                tape.bytes += Image::new(dims, 0).area();
                (UnitKind::MaxPool { window, bytes }, inputs)
            }
            Operation::MeanPool(window, counts_padding) => {
                let kind = UnitKind::MeanPool { window, counts_padding };
                (kind, inputs)
            }
            Operation::Normalize(normalization) => {
                let normalization = Normalization {
                    scale: padded_to_lanes(normalization.scale),
                    shift: padded_to_lanes(normalization.shift),
                    centred: normalization.centred,
                    epsilon: normalization.epsilon,
                };
                let floats = tape.floats;
                tape.floats += Image::new(dims, 0).area() + dims[1] * dims[2];
                (UnitKind::Normalize { normalization: normalization.into(), floats }, inputs)
            }
            Operation::SpatialSum(factor) => (UnitKind::SpatialSum(factor), inputs),
            Operation::Softmax => (UnitKind::Softmax, inputs),
            Operation::MatMul(views) => (UnitKind::MatMul(views), inputs),
            Operation::Copy(copies) => (UnitKind::Copy(copies), inputs),
        };
        let supports_epilogue = matches!(
            kind,
            UnitKind::Convolution { .. }
                | UnitKind::Depthwise { .. }
                | UnitKind::Add
                | UnitKind::Multiply
        );
        if let Some(next) = reader(result)
            && let Operation::Activate(next_activation) = builder.nodes[next.0].operation
            && supports_epilogue
            && activation == Activation::Identity
        {
            (activation, result) = (next_activation, next);
            is_fused[next.0] = true;
        }
        let record = allocate_record(activation, builder.dims(result), tape);
        units.push(Unit { kind, inputs, addend, activation, output: result, record });
    }
    units
}

/// Pads per-channel values with zeros to a multiple of [`LANES`].
fn padded_to_lanes(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(values.len().next_multiple_of(LANES), 0.0);
    values
}

/// Folds a scale and a shift of each output channel into the weights and the bias of the preceding
/// convolution.
fn fold_affine(weights: &mut [f32], convolution: &mut Convolution, scale: &Convolution) {
    let per_output = weights.len() / convolution.outputs;
    let factors = scale.weights.read();
    for (weights, factor) in weights.chunks_exact_mut(per_output).zip(factors.iter()) {
        weights.iter_mut().for_each(|weight| *weight *= factor);
    }
    let mut bias = convolution.bias.take().unwrap_or_else(|| vec![0.0; convolution.outputs]);
    for (at, bias) in bias.iter_mut().enumerate() {
        let shift = scale.bias.as_ref().map_or(0.0, |shift| shift[at]);
        *bias = *bias * factors[at] + shift;
    }
    convolution.bias = Some(bias);
}

/// Whether a per-channel affine operation has a nonzero shift.
fn has_shift(scale: &Convolution) -> bool {
    scale.bias.as_ref().is_some_and(|bias| bias.iter().any(|&shift| shift != 0.0))
}

/// Multiplies the factors of one more scale into `factors`.
fn fold_scale(factors: &mut Option<Vec<f32>>, more: &[f32]) {
    match factors {
        Some(factors) => factors.iter_mut().zip(more).for_each(|(factor, more)| *factor *= more),
        None => *factors = Some(more.to_vec()),
    }
}

/// The weights of each output channel multiplied by its factor.
fn scaled_weights(weights: &[f32], factors: &[f32]) -> Vec<f32> {
    let per_output = weights.len() / factors.len();
    let rows = weights.chunks_exact(per_output).zip(factors);
    rows.flat_map(|(row, factor)| row.iter().map(move |weight| weight * factor)).collect()
}

/// The block size of the space-to-depth layout of an input gradient with few channels, in which lanes would
/// otherwise stay empty; `None` if the layout is of no use.
fn gradient_block_size(shape: &Shape) -> Option<usize> {
    let [down, right] = shape.window.strides;
    let lanes = |block_size: usize| block_size * block_size * shape.inputs;
    let applies = shape.groups == 1 && shape.inputs < LANES && down == right;
    let block_size = match down {
        1 => (1..=4).rev().find(|&block_size| lanes(block_size) <= LANES)?,
        stride => stride,
    };
    (applies && block_size > 1).then_some(block_size)
}

/// Reserves space on the tape for the derivative of an activation.
fn allocate_record(
    activation: Activation,
    dims: [usize; 3],
    tape: &mut TapeSize,
) -> Option<Record> {
    let area = Image::new(dims, 0).area();
    match activation.saved_derivative() {
        SavedDerivative::Nothing => None,
        SavedDerivative::Bytes => {
            tape.bytes += area;
            Some(Record::Bytes { first: tape.bytes - area, slopes: activation.slopes() })
        }
        SavedDerivative::Floats => {
            tape.floats += area;
            Some(Record::Floats { first: tape.floats - area })
        }
    }
}
