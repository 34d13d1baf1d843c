//! A model as a list of nodes over numbered values. Values are identified by number, so names, which are
//! kept only for messages, cannot collide.

mod attributes;
mod build;
mod function;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use crate::file::Stored;
use crate::operators::{Role, Signature};
use crate::value::{Kind, Outcome, Value};

pub use attributes::Attributes;
pub use build::{build, opset_of};

/// The number of a value, an index into [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub usize);

/// A graph: the nodes in execution order, and the values that they read and write.
#[derive(Clone)]
pub struct Graph {
    pub values: Vec<Info>,
    pub nodes: Vec<Node>,
    /// The model's inputs, followed by the parameters that were promoted to inputs.
    pub inputs: Vec<Id>,
    /// The number of leading inputs that depend on the sample.
    pub samples: usize,
    pub outputs: Vec<Id>,
    /// The sample layout of each value whose samples are quantized separately. Values without an entry are
    /// quantized as a whole.
    pub samples_in: HashMap<Id, Samples>,
    /// Whether quantization rounds; otherwise it only clamps to the range of the quantized type.
    pub rounds: bool,
}

/// The layout of the samples of a batch along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    pub axis: usize,
    /// The number of elements of one sample along the axis.
    pub each: usize,
    /// Whether samples are interleaved: the first element of every sample, then the second of every sample,
    /// and so on. Otherwise the elements of a sample are contiguous.
    pub interleaved: bool,
}

impl Samples {
    /// Returns the sample index of each element along an axis of `size` elements.
    pub fn numbers(self, size: usize) -> impl Iterator<Item = usize> {
        let samples = (size / self.each.max(1)).max(1);
        (0..size).map(move |at| match self.interleaved {
            true => at % samples,
            false => at / self.each.max(1),
        })
    }
}

/// The properties of a value that are known before the model runs.
#[derive(Clone, Default)]
pub struct Info {
    /// The value's name in the file.
    pub name: String,
    /// The contents, for a constant.
    pub constant: Option<Constant>,
}

/// The contents of a value that does not depend on the input.
#[derive(Clone)]
pub enum Constant {
    /// A tensor stored in the file.
    Stored(Rc<Stored>),
    /// The result of constant folding or of a pass, on the host.
    Computed(Box<Value>),
    /// The reason why a stored tensor cannot be read. This is an error only if a node reads the tensor.
    Unreadable(String),
}

/// A node: an operator applied to values.
#[derive(Clone)]
pub struct Node {
    /// The operator; `None` if the operator is not supported.
    pub operator: Option<&'static Signature>,
    /// The operator's name in the file, prefixed with the domain if that is not the ONNX domain.
    pub kind: String,
    /// The node's name for messages.
    pub name: String,
    /// The opset of the operator's domain.
    pub opset: i64,
    pub attributes: Attributes,
    /// The input values; `None` for an omitted optional input.
    pub inputs: Vec<Option<Id>>,
    /// The output values; `None` for an output that nothing reads.
    pub outputs: Vec<Option<Id>>,
    /// The subgraphs, by attribute name.
    pub blocks: Vec<(String, Block)>,
}

/// A subgraph of a node. It may read values of the enclosing graph.
#[derive(Clone)]
pub struct Block {
    /// The values that the node passes to the subgraph; for the body of a loop, in each iteration.
    pub inputs: Vec<Id>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Id>,
}

impl Constant {
    /// Returns the value on the host. A stored tensor may share memory with the mapped file.
    pub fn value(&self) -> Outcome<Value> {
        match self {
            Constant::Stored(stored) => Value::from_stored(stored),
            Constant::Computed(value) => Ok((**value).clone()),
            Constant::Unreadable(reason) => Err(reason.clone()),
        }
    }

    /// Returns the value on the host as a copy that does not share memory with the mapped file.
    pub fn copied(&self) -> Outcome<Value> {
        match self {
            Constant::Stored(stored) => Value::copied(stored),
            _ => self.value(),
        }
    }

    /// Whether the constant can be read and holds floats.
    pub fn is_float(&self) -> bool {
        match self {
            Constant::Stored(stored) => stored.element.is_float(),
            Constant::Computed(value) => value.kind() == Kind::Float,
            Constant::Unreadable(_) => false,
        }
    }

    /// Returns the shape; `None` for an unreadable tensor.
    pub fn dims(&self) -> Option<Vec<usize>> {
        match self {
            Constant::Stored(stored) => Some(stored.dims.clone()),
            Constant::Computed(value) => Some(value.dims()),
            Constant::Unreadable(_) => None,
        }
    }
}

impl Graph {
    /// Returns the contents of `id`, if `id` is a constant.
    pub fn constant(&self, id: Id) -> Option<&Constant> {
        self.values[id.0].constant.as_ref()
    }

    /// Adds a value and returns its number.
    pub fn add(&mut self, name: String, constant: Option<Constant>) -> Id {
        self.values.push(Info { name, constant });
        Id(self.values.len() - 1)
    }

