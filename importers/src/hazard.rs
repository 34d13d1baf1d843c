//! A trap of the parser: it joins a MatMul with the Add behind it into one node without asking
//! whether others read the product.

use onnx_ir::{GraphProto, Message, ModelProto, NodeProto};

/// The model's bytes with such additions spelled as Sum, which the parser leaves alone; `None`
/// where there are none.
///
/// # Errors
///
/// When the model cannot be written again.
pub fn without(model: &ModelProto) -> Result<Option<Vec<u8>>, String> {
    let graph = &model.graph;
    let traps: Vec<usize> = (1..graph.node.len())
        .filter(|&at| is_trap(&graph.node[at - 1], &graph.node[at], graph))
        .collect();
    if traps.is_empty() {
        return Ok(None);
    }
    let mut changed = model.clone();
    for at in traps {
        changed.graph.mut_or_insert_default().node[at].op_type = "Sum".into();
    }
    changed.write_to_bytes().map(Some).map_err(|error| error.to_string())
}

fn is_trap(product: &NodeProto, sum: &NodeProto, graph: &GraphProto) -> bool {
    let Some(name) = product.output.first() else {
        return false;
    };
    let reads = |node: &NodeProto| node.input.iter().filter(|input| *input == name).count();
    let readers: usize = graph.node.iter().map(reads).sum();
    let is_output = graph.output.iter().any(|output| output.name == *name);
    product.op_type == "MatMul"
        && sum.op_type == "Add"
        && reads(sum) > 0
        && (readers > 1 || is_output)
}
