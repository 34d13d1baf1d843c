//! Removes nodes whose output equals their input.

use crate::graph::Graph;
use crate::operators::Role;

/// Removes all identity nodes; nodes that read the output of one then read its input.
pub fn drop_identities(graph: &mut Graph) {
    let mut replacements = Vec::new();
    graph.nodes.retain(|node| {
        let identity = node.operator.is_some_and(|operator| operator.role == Role::Identity);
        match (identity, &node.inputs[..], &node.outputs[..]) {
            (true, &[Some(from)], &[Some(to)]) if node.attributes.unread().is_empty() => {
                replacements.push((to, from));
                false
            }
            _ => true,
        }
    });
    graph.redirect(&replacements);
}
