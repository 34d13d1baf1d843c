//! Operators that create values from shapes and constants.

use super::{Inputs, Linear, Operator, Role, Run, Site, single_output, size};
use crate::room;
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("Shape", 1, (1, 1), shape).non_differentiable().role(Role::OfShape),
    Operator::new("Size", 1, (1, 1), |_| single_output(count))
        .non_differentiable()
        .role(Role::OfShape),
    Operator::new("Constant", 1, (0, 0), constant).non_differentiable().role(Role::Constant),
    Operator::new("ConstantOfShape", 9, (1, 1), constant_of_shape)
        .non_differentiable()
        .settings(&[0]),
    Operator::new("Range", 11, (3, 3), |_| single_output(range))
        .non_differentiable()
        .settings(&[0, 1, 2]),
    Operator::new("EyeLike", 9, (1, 1), eye_like).non_differentiable().role(Role::OfShape),
    Operator::new("OneHot", 9, (3, 3), one_hot).non_differentiable().settings(&[0, 1, 2]),
    Operator::new("Trilu", 14, (1, 2), trilu).linear(Linear::Jointly).settings(&[1]),
];

fn shape(site: &Site) -> Outcome<Run> {
    let (start, end) = match site.opset() {
        ..15 => (0, i64::MAX),
        _ => (site.int("start", 0)?, site.int("end", i64::MAX)?),
    };
    single_output(move |inputs| {
        let dims = inputs.value(0)?.dims();
        let rank = dims.len() as i64;
        let bound = |value: i64| {
            let counted = if value < 0 { value + rank } else { value };
            counted.clamp(0, rank) as usize
        };
        let (start, end) = (bound(start), bound(end));
        let dims = &dims[start.min(end)..end];
        Ok(Value::from_ints(dims.iter().map(|&size| size as i64).collect()))
    })
}

fn count(inputs: &Inputs) -> Outcome<Value> {
    let count: usize = inputs.value(0)?.dims().iter().product();
    Value::from_ints(vec![count as i64]).reshape(&[])
}

fn constant(site: &Site) -> Outcome<Run> {
    let attributes = &site.node.attributes;
    let scalar = |value: Value| value.reshape(&[]);
    let value = if let Some(tensor) = attributes.tensor("value")? {
        Value::from_stored(&tensor)?
    } else if let Some(value) = attributes.int("value_int")? {
        scalar(Value::from_ints(vec![value]))?
    } else if let Some(value) = attributes.float("value_float")? {
        scalar(Value::from_floats(vec![value as f32]))?
    } else if let Some(values) = attributes.ints("value_ints")? {
        Value::from_ints(values)
    } else if let Some(values) = attributes.floats("value_floats")? {
        Value::from_floats(values)
    } else {
        return Err("only constants of tensors and numbers are supported".into());
    };
    single_output(move |_| Ok(value.clone()))
}

fn constant_of_shape(site: &Site) -> Outcome<Run> {
    let fill = match site.tensor("value")? {
        Some(value) => Value::from_stored(&value)?.reshape(&[])?,
        None => Value::number(0.0),
    };
    single_output(move |inputs| {
        let dims: Vec<usize> = inputs.ints(0)?.into_iter().map(size).collect::<Outcome<_>>()?;
        fill.clone().expand(&dims)
    })
}

/// Casts float values to the ONNX element type number `element`.
fn cast_floats(element: i64, values: Vec<f32>) -> Outcome<Value> {
    Value::from_floats(values).cast(crate::file::Element(element as i32))
}

fn eye_like(site: &Site) -> Outcome<Run> {
    let (k, element) = (site.int("k", 0)?, site.node.attributes.int("dtype")?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let [rows, columns] = x.dims()[..] else {
            return Err(format!("expected a matrix, got shape {:?}", x.dims()));
        };
        room::check(&[rows, columns])?;
        let ones = (0..rows as i64).flat_map(|row| {
            (0..columns as i64).map(move |column| if column - row == k { 1.0 } else { 0.0 })
        });
        let eye = match element {
            Some(element) => cast_floats(element, ones.collect())?,
            None => Value::from_floats(ones.collect()).cast(x.element())?,
        };
        eye.reshape(&[rows, columns])
    })
}

