//! Shapes and the order of elements, and operators that change neither values nor order.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::Dispatch;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::ops::PadMode as Mode;

use super::{ANY, Freezing, Operator, Role, Run, Site, axis, one, size};
use crate::file::Element;
use crate::room;
use crate::value::{Kind, Outcome, Value, broadcast};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Identity", 1, (1, 1), |_| one(|inputs| inputs.value(0))).role(Role::Identity),
    Operator::new("Dropout", 1, (1, 3), dropout).outputs(2).role(Role::Moves).settings(&[1, 2]),
    Operator::new("Cast", 1, (1, 1), cast).role(Role::Moves),
    Operator::new("CastLike", 15, (2, 2), cast_like),
    Operator::new("Reshape", 1, (1, 2), reshape)
        .role(Role::Moves)
        .settings(&[1])
        .frozen(|own| own.reshape()),
    Operator::new("Flatten", 1, (1, 1), flatten).role(Role::Moves).frozen(|own| own.reshape()),
    Operator::new("Squeeze", 1, (1, 2), squeeze)
        .role(Role::Moves)
        .settings(&[1])
        .frozen(|own| own.reshape()),
    Operator::new("Unsqueeze", 1, (1, 2), unsqueeze).role(Role::Moves).settings(&[1]).frozen(
        |own| {
            let axes = own.known(&own.site.integers("axes", 13, 1).ok()??)?;
            let rank = own.dims()?.len() + axes.len();
            let axes: Vec<_> = axes.iter().map(|&at| axis(at, rank).ok()).collect::<Option<_>>()?;
            own.builder.with_axes(own.x()?, &axes)
        },
    ),
    Operator::new("Transpose", 1, (1, 1), transpose).role(Role::Moves).frozen(turned),
    Operator::new("Expand", 8, (2, 2), expand)
        .settings(&[1])
        .frozen(|own| own.builder.expand(own.x()?, own.shapes[0].as_ref()?)),
    Operator::new("Tile", 1, (2, 3), tile).settings(&[1, 2]),
    Operator::new("Concat", 1, (1, ANY), concat).frozen(|own| {
        let rank = own.shapes[0].as_ref()?.len();
        let axis = axis(own.site.int("axis", 1).ok()?, rank).ok()?;
        let parts = own.parts()?;
        own.builder.concat(&parts, axis)
    }),
    Operator::new("Pad", 1, (1, 4), pad).settings(&[1, 2, 3]).frozen(frozen_pad),
    Operator::new("CenterCropPad", 18, (2, 2), center).settings(&[1]),
    Operator::new("DepthToSpace", 1, (1, 1), depth_to_space),
    Operator::new("SpaceToDepth", 1, (1, 1), space_to_depth),
];

/// Dropout does nothing in inference, and its mask keeps everything; in training mode it is refused.
fn dropout(site: &Site) -> Outcome<Run> {
    site.ignore(&["ratio", "seed"]);
    let training = match site.opset() {
        ..7 => !site.flag("is_test", false)?,
        7..12 => false,
        _ if !site.has(2) => false,
        _ => match site.constant(2) {
            Some(training) => training.into_int()?.ints()?.iter().any(|&value| value != 0),
            None => return Err("its training_mode depends on the input".into()),
        },
    };
    if training {
        return Err("training_mode is on; export the model for inference (model.eval())".into());
    }
    if site.opset() < 10 && site.node.outputs.get(1).is_some_and(Option::is_some) {
        return Err("its mask is not known in this opset".into());
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
        // Of float8 alone.
        site.ignore(&["saturate", "round_mode"]);
    }
    let to = match site.opset() {
        ..6 => {
            let name = site.text("to", "")?.to_lowercase();
            Some(Element::named(&name).0)
        }
        _ => site.node.attributes.int("to")?.and_then(|number| i32::try_from(number).ok()),
    };
    let to = Element(to.ok_or("it does not say what it casts to")?);
    if !to.is_float() && to.integer().is_none() && to != Element::BOOL {
        return Err(format!("casting to {} is not supported", to.name()));
    }
    one(move |inputs| inputs.value(0)?.cast(to))
}

fn cast_like(site: &Site) -> Outcome<Run> {
    site.ignore(&["saturate", "round_mode"]);
    one(|inputs| inputs.value(0)?.cast(inputs.value(1)?.element()))
}

