//! Dead-code elimination: removes nodes, node outputs and weights that the graph outputs do not depend on.

use crate::graph::Graph;

/// Removes everything that no output of `graph` depends on.
pub fn prune(graph: &mut Graph) {
    let mut needed = vec![false; graph.values.len()];
    for output in &graph.outputs {
        needed[output.0] = true;
    }
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        for output in &mut node.outputs {
            *output = output.filter(|id| needed[id.0]);
        }
        if node.outputs.iter().any(Option::is_some) {
            node.reads(&mut |id| needed[id.0] = true);
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    for (value, _) in graph.values.iter_mut().zip(needed).filter(|(_, needed)| !needed) {
        value.constant = None;
    }
}
