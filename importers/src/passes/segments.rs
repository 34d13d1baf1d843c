//! Finds the runs of nodes that the CPU computes as one: convolutional parts with constant weights,
//! from one value to another.

use std::collections::HashMap;

use attriburn_kernels::frozen::{Builder, Value};
use burn::tensor::Device;

use crate::graph::{Graph, Id, Node};
use crate::operators::{ANY, Channels, Freezing, Role, Site};
use crate::value::Value as Operand;

/// A run of nodes.
pub struct Found {
    /// Their numbers, in order; the last one makes the output.
    pub nodes: Vec<usize>,
    pub input: Id,
    /// The segment, not yet packed, and its output.
    pub builder: Builder,
    pub output: Value,
}

/// What the values of a graph were seen to be when it was run.
pub struct Seen {
    /// The batch axis first.
    pub shapes: HashMap<Id, Vec<usize>>,
    /// Those that depend on shapes alone: a segment is of tensors whose shapes are known.
    pub constants: HashMap<Id, Operand>,
    of_shapes: Vec<bool>,
}

impl Seen {
    /// Of a graph whose first input has the shape `input`.
    pub fn new(graph: &Graph, input: Vec<usize>) -> Self {
        Self {
            shapes: HashMap::from([(graph.inputs[0], input)]),
            constants: HashMap::new(),
            of_shapes: of_shapes(graph),
        }
    }

    /// Notes what a node made.
    pub fn see(&mut self, node: &Node, values: &[Operand]) {
        for (id, value) in node.outputs.iter().zip(values) {
            let Some(id) = *id else { continue };
            self.shapes.insert(id, value.dims());
            if self.of_shapes[id.0] {
                self.constants.insert(id, value.clone());
            }
        }
    }
}

/// The segments of `graph`.
pub fn find(graph: &Graph, seen: &Seen) -> Vec<Found> {
    let readers = graph.readers();
    let mut taken = vec![false; graph.nodes.len()];
    let mut found = Vec::new();
    for start in 0..graph.nodes.len() {
        if taken[start] {
            continue;
        }
        let Some(grown) = Growth::from(graph, seen, start, &taken) else { continue };
        let Some(length) = grown.whole_part(graph, &readers) else { continue };
        let nodes = grown.nodes[..length].to_vec();
        let Some(output) = graph.nodes[nodes[length - 1]].outputs[0] else { continue };
        nodes.iter().for_each(|&at| taken[at] = true);
        let (input, builder, output) = (grown.input, grown.builder, grown.values[&output]);
        found.push(Found { nodes, input, builder, output });
    }
    found
}

