//! The compile-time context of a node.

use std::rc::Rc;

use attriburn_kernels::Activation;
use attriburn_kernels::frozen::Weights;
use burn::tensor::Device;

use super::domain::OWN;
use super::run::Inputs;
use crate::file::Stored;
use crate::graph::{Graph, Node};
use crate::value::{Outcome, Value};

/// A node with its graph and target device, as an operator sees it at compile time.
pub struct Site<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    /// The device on which the model runs.
    pub device: &'a Device,
    /// How the node's operator becomes an element-wise activation, if it is one.
    pub activation: Option<ActivationOf>,
    /// Compiles a subgraph of the node.
    pub compile_subgraph: CompileSubgraph,
}

/// Returns the node as an activation.
pub type ActivationOf = fn(site: &Site) -> Outcome<Activation>;

/// A compiled subgraph: computes the outputs from the inputs.
pub type RunSubgraph = Box<dyn Fn(Vec<Value>) -> Outcome<Vec<Value>> + Send + Sync>;

/// Compiles a graph for a device.
pub type CompileSubgraph = fn(&Graph, &Device) -> Outcome<RunSubgraph>;

/// The compiler of a [`Site`] that is not compiled.
pub fn no_subgraphs(_: &Graph, _: &Device) -> Outcome<RunSubgraph> {
    Err("subgraphs are not compiled here".into())
}

/// Integers from an attribute, known at compile time, or from an input, known at run time.
#[derive(Clone, Debug)]
pub enum Integers {
    Attribute(Vec<i64>),
    Input(usize),
}

impl Integers {
    /// Returns the integers at run time.
    pub fn read(&self, inputs: &Inputs) -> Outcome<Vec<i64>> {
        match self {
            Integers::Attribute(values) => Ok(values.clone()),
            Integers::Input(index) => inputs.ints(*index),
        }
    }
}

impl<'a> Site<'a> {
    /// Returns the context of a node whose attributes and constants are read on the host, but which is not
    /// compiled.
    pub fn on_host(graph: &'a Graph, node: &'a Node, device: &'a Device) -> Self {
        Self { graph, node, device, activation: None, compile_subgraph: no_subgraphs }
    }

    /// Returns the opset of the node's domain.
    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// Whether input `index` is present.
    pub fn has(&self, index: usize) -> bool {
        self.node.input(index).is_some()
    }

    /// Returns the value of input `index`, if it is constant.
    pub fn constant(&self, index: usize) -> Option<Value> {
        let id = self.node.input(index)?;
        self.graph.constant(id)?.value().ok()
    }

    /// Returns the shape of input `index`, if it is constant.
    pub fn constant_dims(&self, index: usize) -> Option<Vec<usize>> {
        let id = self.node.input(index)?;
        self.graph.constant(id)?.dims()
    }

    /// Returns the constant float input `index` as weights, transposed if `transpose` is set. The data is
    /// read from the file again at packing time, so that it is not held in memory until then.
    pub fn weights(&self, index: usize, transpose: bool) -> Option<Weights> {
        let id = self.node.input(index)?;
        let constant = self.graph.constant(id)?.clone();
        let count = constant.dims().filter(|_| constant.is_float())?.iter().product();
        // Reading cannot fail here: the program has read the constant before, and the file is mapped.
        let read = move || {
            let value = constant.copied().ok()?;
            let value = if transpose { value.permute(&[1, 0]).ok()? } else { value };
            value.floats().ok()
        };
        Some(Weights::Deferred(count, Rc::new(move || read().unwrap_or_default())))
    }

    /// Returns the value of input `index`, if it is constant and has a single element.
    pub fn constant_scalar(&self, index: usize) -> Option<f64> {
        let value = self.constant(index)?.into_float();
        match value.floats().ok()?[..] {
            [value] => Some(f64::from(value)),
            _ => None,
        }
    }

    /// Whether the output is an exact integer sum: a Scale or Levels node reads it.
    pub fn is_integer_sum(&self) -> bool {
        let output = self.node.outputs.first().copied().flatten();
        let reads = |node: &&Node| node.inputs.first().is_some_and(|&input| input == output);
        let mut readers = self.graph.nodes.iter().filter(reads);
        readers.any(|node| {
            node.operator.is_some_and(|operator| {
                operator.domain == OWN && matches!(operator.name, "Scale" | "Levels")
            })
        })
    }

    /// Whether input `index` depends on the values of the model's input.
    pub fn is_of_sample(&self, index: usize) -> bool {
        let id = self.node.input(index);
        id.is_some_and(|id| self.graph.is_of_sample(id))
    }

    /// Returns the number of outputs that the node lists.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Returns the integer attribute `name`, or `default`.
    pub fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.node.attributes.int(name)?.unwrap_or(default))
    }

    /// Returns the integer attribute `name` as a boolean, or `default`.
    pub fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    /// Returns the float attribute `name`, or `default`.
    pub fn float(&self, name: &str, default: f64) -> Outcome<f64> {
        Ok(self.node.attributes.float(name)?.unwrap_or(default))
    }

    /// Returns the string attribute `name`, or `default`.
    pub fn text(&self, name: &str, default: &str) -> Outcome<String> {
        Ok(self.node.attributes.text(name)?.unwrap_or(default).to_owned())
    }

    /// Returns the integer list attribute `name`.
    pub fn ints(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        self.node.attributes.ints(name)
    }

    /// Returns the tensor attribute `name`.
    pub fn tensor(&self, name: &str) -> Outcome<Option<Rc<Stored>>> {
        self.node.attributes.tensor(name)
    }

    /// Returns integers that are the attribute `name` before opset `since` and input `index` from `since` on.
    pub fn integers(&self, name: &str, since: i64, index: usize) -> Outcome<Option<Integers>> {
        if self.opset() < since {
            return Ok(self.ints(name)?.map(Integers::Attribute));
        }
        Ok(self.has(index).then_some(Integers::Input(index)))
    }

    /// Marks attributes as read that have no effect on the result.
    pub fn ignore(&self, names: &[&str]) {
        self.node.attributes.ignore(names);
    }
}
