//! Bitwise operators on integers.

use super::{Operator, Run, Site, single_output};
use crate::file::Element;
use crate::value::{Kind, Outcome, Value, align_for_broadcast};

pub const OPERATORS: &[Operator] = &[
    Operator::new("BitShift", 11, (2, 2), shift).non_differentiable(),
    Operator::new("BitwiseAnd", 18, (2, 2), |_| bitwise(|_, a, b| a & b)).non_differentiable(),
    Operator::new("BitwiseOr", 18, (2, 2), |_| bitwise(|_, a, b| a | b)).non_differentiable(),
    Operator::new("BitwiseXor", 18, (2, 2), |_| bitwise(|_, a, b| a ^ b)).non_differentiable(),
    Operator::new("BitwiseNot", 18, (1, 1), |_| not()).non_differentiable(),
    Operator::new("BitCast", 26, (1, 1), bit_cast).non_differentiable(),
];

/// Compiles a bitwise operation, which gets the width of the type in bits and two integers. Results that
/// exceed the type wrap around.
fn bitwise(operation: impl Fn(u32, i64, i64) -> i64 + Send + Sync + 'static) -> Outcome<Run> {
    single_output(move |inputs| {
        let (a, b, dims) = align_for_broadcast(inputs.take(0)?, inputs.take(1)?)?;
        let element = a.element();
        let bits = 8 * byte_size(element)?;
        let (a, b) = (a.expand(&dims)?.ints()?, b.expand(&dims)?.ints()?);
        let results = a.into_iter().zip(b).map(|(a, b)| operation(bits, a, b));
        Value::from_ints(results.collect()).reshape(&dims)?.wrap_to(element)
    })
}

/// Returns the size of an integer type in bytes.
fn byte_size(element: Element) -> Outcome<u32> {
    match element.integer() {
        Some((bytes, ..)) if !element.is_packed() => Ok(bytes as u32),
        _ => Err(format!("expected integers of whole bytes, got {}", element.name())),
    }
}

/// A shift by at least the width of the type returns 0, or the sign for a shift to the right.
fn shift(site: &Site) -> Outcome<Run> {
    match site.text("direction", "")?.as_str() {
        "LEFT" => bitwise(|bits, value, by| match u32::try_from(by) {
            Ok(by) if by < bits => value << by,
            _ => 0,
        }),
        "RIGHT" => bitwise(|bits, value, by| match u32::try_from(by) {
            Ok(by) if by < bits => value >> by,
            _ => value >> 63,
        }),
        other => Err(format!("direction {other:?} is not supported")),
    }
}

fn not() -> Outcome<Run> {
    single_output(|inputs| {
        let x = inputs.value(0)?;
        byte_size(x.element())?;
        let ints = x.ints()?.into_iter().map(|value| !value);
        Value::from_ints(ints.collect()).reshape(&x.dims())?.wrap_to(x.element())
    })
}

/// Reinterprets the bits as another type of the same size. All floats are computed in float32, so that only
/// the bits of float32 are available.
fn bit_cast(site: &Site) -> Outcome<Run> {
    let to = site.node.attributes.int("to")?.and_then(|to| i32::try_from(to).ok());
    let to = Element(to.ok_or("the attribute `to` is missing")?);
    single_output(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let unsupported = || {
            format!(
                "reinterpreting the bits of {} as {} is not supported",
                x.element().name(),
                to.name()
            )
        };
        let from_size = match x.kind() {
            Kind::Int | Kind::Level => byte_size(x.element())?,
            Kind::Float => 4,
            Kind::Bool => 1,
        };
        let to_size = match to {
            Element::FLOAT => 4,
            Element::BOOL => 1,
            _ => byte_size(to).map_err(|_| unsupported())?,
        };
        if from_size != to_size {
            return Err(unsupported());
        }
        let bits: Vec<i64> = match x.kind() {
            Kind::Float => x.floats()?.into_iter().map(|value| value.to_bits().into()).collect(),
            _ => x.clone().into_int()?.ints()?,
        };
        match to {
            Element::FLOAT => {
                let floats = bits.into_iter().map(|bits| f32::from_bits(bits as u32));
                Value::from_floats(floats.collect()).reshape(&dims)
            }
            _ => Value::from_ints(bits).reshape(&dims)?.cast(to),
        }
    })
}
