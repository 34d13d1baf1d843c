//! Properties of quantized models. The passes [`super::composite`], [`super::integer_product`] and
//! [`super::fake_quantize`] rewrite such models to compute with floats, and constant folding dequantizes
//! constant weights.

use crate::graph::{Graph, Id, Node};
use crate::operators::{Role, Signature};

/// Returns the elements of a constant as floats.
pub fn constant_floats(graph: &Graph, id: Id) -> Option<Vec<f32>> {
    graph.constant(id)?.value().ok()?.into_float().floats().ok()
}

/// Returns the values that are quantized dynamically, with a scale that depends on the sample.
pub fn dynamically_quantized(graph: &Graph) -> Vec<Id> {
    let dynamic = graph.nodes.iter().filter(|node| {
        node.operator.is_some_and(|operator| operator.name == "DynamicQuantizeLinear")
    });
    dynamic.filter_map(|node| node.input(0)).collect()
}

/// Returns the scales of dynamic quantization, including those in subgraphs.
pub fn dynamic_scales(graph: &Graph) -> Vec<Id> {
    let mut scales = Vec::new();
    let mut collect = |node: &Node| {
        let is_dynamic =
            node.operator.is_some_and(|operator| operator.name == "DynamicQuantizeLinear");
        scales.extend(node.outputs.get(1).copied().flatten().filter(|_| is_dynamic));
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut collect));
    scales
}

/// Whether the graph, after constant folding, rounds values that depend on the sample.
pub fn is_quantized(graph: &Graph) -> bool {
    any_operator(graph.nodes.iter(), &|operator| {
        operator.role == Role::Rounds || operator.name == "DynamicQuantizeLinear"
    })
}

/// Returns the first node with dynamic quantization in a subgraph, where the sample layout is unknown.
pub fn dynamic_in_subgraph(graph: &Graph) -> Option<&Node> {
    let is_dynamic = |operator: &Signature| operator.name == "DynamicQuantizeLinear";
    graph.nodes.iter().find(|node| {
        let inner = node.blocks.iter().flat_map(|(_, block)| &block.nodes);
        any_operator(inner, &is_dynamic)
    })
}

/// Whether `predicate` holds for an operator of the nodes or of their subgraphs.
fn any_operator<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    predicate: &dyn Fn(&Signature) -> bool,
) -> bool {
    let mut found = false;
    nodes.for_each(|node| node.visit(&mut |node| found |= node.operator.is_some_and(predicate)));
    found
}
