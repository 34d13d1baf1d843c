//! Operators that change the shape, the order or the type of elements, and Identity and Dropout.

use attriburn_kernels::frozen::Value as FrozenValue;

use super::{ANY, Freezing, Linear, Operator, Role, Run, Site, axis, single_output, size};
use crate::file::Element;
use crate::value::{Outcome, Value, broadcast};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Identity", 1, (1, 1), |_| single_output(|inputs| inputs.value(0)))
        .linear(Linear::Jointly)
        .role(Role::Identity),
    Operator::new("Dropout", 1, (1, 3), dropout)
        .linear(Linear::Jointly)
        .outputs(2)
        .role(Role::Moves)
        .settings(&[1, 2]),
    Operator::new("Cast", 1, (1, 1), cast).role(Role::Moves),
    Operator::new("CastLike", 15, (2, 2), cast_like),
    Operator::new("Reshape", 1, (1, 2), reshape)
        .linear(Linear::Jointly)
        .role(Role::Moves)
        .settings(&[1])
        .frozen(|ctx| ctx.reshape_input()),
    Operator::new("Flatten", 1, (1, 1), flatten)
        .linear(Linear::Jointly)
        .role(Role::Moves)
        .frozen(|ctx| ctx.reshape_input()),
    Operator::new("Squeeze", 1, (1, 2), squeeze)
        .linear(Linear::Jointly)
        .role(Role::Moves)
        .settings(&[1])
        .frozen(|ctx| ctx.reshape_input()),
    Operator::new("Unsqueeze", 1, (1, 2), unsqueeze)
        .linear(Linear::Jointly)
        .role(Role::Moves)
        .settings(&[1])
        .frozen(|ctx| {
            let axes = ctx.constant_integers(&ctx.site.integers("axes", 13, 1).ok()??)?;
            let rank = ctx.dims()?.len() + axes.len();
            let axes: Vec<_> = axes.iter().map(|&at| axis(at, rank).ok()).collect::<Option<_>>()?;
            ctx.builder.with_axes(ctx.x()?, &axes)
        }),
    Operator::new("Transpose", 1, (1, 1), transpose)
        .linear(Linear::Jointly)
        .role(Role::Moves)
        .frozen(frozen_transpose),
    Operator::new("Expand", 8, (2, 2), expand)
        .linear(Linear::Jointly)
        .settings(&[1])
        .frozen(|ctx| ctx.builder.expand(ctx.x()?, ctx.shapes[0].as_ref()?)),
    Operator::new("Tile", 1, (2, 3), tile).linear(Linear::Jointly).settings(&[1, 2]),
    Operator::new("Concat", 1, (1, ANY), concat).linear(Linear::Jointly).frozen(|ctx| {
        let rank = ctx.shapes[0].as_ref()?.len();
        let axis = axis(ctx.site.int("axis", 1).ok()?, rank).ok()?;
        let parts = ctx.all_inputs()?;
        ctx.builder.concat(&parts, axis)
    }),
    Operator::new("DepthToSpace", 1, (1, 1), depth_to_space).linear(Linear::Jointly),
    Operator::new("SpaceToDepth", 1, (1, 1), space_to_depth).linear(Linear::Jointly),
];

/// Dropout at inference: the identity, with a mask of ones. Training mode is an error.
fn dropout(site: &Site) -> Outcome<Run> {
    site.ignore(&["ratio", "seed"]);
    let training = match site.opset() {
        ..7 => !site.flag("is_test", false)?,
        7..12 => false,
        _ if !site.has(2) => false,
        _ => match site.constant(2) {
            Some(training) => training.into_int()?.ints()?.iter().any(|&value| value != 0),
            None => return Err("training_mode must be a constant".into()),
        },
    };
    if training {
        return Err("training_mode is on; export the model for inference (model.eval())".into());
    }
    if site.opset() < 10 && site.node.outputs.get(1).is_some_and(Option::is_some) {
        return Err("the mask output is not supported before opset 10".into());
    }
    let masks = site.node.outputs.len() > 1;
    Ok(Box::new(move |inputs| {
        let x = inputs.value(0)?;
        let mask = Value::from_bools(vec![true]).reshape(&[])?;
        let mask = masks.then(|| mask.expand(&x.dims())).transpose()?;
        Ok([Some(x), mask].into_iter().flatten().collect())
    }))
}

