//! A trap of the parser: it joins a MatMul with the Add behind it into one node without asking
//! whether others read the product.

use onnx_ir::{GraphProto, ModelProto, NodeProto};

/// Spells such additions as Sum, which the parser leaves alone; tells whether there was one.
pub fn keep_apart(model: &mut ModelProto) -> bool {
    let Some(graph) = model.graph.as_mut() else {
        return false;
    };
    let traps: Vec<usize> = (1..graph.node.len())
        .filter(|&at| is_trap(&graph.node[at - 1], &graph.node[at], graph))
        .collect();
    for &at in &traps {
        graph.node[at].op_type = "Sum".into();
    }
    !traps.is_empty()
}

fn is_trap(product: &NodeProto, sum: &NodeProto, graph: &GraphProto) -> bool {
    if product.op_type != "MatMul" || sum.op_type != "Add" {
        return false;
    }
    let Some(name) = product.output.first() else {
        return false;
    };
    let reads = |node: &NodeProto| node.input.iter().filter(|input| *input == name).count();
    let readers: usize = graph.node.iter().map(reads).sum();
    let is_output = graph.output.iter().any(|output| output.name == *name);
    reads(sum) > 0 && (readers > 1 || is_output)
}
