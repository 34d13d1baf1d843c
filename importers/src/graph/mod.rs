//! A model as a list of nodes over numbered values. Names are kept for messages alone, so that two
//! of them can never become one.

mod attributes;
mod build;
mod function;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use crate::file::Stored;
use crate::operators::{Operator, Role};
use crate::value::{Kind, Outcome, Value};

pub use attributes::Attributes;
pub use build::{build, opset_of};

/// The number of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub usize);

/// The nodes in the order in which they run, and the values they read and write.
#[derive(Clone)]
pub struct Graph {
    pub values: Vec<Info>,
    pub nodes: Vec<Node>,
    /// The model's input first, and behind it the parameters that are kept apart.
    pub inputs: Vec<Id>,
    /// How many of the inputs depend on the sample.
    pub samples: usize,
    pub outputs: Vec<Id>,
    /// How samples lie in values of which each sample is quantized by itself. Other values are quantized as
    /// a whole.
    pub samples_in: HashMap<Id, Samples>,
    /// Whether what is quantized is rounded, or only kept within its range.
    pub rounds: bool,
}

/// How samples lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    pub axis: usize,
    /// The elements of a sample along the axis.
    pub each: usize,
    /// Whether the first elements of all samples come before the second ones.
    pub interleaved: bool,
}

impl Samples {
    /// The sample of every element along an axis of `size` elements.
    pub fn numbers(self, size: usize) -> impl Iterator<Item = usize> {
        let samples = (size / self.each.max(1)).max(1);
        (0..size).map(move |at| match self.interleaved {
            true => at % samples,
            false => at / self.each.max(1),
        })
    }
}

/// What is known of a value before the model runs.
#[derive(Clone, Default)]
pub struct Info {
    /// Its name in the file.
    pub name: String,
    /// What it holds, where that does not depend on the input.
    pub constant: Option<Constant>,
}

/// A value that is known when the model is loaded.
#[derive(Clone)]
pub enum Constant {
    /// As the file stores it.
    Stored(Rc<Stored>),
    /// What nodes of constants made, on the host.
    Computed(Box<Value>),
    /// Why the file's value cannot be read: an error only where it is needed.
    Unreadable(String),
}

/// An operator applied to values.
#[derive(Clone)]
pub struct Node {
    /// The operator; `None` where it is not supported.
    pub operator: Option<&'static Operator>,
    /// The operator's name in the file, with its domain where that is not ONNX's own.
    pub kind: String,
    /// The node's name in messages.
    pub name: String,
    /// The opset of the operator's domain.
    pub opset: i64,
    pub attributes: Attributes,
    /// What it reads; `None` for an optional input that is absent.
    pub inputs: Vec<Option<Id>>,
    /// What it writes; `None` where nobody reads it.
    pub outputs: Vec<Option<Id>>,
    /// The graphs among its attributes.
    pub blocks: Vec<(String, Block)>,
}

/// A graph inside a node, over the values of the graph around it.
#[derive(Clone)]
pub struct Block {
    /// What the node gives it, iteration by iteration where it is a loop's.
    pub inputs: Vec<Id>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Id>,
}

impl Constant {
    /// The value on the host.
    pub fn value(&self) -> Outcome<Value> {
        match self {
            Constant::Stored(stored) => Value::from_stored(stored),
            Constant::Computed(value) => Ok((**value).clone()),
            Constant::Unreadable(reason) => Err(reason.clone()),
        }
    }

    /// The same, which keeps nothing of the file in memory once it is dropped.
    pub fn copied(&self) -> Outcome<Value> {
        match self {
            Constant::Stored(stored) => Value::copied(stored),
            _ => self.value(),
        }
    }

    /// Whether it can be read and holds floats.
    pub fn is_float(&self) -> bool {
        match self {
            Constant::Stored(stored) => stored.element.is_float(),
            Constant::Computed(value) => value.kind() == Kind::Float,
            Constant::Unreadable(_) => false,
        }
    }

    /// Its shape, where it can be read.
    pub fn dims(&self) -> Option<Vec<usize>> {
        match self {
            Constant::Stored(stored) => Some(stored.dims.clone()),
            Constant::Computed(value) => Some(value.dims()),
            Constant::Unreadable(_) => None,
        }
    }
}

impl Graph {
    /// The constant that `id` holds.
    pub fn constant(&self, id: Id) -> Option<&Constant> {
        self.values[id.0].constant.as_ref()
    }

