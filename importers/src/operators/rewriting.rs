//! The context in which a composite node is rewritten to nodes of other operators.

use crate::file::Element;
use crate::graph::{Attributes, Constant, Graph, Id, Node};
use crate::value::{Outcome, Value};

use super::domain::OWN;
use super::signature::Signature;

/// Creates the replacement nodes and returns the value that replaces the output of the node.
pub type Rewrite = fn(&mut Rewriting) -> Outcome<Id>;

/// The default ONNX opset of the new nodes.
const OPSET: i64 = 21;

/// A node and its replacement nodes under construction.
pub struct Rewriting<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    nodes: Vec<Node>,
    lookup: Lookup,
}

/// Returns the signature of an operator by its domain and name.
pub type Lookup = fn(domain: &str, name: &str) -> Option<&'static Signature>;

impl<'a> Rewriting<'a> {
    /// Returns an empty replacement of `node`; `lookup` finds the operators of its nodes.
    pub fn new(graph: &'a mut Graph, node: &'a Node, lookup: Lookup) -> Self {
        Self { graph, node, nodes: Vec::new(), lookup }
    }

    /// Returns the replacement nodes; the node that writes `output` now writes the output of the original
    /// node.
    pub fn finish(mut self, output: Id) -> Vec<Node> {
        let original_output = self.node.outputs.first().copied().flatten();
        let outputs = self.nodes.iter_mut().flat_map(|node| &mut node.outputs);
        outputs.filter(|id| **id == Some(output)).for_each(|id| *id = original_output);
        self.nodes
    }

    /// Returns the name of the node's operator.
    pub fn name(&self) -> &'static str {
        self.node.operator.map_or("", |operator| operator.name)
    }

    /// Returns the node's attributes, to pass them to a replacement node.
    pub fn attributes(&self) -> Attributes {
        self.node.attributes.hand_on()
    }

    /// Returns the float attribute `name`, or `default`.
    pub fn float(&self, name: &str, default: f64) -> Outcome<f64> {
        Ok(self.node.attributes.float(name)?.unwrap_or(default))
    }

    /// Returns the integer attribute `name`, or `default`.
    pub fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.node.attributes.int(name)?.unwrap_or(default))
    }

    /// Returns the number of inputs that the node lists.
    pub fn len(&self) -> usize {
        self.node.inputs.len()
    }

    /// Returns input `index`, if it is present.
    pub fn optional(&self, index: usize) -> Option<Id> {
        self.node.input(index)
    }

    /// Returns the required input `index`.
    pub fn input(&self, index: usize) -> Outcome<Id> {
        self.optional(index).ok_or_else(|| format!("the required input {index} is missing"))
    }

    /// Returns the value of input `index`, if it is constant.
    pub fn constant(&self, index: usize) -> Option<Value> {
        self.graph.constant(self.optional(index)?)?.value().ok()
    }

    /// Returns the value of `id` as floats, if it is constant.
    pub fn constant_floats(&self, id: Id) -> Option<Value> {
        Some(self.graph.constant(id)?.value().ok()?.into_float())
    }

    /// Adds a constant to the graph.
    pub fn add_constant(&mut self, value: Value) -> Id {
        let name = format!("constant of {}", self.node.label());
        self.graph.add(name, Some(Constant::Computed(value.into())))
    }

    /// Adds a node of the default ONNX domain and returns its first output.
    pub fn add_node(&mut self, kind: &str, inputs: Vec<Option<Id>>, attributes: Attributes) -> Id {
        self.add_node_in("", OPSET, kind, inputs, attributes)
    }

    /// Adds a node of a domain and opset and returns its first output.
    pub fn add_node_in(
        &mut self,
        domain: &str,
        opset: i64,
        kind: &str,
        inputs: Vec<Option<Id>>,
        attributes: Attributes,
    ) -> Id {
        let name = format!("output of {}", self.node.label());
        let output = self.graph.add(name, None);
        self.nodes.push(Node {
            operator: (self.lookup)(domain, kind),
            kind: kind.into(),
            name: format!("part of {}", self.node.label()),
            opset,
            attributes,
            inputs,
            outputs: vec![Some(output)],
            blocks: Vec::new(),
        });
        output
    }

    /// Adds a copy of the original node with other inputs and returns its output.
    pub fn again(&mut self, inputs: Vec<Option<Id>>) -> Id {
        let output = self.graph.add(format!("output of {}", self.node.label()), None);
        self.nodes.push(Node { inputs, outputs: vec![Some(output)], ..self.node.clone() });
        output
    }

    /// Scales `x` by one factor per position of `axis`, or by a single factor.
    pub fn scaled(&mut self, x: Id, scale: Vec<f32>, axis: i64) -> Id {
        let scale = self.add_constant(Value::from_floats(scale));
        let attributes = Attributes::integers(&[("axis", axis)]);
        self.add_node_in(OWN, 1, "Scale", vec![Some(x), Some(scale)], attributes)
    }

    /// Quantizes `x` dynamically, per sample; returns the levels, the scale and the zero point.
    pub fn quantize_dynamically(&mut self, x: Id) -> (Id, Id, Id) {
        let attributes = Attributes::default();
        let levels = self.add_node("DynamicQuantizeLinear", vec![Some(x)], attributes);
        let name = || format!("output of {}", self.node.label());
        let (scale, zero) = (name(), name());
        let (scale, zero) = (self.graph.add(scale, None), self.graph.add(zero, None));
        if let Some(node) = self.nodes.last_mut() {
            node.outputs.extend([Some(scale), Some(zero)]);
        }
        (levels, scale, zero)
    }

    /// Dequantizes: `scale (levels - zero)`; several scales are along `axis`.
    pub fn dequantize(&mut self, levels: Id, scale: Id, zero: Option<Id>, axis: i64) -> Id {
        let attributes = Attributes::integers(&[("axis", axis)]);
        self.add_node("DequantizeLinear", vec![Some(levels), Some(scale), zero], attributes)
    }

    /// Subtracts the zero point: `levels - zero`, as floats.
    pub fn shifted(&mut self, levels: Id, zero: Option<Id>, axis: i64) -> Id {
        let one = self.add_constant(Value::number(1.0));
        self.dequantize(levels, one, zero, axis)
    }

    /// Dequantizes input `index` with the scale and zero point in the next two inputs.
    pub fn dequantize_input(&mut self, index: usize) -> Outcome<Id> {
        self.dequantize_input_along(index, 1)
    }

    /// Like [`Self::dequantize_input`], with several scales along `axis`.
    pub fn dequantize_input_along(&mut self, index: usize, axis: i64) -> Outcome<Id> {
        let (levels, scale) = (self.input(index)?, self.input(index + 1)?);
        Ok(self.dequantize(levels, scale, self.optional(index + 2), axis))
    }

    /// Quantizes `x` with the scale in input `index` and the zero point in the next input.
    pub fn quantize(&mut self, x: Id, index: usize) -> Outcome<Id> {
        let inputs = vec![Some(x), Some(self.input(index)?), self.optional(index + 1)];
        Ok(self.add_node("QuantizeLinear", inputs, Attributes::default()))
    }

    /// Marks `x`, floats with integer values, as int32.
    pub fn cast_to_int32(&mut self, x: Id) -> Id {
        let attributes = Attributes::integers(&[("to", Element::INT32.0.into())]);
        self.add_node_in(OWN, 1, "Levels", vec![Some(x)], attributes)
    }
}
