//! Finds the convolutional subgraphs that the CPU runs as frozen segments. A segment has constant weights,
//! one input and one output.

use std::collections::{HashMap, HashSet};

use attriburn_kernels::frozen::{Builder, Value};
use burn::tensor::Device;

use crate::graph::{Graph, Id, Node};
use crate::operators::{ANY, Channels, Freezing, Role, Site, operator_of};
use crate::value::{Kind, Value as Operand};

/// A subgraph that becomes a segment.
pub struct FoundSegment {
    /// The indices of the nodes, in order; the last node produces the output.
    pub nodes: Vec<usize>,
    /// The input of the segment.
    pub input: Id,
    /// The segment before its weights are packed.
    pub builder: Builder,
    /// The output of the segment in `builder`.
    pub output: Value,
}

/// The shapes and shape-dependent values observed in a run of a graph.
pub struct Observed {
    /// The shape of each value, including the batch axis.
    pub shapes: HashMap<Id, Vec<usize>>,
    /// The float values.
    pub floats: HashSet<Id>,
    /// The values that depend only on shapes. They are constants for a segment, because the shapes of its
    /// tensors are fixed.
    pub constants: HashMap<Id, Operand>,
    /// Whether each value depends only on shapes.
    is_shape_only: Vec<bool>,
}

impl Observed {
    /// Starts the observation of a graph whose first input has the shape `input`.
    pub fn new(graph: &Graph, input: Vec<usize>) -> Self {
        Self {
            shapes: HashMap::from([(graph.inputs[0], input)]),
            floats: HashSet::new(),
            constants: HashMap::new(),
            is_shape_only: find_shape_only_values(graph),
        }
    }

    /// Records the outputs of a node.
    pub fn record(&mut self, node: &Node, values: &[Operand]) {
        for (id, value) in node.outputs.iter().zip(values) {
            let Some(id) = *id else { continue };
            self.shapes.insert(id, value.dims());
            if value.kind() == Kind::Float {
                self.floats.insert(id);
            }
            if self.is_shape_only[id.0] {
                self.constants.insert(id, value.clone());
            }
        }
    }
}

/// Finds the segments of `graph`.
pub fn find(graph: &Graph, observed: &Observed) -> Vec<FoundSegment> {
    let read_counts = graph.read_counts();
    let mut taken = vec![false; graph.nodes.len()];
    let mut found = Vec::new();
    for start in 0..graph.nodes.len() {
        if taken[start] {
            continue;
        }
        let Some(candidate) = Candidate::grow(graph, observed, start, &taken) else { continue };
        let Some(length) = candidate.segment_length(graph, &read_counts) else { continue };
        let nodes = candidate.nodes[..length].to_vec();
        let Some(output) = graph.nodes[nodes[length - 1]].outputs[0] else { continue };
        nodes.iter().for_each(|&at| taken[at] = true);
        let (input, builder, output) =
            (candidate.input, candidate.builder, candidate.values[&output]);
        found.push(FoundSegment { nodes, input, builder, output });
    }
    found
}

/// Determines for each value whether it depends only on shapes.
fn find_shape_only_values(graph: &Graph) -> Vec<bool> {
    let mut found = vec![false; graph.values.len()];
    for node in &graph.nodes {
        let reads_shapes = node.operator.is_some_and(|operator| operator.role == Role::OfShape);
        if node.blocks.is_empty()
            && (reads_shapes || variable_inputs(graph, node).all(|id| found[id.0]))
        {
            node.outputs.iter().flatten().for_each(|id| found[id.0] = true);
        }
    }
    found
}

/// A candidate for a segment: nodes that depend on a single input, apart from constants and shapes.
struct Candidate {
    input: Id,
    nodes: Vec<usize>,
    builder: Builder,
    /// The values of the graph that are part of the segment.
    values: HashMap<Id, Value>,
}

impl Candidate {
    /// Collects all nodes from `start` on that can be part of a segment that begins with the node `start`.
    fn grow(graph: &Graph, observed: &Observed, start: usize, taken: &[bool]) -> Option<Self> {
        let Observed { shapes, is_shape_only, .. } = observed;
        let first = &graph.nodes[start];
        let mut inputs = variable_inputs(graph, first).filter(|id| !is_shape_only[id.0]);
        let input = inputs.next()?;
        let reads_shapes = first.outputs.iter().flatten().any(|id| is_shape_only[id.0]);
        if reads_shapes || inputs.any(|id| id != input) {
            return None;
        }
        let dims = shapes.get(&input)?;
        if dims.first() != shapes.get(&graph.inputs[0])?.first() {
            // The first axis of the input is not the batch axis.
            return None;
        }
        let (builder, value) = Builder::new(dims)?;
        let values = HashMap::from([(input, value)]);
        let mut candidate = Self { input, nodes: Vec::new(), builder, values };
        // The values that depend only on the shapes of values inside the segment.
        let mut inner_shapes: Vec<Id> = Vec::new();
        for (at, node) in graph.nodes.iter().enumerate().skip(start) {
            if taken[at] {
                continue;
            }
            let inside = |id: &Id| candidate.values.contains_key(id) || inner_shapes.contains(id);
            let mut reads = variable_inputs(graph, node);
            if node.outputs.iter().flatten().any(|id| is_shape_only[id.0]) {
                if reads.any(|id| inside(&id)) {
                    inner_shapes.extend(node.outputs.iter().flatten());
                    candidate.nodes.push(at);
                }
                continue;
            }
            if !reads.all(|id| candidate.values.contains_key(&id) || is_shape_only[id.0]) {
                continue;
            }
            if let Some(values) = candidate.lower(graph, node, observed) {
                candidate.values.extend(values);
                candidate.nodes.push(at);
            } else if at == start {
                return None;
            }
        }
        Some(candidate)
    }

