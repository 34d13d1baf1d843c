//! The second input of broadcasting operators.

use super::axes::axis;
use super::run::Inputs;
use super::site::Site;
use crate::value::{Outcome, Value};

/// Returns a function that reads the second input of a broadcasting operator. Before opset 7, inputs
/// broadcast only if the attribute `broadcast` is set, aligned to an axis of the first input.
pub fn second_input(
    site: &Site,
) -> Outcome<impl Fn(&Inputs) -> Outcome<Value> + Send + Sync + use<>> {
    let from = match site.opset() {
        ..7 if site.flag("broadcast", false)? => site.node.attributes.int("axis")?,
        ..7 => {
            site.ignore(&["axis"]);
            None
        }
        _ => None,
    };
    Ok(move |inputs: &Inputs| {
        let b = inputs.take(1)?;
        let Some(from) = from else { return Ok(b) };
        let rank = inputs.value(0)?.rank();
        let (dims, from) = (b.dims(), axis(from, rank)?);
        let trailing = rank.checked_sub(from + dims.len());
        let trailing = trailing.ok_or_else(|| {
            format!(
                "the second input {dims:?} exceeds the rank of the first input from axis {from} on"
            )
        })?;
        b.reshape(&[dims, vec![1; trailing]].concat())
    })
}
