//! The fusion of a QuantizeLinear and the following DequantizeLinear into one FakeQuantize on floats.

use std::collections::HashMap;

use super::quantized::constant_floats;
use crate::graph::{Constant, Graph, Id, Node};
use crate::operators::{OWN, signature};
use crate::value::Value;

/// The operators that only move or select elements of their first input, so quantization commutes with them.
const COMMUTING: [&str; 6] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool"];

/// Replaces each pair of a QuantizeLinear and a DequantizeLinear by a FakeQuantize. Between the two there may
/// be nodes that only move or select elements.
pub fn fuse_fake_quantize(graph: &mut Graph) {
    let producers = graph.producers();
    let mut replacements: HashMap<usize, Replacement> = HashMap::new();
    // The FakeQuantize nodes of each QuantizeLinear: one per scale of its DequantizeLinears.
    let mut fakes: HashMap<usize, Vec<FakeQuantize>> = HashMap::new();
    for at in 0..graph.nodes.len() {
        let Some((quantize, between)) = find_quantize(graph, at, &producers) else { continue };
        let Some(scale) = graph.nodes[at].inputs[1] else { continue };
        let scale_values = constant_floats(graph, scale);
        let existing = fakes.get(&quantize).and_then(|all| {
            all.iter().find(|fake| {
                fake.scale == scale || (scale_values.is_some() && fake.scale_values == scale_values)
            })
        });
        let output = match existing {
            Some(fake) => fake.output,
            None => {
                let name = format!("dequantized {}", graph.nodes[quantize].label());
                let output = graph.add(name, None);
                fakes.entry(quantize).or_default().push(FakeQuantize {
                    scale,
                    scale_values,
                    output,
                });
                output
            }
        };
        replacements.insert(at, Replacement { fake: output, between });
    }
    let nodes = std::mem::take(&mut graph.nodes);
    // The nodes between the two are duplicated for the float values.
    let between = replacements.values().flat_map(|replacement| &replacement.between);
    let copies: HashMap<usize, Node> = between.map(|&at| (at, nodes[at].clone())).collect();
    let mut redirected = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        match replacements.remove(&at) {
            Some(Replacement { mut fake, between }) => {
                for at in between {
                    let mut copy = copies[&at].clone();
                    copy.inputs[0] = Some(fake);
                    fake = graph.add(format!("dequantized {}", copy.label()), None);
                    copy.outputs = vec![Some(fake)];
                    graph.nodes.push(copy);
                }
                redirected.extend(node.outputs.iter().flatten().map(|&output| (output, fake)));
            }
            None => {
                let fakes = fakes.remove(&at).unwrap_or_default();
                let fakes: Vec<Node> = fakes.into_iter().map(|fake| fake.node(&node)).collect();
                graph.nodes.push(node);
                graph.nodes.extend(fakes);
            }
        }
    }
    graph.redirect(&redirected);
}

/// Merges the scale after an integer product into the following FakeQuantize: divides the scale by the scale
/// of the quantization, so that one product is rounded, as in integer runtimes.
pub fn requantize(graph: &mut Graph) {
    let (read_counts, producers) = (graph.read_counts(), graph.producers());
    for at in 0..graph.nodes.len() {
        let Some(fake) = node_of(graph, at, "FakeQuantize") else { continue };
        let Some(x) = fake.inputs[0].filter(|x| read_counts[x.0] == 1) else { continue };
        let Some(scaling) = producers[x.0].filter(|&at| node_of(graph, at, "Scale").is_some())
        else {
            continue;
        };
        let both = fake.inputs[1].zip(graph.nodes[scaling].inputs[1]);
        let read = |id| constant_floats(graph, id);
        let both = both.and_then(|(level, factors)| read(level).zip(read(factors)));
        let is_scale =
            |level: &[f32]| matches!(level, [value] if *value > 0.0 && value.is_finite());
        let Some((level, factors)) = both.filter(|(level, _)| is_scale(level)) else { continue };
        let divided = factors.iter().map(|factor| factor / level[0]).collect();
        let mut hold = |value: Value| {
            graph.add("quotient of two scales".into(), Some(Constant::Computed(value.into())))
        };
        let divided = hold(Value::from_floats(divided));
        let one = hold(Value::number(1.0));
        graph.nodes[scaling].inputs[1] = Some(divided);
        graph.nodes[at].inputs[1] = Some(one);
    }
}

