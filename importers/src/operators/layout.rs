//! Shapes and the order of elements, and operators that change neither values nor order.

use burn::backend::Dispatch;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::Slice;
use burn::tensor::ops::PadMode as Mode;
use onnx_ir::depth_to_space::DepthToSpaceMode;
use onnx_ir::expand::ExpandConfig;
use onnx_ir::pad::{AxesInput, ConstantValueInput, PadInput, PadMode};
use onnx_ir::reshape::ReshapeInput;
use onnx_ir::squeeze::SqueezeInput;
use onnx_ir::tile::TileInput;
use onnx_ir::unsqueeze::UnsqueezeConfig;
use onnx_ir::{DType, Node};

use super::{Context, Inputs, Operator, Run, Setting, axis, expect_node, one, size};
use crate::value::{Kind, Outcome, Value, broadcast};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Identity", compile: |_, _| one(|inputs| inputs.value(0)) },
    Operator { name: "Dropout", compile: dropout },
    Operator { name: "Cast", compile: cast },
    Operator { name: "CastLike", compile: |_, _| one(cast_like) },
    Operator { name: "Reshape", compile: reshape },
    Operator { name: "Flatten", compile: flatten },
    Operator { name: "Squeeze", compile: squeeze },
    Operator { name: "Unsqueeze", compile: unsqueeze },
    Operator { name: "Transpose", compile: transpose },
    Operator { name: "Expand", compile: expand },
    Operator { name: "Tile", compile: tile },
    Operator { name: "Concat", compile: concat },
    Operator { name: "Pad", compile: pad },
    Operator { name: "DepthToSpace", compile: depth_to_space },
    Operator { name: "SpaceToDepth", compile: space_to_depth },
];

/// Dropout does nothing in inference; in training mode it is refused. Its second output, the mask,
/// is not produced.
fn dropout(node: &Node, _: &Context) -> Outcome<Run> {
    let node = expect_node!(node, Dropout);
    let training = node.inputs.get(2).and_then(|argument| argument.value());
    if training.is_some_and(|value| value.bytes().iter().any(|&byte| byte != 0)) {
        return Err("training_mode is on; export the model for inference (model.eval())".into());
    }
    one(|inputs| inputs.value(0))
}

fn cast(node: &Node, _: &Context) -> Outcome<Run> {
    let to = expect_node!(node, Cast).config.to;
    one(move |inputs| {
        let x = inputs.value(0)?;
        match to {
            DType::Bool(_) => Ok(x.into_bool()),
            to if to.is_float() => Ok(x.into_float()),
            _ => x.into_int(),
        }
    })
}

fn cast_like(inputs: &Inputs) -> Outcome<Value> {
    let x = inputs.value(0)?;
    match inputs.value(1)?.kind() {
        Kind::Float => Ok(x.into_float()),
        Kind::Int => x.into_int(),
        Kind::Bool => Ok(x.into_bool()),
    }
}

/// 0 keeps an axis and -1 takes up what is left.
fn reshape(node: &Node, _: &Context) -> Outcome<Run> {
    let shape = match &expect_node!(node, Reshape).config.shape {
        ReshapeInput::Static(shape) => Setting::Known(shape.clone()),
        ReshapeInput::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, shape) = (x.dims(), shape.read(inputs)?);
        let count: usize = dims.iter().product();
        let mut sizes = Vec::with_capacity(shape.len());
        for (i, &wanted) in shape.iter().enumerate() {
            sizes.push(match wanted {
                0 => *dims.get(i).ok_or_else(|| format!("{shape:?} keeps axis {i} of {dims:?}"))?,
                -1 => 1,
                wanted => size(wanted)?,
            });
        }
        if let Some(free) = shape.iter().position(|&wanted| wanted == -1) {
            let fixed: usize = sizes.iter().product();
            if fixed == 0 || !count.is_multiple_of(fixed) {
                return Err(format!("{dims:?} cannot be reshaped to {shape:?}"));
            }
            sizes[free] = count / fixed;
        }
        x.reshape(&sizes)
    })
}

fn flatten(node: &Node, _: &Context) -> Outcome<Run> {
    let first = expect_node!(node, Flatten).config.axis;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = first.min(dims.len());
        x.reshape(&[dims[..first].iter().product(), dims[first..].iter().product()])
    })
}

fn squeeze(node: &Node, _: &Context) -> Outcome<Run> {
    let axes = expect_node!(node, Squeeze).config.axes.as_ref().map(|axes| match axes {
        SqueezeInput::Static(axes) => Setting::Known(axes.clone()),
        SqueezeInput::Runtime(reference) => Setting::input(reference),
    });
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let removed: Vec<usize> = match &axes {
            None => (0..dims.len()).filter(|&a| dims[a] == 1).collect(),
            Some(axes) => {
                let axes = axes.read(inputs)?;
                axes.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?
            }
        };
        let kept = (0..dims.len()).filter(|a| !removed.contains(a)).map(|a| dims[a]);
        x.reshape(&kept.collect::<Vec<_>>())
    })
}

fn unsqueeze(node: &Node, _: &Context) -> Outcome<Run> {
    let axes = match &expect_node!(node, Unsqueeze).config {
        UnsqueezeConfig::Static(axes) => Setting::Known(axes.clone()),
        UnsqueezeConfig::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let axes = axes.read(inputs)?;
        let rank = x.rank() + axes.len();
        let added: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?;
        let mut own = x.dims().into_iter();
        let dims = (0..rank).map(|a| if added.contains(&a) { Some(1) } else { own.next() });
        let dims: Option<Vec<usize>> = dims.collect();
        x.reshape(&dims.ok_or_else(|| format!("its axes {axes:?} are not distinct"))?)
    })
}