fn cast(site: &Site) -> Outcome<Run> {
    if site.opset() >= 19 {
        // These attributes concern only float8.
        site.ignore(&["saturate", "round_mode"]);
    }
    let to = match site.opset() {
        ..6 => {
            let name = site.text("to", "")?.to_lowercase();
            Some(Element::named(&name).0)
        }
        _ => site.node.attributes.int("to")?.and_then(|number| i32::try_from(number).ok()),
    };
    let to = Element(to.ok_or("the attribute `to` is missing")?);
    if !to.is_float() && to.integer().is_none() && to != Element::BOOL {
        return Err(format!("casting to {} is not supported", to.name()));
    }
    single_output(move |inputs| inputs.value(0)?.cast(to))
}

fn cast_like(site: &Site) -> Outcome<Run> {
    site.ignore(&["saturate", "round_mode"]);
    single_output(|inputs| inputs.value(0)?.cast(inputs.value(1)?.element()))
}

/// Reshape: a size of 0 copies the input's size, unless `allowzero` is set, and -1 is inferred.
fn reshape(site: &Site) -> Outcome<Run> {
    let shape = site.integers("shape", 5, 1)?.ok_or("the shape is missing")?;
    let zeros = site.opset() >= 14 && site.flag("allowzero", false)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, shape) = (x.dims(), shape.read(inputs)?);
        if shape.iter().filter(|&&requested| requested == -1).count() > 1 {
            return Err(format!("the shape {shape:?} has more than one -1"));
        }
        let count: usize = dims.iter().product();
        let mut sizes = Vec::with_capacity(shape.len());
        for (i, &requested) in shape.iter().enumerate() {
            sizes.push(match requested {
                0 if !zeros => *dims.get(i).ok_or_else(|| {
                    format!("the shape {shape:?} copies axis {i}, which {dims:?} does not have")
                })?,
                -1 => 1,
                requested => size(requested)?,
            });
        }
        if let Some(free) = shape.iter().position(|&requested| requested == -1) {
            let fixed: usize = sizes.iter().product();
            if fixed == 0 || !count.is_multiple_of(fixed) {
                return Err(format!("cannot reshape {dims:?} to {shape:?}"));
            }
            sizes[free] = count / fixed;
        }
        x.reshape(&sizes)
    })
}

fn flatten(site: &Site) -> Outcome<Run> {
    let first = site.int("axis", 1)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = if first == dims.len() as i64 { dims.len() } else { axis(first, dims.len())? };
        x.reshape(&[dims[..first].iter().product(), dims[first..].iter().product()])
    })
}

fn squeeze(site: &Site) -> Outcome<Run> {
    let axes = site.integers("axes", 13, 1)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let removed: Vec<usize> = match &axes {
            None => (0..dims.len()).filter(|&a| dims[a] == 1).collect(),
            Some(axes) => {
                let axes = axes.read(inputs)?;
                axes.iter().map(|&a| axis(a, dims.len())).collect::<Outcome<_>>()?
            }
        };
        if let Some(&wrong) = removed.iter().find(|&&a| dims[a] != 1) {
            return Err(format!("cannot squeeze axis {wrong} of {dims:?}: its size is not 1"));
        }
        let kept = (0..dims.len()).filter(|a| !removed.contains(a)).map(|a| dims[a]);
        x.reshape(&kept.collect::<Vec<_>>())
    })
}

fn unsqueeze(site: &Site) -> Outcome<Run> {
    let axes = site.integers("axes", 13, 1)?.ok_or("the axes are missing")?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let axes = axes.read(inputs)?;
        let rank = x.rank() + axes.len();
        let added: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?;
        let mut sizes = x.dims().into_iter();
        if (1..added.len()).any(|i| added[..i].contains(&added[i])) {
            return Err(format!("the axes {axes:?} are not distinct"));
        }
        let dims = (0..rank).map(|a| if added.contains(&a) { Some(1) } else { sizes.next() });
        let dims: Option<Vec<usize>> = dims.collect();
        x.reshape(&dims.ok_or_else(|| format!("the axes {axes:?} are not distinct"))?)
    })
}