    /// A new value.
    pub fn add(&mut self, name: String, constant: Option<Constant>) -> Id {
        self.values.push(Info { name, constant });
        Id(self.values.len() - 1)
    }

    /// How many nodes and outputs of the graph read each value.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values.len()];
        for node in &self.nodes {
            node.reads(&mut |id| readers[id.0] += 1);
        }
        for output in &self.outputs {
            readers[output.0] += 1;
        }
        readers
    }

    /// The node that writes each value.
    pub fn makers(&self) -> Vec<Option<usize>> {
        let mut makers = vec![None; self.values.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                makers[output.0] = Some(at);
            }
        }
        makers
    }

    /// What the graphs inside `node` read of the values around it that are not constant: inputs of
    /// the node behind those that it lists.
    pub fn captured(&self, node: &Node) -> Vec<Id> {
        let mut made = Vec::new();
        node.blocks.iter().for_each(|(_, block)| block.makes(&mut made));
        let mut captured: Vec<Id> = Vec::new();
        for (_, block) in &node.blocks {
            block.reads(&mut |id| {
                if self.constant(id).is_none() && !made.contains(&id) && !captured.contains(&id) {
                    captured.push(id);
                }
            });
        }
        captured
    }

    /// Whether value `id` depends on the values of the sample, and not on its shape alone.
    pub fn is_of_sample(&self, id: Id) -> bool {
        self.depends_on(id, &self.inputs[..self.samples])
    }

    /// Whether value `id` depends on the values, and not on the shapes alone, of one of `roots`.
    pub fn depends_on(&self, id: Id, roots: &[Id]) -> bool {
        let makers = self.makers();
        let mut left = vec![id];
        let mut seen = vec![false; self.values.len()];
        while let Some(id) = left.pop() {
            if std::mem::replace(&mut seen[id.0], true) {
                continue;
            }
            if roots.contains(&id) {
                return true;
            }
            if let Some(maker) = makers[id.0].map(|maker| &self.nodes[maker])
                && maker.operator.is_none_or(|operator| operator.role != Role::OfShape)
            {
                maker.reads(&mut |id| left.push(id));
            }
        }
        false
    }

    /// Makes every reader of `from` read `to`.
    pub fn redirect(&mut self, change: &[(Id, Id)]) {
        let mut target: Vec<Id> = (0..self.values.len()).map(Id).collect();
        for &(from, to) in change {
            // What `to` stands for may itself have been replaced before.
            target[from.0] = target[to.0];
        }
        for node in &mut self.nodes {
            node.rename(&mut |id| target[id.0]);
        }
        self.outputs.iter_mut().for_each(|id| *id = target[id.0]);
    }
}

impl Block {
    /// Calls `see` with everything that is read inside it.
    fn reads(&self, see: &mut dyn FnMut(Id)) {
        self.nodes.iter().for_each(|node| node.reads(see));
        self.outputs.iter().for_each(|&id| see(id));
    }

    /// Adds everything that is made inside it.
    fn makes(&self, made: &mut Vec<Id>) {
        made.extend(&self.inputs);
        for node in &self.nodes {
            made.extend(node.outputs.iter().flatten());
            node.blocks.iter().for_each(|(_, block)| block.makes(made));
        }
    }
}

impl Node {
    /// The operator and the node's name, for messages.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Input `index`, where it is given.
    pub fn input(&self, index: usize) -> Option<Id> {
        self.inputs.get(index).copied().flatten()
    }

    /// Calls `see` with everything that the node and the graphs inside it read.
    pub fn reads(&self, see: &mut dyn FnMut(Id)) {
        self.inputs.iter().flatten().for_each(|&id| see(id));
        self.blocks.iter().for_each(|(_, block)| block.reads(see));
    }

    /// Calls `see` with the node and every node inside it.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Node)) {
        see(self);
        let inside = self.blocks.iter().flat_map(|(_, block)| &block.nodes);
        inside.for_each(|node| node.visit(see));
    }

    /// Replaces everything that the node and the graphs inside it read.
    pub fn rename(&mut self, by: &mut dyn FnMut(Id) -> Id) {
        self.inputs.iter_mut().flatten().for_each(|id| *id = by(*id));
        for (_, block) in &mut self.blocks {
            block.nodes.iter_mut().for_each(|node| node.rename(by));
            block.outputs.iter_mut().for_each(|id| *id = by(*id));
        }
    }
}
