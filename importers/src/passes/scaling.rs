//! Detects a scaling of the input channels by the first nodes of a model.

use std::collections::BTreeSet;

use burn::tensor::Device;

use super::fold::fold;
use crate::graph::{Graph, Node};
use crate::operators::{Affine, Channels, Site, operator_of};

/// Returns the map `scale * x + shift` that the model's first nodes apply to the input's channels, such as a
/// normalization by mean and standard deviation; `None` if there is no such scaling. `shape` is the shape of
/// a sample, with the channels first.
pub fn input_scaling(graph: &Graph, shape: &[usize]) -> Option<Affine> {
    let &[count, _, _] = shape else { return None };
    let graph = &first_nodes(graph)?;
    let read_counts = graph.read_counts();
    let mut channels = Channels { rank: shape.len() + 1, axis: 1, count };
    let mut total = Affine { scale: vec![1.0; count], shift: vec![0.0; count] };
    let mut found = false;
    let mut id = *graph.inputs.first()?;
    while read_counts[id.0] == 1 {
        let node = graph.nodes.iter().find(|node| node.inputs.contains(&Some(id)))?;
        let &[Some(next)] = &node.outputs[..] else { break };
        match moved_channel_axis(node, &channels) {
            Some(axis) => channels.axis = axis,
            None => {
                let Some(affine) = node_affine(graph, node, id, channels) else { break };
                for c in 0..count {
                    total.scale[c] *= affine.scale[c];
                    total.shift[c] = total.shift[c] * affine.scale[c] + affine.shift[c];
                }
                found = true;
            }
        }
        id = next;
    }
    found.then_some(total)
}

/// The maximum number of examined nodes, including the nodes that compute their constants.
const MAX_NODES: usize = 16;

/// Returns the graph of the first nodes that follow the input one after the other, constant-folded.
fn first_nodes(graph: &Graph) -> Option<Graph> {
    let (read_counts, producers) = (graph.read_counts(), graph.producers());
    let mut kept = BTreeSet::new();
    let mut id = *graph.inputs.first()?;
    while read_counts[id.0] == 1 && kept.len() < MAX_NODES {
        let Some(at) = graph.nodes.iter().position(|node| node.inputs.contains(&Some(id))) else {
            break;
        };
        kept.insert(at);
        let mut others: Vec<_> = graph.nodes[at].inputs.iter().flatten().collect();
        while let Some(other) = others.pop() {
            if let Some(producer) = producers[other.0]
                && kept.len() < MAX_NODES
                && kept.insert(producer)
            {
                others.extend(graph.nodes[producer].inputs.iter().flatten());
            }
        }
        match graph.nodes[at].outputs[..] {
            [Some(next)] => id = next,
            _ => break,
        }
    }
    let nodes = kept.into_iter().map(|at| graph.nodes[at].clone()).collect();
    let mut first_nodes = Graph { nodes, outputs: vec![id], ..graph.clone() };
    fold(&mut first_nodes).ok()?;
    Some(first_nodes)
}

/// Returns the channel axis of the output of a Cast, Identity or Transpose; `None` for other nodes.
fn moved_channel_axis(node: &Node, channels: &Channels) -> Option<usize> {
    match node.kind.as_str() {
        "Cast" | "Identity" => Some(channels.axis),
        "Transpose" => {
            // This reads a copy, so that the attribute of the node itself does not count as read.
            let perm = node.attributes.clone().ints("perm").ok()??;
            perm.iter().position(|&axis| axis == channels.axis as i64)
        }
        _ => None,
    }
}

/// Returns the map that a node applies to the channels of its input `data`, if there is one.
fn node_affine(
    graph: &Graph,
    node: &Node,
    data: crate::graph::Id,
    channels: Channels,
) -> Option<Affine> {
    let data = node.inputs.iter().position(|input| *input == Some(data))?;
    // This reads the attributes of a copy, as above.
    let node = node.clone();
    let device = Device::flex();
    let site = Site::on_host(graph, &node, &device);
    let affine = operator_of(&node)?.affine?(&site, data, channels)?;
    let lengths = [affine.scale.len(), affine.shift.len()];
    lengths.iter().all(|&length| length == channels.count).then_some(affine)
}