/// 0 keeps an axis, unless zeros are allowed, and -1 takes up what is left.
fn reshape(site: &Site) -> Outcome<Run> {
    let shape = site.integers("shape", 5, 1)?.ok_or("it has no shape")?;
    let zeros = site.opset() >= 14 && site.flag("allowzero", false)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let (dims, shape) = (x.dims(), shape.read(inputs)?);
        if shape.iter().filter(|&&wanted| wanted == -1).count() > 1 {
            return Err(format!("{shape:?} leaves several axes open"));
        }
        let count: usize = dims.iter().product();
        let mut sizes = Vec::with_capacity(shape.len());
        for (i, &wanted) in shape.iter().enumerate() {
            sizes.push(match wanted {
                0 if !zeros => {
                    *dims.get(i).ok_or_else(|| format!("{shape:?} keeps axis {i} of {dims:?}"))?
                }
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

fn flatten(site: &Site) -> Outcome<Run> {
    let first = site.int("axis", 1)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let first = if first == dims.len() as i64 { dims.len() } else { axis(first, dims.len())? };
        x.reshape(&[dims[..first].iter().product(), dims[first..].iter().product()])
    })
}

fn squeeze(site: &Site) -> Outcome<Run> {
    let axes = site.integers("axes", 13, 1)?;
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
        if let Some(&wrong) = removed.iter().find(|&&a| dims[a] != 1) {
            return Err(format!("axis {wrong} of {dims:?} is not of size 1"));
        }
        let kept = (0..dims.len()).filter(|a| !removed.contains(a)).map(|a| dims[a]);
        x.reshape(&kept.collect::<Vec<_>>())
    })
}

fn unsqueeze(site: &Site) -> Outcome<Run> {
    let axes = site.integers("axes", 13, 1)?.ok_or("it has no axes")?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let axes = axes.read(inputs)?;
        let rank = x.rank() + axes.len();
        let added: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Outcome<_>>()?;
        let mut own = x.dims().into_iter();
        if (1..added.len()).any(|i| added[..i].contains(&added[i])) {
            return Err(format!("its axes {axes:?} are not distinct"));
        }
        let dims = (0..rank).map(|a| if added.contains(&a) { Some(1) } else { own.next() });
        let dims: Option<Vec<usize>> = dims.collect();
        x.reshape(&dims.ok_or_else(|| format!("its axes {axes:?} are not distinct"))?)
    })
}

/// A transposition as part of a segment.
fn turned(own: &mut Freezing) -> Option<FrozenValue> {
    let order = match own.site.ints("perm").ok()? {
        Some(order) => order.iter().map(|&at| own.axis(at)).collect::<Option<Vec<_>>>()?,
        None => (0..own.dims()?.len()).rev().collect(),
    };
    own.builder.permute(own.x()?, &order)
}

