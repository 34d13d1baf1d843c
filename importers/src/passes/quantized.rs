//! Quantized models as models of floats: operators on integers become the same on floats, and a
//! QuantizeLinear with a DequantizeLinear behind it becomes one FakeQuantize. What is dequantized of
//! constants is folded like everything else.

use std::collections::HashMap;

use crate::error::{ErrorKind, LoadError};
use crate::graph::{Constant, Graph, Id, Node};
use crate::operators::{OWN, Operator, Rewriting, Role, all_read, known, operator};
use crate::value::Value;

/// Puts the nodes for which an operator is short in its place, also in graphs inside others.
///
/// # Errors
///
/// All nodes that cannot be honoured.
pub fn spell_out(graph: &mut Graph) -> Result<(), LoadError> {
    let mut failures = Vec::new();
    let nodes = std::mem::take(&mut graph.nodes);
    graph.nodes = spelled_out(graph, nodes, &mut failures);
    match failures.is_empty() {
        true => Ok(()),
        false => Err(LoadError::new(ErrorKind::Unsupported, failures.join("; "))),
    }
}

fn spelled_out(graph: &mut Graph, nodes: Vec<Node>, failures: &mut Vec<String>) -> Vec<Node> {
    let mut made = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for (_, block) in &mut node.blocks {
            block.nodes = spelled_out(graph, std::mem::take(&mut block.nodes), failures);
        }
        let Some(rewrite) = node.operator.and_then(|operator| operator.rewrite) else {
            made.push(node);
            continue;
        };
        let nodes = known(&node).and_then(|_| {
            let mut rewriting = Rewriting::new(graph, &node);
            let output = rewrite(&mut rewriting)?;
            let nodes = rewriting.finish(output);
            all_read(&node).map(|()| nodes)
        });
        match nodes {
            Ok(nodes) => made.extend(nodes),
            Err(message) => failures.push(format!("{}: {message}", node.label())),
        }
    }
    made
}

/// Makes convolutions and products of what is dequantized the same of whole numbers, with the scale behind
/// the sum: sums of whole numbers are exact in float32 as long as they are below 2^24, so that a level is
/// rounded as a runtime of integers rounds it.
pub fn keep_whole(graph: &mut Graph) {
    let makers = graph.makers();
    let nodes = std::mem::take(&mut graph.nodes);
    let mut made = Vec::with_capacity(nodes.len());
    for node in &nodes {
        match whole(graph, &nodes, node, &makers) {
            Some(product) => made.extend(product.nodes(graph, node)),
            None => made.push(node.clone()),
        }
    }
    graph.nodes = made;
}

/// A product of whole numbers.
struct Whole {
    /// What is dequantized: the levels, the zero, and the axis of several zeros.
    factors: Vec<(Id, Option<Id>, i64)>,
    scale: Vec<f32>,
    /// The axis of the output along which there are several scales.
    axis: i64,
}

/// A DequantizeLinear with constant scales.
struct Dequantized {
    levels: Id,
    zero: Option<Id>,
    scales: Vec<f32>,
    axis: i64,
}

impl Dequantized {
    fn of(graph: &Graph, nodes: &[Node], id: Id, makers: &[Option<usize>]) -> Option<Self> {
        let node = &nodes[makers[id.0]?];
        node.operator.filter(|operator| operator.name == "DequantizeLinear")?;
        let scale = node.input(1)?;
        let blocks = node.attributes.int("block_size").ok().flatten().unwrap_or(0) != 0;
        let flat = graph.constant(scale)?.dims().is_some_and(|dims| dims.len() <= 1);
        if blocks || !flat {
            return None;
        }
        let axis = node.attributes.int("axis").ok().flatten().unwrap_or(1);
        let (levels, zero, scales) = (node.input(0)?, node.input(2), numbers(graph, scale)?);
        Some(Self { levels, zero, scales, axis })
    }

    fn is_constant(&self, graph: &Graph) -> bool {
        graph.constant(self.levels).is_some()
    }