/// Lowers a transpose into a segment.
fn frozen_transpose(ctx: &mut Freezing) -> Option<FrozenValue> {
    let order = match ctx.site.ints("perm").ok()? {
        Some(order) => order.iter().map(|&at| ctx.axis(at)).collect::<Option<Vec<_>>>()?,
        None => (0..ctx.dims()?.len()).rev().collect(),
    };
    ctx.builder.permute(ctx.x()?, &order)
}

/// Transpose: without `perm` the order of the axes is reversed.
fn transpose(site: &Site) -> Outcome<Run> {
    let order = site.ints("perm")?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let rank = x.rank();
        let axes: Vec<usize> = match &order {
            None => (0..rank).rev().collect(),
            Some(order) => order.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?,
        };
        x.permute(&axes)
    })
}

fn expand(_: &Site) -> Outcome<Run> {
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let target = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let dims = broadcast(&x.dims(), &target)?;
        x.expand(&dims)
    })
}

/// Tile. Before opset 6 it repeated a single axis.
fn tile(site: &Site) -> Outcome<Run> {
    let one_axis = site.opset() < 6;
    if one_axis != site.has(2) {
        return Err("expected three inputs before opset 6, and two inputs from then on".into());
    }
    single_output(move |inputs| {
        let mut x = inputs.value(0)?;
        let mut repeats = inputs.value(1)?.into_int()?.ints()?;
        if one_axis {
            let along = inputs.value(2)?.into_int()?.ints()?;
            let (&[times], &[along]) = (&repeats[..], &along[..]) else {
                return Err("tiles and axis must be single numbers".into());
            };
            repeats = vec![1; x.rank()];
            repeats[axis(along, x.rank())?] = times;
        }
        if repeats.len() != x.rank() {
            return Err(format!(
                "repeats {repeats:?} must have one value per axis of {:?}",
                x.dims()
            ));
        }
        for (axis, times) in repeats.into_iter().enumerate() {
            x = match size(times)? {
                0 => x.range(axis, 0..0),
                1 => x,
                times => {
                    let mut dims = x.dims();
                    dims.insert(axis, times);
                    let repeated = x.insert_axis(axis)?.expand(&dims)?;
                    dims.remove(axis);
                    dims[axis] *= times;
                    repeated.reshape(&dims)?
                }
            };
        }
        Ok(x)
    })
}

fn concat(site: &Site) -> Outcome<Run> {
    let along = match site.opset() {
        ..4 => site.int("axis", 1)?,
        _ => site.node.attributes.int("axis")?.ok_or("the attribute axis is missing")?,
    };
    single_output(move |inputs| {
        let values = inputs.all();
        let rank = values.first().map_or(0, Value::rank);
        Value::concat(&values, axis(along, rank)?)
    })
}

fn depth_to_space(site: &Site) -> Outcome<Run> {
    let b = block_size(site)?;
    let is_crd = is_crd(site)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let [n, c, h, w] = nchw(&x)?;
        let depth = c / (b * b);
        let (split, order) = if is_crd {
            ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
        };
        x.reshape(&split)?.permute(&order)?.reshape(&[n, depth, h * b, w * b])
    })
}

fn block_size(site: &Site) -> Outcome<usize> {
    match size(site.int("blocksize", 0)?)? {
        0 => Err("blocksize must be positive".into()),
        block => Ok(block),
    }
}

/// SpaceToDepth; the attribute `mode` exists from opset 28 on.
fn space_to_depth(site: &Site) -> Outcome<Run> {
    let b = block_size(site)?;
    let is_crd = site.opset() >= 28 && is_crd(site)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let [n, c, h, w] = nchw(&x)?;
        let order = if is_crd { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
        let split = x.reshape(&[n, c, h / b, b, w / b, b])?;
        split.permute(&order)?.reshape(&[n, c * b * b, h / b, w / b])
    })
}

/// Whether the mode is CRD (channels first, then the position in the block) rather than DCR (the position
/// first).
fn is_crd(site: &Site) -> Outcome<bool> {
    match site.text("mode", "DCR")?.as_str() {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        other => Err(format!("mode {other:?} is not supported")),
    }
}

fn nchw(x: &Value) -> Outcome<[usize; 4]> {
    x.dims().try_into().map_err(|dims| format!("expected rank 4 (NCHW), got shape {dims:?}"))
}