/// Without an order the axes are reversed.
fn transpose(site: &Site) -> Outcome<Run> {
    let order = site.ints("perm")?;
    one(move |inputs| {
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
    one(move |inputs| {
        let x = inputs.value(0)?;
        let wanted = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let dims = broadcast(&x.dims(), &wanted)?;
        x.expand(&dims)
    })
}

/// Before opset 6 one axis was repeated.
fn tile(site: &Site) -> Outcome<Run> {
    let one_axis = site.opset() < 6;
    if one_axis != site.has(2) {
        return Err("its inputs are not those of its opset".into());
    }
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let mut repeats = inputs.value(1)?.into_int()?.ints()?;
        if one_axis {
            let along = inputs.value(2)?.into_int()?.ints()?;
            let (&[times], &[along]) = (&repeats[..], &along[..]) else {
                return Err("it takes one count and one axis".into());
            };
            repeats = vec![1; x.rank()];
            repeats[axis(along, x.rank())?] = times;
        }
        if repeats.len() != x.rank() {
            return Err(format!("{repeats:?} does not repeat the axes of {:?}", x.dims()));
        }
        for (axis, times) in repeats.into_iter().enumerate() {
            x = match size(times)? {
                0 => x.range(axis, 0..0),
                1 => x,
                times => {
                    let mut dims = x.dims();
                    dims.insert(axis, times);
                    let repeated = x.with_axis(axis)?.expand(&dims)?;
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
        _ => site.node.attributes.int("axis")?.ok_or("it has no axis")?,
    };
    one(move |inputs| {
        let values = inputs.all();
        let rank = values.first().map_or(0, Value::rank);
        Value::concat(&values, axis(along, rank)?)
    })
}

/// Padding per axis; negative padding cuts. Pads and value were attributes before opset 11.
fn pad(site: &Site) -> Outcome<Run> {
    let attribute = if site.opset() < 2 { "paddings" } else { "pads" };
    let pads = site.integers(attribute, 11, 1)?.ok_or("it has no pads")?;
    let fill = if site.opset() < 11 { site.float("value", 0.0)? } else { 0.0 };
    let mode = site.text("mode", "constant")?;
    if !["constant", "reflect", "edge", "wrap"].contains(&mode.as_str()) {
        return Err(format!("its mode {mode:?} is not known"));
    }
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let axes = inputs.optional(3).map(|axes| axes.ints()).transpose()?;
        let pads = per_axis(&pads.read(inputs)?, axes, x.rank())?;
        let fill = match inputs.optional(2) {
            Some(fill) => match fill.into_float().floats()?[..] {
                [fill] => f64::from(fill),
                _ => return Err("its value must be one number".into()),
            },
            None => fill,
        };
        for (axis, &(begin, end)) in pads.iter().enumerate() {
            x = cut(x, axis, (-begin).max(0), (-end).max(0))?;
        }
        let grown: Vec<(usize, usize)> =
            pads.iter().map(|&(begin, end)| (begin.max(0) as usize, end.max(0) as usize)).collect();
        if mode == "constant" {
            return padded(x, &grown, fill as f32);
        }
        for (axis, &pads) in grown.iter().enumerate() {
            x = extended(x, axis, pads, &mode)?;
        }
        Ok(x)
    })
}

/// A padding with a number as part of a segment.
fn frozen_pad(own: &mut Freezing) -> Option<FrozenValue> {
    let site = own.site;
    let attribute = if site.opset() < 2 { "paddings" } else { "pads" };
    let pads = own.known(&site.integers(attribute, 11, 1).ok()??)?;
    let fill = match site.has(2) {
        true => site.constant(2)?.into_float().floats().ok()?,
        false if site.opset() < 11 => vec![site.float("value", 0.0).ok()? as f32],
        false => vec![0.0],
    };
    let axes = match site.has(3) {
        true => Some(site.constant(3)?.ints().ok()?),
        false => None,
    };
    let pads = per_axis(&pads, axes, own.dims()?.len()).ok()?;
    let nothing = pads.iter().all(|&pad| pad == (0, 0));
    if !nothing && site.text("mode", "constant").ok()? != "constant" {
        return None;
    }
    let size = |size: i64| usize::try_from(size).ok();
    let pads: Vec<_> =
        pads.iter().map(|(a, b)| Some((size(*a)?, size(*b)?))).collect::<Option<_>>()?;
    let dims = own.dims()?;
    let padded = own.builder.pad(own.x()?, &pads)?;
    if nothing || fill == [0.0] {
        return Some(padded);
    }
    // The fill is added where zeros were put.
    if pads.first() != Some(&(0, 0)) {
        return None;
    }
    let shape: Vec<_> = dims.iter().zip(&pads).map(|(own, (a, b))| a + own + b).collect();
    let inner = Value::filled(0.0, &[&[1], dims.get(1..)?].concat()).ok()?;
    let around = [&[(0, 0)], pads.get(1..)?].concat();
    let around = self::padded(inner, &around, *fill.first()?).ok()?.floats().ok()?;
    own.builder.add_constant(padded, &around, &[&[1], &shape[1..]].concat())
}

fn cut(x: Value, axis: usize, begin: i64, end: i64) -> Outcome<Value> {
    let dims = x.dims();
    let to = dims[axis] as i64 - end;
    if begin > to {
        return Err(format!("its padding cuts more than there is along axis {axis} of {dims:?}"));
    }
    if begin == 0 && end == 0 {
        return Ok(x);
    }
    Ok(x.range(axis, begin as usize..to as usize))
}

fn padded(x: Value, pads: &[(usize, usize)], fill: f32) -> Outcome<Value> {
    if pads.iter().all(|&pads| pads == (0, 0)) {
        return Ok(x);
    }
    room::check(&super::window::padded(&x.dims(), pads))?;
    match x.kind() {
        Kind::Float | Kind::Level => {
            Ok(x.with(Dispatch::float_pad(x.tensor(), pads, Mode::Constant(fill))))
        }
        Kind::Int => Ok(x.with(Dispatch::int_pad(x.tensor(), pads, Mode::Constant(fill)))),
        Kind::Bool => padded(x.into_int()?, pads, fill).map(Value::into_bool),
    }
}

/// Extends an axis by its own elements: mirrored, repeated or begun again.
fn extended(x: Value, axis: usize, (begin, end): (usize, usize), mode: &str) -> Outcome<Value> {
    let own = x.dims()[axis] as i64;
    if begin == 0 && end == 0 {
        return Ok(x);
    }
    if own == 0 {
        return Err(format!("it has no elements to pad axis {axis} with"));
    }
    let mut dims = x.dims();
    dims[axis] = dims[axis].saturating_add(begin).saturating_add(end);
    room::check(&dims)?;
    let place = |at: i64| match mode {
        "edge" => at.clamp(0, own - 1),
        "wrap" => at.rem_euclid(own),
        _ if own == 1 => 0,
        _ => {
            let period = 2 * (own - 1);
            let folded = at.rem_euclid(period);
            folded.min(period - folded)
        }
    };
    x.select(axis, (-(begin as i64)..own + end as i64).map(place).collect())
}

/// Cuts or pads axes evenly at both ends, where that is uneven one more at the end.
fn center(site: &Site) -> Outcome<Run> {
    let axes = site.ints("axes")?;
    one(move |inputs| {
        let mut x = inputs.value(0)?;
        let dims = x.dims();
        let shape = inputs.ints(1)?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?;
        let axes = axes.clone().unwrap_or_else(|| (0..dims.len() as i64).collect());
        if axes.len() != shape.len() {
            return Err(format!("its shape {shape:?} does not fit {} axes", axes.len()));
        }
        let mut grown = vec![(0, 0); dims.len()];
        for (&along, &wanted) in axes.iter().zip(&shape) {
            let axis = axis(along, dims.len())?;
            let (less, more) =
                (dims[axis].saturating_sub(wanted), wanted.saturating_sub(dims[axis]));
            x = cut(x, axis, (less / 2) as i64, (less - less / 2) as i64)?;
            grown[axis] = (more / 2, more - more / 2);
        }
        padded(x, &grown, 0.0)
    })
}

/// `(begin, end)` for each of `rank` axes.
fn per_axis(pads: &[i64], axes: Option<Vec<i64>>, rank: usize) -> Outcome<Vec<(i64, i64)>> {
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("{pads:?} does not pad {} axes", axes.len()));
    }
    let mut all = vec![(0, 0); rank];
    for (i, &along) in axes.iter().enumerate() {
        all[axis(along, rank)?] = (pads[i], pads[i + axes.len()]);
    }
    Ok(all)
}