/// The values that depend on shapes alone.
fn of_shapes(graph: &Graph) -> Vec<bool> {
    let mut found = vec![false; graph.values.len()];
    for node in &graph.nodes {
        let reads_shapes = node.operator.is_some_and(|own| own.role == Role::OfShape);
        if node.blocks.is_empty() && (reads_shapes || variable(graph, node).all(|id| found[id.0])) {
            node.outputs.iter().flatten().for_each(|id| found[id.0] = true);
        }
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
    fn from(graph: &Graph, seen: &Seen, start: usize, taken: &[bool]) -> Option<Self> {
        let Seen { shapes, of_shapes, .. } = seen;
        let first = &graph.nodes[start];
        let mut inputs = variable(graph, first).filter(|id| !of_shapes[id.0]);
        let input = inputs.next()?;
        let reads_shapes = first.outputs.iter().flatten().any(|id| of_shapes[id.0]);
        if reads_shapes || inputs.any(|id| id != input) {
            return None;
        }
        let dims = shapes.get(&input)?;
        if dims.first() != shapes.get(&graph.inputs[0])?.first() {
            // Its first axis is not the batch.
            return None;
        }
        let (builder, value) = Builder::new(dims)?;
        let values = HashMap::from([(input, value)]);
        let mut growth = Self { input, nodes: Vec::new(), builder, values };
        // Values that are made inside and that depend on shapes alone.
        let mut counts: Vec<Id> = Vec::new();
        for (at, node) in graph.nodes.iter().enumerate().skip(start) {
            if taken[at] {
                continue;
            }
            let inside = |id: &Id| growth.values.contains_key(id) || counts.contains(id);
            let mut reads = variable(graph, node);
            if node.outputs.iter().flatten().any(|id| of_shapes[id.0]) {
                if reads.any(|id| inside(&id)) {
                    counts.extend(node.outputs.iter().flatten());
                    growth.nodes.push(at);
                }
                continue;
            }
            if !reads.all(|id| growth.values.contains_key(&id) || of_shapes[id.0]) {
                continue;
            }
            if let Some(made) = growth.lowered(graph, node, seen) {
                growth.values.extend(made);
                growth.nodes.push(at);
            } else if at == start {
                return None;
            }
        }
        Some(growth)
    }

    /// The outputs of the node as parts of the segment, where they can be.
    fn lowered(&mut self, graph: &Graph, node: &Node, seen: &Seen) -> Option<Vec<(Id, Value)>> {
        let operator = node.operator?;
        // Of other operators than those that split, only the first output is known here.
        let known = operator.outputs == ANY || node.outputs.iter().skip(1).all(Option::is_none);
        if !known || !node.blocks.is_empty() {
            return None;
        }
        let inputs: Vec<Option<Value>> =
            node.inputs.iter().map(|id| self.values.get(id.as_ref()?).copied()).collect();
        if inputs.iter().all(Option::is_none) {
            return None;
        }
        let site = Site { graph, node, device: &Device::flex() };
        let shape = |id: &Option<Id>| seen.shapes.get(id.as_ref()?).cloned();
        let made: Vec<_> = node.outputs.iter().map(shape).collect();
        let builder = &mut self.builder;
        let mut own = Freezing {
            site: &site,
            builder,
            inputs: &inputs,
            constants: &seen.constants,
            shapes: &made,
            output: 0,
        };
        let mut values = Vec::with_capacity(node.outputs.len());
        for (output, id) in node.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            own.output = output;
            let value = match affine(&mut own) {
                Some(value) => value,
                None => operator.frozen?(&mut own)?,
            };
            // What the segment makes is what the node was seen to make.
            if made[output].as_ref()? != &own.builder.shape(value) {
                return None;
            }
            values.push((*id, value));
        }
        Some(values)
    }

    /// How many of the nodes make a segment of which one value alone is read outside, the last one;
    /// as many as possible, with a convolution or a product of several pixels among them.
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
            let pixels = |id: Id| {
                let [_, height, width] = self.builder.dims(*self.values.get(&id)?);
                Some(height * width)
            };
            // Products of one pixel are no reason for a segment.
            let several = node.outputs[0].and_then(pixels).is_some_and(|pixels| pixels > 1);
            convolves |= several && node.operator.is_some_and(|own| own.multiplies);
            let made = open.first().and_then(|id| self.values.get(id));
            let ends = made.is_some_and(|&value| self.builder.begins_with_batch(value));
            if convolves && ends && open.len() == 1 && node.outputs[0] == Some(open[0]) {
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

/// A scale and a shift of each channel.
fn affine(own: &mut Freezing) -> Option<Value> {
    let data = own.inputs.iter().position(Option::is_some)?;
    let x = own.inputs[data]?;
    let shape = own.builder.shape(x);
    let (rank, last) = (shape.len(), shape.len().checked_sub(1)?);
    let of = own.site.node.operator?.affine?;
    // The axis of the picture's channels is the cheaper one.
    let axes = if own.builder.is_planes(x) { [1, last] } else { [last, 1] };
    let (axis, affine) =
        axes.into_iter().filter(|&axis| axis > 0 && axis <= last).find_map(|axis| {
            let channels = Channels { rank, axis, count: shape[axis] };
            Some((axis, of(own.site, data, channels)?))
        })?;
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    own.builder.affine(x, axis, narrow(&affine.scale), narrow(&affine.shift))
}