    /// The axis of several scales in a tensor of so many axes.
    fn axis_of(&self, rank: usize) -> i64 {
        if self.axis < 0 { self.axis + rank as i64 } else { self.axis }
    }
}

/// What a node is as a product of whole numbers, where it is one.
fn whole(graph: &Graph, nodes: &[Node], node: &Node, makers: &[Option<usize>]) -> Option<Whole> {
    let operator = node.operator.filter(|operator| operator.domain.is_empty())?;
    let of = |index: usize| Dequantized::of(graph, nodes, node.input(index)?, makers);
    let (x, weights) = (of(0)?, of(1)?);
    if x.scales.len() != 1 || x.is_constant(graph) {
        return None;
    }
    let rank = graph.constant(weights.levels).and_then(Constant::dims).map(|dims| dims.len());
    let number = |name: &str| node.attributes.float(name).ok().flatten().unwrap_or(1.0);
    // Which axis of the weights is which of the output.
    let (own, axis) = match operator.name {
        "Conv" => (0, 1),
        "Gemm" if number("alpha") == 1.0 && number("beta") == 1.0 => {
            let turned = node.attributes.int("transB").ok().flatten().unwrap_or(0) != 0;
            (if turned { 0 } else { 1 }, 1)
        }
        "MatMul" if rank.is_none_or(|rank| rank >= 2) => {
            (rank.map_or(0, |rank| rank as i64 - 1), -1)
        }
        _ => return None,
    };
    if weights.scales.len() > 1 && weights.axis_of(rank?) != own {
        return None;
    }
    let scale: Vec<f32> = weights.scales.iter().map(|own| own * x.scales[0]).collect();
    let mut factors =
        vec![(x.levels, x.zero, x.axis), (weights.levels, weights.zero, weights.axis)];
    if node.input(2).is_some() {
        let bias = of(2)?;
        let close = |(own, scale): (&f32, &f32)| (own - scale).abs() <= 1e-5 * scale.abs();
        let alike = bias.scales.len() == scale.len() && bias.scales.iter().zip(&scale).all(close);
        let zeros = bias.zero.map(|zero| numbers(graph, zero));
        let is_plain =
            zeros.is_none_or(|zeros| zeros.is_some_and(|all| all.iter().all(|&z| z == 0.0)));
        if !alike || !is_plain || !bias.is_constant(graph) {
            return None;
        }
        factors.push((bias.levels, None, 0));
    }
    Some(Whole { factors, scale, axis })
}

impl Whole {
    /// The node of whole numbers, and the scale behind it.
    fn nodes(self, graph: &mut Graph, node: &Node) -> Vec<Node> {
        let mut own = Rewriting::new(graph, node);
        let shifted = |(levels, zero, axis)| Some(own.shifted(levels, zero, axis));
        let factors = self.factors.into_iter().map(shifted).collect();
        let sum = own.again(factors);
        let output = own.scaled(sum, self.scale, self.axis);
        own.finish(output)
    }
}

/// The operators that only choose among the elements of their first input or move them: to quantize
/// before or after one is the same.
const KEEPING: [&str; 6] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool"];

