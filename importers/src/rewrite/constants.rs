//! Expressions of constants alone are computed before the parser sees them: it cannot infer the
//! rank of what depends on them otherwise. They are run as a model of their own, by the same
//! operators as the rest.

use std::collections::HashSet;

use onnx_ir::{GraphProto, Message, ModelProto, NodeProto, TensorProto};

use crate::graph::{constant_outputs, parse_graph};
use crate::operators::Context;
use crate::value::{Kind, Value};

/// The types of constants that are computed here, by their numbers in `TensorProto.DataType`.
const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const BOOL: i32 = 9;

/// Replaces such expressions by their values; tells whether there was one.
pub fn fold(model: &mut ModelProto) -> bool {
    let Some(graph) = model.graph.as_ref() else {
        return false;
    };
    let plain = |tensor: &TensorProto| [FLOAT, INT32, INT64, BOOL].contains(&tensor.data_type);
    if !graph.initializer.iter().all(plain) {
        return false;
    }
    let folded = foldable(graph);
    let wanted = frontier(graph, &folded);
    if wanted.is_empty() {
        return false;
    }
    let Some(values) = evaluate(model, &folded, &wanted) else {
        return false;
    };
    let Some(graph) = model.graph.as_mut() else {
        return false;
    };
    let mut index = 0;
    graph.node.retain(|_| {
        index += 1;
        !folded.contains(&(index - 1))
    });
    graph.initializer.extend(values);
    true
}

/// The nodes, constants themselves excluded, that depend on constants alone.
fn foldable(graph: &GraphProto) -> HashSet<usize> {
    let mut constant: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut folded = HashSet::new();
    for (index, node) in graph.node.iter().enumerate() {
        let known = |input: &String| input.is_empty() || constant.contains(input.as_str());
        let is_constant = node.op_type == "Constant";
        let has_graph = node.attribute.iter().any(|attribute| attribute.g.is_some());
        if is_constant || (!node.input.is_empty() && !has_graph && node.input.iter().all(known)) {
            constant.extend(node.output.iter().map(String::as_str));
            if !is_constant {
                folded.insert(index);
            }
        }
    }
    folded
}

/// What the other nodes and the graph's outputs read of the folded nodes.
fn frontier(graph: &GraphProto, folded: &HashSet<usize>) -> Vec<String> {
    let others = graph.node.iter().enumerate().filter(|(index, _)| !folded.contains(index));
    let mut read: HashSet<&str> =
        others.flat_map(|(_, node)| &node.input).map(String::as_str).collect();
    read.extend(graph.output.iter().map(|output| output.name.as_str()));
    let mut nodes: Vec<&usize> = folded.iter().collect();
    nodes.sort();
    let outputs = nodes.into_iter().flat_map(|&index| &graph.node[index].output);
    outputs.filter(|output| read.contains(output.as_str())).cloned().collect()
}

/// The values of `wanted`, from a model of the folded nodes alone; `None` where they cannot be
/// computed, in which case the whole model says why.
fn evaluate(
    model: &ModelProto,
    folded: &HashSet<usize>,
    wanted: &[String],
) -> Option<Vec<TensorProto>> {
    let graph = model.graph.as_ref()?;
    let part = |(index, node): (usize, &NodeProto)| {
        (folded.contains(&index) || node.op_type == "Constant").then(|| node.clone())
    };
    let nodes: Vec<NodeProto> = graph.node.iter().enumerate().filter_map(part).collect();
    let read: HashSet<&str> = nodes.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let weights = graph.initializer.iter().filter(|tensor| read.contains(tensor.name.as_str()));
    let outputs = wanted
        .iter()
        .map(|name| onnx_ir::ValueInfoProto { name: name.clone(), ..Default::default() });
    let sub = ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        graph: Some(GraphProto {
            initializer: weights.cloned().collect(),
            output: outputs.collect(),
            node: nodes,
            ..Default::default()
        })
        .into(),
        ..Default::default()
    };
    let bytes = sub.write_to_bytes().ok()?;
    let parsed = parse_graph(&bytes).ok()?;
    let context = Context { opset: crate::check::opset(model) };
    let values = constant_outputs(&parsed, &context)?;
    wanted.iter().zip(&values).map(|(name, value)| tensor(name, value)).collect()
}

/// A value as the file stores it.
fn tensor(name: &str, value: &Value) -> Option<TensorProto> {
    let (data_type, raw) = match value.kind() {
        Kind::Float => (FLOAT, value.floats().ok()?.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Kind::Int => (INT64, value.ints().ok()?.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Kind::Bool => {
            let flags = value.clone().into_int().ok()?.ints().ok()?;
            (BOOL, flags.iter().map(|&flag| flag as u8).collect::<Vec<u8>>())
        }
    };
    Some(TensorProto {
        name: name.into(),
        dims: value.dims().iter().map(|&size| size as i64).collect(),
        data_type,
        raw_data: raw.into(),
        ..Default::default()
    })
}
