//! Convolutions and matrix products of dequantized values as products of integers.

use super::quantized::constant_floats;
use crate::graph::{Constant, Graph, Id, Node};
use crate::operators::{Rewriting, signature};

/// Rewrites convolutions and matrix products of dequantized values as the same operators on integer values
/// (levels minus zero point, held as floats), followed by a multiplication by the scale. Sums of integers
/// below 2^24 are exact in float32, so the following quantization rounds as in an integer runtime.
pub fn use_integer_products(graph: &mut Graph) {
    let producers = graph.producers();
    let nodes = std::mem::take(&mut graph.nodes);
    let mut rewritten = Vec::with_capacity(nodes.len());
    for node in &nodes {
        match match_integer_product(graph, &nodes, node, &producers) {
            Some(product) => rewritten.extend(product.nodes(graph, node)),
            None => rewritten.push(node.clone()),
        }
    }
    graph.nodes = rewritten;
}

/// A convolution or matrix product that can be computed on integer values.
struct IntegerProduct {
    /// The inputs of the node: levels, zero points, and the axis of the zero points if there are several.
    factors: Vec<(Id, Option<Id>, i64)>,
    /// The scale of the output: one number, or one per index of `axis`.
    scale: Vec<f32>,
    /// The output axis of `scale`.
    axis: i64,
}

/// The inputs of a DequantizeLinear with constant scales.
struct Dequantized {
    levels: Id,
    /// The zero points.
    zero: Option<Id>,
    scales: Vec<f32>,
    /// The axis of the scales, if there are several.
    axis: i64,
}

impl Dequantized {
    /// Matches the value `id` as the output of a DequantizeLinear with one scale or scales along an axis.
    fn of(graph: &Graph, nodes: &[Node], id: Id, producers: &[Option<usize>]) -> Option<Self> {
        let node = &nodes[producers[id.0]?];
        node.operator.filter(|operator| operator.name == "DequantizeLinear")?;
        let scale = node.input(1)?;
        let is_blocked = node.attributes.int("block_size").ok().flatten().unwrap_or(0) != 0;
        let is_vector = graph.constant(scale)?.dims().is_some_and(|dims| dims.len() <= 1);
        if is_blocked || !is_vector {
            return None;
        }
        let axis = node.attributes.int("axis").ok().flatten().unwrap_or(1);
        let (levels, zero, scales) =
            (node.input(0)?, node.input(2), constant_floats(graph, scale)?);
        Some(Self { levels, zero, scales, axis })
    }

    /// Whether the levels are constant.
    fn is_constant(&self, graph: &Graph) -> bool {
        graph.constant(self.levels).is_some()
    }

    /// Returns the axis of the scales in a tensor of the rank `rank`, counted from the front.
    fn axis_of(&self, rank: usize) -> i64 {
        if self.axis < 0 { self.axis + rank as i64 } else { self.axis }
    }
}

/// Matches a node as a convolution or matrix product of dequantized values.
fn match_integer_product(
    graph: &Graph,
    nodes: &[Node],
    node: &Node,
    producers: &[Option<usize>],
) -> Option<IntegerProduct> {
    let operator = node.operator.filter(|operator| operator.domain.is_empty())?;
    let dequantized = |index: usize| Dequantized::of(graph, nodes, node.input(index)?, producers);
    let (x, weights) = (dequantized(0)?, dequantized(1)?);
    if x.scales.len() != 1 || x.is_constant(graph) {
        return None;
    }
    let rank = graph.constant(weights.levels).and_then(Constant::dims).map(|dims| dims.len());
    let factor = |name: &str| node.attributes.float(name).ok().flatten().unwrap_or(1.0);
    // The axis of the output features in the weights and in the output.
    let (weights_axis, axis) = match operator.name {
        "Conv" => (0, 1),
        "Gemm" if factor("alpha") == 1.0 && factor("beta") == 1.0 => {
            let is_transposed = node.attributes.int("transB").ok().flatten().unwrap_or(0) != 0;
            (if is_transposed { 0 } else { 1 }, 1)
        }
        "MatMul" if rank.is_none_or(|rank| rank >= 2) => {
            (rank.map_or(0, |rank| rank as i64 - 1), -1)
        }
        _ => return None,
    };
    if weights.scales.len() > 1 && weights.axis_of(rank?) != weights_axis {
        return None;
    }
    let scale: Vec<f32> = weights.scales.iter().map(|scale| scale * x.scales[0]).collect();
    let mut factors =
        vec![(x.levels, x.zero, x.axis), (weights.levels, weights.zero, weights.axis)];
    if node.input(2).is_some() {
        // The bias can be added to the integer sum if it has the same scale and no zero point.
        let bias = dequantized(2)?;
        let close = |(bias, scale): (&f32, &f32)| (bias - scale).abs() <= 1e-5 * scale.abs();
        let has_same_scale =
            bias.scales.len() == scale.len() && bias.scales.iter().zip(&scale).all(close);
        let zeros = bias.zero.map(|zero| constant_floats(graph, zero));
        let has_no_zero =
            zeros.is_none_or(|zeros| zeros.is_some_and(|all| all.iter().all(|&z| z == 0.0)));
        if !has_same_scale || !has_no_zero || !bias.is_constant(graph) {
            return None;
        }
        factors.push((bias.levels, None, 0));
    }
    Some(IntegerProduct { factors, scale, axis })
}

impl IntegerProduct {
    /// Returns the node on integer values, followed by the multiplication by the scale.
    fn nodes(self, graph: &mut Graph, node: &Node) -> Vec<Node> {
        let mut rewriting = Rewriting::new(graph, node, signature);
        let shifted = |(levels, zero, axis)| Some(rewriting.shifted(levels, zero, axis));
        let factors = self.factors.into_iter().map(shifted).collect();
        let sum = rewriting.again(factors);
        let output = rewriting.scaled(sum, self.scale, self.axis);
        rewriting.finish(output)
    }
}
