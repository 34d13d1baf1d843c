//! Values made from shapes and constants.

use onnx_ir::Node;
use onnx_ir::constant_of_shape::ConstantOfShapeShape;

use super::{Context, Inputs, Operator, Run, Setting, expect_node, one, size};
use crate::value::{Kind, Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator { name: "Shape", compile: shape },
    Operator { name: "Size", compile: |_, _| one(count) },
    Operator { name: "Constant", compile: |_, _| one(|inputs| inputs.value(0)) },
    Operator { name: "ConstantOfShape", compile: constant_of_shape },
    Operator { name: "Range", compile: |_, _| one(range) },
    Operator { name: "Trilu", compile: trilu },
];

fn shape(node: &Node, _: &Context) -> Outcome<Run> {
    let config = expect_node!(node, Shape).config.clone();
    one(move |inputs| {
        let dims = inputs.value(0)?.dims();
        let end = config.end.min(dims.len());
        let dims = &dims[config.start.min(end)..end];
        Ok(Value::from_ints(dims.iter().map(|&size| size as i64).collect()))
    })
}

fn count(inputs: &Inputs) -> Outcome<Value> {
    let count: usize = inputs.value(0)?.dims().iter().product();
    Value::from_ints(vec![count as i64]).reshape(&[])
}

fn constant_of_shape(node: &Node, _: &Context) -> Outcome<Run> {
    let config = &expect_node!(node, ConstantOfShape).config;
    let shape = match &config.shape {
        ConstantOfShapeShape::Static(shape) => Setting::Known(shape.clone()),
        ConstantOfShapeShape::Runtime(reference) => Setting::input(reference),
    };
    let fill = match &config.value {
        Some(value) => Value::from_data(value.clone())?.reshape(&[])?,
        None => Value::from_floats(vec![0.0]).reshape(&[])?,
    };
    one(move |inputs| {
        let dims: Vec<usize> = shape.read(inputs)?.into_iter().map(size).collect::<Outcome<_>>()?;
        fill.clone().expand(&dims)
    })
}

/// `start, start + delta, ...` up to and without `limit`.
fn range(inputs: &Inputs) -> Outcome<Value> {
    let bounds = [inputs.value(0)?, inputs.value(1)?, inputs.value(2)?];
    if bounds.iter().all(|value| value.kind() == Kind::Int) {
        let [start, limit, delta] = bounds.map(|value| value.ints().map(|v| v[0]));
        let (start, limit, delta) = (start?, limit?, delta?);
        if delta == 0 {
            return Err("its step is 0".into());
        }
        let count = ((limit - start) as f64 / delta as f64).ceil().max(0.0) as i64;
        return Ok(Value::from_ints((0..count).map(|i| start + i * delta).collect()));
    }
    let [start, limit, delta] = bounds.map(|value| value.into_float().floats().map(|v| v[0]));
    let (start, limit, delta) = (start?, limit?, delta?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if !count.is_finite() {
        return Err("its step is 0".into());
    }
    Ok(Value::from_floats((0..count as usize).map(|i| start + i as f32 * delta).collect()))
}

/// Keeps a triangle of the last two axes and zeroes the rest.
fn trilu(node: &Node, _: &Context) -> Outcome<Run> {
    use onnx_ir::trilu::TriluDiagonal;
    let config = &expect_node!(node, Trilu).config;
    let upper = config.upper;
    let diagonal = match &config.diagonal {
        TriluDiagonal::Static(k) => Setting::Known(vec![*k]),
        TriluDiagonal::Runtime(reference) => Setting::input(reference),
    };
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let [.., rows, columns] = dims[..] else {
            return Err(format!("it does not take an input of {dims:?}"));
        };
        let k = diagonal.read(inputs)?[0];
        let kept = (0..rows as i64).flat_map(|row| {
            (0..columns as i64).map(move |column| {
                let inside = if upper { column - row >= k } else { column - row <= k };
                i64::from(inside)
            })
        });
        let mask = Value::from_ints(kept.collect()).reshape(&[rows, columns])?.into_bool();
        let zero = match x.kind() {
            Kind::Float => Value::from_floats(vec![0.0]),
            Kind::Int => Value::from_ints(vec![0]),
            Kind::Bool => Value::from_ints(vec![0]).into_bool(),
        };
        mask.choose(x, zero.reshape(&[])?)
    })
}
