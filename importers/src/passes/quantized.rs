//! Quantized models as models of floats: operators on integers become the same on floats, and a
//! QuantizeLinear with a DequantizeLinear behind it becomes one FakeQuantize. What is dequantized of
//! constants is folded like everything else.

use std::collections::HashMap;

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Constant, Graph, Id, Node};
use crate::operators::{OWN, Rewriting, Role, known, operator};

/// Puts the nodes for which an operator is short in its place, also in graphs inside others.
///
/// # Errors
///
/// All nodes that cannot be honoured.
pub fn spell_out(graph: &mut Graph) -> Result<(), LoadError> {
    let mut failures = Vec::new();
    let nodes = std::mem::take(&mut graph.nodes);
    graph.nodes = spelled_out(graph, nodes, &mut failures);
    match failures.is_empty() {
        true => Ok(()),
        false => Err(LoadError::new(ErrorKind::Unsupported, failures.join("; "))),
    }
}

fn spelled_out(graph: &mut Graph, nodes: Vec<Node>, failures: &mut Vec<String>) -> Vec<Node> {
    let mut made = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for (_, block) in &mut node.blocks {
            block.nodes = spelled_out(graph, std::mem::take(&mut block.nodes), failures);
        }
        let Some(rewrite) = node.operator.and_then(|operator| operator.rewrite) else {
            made.push(node);
            continue;
        };
        let nodes = known(&node).and_then(|_| {
            let mut rewriting = Rewriting::new(graph, &node);
            let output = rewrite(&mut rewriting)?;
            let nodes = rewriting.finish(output);
            match node.attributes.unread()[..] {
                [] => Ok(nodes),
                ref names => Err(format!("its attributes {} are not known", names.join(", "))),
            }
        });
        match nodes {
            Ok(nodes) => made.extend(nodes),
            Err(message) => failures.push(format!("{}: {message}", node.label())),
        }
    }
    made
}

/// The operators that only choose among the elements of their first input or move them: to quantize
/// before or after one is the same.
const KEEPING: [&str; 6] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool"];

/// Joins every QuantizeLinear with the DequantizeLinear that reads it, past nodes between them that only
/// move elements.
pub fn join(graph: &mut Graph) {
    let makers = graph.makers();
    let mut joins: HashMap<usize, Join> = HashMap::new();
    let mut fakes: HashMap<usize, Id> = HashMap::new();
    for at in 0..graph.nodes.len() {
        let Some((quantize, between)) = source(graph, at, &makers) else { continue };
        let fake = *fakes.entry(quantize).or_insert_with(|| {
            graph.add(format!("dequantized {}", graph.nodes[quantize].label()), None)
        });
        joins.insert(at, Join { fake, between });
    }
    let nodes = std::mem::take(&mut graph.nodes);
    // What lies between is made again of floats, beside what it was.
    let copies: HashMap<usize, Node> =
        joins.values().flat_map(|join| &join.between).map(|&at| (at, nodes[at].clone())).collect();
    let mut change = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        match joins.remove(&at) {
            Some(Join { mut fake, between }) => {
                for at in between {
                    let mut copy = copies[&at].clone();
                    copy.inputs[0] = Some(fake);
                    fake = graph.add(format!("dequantized {}", copy.label()), None);
                    copy.outputs = vec![Some(fake)];
                    graph.nodes.push(copy);
                }
                change.extend(node.outputs.iter().flatten().map(|&output| (output, fake)));
            }
            None => {
                let fake = fakes.get(&at).map(|&fake| Node {
                    operator: operator(OWN, "FakeQuantize"),
                    kind: "FakeQuantize".into(),
                    outputs: vec![Some(fake)],
                    ..node.clone()
                });
                graph.nodes.push(node);
                graph.nodes.extend(fake);
            }
        }
    }
    graph.redirect(&change);
}

/// What a DequantizeLinear becomes.
struct Join {
    /// What its QuantizeLinear's input is after both.
    fake: Id,
    /// The nodes between the two, in order.
    between: Vec<usize>,
}

/// The QuantizeLinear whose levels the DequantizeLinear `at` reads, and the nodes between them.
fn source(graph: &Graph, at: usize, makers: &[Option<usize>]) -> Option<(usize, Vec<usize>)> {
    let dequantize = named(graph, at, "DequantizeLinear")?;
    let whole = [1, 2].iter().all(|&index| {
        let id = dequantize.inputs.get(index).copied().flatten();
        id.is_none_or(|id| {
            let dims = graph.constant(id).and_then(Constant::dims);
            dims.is_some_and(|dims| dims.iter().product::<usize>() == 1)
        })
    });
    let mut between = Vec::new();
    let mut id = dequantize.inputs.first().copied().flatten()?;
    loop {
        let maker = makers[id.0]?;
        let node = &graph.nodes[maker];
        if let Some(quantize) = named(graph, maker, "QuantizeLinear") {
            let same = [1, 2].iter().all(|&index| same(graph, quantize, dequantize, index));
            // Several scales lie along an axis, which what lies between may have moved.
            let along = |node: &Node| node.attributes.int("axis").ok().flatten().unwrap_or(1);
            let blocks = |node: &Node| node.attributes.int("block_size").ok().flatten();
            let fits = whole
                || (between.is_empty()
                    && along(quantize) == along(dequantize)
                    && blocks(quantize) == blocks(dequantize));
            between.reverse();
            return (same && fits).then_some((maker, between));
        }
        let keeps = KEEPING.contains(&node.kind.as_str())
            && node.outputs.iter().skip(1).all(Option::is_none);
        if !keeps || !whole {
            return None;
        }
        between.push(maker);
        id = node.inputs.first().copied().flatten()?;
    }
}

/// The node `at`, if it is of the operator `name`.
fn named<'a>(graph: &'a Graph, at: usize, name: &str) -> Option<&'a Node> {
    let node = &graph.nodes[at];
    node.operator.filter(|operator| operator.name == name).map(|_| node)
}

/// Whether two nodes read the same constant as input `index`, or neither reads any.
fn same(graph: &Graph, a: &Node, b: &Node, index: usize) -> bool {
    let [a, b] = [a, b].map(|node| node.inputs.get(index).copied().flatten());
    let (Some(a), Some(b)) = (a, b) else { return a == b };
    if a == b {
        return true;
    }
    let read = |id: Id| {
        let value = graph.constant(id)?.value().ok()?;
        let element = value.element();
        Some((element, value.into_float().floats().ok()?))
    };
    match (read(a), read(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// What nodes quantize whose scale follows the sample.
pub fn dynamic(graph: &Graph) -> Vec<Id> {
    let own = graph.nodes.iter().filter(|node| {
        node.operator.is_some_and(|operator| operator.name == "DynamicQuantizeLinear")
    });
    own.filter_map(|node| node.inputs.first().copied().flatten()).collect()
}

/// Whether anything in the graph rounds what depends on the sample.
pub fn is_quantized(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| {
        node.operator
            .is_some_and(|own| own.role == Role::Rounds || own.name == "DynamicQuantizeLinear")
    })
}
