//! Operations on the bits of integers.

use super::{Operator, Run, Site, one};
use crate::file::Element;
use crate::value::{Kind, Outcome, Value, aligned};

pub const OPERATORS: &[Operator] = &[
    Operator::new("BitShift", 11, (2, 2), shift).flat(),
    Operator::new("BitwiseAnd", 18, (2, 2), |_| of_two(|_, a, b| a & b)).flat(),
    Operator::new("BitwiseOr", 18, (2, 2), |_| of_two(|_, a, b| a | b)).flat(),
    Operator::new("BitwiseXor", 18, (2, 2), |_| of_two(|_, a, b| a ^ b)).flat(),
    Operator::new("BitwiseNot", 18, (1, 1), |_| not()).flat(),
    Operator::new("BitCast", 26, (1, 1), bit_cast).flat(),
];

/// An operation on two integers of a type of so many bits; what does not fit the type wraps around.
fn of_two(operation: impl Fn(u32, i64, i64) -> i64 + Send + Sync + 'static) -> Outcome<Run> {
    one(move |inputs| {
        let (a, b, dims) = aligned(inputs.take(0)?, inputs.take(1)?)?;
        let element = a.element();
        let bits = 8 * width(element)?;
        let (a, b) = (a.expand(&dims)?.ints()?, b.expand(&dims)?.ints()?);
        let results = a.into_iter().zip(b).map(|(a, b)| operation(bits, a, b));
        Value::from_ints(results.collect()).reshape(&dims)?.wrapped(element)
    })
}

/// The bytes of an integer.
fn width(element: Element) -> Outcome<u32> {
    match element.integer() {
        Some((bytes, ..)) if !element.is_packed() => Ok(bytes as u32),
        _ => Err(format!("it takes integers, not {}", element.name())),
    }
}

/// A shift by more bits than there are leaves nothing, or to the right the sign.
fn shift(site: &Site) -> Outcome<Run> {
    match site.text("direction", "")?.as_str() {
        "LEFT" => of_two(|bits, value, by| match u32::try_from(by) {
            Ok(by) if by < bits => value << by,
            _ => 0,
        }),
        "RIGHT" => of_two(|bits, value, by| match u32::try_from(by) {
            Ok(by) if by < bits => value >> by,
            _ => value >> 63,
        }),
        other => Err(format!("its direction {other:?} is not known")),
    }
}

fn not() -> Outcome<Run> {
    one(|inputs| {
        let x = inputs.value(0)?;
        width(x.element())?;
        let ints = x.ints()?.into_iter().map(|value| !value);
        Value::from_ints(ints.collect()).reshape(&x.dims())?.wrapped(x.element())
    })
}

/// The same bits read as another type. Floats are computed in float32, so that their bits are known
/// for that type alone.
fn bit_cast(site: &Site) -> Outcome<Run> {
    let to = site.node.attributes.int("to")?.and_then(|to| i32::try_from(to).ok());
    let to = Element(to.ok_or("it does not say what it casts to")?);
    one(move |inputs| {
        let x = inputs.value(0)?;
        let dims = x.dims();
        let refused = || {
            format!(
                "a cast of the bits of {} to {} is not supported",
                x.element().name(),
                to.name()
            )
        };
        let own = match x.kind() {
            Kind::Int | Kind::Level => width(x.element())?,
            Kind::Float => 4,
            Kind::Bool => 1,
        };
        let wanted = match to {
            Element::FLOAT => 4,
            Element::BOOL => 1,
            _ => width(to).map_err(|_| refused())?,
        };
        if own != wanted {
            return Err(refused());
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