/// Joins every QuantizeLinear with the DequantizeLinear that reads it, past nodes between them that only
/// move elements.
pub fn join(graph: &mut Graph) {
    let makers = graph.makers();
    let mut joins: HashMap<usize, Join> = HashMap::new();
    // What each QuantizeLinear becomes, with the scales of those that read it.
    let mut fakes: HashMap<usize, Vec<Fake>> = HashMap::new();
    for at in 0..graph.nodes.len() {
        let Some((quantize, between)) = source(graph, at, &makers) else { continue };
        let Some(unit) = graph.nodes[at].inputs[1] else { continue };
        let numbers = numbers(graph, unit);
        let known = fakes.get(&quantize).and_then(|all| {
            all.iter().find(|own| own.unit == unit || (numbers.is_some() && own.numbers == numbers))
        });
        let output = match known {
            Some(fake) => fake.output,
            None => {
                let name = format!("dequantized {}", graph.nodes[quantize].label());
                let output = graph.add(name, None);
                fakes.entry(quantize).or_default().push(Fake { unit, numbers, output });
                output
            }
        };
        joins.insert(at, Join { fake: output, between });
    }
    let nodes = std::mem::take(&mut graph.nodes);
    // What lies between is made again of floats, beside what it was.
    let copies: HashMap<usize, Node> =
        joins.values().flat_map(|join| &join.between).map(|&at| (at, nodes[at].clone())).collect();
    let mut change = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        match joins.remove(&at) {
            Some(Join { mut fake, between }) => {
                for at in between {
                    let mut copy = copies[&at].clone();
                    copy.inputs[0] = Some(fake);
                    fake = graph.add(format!("dequantized {}", copy.label()), None);
                    copy.outputs = vec![Some(fake)];
                    graph.nodes.push(copy);
                }
                change.extend(node.outputs.iter().flatten().map(|&output| (output, fake)));
            }
            None => {
                let made = fakes.remove(&at).unwrap_or_default();
                let made: Vec<Node> = made.into_iter().map(|fake| fake.node(&node)).collect();
                graph.nodes.push(node);
                graph.nodes.extend(made);
            }
        }
    }
    graph.redirect(&change);
}

/// Divides the scale behind a sum of whole numbers by that with which it is quantized, which leaves one
/// product to be rounded, as in runtimes of integers.
pub fn requantize(graph: &mut Graph) {
    let (readers, makers) = (graph.readers(), graph.makers());
    for at in 0..graph.nodes.len() {
        let Some(fake) = named(graph, at, "FakeQuantize") else { continue };
        let Some(x) = fake.inputs[0].filter(|x| readers[x.0] == 1) else { continue };
        let Some(maker) = makers[x.0].filter(|&maker| named(graph, maker, "Scale").is_some())
        else {
            continue;
        };
        let both = fake.inputs[1].zip(graph.nodes[maker].inputs[1]);
        let read = |id| numbers(graph, id);
        let both = both.and_then(|(level, factors)| read(level).zip(read(factors)));
        let is_scale = |level: &[f32]| matches!(level, [own] if *own > 0.0 && own.is_finite());
        let Some((level, factors)) = both.filter(|(level, _)| is_scale(level)) else { continue };
        let divided = factors.iter().map(|factor| factor / level[0]).collect();
        let mut hold = |value: Value| {
            graph.add("made of two scales".into(), Some(Constant::Computed(value.into())))
        };
        let divided = hold(Value::from_floats(divided));
        let one = hold(Value::number(1.0));
        graph.nodes[maker].inputs[1] = Some(divided);
        graph.nodes[at].inputs[1] = Some(one);
    }
}

/// A QuantizeLinear with DequantizeLinears behind it.
struct Fake {
    /// The scale of these, and its numbers.
    unit: Id,
    numbers: Option<Vec<f32>>,
    output: Id,
}

impl Fake {
    /// The two as one.
    fn node(self, quantize: &Node) -> Node {
        let input = |index: usize| quantize.input(index);
        Node {
            operator: operator(OWN, "FakeQuantize"),
            kind: "FakeQuantize".into(),
            inputs: vec![input(0), input(1), input(2), Some(self.unit)],
            outputs: vec![Some(self.output)],
            ..quantize.clone()
        }
    }
}

/// The numbers of a constant.
fn numbers(graph: &Graph, id: Id) -> Option<Vec<f32>> {
    graph.constant(id)?.value().ok()?.into_float().floats().ok()
}

/// What a DequantizeLinear becomes.
struct Join {
    /// What its QuantizeLinear's input is after both.
    fake: Id,
    /// The nodes between the two, in order.
    between: Vec<usize>,
}