fn transpose(node: &Node, _: &Context) -> Outcome<Run> {
    let order = expect_node!(node, Transpose).config.perm.clone();
    one(move |inputs| {
        let x = inputs.value(0)?;
        let rank = x.rank();
        let axes: Vec<usize> = order.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?;
        x.permute(&axes)
    })
}

fn expand(node: &Node, _: &Context) -> Outcome<Run> {
    let shape = match &expect_node!(node, Expand).config {
        ExpandConfig::Static(shape) => Setting::Known(shape.clone()),
        ExpandConfig::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let wanted = shape.read(inputs)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let dims = broadcast(&x.dims(), &wanted)?;
        x.expand(&dims)
    })
}

fn tile(node: &Node, _: &Context) -> Outcome<Run> {
    let repeats = match &expect_node!(node, Tile).config.repeats {
        TileInput::Static(repeats) => Setting::Known(repeats.iter().map(|&r| r as i64).collect()),
        TileInput::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        for (axis, times) in repeats.read(inputs)?.into_iter().enumerate() {
            x = Value::concat(&vec![x; size(times)?], axis)?;
        }
        Ok(x)
    })
}

fn concat(node: &Node, _: &Context) -> Outcome<Run> {
    let axis = expect_node!(node, Concat).config.axis;
    one(move |inputs| Value::concat(&inputs.all(), axis))
}

/// Padding per axis; negative padding cuts, where the parser lets it through.
fn pad(node: &Node, _: &Context) -> Outcome<Run> {
    let config = expect_node!(node, Pad).config.clone();
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let pads = pads(&config.pads, inputs, dims.len())?;
        let cut: Vec<Slice> = pads
            .iter()
            .zip(&dims)
            .map(|(&(begin, end), &size)| {
                let (from, to) = ((-begin).max(0), size as i64 - (-end).max(0));
                Slice::from(from.max(0) as usize..to.max(0) as usize)
            })
            .collect();
        let grown: Vec<(usize, usize)> =
            pads.iter().map(|&(begin, end)| (begin.max(0) as usize, end.max(0) as usize)).collect();
        let x = if pads.iter().any(|&(a, b)| a < 0 || b < 0) { x.slice(&cut) } else { x };
        let constant = match &config.constant_value {
            ConstantValueInput::Static(value) => *value,
            ConstantValueInput::Runtime(reference) => {
                inputs.value(reference.input_index)?.into_float().floats()?[0]
            }
        };
        let mode = match config.mode {
            PadMode::Constant => Mode::Constant(constant),
            PadMode::Reflect => Mode::Reflect,
            PadMode::Edge => Mode::Edge,
        };
        match x.kind() {
            Kind::Float => Ok(Value::new(Dispatch::float_pad(x.tensor(), &grown, mode))),
            Kind::Int => Ok(Value::new(Dispatch::int_pad(x.tensor(), &grown, mode))),
            Kind::Bool => Err("it does not pad booleans".into()),
        }
    })
}

/// `(begin, end)` for each of `rank` axes.
fn pads(pads: &PadInput, inputs: &Inputs, rank: usize) -> Outcome<Vec<(i64, i64)>> {
    match pads {
        PadInput::Static(pads) => {
            Ok(pads.iter().map(|&(begin, end)| (begin as i64, end as i64)).collect())
        }
        PadInput::Runtime { input, axes } => {
            let values = inputs.ints(input.input_index)?;
            let axes: Vec<usize> = match axes {
                None => (0..rank).collect(),
                Some(AxesInput::Static(axes)) => axes.clone(),
                Some(AxesInput::Runtime(reference)) => inputs
                    .ints(reference.input_index)?
                    .into_iter()
                    .map(|a| axis(a, rank))
                    .collect::<Outcome<_>>()?,
            };
            if values.len() != 2 * axes.len() {
                return Err(format!("{values:?} does not pad {} axes", axes.len()));
            }
            let mut all = vec![(0, 0); rank];
            for (i, &axis) in axes.iter().enumerate() {
                all[axis] = (values[i], values[i + axes.len()]);
            }
            Ok(all)
        }
    }
}

fn depth_to_space(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, DepthToSpace).config;
    let (b, columns_first) = (config.block_size, matches!(config.mode, DepthToSpaceMode::Crd));
    one(move |inputs| {
        let x = inputs.value(0)?;
        let [n, c, h, w] = four(&x)?;
        let depth = c / (b * b);
        let (split, order) = if columns_first {
            ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
        };
        x.reshape(&split)?.permute(&order)?.reshape(&[n, depth, h * b, w * b])
    })
}

fn space_to_depth(node: &Node, _: &Context) -> Outcome<Run> {
    let b = expect_node!(node, SpaceToDepth).config.block_size;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let [n, c, h, w] = four(&x)?;
        x.reshape(&[n, c, h / b, b, w / b, b])?.permute(&[0, 3, 5, 1, 2, 4])?.reshape(&[
            n,
            c * b * b,
            h / b,
            w / b,
        ])
    })
}

fn four(x: &Value) -> Outcome<[usize; 4]> {
    x.dims().try_into().map_err(|dims| format!("it takes an input of 4 axes, not {dims:?}"))
}
