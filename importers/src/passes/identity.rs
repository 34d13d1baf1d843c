//! Drops the nodes that give their input as it is.

use crate::graph::Graph;
use crate::operators::Role;

/// Makes the readers of such a node read its input.
pub fn drop_identities(graph: &mut Graph) {
    let mut change = Vec::new();
    graph.nodes.retain(|node| {
        let identity = node.operator.is_some_and(|operator| operator.role == Role::Identity);
        match (identity, &node.inputs[..], &node.outputs[..]) {
            (true, &[Some(from)], &[Some(to)]) if node.attributes.unread().is_empty() => {
                change.push((to, from));
                false
            }
            _ => true,
        }
    });
    graph.redirect(&change);
}
