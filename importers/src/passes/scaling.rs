//! How a model scales its input itself, before anything else.

use std::collections::BTreeSet;

use burn::tensor::Device;

use super::fold::fold;
use crate::graph::{Graph, Node};
use crate::operators::{Affine, Channels, Site};

/// `scale x + shift` of the input's channels by the model's first nodes, which take off a mean and divide by a
/// deviation, say; none where they do nothing of the kind. `shape` is a sample's, with the channels first.
pub fn of_input(graph: &Graph, shape: &[usize]) -> Option<Affine> {
    let &[count, _, _] = shape else { return None };
    let graph = &beginning(graph)?;
    let readers = graph.readers();
    let mut channels = Channels { rank: shape.len() + 1, axis: 1, count };
    let mut whole = Affine { scale: vec![1.0; count], shift: vec![0.0; count] };
    let mut found = false;
    let mut id = *graph.inputs.first()?;
    while readers[id.0] == 1 {
        let node = graph.nodes.iter().find(|node| node.inputs.contains(&Some(id)))?;
        let &[Some(next)] = &node.outputs[..] else { break };
        match next_axis(node, &channels) {
            Some(axis) => channels.axis = axis,
            None => {
                let Some(own) = affine(graph, node, id, channels) else { break };
                for c in 0..count {
                    whole.scale[c] *= own.scale[c];
                    whole.shift[c] = whole.shift[c] * own.scale[c] + own.shift[c];
                }
                found = true;
            }
        }
        id = next;
    }
    found.then_some(whole)
}

/// How many of the first nodes are looked at, and how many that make their constants.
const MOST_NODES: usize = 16;

/// The first nodes of a graph alone, with the constants that they read.
fn beginning(graph: &Graph) -> Option<Graph> {
    let (readers, makers) = (graph.readers(), graph.makers());
    let mut kept = BTreeSet::new();
    let mut id = *graph.inputs.first()?;
    while readers[id.0] == 1 && kept.len() < MOST_NODES {
        let Some(at) = graph.nodes.iter().position(|node| node.inputs.contains(&Some(id))) else {
            break;
        };
        kept.insert(at);
        let mut others: Vec<_> = graph.nodes[at].inputs.iter().flatten().collect();
        while let Some(other) = others.pop() {
            if let Some(maker) = makers[other.0]
                && kept.len() < MOST_NODES
                && kept.insert(maker)
            {
                others.extend(graph.nodes[maker].inputs.iter().flatten());
            }
        }
        match graph.nodes[at].outputs[..] {
            [Some(next)] => id = next,
            _ => break,
        }
    }
    let nodes = kept.into_iter().map(|at| graph.nodes[at].clone()).collect();
    let mut beginning = Graph { nodes, outputs: vec![id], ..graph.clone() };
    fold(&mut beginning).ok()?;
    Some(beginning)
}

/// Where the channels are behind a node that moves or casts values alone.
fn next_axis(node: &Node, channels: &Channels) -> Option<usize> {
    match node.kind.as_str() {
        "Cast" | "Identity" => Some(channels.axis),
        "Transpose" => {
            // A copy, so that the attribute counts as read only where the node is run.
            let order = node.attributes.clone().ints("perm").ok()??;
            order.iter().position(|&axis| axis == channels.axis as i64)
        }
        _ => None,
    }
}

fn affine(
    graph: &Graph,
    node: &Node,
    data: crate::graph::Id,
    channels: Channels,
) -> Option<Affine> {
    let data = node.inputs.iter().position(|input| *input == Some(data))?;
    // A copy, as above.
    let node = node.clone();
    let site = Site { graph, node: &node, device: &Device::flex() };
    let affine = node.operator?.affine?(&site, data, channels)?;
    let all = [affine.scale.len(), affine.shift.len()];
    all.iter().all(|&length| length == channels.count).then_some(affine)
}