/// One-hot encoding along a new axis: `values[1]` at the index from the input and `values[0]` elsewhere.
fn one_hot(site: &Site) -> Outcome<Run> {
    let along = site.int("axis", -1)?;
    single_output(move |inputs| {
        let indices = inputs.value(0)?;
        let dims = indices.dims();
        let depth = match inputs.value(1)?.into_int()?.ints()?[..] {
            [depth] if depth > 0 => depth,
            _ => return Err("depth must be a single positive number".into()),
        };
        let values = inputs.value(2)?;
        if values.dims() != [2] {
            return Err(format!("values must have shape [2], not {:?}", values.dims()));
        }
        let axis = super::axis(along, dims.len() + 1)?;
        let (outer, inner): (usize, usize) =
            (dims[..axis].iter().product(), dims[axis..].iter().product());
        room::check(&[outer, depth as usize, inner])?;
        let indices = indices.into_int()?.ints()?;
        let mut hot = vec![0i64; outer * depth as usize * inner];
        for (at, &index) in indices.iter().enumerate() {
            let counted = if index < 0 { index + depth } else { index };
            if (0..depth).contains(&counted) {
                hot[(at / inner * depth as usize + counted as usize) * inner + at % inner] = 1;
            }
        }
        let out = [&dims[..axis], &[depth as usize], &dims[axis..]].concat();
        values.select(0, hot)?.reshape(&out)
    })
}

/// `start, start + delta, ...`, excluding `limit`.
fn range(inputs: &Inputs) -> Outcome<Value> {
    let bounds = [inputs.value(0)?, inputs.value(1)?, inputs.value(2)?];
    if bounds.iter().all(|value| value.kind() == Kind::Int) {
        let element = bounds[0].element();
        let [start, limit, delta] = bounds.map(|value| value.ints().map(|v| v[0]));
        let (start, limit, delta) = (start?, limit?, delta?);
        if delta == 0 {
            return Err("delta must not be 0".into());
        }
        let span = limit as f64 - start as f64;
        let count = (span / delta as f64).ceil().max(0.0) as i64;
        room::check(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
        let values = Value::from_ints((0..count).map(|i| start + i * delta).collect());
        return values.wrap_to(element);
    }
    let [start, limit, delta] = bounds.map(|value| value.into_float().floats().map(|v| v[0]));
    let (start, limit, delta) = (start?, limit?, delta?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() {
        return Err("start, limit and delta must be finite, and delta not 0".into());
    }
    room::check(&[count as usize])?;
    Ok(Value::from_floats((0..count as usize).map(|i| start + i as f32 * delta).collect()))
}

/// Keeps the upper or lower triangle of the last two axes and sets the rest to zero.
fn trilu(site: &Site) -> Outcome<Run> {
    let upper = site.flag("upper", true)?;
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let [.., rows, columns] = dims[..] else {
            return Err(format!("expected rank 2 or more, got shape {dims:?}"));
        };
        let k = match inputs.optional(1).map(|k| k.ints()).transpose()?.as_deref() {
            None => 0,
            Some(&[k]) => k,
            Some(_) => return Err("k must be a single number".into()),
        };
        let kept = (0..rows as i64).flat_map(|row| {
            (0..columns as i64).map(move |column| {
                let inside = if upper { column - row >= k } else { column - row <= k };
                i64::from(inside)
            })
        });
        let mask = Value::from_ints(kept.collect()).reshape(&[rows, columns])?.into_bool();
        let zero = Value::from_ints(vec![0]).cast(x.element())?;
        mask.choose(x, zero.reshape(&[])?)
    })
}