fn depth_to_space(site: &Site) -> Outcome<Run> {
    let b = block(site)?;
    let columns_first = columns_first(site)?;
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

fn block(site: &Site) -> Outcome<usize> {
    match size(site.int("blocksize", 0)?)? {
        0 => Err("its blocksize must be positive".into()),
        block => Ok(block),
    }
}

/// The mode is said from opset 28 on.
fn space_to_depth(site: &Site) -> Outcome<Run> {
    let b = block(site)?;
    let columns_first = site.opset() >= 28 && columns_first(site)?;
    one(move |inputs| {
        let x = inputs.value(0)?;
        let [n, c, h, w] = four(&x)?;
        let order = if columns_first { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
        let split = x.reshape(&[n, c, h / b, b, w / b, b])?;
        split.permute(&order)?.reshape(&[n, c * b * b, h / b, w / b])
    })
}

/// Whether the channels come before the places of a block, or behind them.
fn columns_first(site: &Site) -> Outcome<bool> {
    match site.text("mode", "DCR")?.as_str() {
        "DCR" => Ok(false),
        "CRD" => Ok(true),
        other => Err(format!("its mode {other:?} is not known")),
    }
}

fn four(x: &Value) -> Outcome<[usize; 4]> {
    x.dims().try_into().map_err(|dims| format!("it takes an input of 4 axes, not {dims:?}"))
}