/// The QuantizeLinear whose levels the DequantizeLinear `at` reads, and the nodes between them.
fn source(graph: &Graph, at: usize, makers: &[Option<usize>]) -> Option<(usize, Vec<usize>)> {
    let dequantize = named(graph, at, "DequantizeLinear")?;
    let is_whole = [1, 2]
        .iter()
        .all(|&index| dequantize.input(index).is_none() || is_number(graph, dequantize, index));
    let mut between = Vec::new();
    let mut id = dequantize.input(0)?;
    loop {
        let maker = makers[id.0]?;
        let node = &graph.nodes[maker];
        if let Some(quantize) = named(graph, maker, "QuantizeLinear") {
            let known = quantize.inputs[1].is_some_and(|scale| graph.constant(scale).is_some());
            // The largest of values with a negative scale would be another one.
            let positive = numbers(graph, dequantize.input(1)?)
                .is_some_and(|scales| scales.iter().all(|&scale| scale > 0.0));
            let alike = known && positive && same(graph, quantize, dequantize, 2);
            // Several scales lie along an axis, which what lies between may have moved.
            let along = |node: &Node| node.attributes.int("axis").ok().flatten().unwrap_or(1);
            let blocks = |node: &Node| node.attributes.int("block_size").ok().flatten();
            let fits = (is_whole && is_number(graph, quantize, 1))
                || (same(graph, quantize, dequantize, 1)
                    && between.is_empty()
                    && along(quantize) == along(dequantize)
                    && blocks(quantize) == blocks(dequantize));
            between.reverse();
            return (alike && fits).then_some((maker, between));
        }
        let keeps = KEEPING.contains(&node.kind.as_str())
            && node.outputs.iter().skip(1).all(Option::is_none);
        if !keeps || !is_whole {
            return None;
        }
        between.push(maker);
        id = node.input(0)?;
    }
}

/// Whether a node reads one constant number as input `index`.
fn is_number(graph: &Graph, node: &Node, index: usize) -> bool {
    let dims = node.input(index).and_then(|id| graph.constant(id)).and_then(Constant::dims);
    dims.is_some_and(|dims| dims.iter().product::<usize>() == 1)
}

/// The node `at`, if it is of the operator `name`.
fn named<'a>(graph: &'a Graph, at: usize, name: &str) -> Option<&'a Node> {
    let node = &graph.nodes[at];
    node.operator.filter(|operator| operator.name == name).map(|_| node)
}

/// Whether two nodes read the same constant as input `index`, or neither reads any.
fn same(graph: &Graph, a: &Node, b: &Node, index: usize) -> bool {
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

/// What nodes quantize whose scale follows the sample.
pub fn dynamic(graph: &Graph) -> Vec<Id> {
    let own = graph.nodes.iter().filter(|node| {
        node.operator.is_some_and(|operator| operator.name == "DynamicQuantizeLinear")
    });
    own.filter_map(|node| node.input(0)).collect()
}

/// The scales that follow the sample.
pub fn dynamic_scales(graph: &Graph) -> Vec<Id> {
    let mut scales = Vec::new();
    let mut see = |node: &Node| {
        let is_dynamic = node.operator.is_some_and(|own| own.name == "DynamicQuantizeLinear");
        scales.extend(node.outputs.get(1).copied().flatten().filter(|_| is_dynamic));
    };
    graph.nodes.iter().for_each(|node| node.visit(&mut see));
    scales
}

/// Whether anything in the graph rounds what depends on the sample.
pub fn is_quantized(graph: &Graph) -> bool {
    any(graph.nodes.iter(), &|own| own.role == Role::Rounds || own.name == "DynamicQuantizeLinear")
}

/// The first node inside another whose scale follows the sample: its samples are not known.
pub fn dynamic_inside(graph: &Graph) -> Option<&Node> {
    let is_dynamic = |own: &Operator| own.name == "DynamicQuantizeLinear";
    graph.nodes.iter().find(|node| {
        let inside = node.blocks.iter().flat_map(|(_, block)| &block.nodes);
        any(inside, &is_dynamic)
    })
}

/// Whether an operator of the nodes or of those inside them is such a one.
fn any<'a>(nodes: impl Iterator<Item = &'a Node>, is: &dyn Fn(&Operator) -> bool) -> bool {
    let mut found = false;
    nodes.for_each(|node| node.visit(&mut |node| found |= node.operator.is_some_and(is)));
    found
}
