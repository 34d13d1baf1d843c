//! Expansion of composite operators, such as the quantized ones, into elementary operators.

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Graph, Node};
use crate::operators::{Rewriting, all_read, checked_operator, operator_of, signature};

/// Replaces each composite operator by the elementary operators that define it, also in subgraphs.
///
/// # Errors
///
/// When a node uses an unsupported feature; the message lists all such nodes.
pub fn expand_composites(graph: &mut Graph) -> Result<(), LoadError> {
    let mut failures = Vec::new();
    let nodes = std::mem::take(&mut graph.nodes);
    graph.nodes = expanded(graph, nodes, &mut failures);
    match failures.is_empty() {
        true => Ok(()),
        false => Err(LoadError::new(ErrorKind::Unsupported, failures.join("; "))),
    }
}

/// Returns `nodes` with composite operators replaced; appends an error message per failure to `failures`.
fn expanded(graph: &mut Graph, nodes: Vec<Node>, failures: &mut Vec<String>) -> Vec<Node> {
    let mut expanded_nodes = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for (_, block) in &mut node.blocks {
            block.nodes = expanded(graph, std::mem::take(&mut block.nodes), failures);
        }
        let Some(rewrite) = operator_of(&node).and_then(|operator| operator.rewrite) else {
            expanded_nodes.push(node);
            continue;
        };
        let nodes = checked_operator(&node).and_then(|_| {
            let mut rewriting = Rewriting::new(graph, &node, signature);
            let output = rewrite(&mut rewriting)?;
            let nodes = rewriting.finish(output);
            all_read(&node).map(|()| nodes)
        });
        match nodes {
            Ok(nodes) => expanded_nodes.extend(nodes),
            Err(message) => failures.push(format!("{}: {message}", node.label())),
        }
    }
    expanded_nodes
}
