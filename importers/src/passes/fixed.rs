//! Replaces model inputs by constants.

use crate::error::{ErrorKind, LoadError};
use crate::file::Element;
use crate::graph::{Attributes, Constant, Graph, Id, Node};
use crate::model::FixedInput;
use crate::operators::signature;
use crate::summary::ValueInfo;
use crate::value::{Outcome, Value};

/// The opset of the inserted nodes.
const OPSET: i64 = 13;

/// Fixes the input that `info` describes to the value `fixed`; `sample` describes the input that is
/// explained. If the first axis of the fixed input is the free batch axis, `fixed` holds the value of one
/// sample, with or without a first axis of size 1, and is repeated for all samples.
///
/// # Errors
///
/// When the value does not fit the input.
pub fn fix(
    graph: &mut Graph,
    sample: &ValueInfo,
    info: &ValueInfo,
    fixed: &FixedInput,
) -> Result<(), LoadError> {
    let wrong = |message: String| LoadError::new(ErrorKind::Input, message);
    let place = |graph: &Graph, name: &str| {
        let at = graph.inputs.iter().position(|id| graph.values[id.0].name == name);
        at.ok_or_else(|| wrong(format!("there is no input {name:?}")))
    };
    let at = place(graph, &info.name)?;
    let is_of_batch = is_of_batch(info, sample);
    let shape = fitting(info, is_of_batch, &fixed.shape).ok_or_else(|| {
        wrong(format!("the input {info} does not take an array of {:?}", fixed.shape))
    })?;
    let value = value(info, &fixed.values, &shape).map_err(wrong)?;
    let id = graph.inputs.remove(at);
    if is_of_batch {
        let one = graph.add(format!("one sample of {:?}", info.name), Some(constant(value)));
        let sample = graph.inputs[place(graph, &sample.name)?];
        repeat(graph, sample, one, id, &shape);
    } else {
        graph.values[id.0].constant = Some(constant(value));
    }
    Ok(())
}

fn constant(value: Value) -> Constant {
    Constant::Computed(Box::new(value))
}

/// Whether the first axis of an input is the free batch axis: the first axis of the sample is free as well,
/// and both have the same name or no name.
fn is_of_batch(info: &ValueInfo, sample: &ValueInfo) -> bool {
    match (info.shape.first(), sample.shape.first()) {
        (Some(Err(row)), Some(Err(batch))) => row == batch,
        _ => false,
    }
}

/// Returns the shape of the array as a value of the input: the shape `found`, with an added first axis of
/// size 1 if the input has a batch axis and `found` does not. `None` if the array does not fit the input.
fn fitting(info: &ValueInfo, is_of_batch: bool, found: &[usize]) -> Option<Vec<usize>> {
    let fits = |found: &[usize]| {
        let same = |(axis, size): (&Result<usize, String>, &usize)| {
            axis.as_ref().map_or(true, |known_size| known_size == size)
        };
        let is_one = !is_of_batch || found.first() == Some(&1);
        found.len() == info.shape.len() && is_one && info.shape.iter().zip(found).all(same)
    };
    let with_batch = [&[1], found].concat();
    let candidates =
        if is_of_batch { vec![found.to_vec(), with_batch] } else { vec![found.to_vec()] };
    candidates.into_iter().find(|shape| fits(shape))
}

/// Converts the array to the element type of the input.
fn value(info: &ValueInfo, values: &[f32], shape: &[usize]) -> Outcome<Value> {
    let element = Element::named(&info.element);
    let whole = || match values.iter().find(|value| value.fract() != 0.0) {
        Some(value) => Err(format!("the input {info} takes whole numbers, not {value}")),
        None => Ok(values.iter().map(|&value| value as i64).collect::<Vec<i64>>()),
    };
    let flat = match () {
        () if element.is_float() => Value::from_floats(values.to_vec()),
        () if element.integer().is_some() => Value::from_ints(whole()?),
        () => Value::from_bools(values.iter().map(|&value| value != 0.0).collect()),
    };
    flat.reshape(shape)
}

/// Inserts nodes that compute `outer` by repeating `one`, the value of one sample, for each sample of the
/// batch in `sample`.
fn repeat(graph: &mut Graph, sample: Id, one: Id, outer: Id, shape: &[usize]) {
    let name = graph.values[outer.0].name.clone();
    let mut add_value = |what: &str, constant: Option<Value>| {
        graph
            .add(format!("{what} {name:?}"), constant.map(|value| Constant::Computed(value.into())))
    };
    let ints = |values: &[i64]| Some(Value::from_ints(values.to_vec()));
    let rest: Vec<i64> = shape[1..].iter().map(|&size| size as i64).collect();
    let (start, end) =
        (add_value("the start for", ints(&[0])), add_value("the end for", ints(&[1])));
    let rest = (!rest.is_empty()).then(|| add_value("the axes of", ints(&rest)));
    let (whole, rows) =
        (add_value("the input's shape for", None), add_value("the samples of", None));
    let target = add_value("the shape of", None);
    let node = |kind: &str, attributes, inputs: Vec<Option<Id>>, output| Node {
        operator: signature("", kind),
        kind: kind.into(),
        name: format!("in front of {name:?}"),
        opset: OPSET,
        attributes,
        inputs,
        outputs: vec![Some(output)],
        blocks: Vec::new(),
    };
    let sizes = [Some(rows)].into_iter().chain(rest.map(Some)).collect();
    let nodes = [
        node("Shape", Attributes::default(), vec![Some(sample)], whole),
        node("Slice", Attributes::default(), vec![Some(whole), Some(start), Some(end)], rows),
        node("Concat", Attributes::integers(&[("axis", 0)]), sizes, target),
        node("Expand", Attributes::default(), vec![Some(one), Some(target)], outer),
    ];
    graph.nodes.splice(0..0, nodes);
}
