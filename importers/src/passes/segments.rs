//! Finds the runs of nodes that the CPU computes as one: convolutional parts with constant weights,
//! from one value to another.

use std::collections::HashMap;

use attriburn_kernels::frozen::{Builder, Convolution, Value, Weights, Window};
use burn::tensor::Device;

use crate::graph::{Graph, Id, Node};
use crate::operators::Site;

/// A run of nodes.
pub struct Found {
    /// Their numbers, in order; the last one makes the output.
    pub nodes: Vec<usize>,
    pub input: Id,
    /// The segment, not yet packed, and its output.
    pub builder: Builder,
    pub output: Value,
    /// Whether the channels are the last axis of the output.
    pub channels_last: bool,
}

/// The segments of `graph`, whose values have these `shapes`, the batch axis first.
pub fn find(graph: &Graph, shapes: &HashMap<Id, Vec<usize>>) -> Vec<Found> {
    let readers = graph.readers();
    let mut taken = vec![false; graph.nodes.len()];
    let mut found = Vec::new();
    for start in 0..graph.nodes.len() {
        if taken[start] {
            continue;
        }
        let Some(grown) = Growth::from(graph, shapes, start, &taken) else { continue };
        let Some(length) = grown.whole_part(graph, &readers) else { continue };
        let nodes = grown.nodes[..length].to_vec();
        let Some(output) = graph.nodes[nodes[length - 1]].outputs[0] else { continue };
        nodes.iter().for_each(|&at| taken[at] = true);
        let (input, builder, output) = (grown.input, grown.builder, grown.values[&output]);
        let channels_last = builder.is_channels_last(output);
        found.push(Found { nodes, input, builder, output, channels_last });
    }
    found
}

/// Nodes that depend on one value alone.
struct Growth {
    input: Id,
    nodes: Vec<usize>,
    builder: Builder,
    values: HashMap<Id, Value>,
}

impl Growth {
    /// The nodes from `start` on that can be part of a segment that begins there.
    fn from(
        graph: &Graph,
        shapes: &HashMap<Id, Vec<usize>>,
        start: usize,
        taken: &[bool],
    ) -> Option<Self> {
        let mut inputs = variable(graph, &graph.nodes[start]);
        let input = inputs.next()?;
        if inputs.any(|id| id != input) {
            return None;
        }
        let &[_, channels, height, width] = &shapes.get(&input)?[..] else { return None };
        if shapes.get(&input)?.first() != shapes.get(&graph.inputs[0])?.first() {
            // Its first axis is not the batch.
            return None;
        }
        let (builder, value) = Builder::new([channels, height, width]);
        let values = HashMap::from([(input, value)]);
        let mut growth = Self { input, nodes: Vec::new(), builder, values };
        for (at, node) in graph.nodes.iter().enumerate().skip(start) {
            if taken[at] || !variable(graph, node).all(|id| growth.values.contains_key(&id)) {
                continue;
            }
            if let Some((output, value)) = growth.lowered(graph, node, shapes) {
                growth.values.insert(output, value);
                growth.nodes.push(at);
            } else if at == start {
                return None;
            }
        }
        Some(growth)
    }

    /// The node as part of the segment, where it can be.
    fn lowered(
        &mut self,
        graph: &Graph,
        node: &Node,
        shapes: &HashMap<Id, Vec<usize>>,
    ) -> Option<(Id, Value)> {
        let operator = node.operator?;
        let [Some(output)] = node.outputs[..] else { return None };
        let inputs: Vec<Option<Value>> =
            node.inputs.iter().map(|id| self.values.get(id.as_ref()?).copied()).collect();
        let site = Site { graph, node, device: &Device::flex() };
        let builder = &mut self.builder;
        let last = inputs.iter().flatten().any(|&value| builder.is_channels_last(value));
        let freeze = if last { operator.frozen_last } else { operator.frozen };
        let value = match freeze.and_then(|freeze| freeze(&site, builder, &inputs)) {
            Some(value) => value,
            None => affine(&site, builder, &inputs)?,
        };
        // What the segment makes is what the node was seen to make.
        (shapes.get(&output)?.get(1..)? == &builder.shape(value)[..]).then_some((output, value))
    }

    /// How many of the nodes make a segment of which one value alone is read outside, the last one;
    /// as many as possible, with a convolution or a product among them.
    fn whole_part(&self, graph: &Graph, readers: &[usize]) -> Option<usize> {
        let mut inside = vec![0; graph.values.len()];
        let mut open: Vec<Id> = Vec::new();
        let mut best = None;
        let mut convolves = false;
        for (count, &at) in self.nodes.iter().enumerate() {
            let node = &graph.nodes[at];
            node.inputs.iter().flatten().for_each(|id| inside[id.0] += 1);
            open.extend(node.outputs.iter().flatten());
            open.retain(|id| inside[id.0] < readers[id.0]);
            convolves |= node.operator.is_some_and(|own| own.multiplies);
            if convolves && open.len() == 1 && node.outputs[0] == Some(open[0]) {
                best = Some(count + 1);
            }
        }
        best
    }
}

/// What a node reads that is not constant.
fn variable<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = Id> + 'a {
    node.inputs.iter().flatten().copied().filter(|&id| graph.constant(id).is_none())
}

/// A scale and a shift of each channel, as a convolution of one pixel.
fn affine(site: &Site, builder: &mut Builder, inputs: &[Option<Value>]) -> Option<Value> {
    let data = inputs.iter().position(Option::is_some)?;
    let x = inputs[data]?;
    let channels = builder.dims(x)[0];
    // Where the channels are the last axis, it broadcasts as in a matrix.
    let rank = if builder.is_channels_last(x) { 2 } else { 4 };
    let own = site.node.operator?.affine?(site, data, rank, channels)?;
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let convolution = Convolution {
        weights: Weights::Given(narrow(&own.scale)),
        bias: Some(narrow(&own.shift)),
        outputs: channels,
        groups: channels,
        window: Window::pixel(),
    };
    builder.convolution(x, convolution)
}
