//! Inputs of a model that the caller gives a value once and for all.

use attriburn::npy::Array;

use crate::error::{ErrorKind, LoadError};
use crate::file::Element;
use crate::graph::{Attributes, Constant, Graph, Id, Node};
use crate::operators::operator;
use crate::summary::ValueInfo;
use crate::value::{Outcome, Value};

/// The opset of the nodes that are put in front.
const OPSET: i64 = 13;

/// Makes the input that `info` describes a constant; `sample` is the input that is explained. Where its first axis is the free one of the batch, the value
/// is one sample's, with a first axis of 1 or without, and repeated for all samples.
///
/// # Errors
///
/// When the value does not fit the input.
pub fn fix(
    graph: &mut Graph,
    sample: &ValueInfo,
    info: &ValueInfo,
    array: &Array,
) -> Result<(), LoadError> {
    let wrong = |message: String| LoadError::new(ErrorKind::Input, message);
    let place = |graph: &Graph, name: &str| {
        let at = graph.inputs.iter().position(|id| graph.values[id.0].name == name);
        at.ok_or_else(|| wrong(format!("there is no input {name:?}")))
    };
    let at = place(graph, &info.name)?;
    let is_of_batch = is_of_batch(info, sample);
    let shape = fitting(info, is_of_batch, &array.shape).ok_or_else(|| {
        wrong(format!("the input {info} does not take an array of {:?}", array.shape))
    })?;
    let value = value(info, &array.values, &shape).map_err(wrong)?;
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

/// Whether the first axis of an input is the free one of the batch: it has the same name as that of the sample, or
/// neither has one.
fn is_of_batch(info: &ValueInfo, sample: &ValueInfo) -> bool {
    match (info.shape.first(), sample.shape.first()) {
        (Some(Err(own)), Some(Err(batch))) => own == batch,
        _ => false,
    }
}

/// The shape of an array as the input's; with a first axis of 1 where that is the batch's.
fn fitting(info: &ValueInfo, is_of_batch: bool, found: &[usize]) -> Option<Vec<usize>> {
    let fits = |found: &[usize]| {
        let same = |(axis, size): (&Result<usize, String>, &usize)| {
            axis.as_ref().map_or(true, |own| own == size)
        };
        let is_one = !is_of_batch || found.first() == Some(&1);
        found.len() == info.shape.len() && is_one && info.shape.iter().zip(found).all(same)
    };
    let with_batch = [&[1], found].concat();
    let candidates =
        if is_of_batch { vec![found.to_vec(), with_batch] } else { vec![found.to_vec()] };
    candidates.into_iter().find(|shape| fits(shape))
}

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

/// Makes `outer` the value `one` for each of the samples in `sample`.
fn repeat(graph: &mut Graph, sample: Id, one: Id, outer: Id, shape: &[usize]) {
    let name = graph.values[outer.0].name.clone();
    let mut made = |what: &str, constant: Option<Value>| {
        graph
            .add(format!("{what} {name:?}"), constant.map(|value| Constant::Computed(value.into())))
    };
    let ints = |values: &[i64]| Some(Value::from_ints(values.to_vec()));
    let rest: Vec<i64> = shape[1..].iter().map(|&size| size as i64).collect();
    let (start, end) = (made("the start for", ints(&[0])), made("the end for", ints(&[1])));
    let rest = (!rest.is_empty()).then(|| made("the axes of", ints(&rest)));
    let (whole, rows) = (made("the input's shape for", None), made("the samples of", None));
    let target = made("the shape of", None);
    let node = |kind: &str, attributes, inputs: Vec<Option<Id>>, output| Node {
        operator: operator("", kind),
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
        node("Concat", Attributes::made(&[("axis", 0)]), sizes, target),
        node("Expand", Attributes::default(), vec![Some(one), Some(target)], outer),
    ];
    graph.nodes.splice(0..0, nodes);
}