    /// Returns, for each value, how many node inputs and graph outputs read the value.
    pub fn read_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        for node in &self.nodes {
            node.reads(&mut |id| counts[id.0] += 1);
        }
        for output in &self.outputs {
            counts[output.0] += 1;
        }
        counts
    }

    /// Returns, for each value, the index of the node that writes the value.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                producers[output.0] = Some(at);
            }
        }
        producers
    }

    /// Returns the values of the enclosing graphs that the subgraphs of `node` read, without constants. They
    /// are passed to the node as additional inputs, after its own inputs.
    pub fn captured(&self, node: &Node) -> Vec<Id> {
        let mut defined = Vec::new();
        node.blocks.iter().for_each(|(_, block)| block.collect_defined(&mut defined));
        let mut captured: Vec<Id> = Vec::new();
        for (_, block) in &node.blocks {
            block.reads(&mut |id| {
                if self.constant(id).is_none() && !defined.contains(&id) && !captured.contains(&id)
                {
                    captured.push(id);
                }
            });
        }
        captured
    }

    /// Determines for each value whether it depends on the values of the sample, not only on the sample's shape.
    pub fn values_of_sample(&self) -> Vec<bool> {
        let mut found = vec![false; self.values.len()];
        self.inputs[..self.samples].iter().for_each(|id| found[id.0] = true);
        for node in &self.nodes {
            if node.reads_of_sample(&found) {
                node.outputs.iter().flatten().for_each(|id| found[id.0] = true);
            }
        }
        found
    }

    /// Whether the value `id` depends on the values of the sample, not only on the sample's shape.
    pub fn is_of_sample(&self, id: Id) -> bool {
        self.depends_on(id, &self.inputs[..self.samples])
    }

    /// Whether the value `id` depends on the values of one of `roots`, not only on the roots' shapes.
    pub fn depends_on(&self, id: Id, roots: &[Id]) -> bool {
        let producers = self.producers();
        let mut pending = vec![id];
        let mut visited = vec![false; self.values.len()];
        while let Some(id) = pending.pop() {
            if std::mem::replace(&mut visited[id.0], true) {
                continue;
            }
            if roots.contains(&id) {
                return true;
            }
            if let Some(producer) = producers[id.0].map(|producer| &self.nodes[producer])
                && producer.operator.is_none_or(|operator| operator.role != Role::OfShape)
            {
                producer.reads(&mut |id| pending.push(id));
            }
        }
        false
    }

    /// Replaces, for each pair `(from, to)`, every read of `from` by a read of `to`. A later pair may name a
    /// value that an earlier pair replaces.
    pub fn redirect(&mut self, replacements: &[(Id, Id)]) {
        let mut target: Vec<Id> = (0..self.values.len()).map(Id).collect();
        for &(from, to) in replacements {
            // An earlier pair may have replaced `to`.
            target[from.0] = target[to.0];
        }
        for node in &mut self.nodes {
            node.replace_reads(&mut |id| target[id.0]);
        }
        self.outputs.iter_mut().for_each(|id| *id = target[id.0]);
    }
}

impl Block {
    /// Calls `visit` with every value that the subgraph reads.
    fn reads(&self, visit: &mut dyn FnMut(Id)) {
        self.nodes.iter().for_each(|node| node.reads(visit));
        self.outputs.iter().for_each(|&id| visit(id));
    }

    /// Appends every value that is defined inside the subgraph to `defined`.
    fn collect_defined(&self, defined: &mut Vec<Id>) {
        defined.extend(&self.inputs);
        for node in &self.nodes {
            defined.extend(node.outputs.iter().flatten());
            node.blocks.iter().for_each(|(_, block)| block.collect_defined(defined));
        }
    }
}

impl Node {
    /// Returns the operator and the node's name, for messages.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Returns input `index`, if it is present.
    pub fn input(&self, index: usize) -> Option<Id> {
        self.inputs.get(index).copied().flatten()
    }

    /// Calls `visit` with every value that the node and its subgraphs read.
    pub fn reads(&self, visit: &mut dyn FnMut(Id)) {
        self.inputs.iter().flatten().for_each(|&id| visit(id));
        self.blocks.iter().for_each(|(_, block)| block.reads(visit));
    }

    /// Whether the node's outputs depend on the values of the sample.
    pub fn reads_of_sample(&self, is_of_sample: &[bool]) -> bool {
        let mut reads = false;
        self.reads(&mut |id| reads |= is_of_sample[id.0]);
        reads && self.operator.is_none_or(|operator| operator.role != Role::OfShape)
    }

    /// Calls `visitor` with the node and every node of its subgraphs, recursively.
    pub fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a Node)) {
        visitor(self);
        let inner = self.blocks.iter().flat_map(|(_, block)| &block.nodes);
        inner.for_each(|node| node.visit(visitor));
    }

    /// Replaces each value that the node and its subgraphs read by the result of `replace`.
    pub fn replace_reads(&mut self, replace: &mut dyn FnMut(Id) -> Id) {
        self.inputs.iter_mut().flatten().for_each(|id| *id = replace(*id));
        for (_, block) in &mut self.blocks {
            block.nodes.iter_mut().for_each(|node| node.replace_reads(replace));
            block.outputs.iter_mut().for_each(|id| *id = replace(*id));
        }
    }
}