    /// Lowers a node into the segment and returns its outputs; `None` if the node cannot be part of a
    /// segment.
    fn lower(
        &mut self,
        graph: &Graph,
        node: &Node,
        observed: &Observed,
    ) -> Option<Vec<(Id, Value)>> {
        let operator = operator_of(node)?;
        // Only operators with any number of outputs, such as Split, can be lowered with several outputs.
        let has_known_outputs =
            operator.signature.outputs == ANY || node.outputs.iter().skip(1).all(Option::is_none);
        if !has_known_outputs || !node.blocks.is_empty() {
            return None;
        }
        let inputs: Vec<Option<Value>> =
            node.inputs.iter().map(|id| self.values.get(id.as_ref()?).copied()).collect();
        if inputs.iter().all(Option::is_none) {
            return None;
        }
        let device = Device::flex();
        let activation = operator.activation;
        let site = Site { activation, ..Site::on_host(graph, node, &device) };
        let shape = |id: &Option<Id>| observed.shapes.get(id.as_ref()?).cloned();
        let output_shapes: Vec<_> = node.outputs.iter().map(shape).collect();
        let builder = &mut self.builder;
        let mut freezing = Freezing {
            site: &site,
            builder,
            inputs: &inputs,
            constants: &observed.constants,
            shapes: &output_shapes,
            output: 0,
        };
        let mut values = Vec::with_capacity(node.outputs.len());
        for (output, id) in node.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            freezing.output = output;
            let value = match lower_affine(&mut freezing) {
                Some(value) => value,
                None => operator.frozen?(&mut freezing)?,
            };
            // The shape in the segment must be the observed shape.
            if output_shapes[output].as_ref()? != &freezing.builder.shape(value) {
                return None;
            }
            values.push((*id, value));
        }
        Some(values)
    }

    /// Returns the largest number of leading nodes that form a segment. Nodes outside the segment may read
    /// only the output of its last node, and the segment must contain a convolution or matrix product of
    /// several pixels.
    fn segment_length(&self, graph: &Graph, read_counts: &[usize]) -> Option<usize> {
        let mut inner_reads = vec![0; graph.values.len()];
        // The values that nodes outside the segment read.
        let mut open: Vec<Id> = Vec::new();
        let mut best = None;
        let mut has_product = false;
        for (count, &at) in self.nodes.iter().enumerate() {
            let node = &graph.nodes[at];
            node.inputs.iter().flatten().for_each(|id| inner_reads[id.0] += 1);
            open.extend(node.outputs.iter().flatten());
            open.retain(|id| inner_reads[id.0] < read_counts[id.0]);
            let pixels = |id: Id| {
                let [_, height, width] = self.builder.dims(*self.values.get(&id)?);
                Some(height * width)
            };
            // A segment does not pay off for products of a single pixel.
            let has_several_pixels =
                node.outputs[0].and_then(pixels).is_some_and(|pixels| pixels > 1);
            has_product |=
                has_several_pixels && node.operator.is_some_and(|operator| operator.multiplies);
            let output = open.first().and_then(|id| self.values.get(id));
            let can_end = output.is_some_and(|&value| self.builder.begins_with_batch(value));
            if has_product && can_end && open.len() == 1 && node.outputs[0] == Some(open[0]) {
                best = Some(count + 1);
            }
        }
        best
    }
}

/// Returns the inputs of a node that are not constant.
fn variable_inputs<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = Id> + 'a {
    node.inputs.iter().flatten().copied().filter(|&id| graph.constant(id).is_none())
}

/// Lowers a node that is a scale and shift of each channel; `None` for other nodes.
fn lower_affine(freezing: &mut Freezing) -> Option<Value> {
    let data = freezing.inputs.iter().position(Option::is_some)?;
    let x = freezing.inputs[data]?;
    let shape = freezing.builder.shape(x);
    let (rank, last) = (shape.len(), shape.len().checked_sub(1)?);
    let of = operator_of(freezing.site.node)?.affine?;
    // The channel axis of the tensor's layout is cheaper, so it is tried first.
    let axes = if freezing.builder.is_planes(x) { [1, last] } else { [last, 1] };
    let (axis, affine) =
        axes.into_iter().filter(|&axis| axis > 0 && axis <= last).find_map(|axis| {
            let channels = Channels { rank, axis, count: shape[axis] };
            Some((axis, of(freezing.site, data, channels)?))
        })?;
    let to_f32 = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    freezing.builder.affine(x, axis, to_f32(&affine.scale), to_f32(&affine.shift))
}