/// A QuantizeLinear fused with the DequantizeLinears of one scale.
struct FakeQuantize {
    /// The scale of the DequantizeLinears.
    scale: Id,
    /// The values of `scale`, if constant.
    scale_values: Option<Vec<f32>>,
    output: Id,
}

impl FakeQuantize {
    /// Returns the FakeQuantize node.
    fn node(self, quantize: &Node) -> Node {
        let input = |index: usize| quantize.input(index);
        Node {
            operator: signature(OWN, "FakeQuantize"),
            kind: "FakeQuantize".into(),
            inputs: vec![input(0), input(1), input(2), Some(self.scale)],
            outputs: vec![Some(self.output)],
            ..quantize.clone()
        }
    }
}

/// The replacement of a DequantizeLinear.
struct Replacement {
    /// The output of the FakeQuantize.
    fake: Id,
    /// The nodes between the QuantizeLinear and the DequantizeLinear, in order.
    between: Vec<usize>,
}

/// Returns the index of the QuantizeLinear whose levels the DequantizeLinear `at` reads, and the indices of
/// the nodes between the two. `None` if the pair cannot be fused.
fn find_quantize(
    graph: &Graph,
    at: usize,
    producers: &[Option<usize>],
) -> Option<(usize, Vec<usize>)> {
    let dequantize = node_of(graph, at, "DequantizeLinear")?;
    let is_per_tensor = [1, 2]
        .iter()
        .all(|&index| dequantize.input(index).is_none() || is_number(graph, dequantize, index));
    let mut between = Vec::new();
    let mut id = dequantize.input(0)?;
    loop {
        let producer = producers[id.0]?;
        let node = &graph.nodes[producer];
        if let Some(quantize) = node_of(graph, producer, "QuantizeLinear") {
            let is_constant =
                quantize.inputs[1].is_some_and(|scale| graph.constant(scale).is_some());
            // A negative scale reverses the order of values, so it does not commute with MaxPool.
            let is_positive = constant_floats(graph, dequantize.input(1)?)
                .is_some_and(|scales| scales.iter().all(|&scale| scale > 0.0));
            let is_compatible =
                is_constant && is_positive && reads_same_constant(graph, quantize, dequantize, 2);
            // Several scales lie along an axis, which nodes between the two may have moved.
            let axis = |node: &Node| node.attributes.int("axis").ok().flatten().unwrap_or(1);
            let block_size = |node: &Node| node.attributes.int("block_size").ok().flatten();
            let has_matching_scales = (is_per_tensor && is_number(graph, quantize, 1))
                || (reads_same_constant(graph, quantize, dequantize, 1)
                    && between.is_empty()
                    && axis(quantize) == axis(dequantize)
                    && block_size(quantize) == block_size(dequantize));
            between.reverse();
            return (is_compatible && has_matching_scales).then_some((producer, between));
        }
        let commutes = COMMUTING.contains(&node.kind.as_str())
            && node.outputs.iter().skip(1).all(Option::is_none);
        if !commutes || !is_per_tensor {
            return None;
        }
        between.push(producer);
        id = node.input(0)?;
    }
}

/// Whether input `index` of a node is a constant with one element.
fn is_number(graph: &Graph, node: &Node, index: usize) -> bool {
    let dims = node.input(index).and_then(|id| graph.constant(id)).and_then(Constant::dims);
    dims.is_some_and(|dims| dims.iter().product::<usize>() == 1)
}

/// Returns the node with the index `at`, if its operator is `name`.
fn node_of<'a>(graph: &'a Graph, at: usize, name: &str) -> Option<&'a Node> {
    let node = &graph.nodes[at];
    node.operator.filter(|operator| operator.name == name).map(|_| node)
}

/// Whether input `index` of two nodes is the same value, equal constants, or absent in both.
fn reads_same_constant(graph: &Graph, a: &Node, b: &Node, index: usize) -> bool {
    let [a, b] = [a, b].map(|node| node.input(index));
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
