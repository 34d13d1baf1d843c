//! A node that is short for several others, on its way to these.

use crate::file::Element;
use crate::graph::{Attributes, Constant, Graph, Id, Node};
use crate::value::{Outcome, Value};

use super::{OWN, operator};

/// Gives the value that the node's output is, made by other nodes.
pub type Rewrite = fn(&mut Rewriting) -> Outcome<Id>;

/// The opset of ONNX's operators in the nodes that are made.
const OPSET: i64 = 21;

/// A node, and the nodes in its place.
pub struct Rewriting<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    made: Vec<Node>,
}

impl<'a> Rewriting<'a> {
    pub fn new(graph: &'a mut Graph, node: &'a Node) -> Self {
        Self { graph, node, made: Vec::new() }
    }

    /// The nodes that were made, the last of which makes what the node did.
    pub fn finish(mut self, output: Id) -> Vec<Node> {
        let own = self.node.outputs.first().copied().flatten();
        let outputs = self.made.iter_mut().flat_map(|node| &mut node.outputs);
        outputs.filter(|id| **id == Some(output)).for_each(|id| *id = own);
        self.made
    }

    /// The operator's name.
    pub fn name(&self) -> &'static str {
        self.node.operator.map_or("", |operator| operator.name)
    }

    /// The node's attributes, for a node that has the same.
    pub fn attributes(&self) -> Attributes {
        self.node.attributes.hand_on()
    }

    /// A number among the node's attributes.
    pub fn float(&self, name: &str, default: f64) -> Outcome<f64> {
        Ok(self.node.attributes.float(name)?.unwrap_or(default))
    }

    /// A whole number among the node's attributes.
    pub fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.node.attributes.int(name)?.unwrap_or(default))
    }

    /// How many inputs the node lists.
    pub fn len(&self) -> usize {
        self.node.inputs.len()
    }

    /// Input `index`, where it is given.
    pub fn optional(&self, index: usize) -> Option<Id> {
        self.node.input(index)
    }

    /// Input `index`.
    pub fn input(&self, index: usize) -> Outcome<Id> {
        self.optional(index).ok_or_else(|| format!("its input {index} is missing"))
    }

    /// The constant that input `index` is.
    pub fn constant(&self, index: usize) -> Option<Value> {
        self.graph.constant(self.optional(index)?)?.value().ok()
    }

    /// The floats of a constant.
    pub fn numbers(&self, id: Id) -> Option<Value> {
        Some(self.graph.constant(id)?.value().ok()?.into_float())
    }

    /// A new constant.
    pub fn hold(&mut self, value: Value) -> Id {
        let name = format!("made for {}", self.node.label());
        self.graph.add(name, Some(Constant::Computed(value.into())))
    }

    /// The first output of a new node of one of ONNX's operators.
    pub fn make(&mut self, kind: &str, inputs: Vec<Option<Id>>, attributes: Attributes) -> Id {
        self.make_in("", OPSET, kind, inputs, attributes)
    }

    /// The same in the opset `opset` of the domain `domain`.
    pub fn make_in(
        &mut self,
        domain: &str,
        opset: i64,
        kind: &str,
        inputs: Vec<Option<Id>>,
        attributes: Attributes,
    ) -> Id {
        let name = format!("made by {}", self.node.label());
        let output = self.graph.add(name, None);
        self.made.push(Node {
            operator: operator(domain, kind),
            kind: kind.into(),
            name: format!("of {}", self.node.label()),
            opset,
            attributes,
            inputs,
            outputs: vec![Some(output)],
            blocks: Vec::new(),
        });
        output
    }

    /// The output of the node itself on other inputs.
    pub fn again(&mut self, inputs: Vec<Option<Id>>) -> Id {
        let output = self.graph.add(format!("made by {}", self.node.label()), None);
        self.made.push(Node { inputs, outputs: vec![Some(output)], ..self.node.clone() });
        output
    }

    /// `x` times a number for each part of the `axis`, or one for all.
    pub fn scaled(&mut self, x: Id, scale: Vec<f32>, axis: i64) -> Id {
        let scale = self.hold(Value::from_floats(scale));
        let attributes = Attributes::made(&[("axis", axis)]);
        self.make_in(OWN, 1, "Scale", vec![Some(x), Some(scale)], attributes)
    }

    /// The levels of `x`, their scale and their zero, between the values of each sample.
    pub fn dynamic(&mut self, x: Id) -> (Id, Id, Id) {
        let attributes = Attributes::default();
        let levels = self.make("DynamicQuantizeLinear", vec![Some(x)], attributes);
        let name = || format!("made by {}", self.node.label());
        let (scale, zero) = (name(), name());
        let (scale, zero) = (self.graph.add(scale, None), self.graph.add(zero, None));
        if let Some(node) = self.made.last_mut() {
            node.outputs.extend([Some(scale), Some(zero)]);
        }
        (levels, scale, zero)
    }

    /// `scale (levels - zero)`, of several scales each for a part of the `axis`.
    pub fn dequantize(&mut self, levels: Id, scale: Id, zero: Option<Id>, axis: i64) -> Id {
        let attributes = Attributes::made(&[("axis", axis)]);
        self.make("DequantizeLinear", vec![Some(levels), Some(scale), zero], attributes)
    }

    /// `levels - zero` as floats.
    pub fn shifted(&mut self, levels: Id, zero: Option<Id>, axis: i64) -> Id {
        let one = self.hold(Value::number(1.0));
        self.dequantize(levels, one, zero, axis)
    }

    /// Input `index` dequantized, whose scale and zero follow it.
    pub fn of_input(&mut self, index: usize) -> Outcome<Id> {
        self.of_input_along(index, 1)
    }

    /// The same, of several scales each for a part of the `axis`.
    pub fn of_input_along(&mut self, index: usize, axis: i64) -> Outcome<Id> {
        let (levels, scale) = (self.input(index)?, self.input(index + 1)?);
        Ok(self.dequantize(levels, scale, self.optional(index + 2), axis))
    }

    /// `x` quantized with the scale that input `index` is and the zero that follows it.
    pub fn quantize(&mut self, x: Id, index: usize) -> Outcome<Id> {
        let inputs = vec![Some(x), Some(self.input(index)?), self.optional(index + 1)];
        Ok(self.make("QuantizeLinear", inputs, Attributes::default()))
    }

    /// The floats `x`, which are whole numbers, as int32.
    pub fn whole(&mut self, x: Id) -> Id {
        let attributes = Attributes::made(&[("to", Element::INT32.0.into())]);
        self.make_in(OWN, 1, "Levels", vec![Some(x)], attributes)
    }
}
