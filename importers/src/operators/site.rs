//! A node in its graph, as an operator sees it when it is compiled.

use std::rc::Rc;

use attriburn_kernels::frozen::Weights;
use burn::tensor::Device;

use super::{Inputs, OWN};
use crate::file::Stored;
use crate::graph::{Graph, Node};
use crate::value::{Outcome, Value};

/// A node, and what is known of its inputs.
pub struct Site<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    /// Where the model runs.
    pub device: &'a Device,
}

/// Integers that an attribute gives, or an input when the model runs.
#[derive(Clone, Debug)]
pub enum Integers {
    Known(Vec<i64>),
    Input(usize),
}

impl Integers {
    pub fn read(&self, inputs: &Inputs) -> Outcome<Vec<i64>> {
        match self {
            Integers::Known(values) => Ok(values.clone()),
            Integers::Input(index) => inputs.ints(*index),
        }
    }
}

impl Site<'_> {
    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// Whether input `index` is given.
    pub fn has(&self, index: usize) -> bool {
        self.node.input(index).is_some()
    }

    /// The constant that input `index` is.
    pub fn constant(&self, index: usize) -> Option<Value> {
        let id = self.node.input(index)?;
        self.graph.constant(id)?.value().ok()
    }

    /// The shape of the constant that input `index` is.
    pub fn constant_dims(&self, index: usize) -> Option<Vec<usize>> {
        let id = self.node.input(index)?;
        self.graph.constant(id)?.dims()
    }

    /// The weights that constant input `index` is, its last axis in front where it `turns`: they are
    /// read again when they are packed.
    pub fn weights(&self, index: usize, turns: bool) -> Option<Weights> {
        let id = self.node.input(index)?;
        let constant = self.graph.constant(id)?.clone();
        let count = constant.dims().filter(|_| constant.is_float())?.iter().product();
        // The program has read it before, and the file is mapped.
        let read = move || {
            let value = constant.copied().ok()?;
            let value = if turns { value.permute(&[1, 0]).ok()? } else { value };
            value.floats().ok()
        };
        Some(Weights::Later(count, Rc::new(move || read().unwrap_or_default())))
    }

    /// The one number that input `index` is, where it is constant.
    pub fn number(&self, index: usize) -> Option<f64> {
        let value = self.constant(index)?.into_float();
        match value.floats().ok()?[..] {
            [value] => Some(f64::from(value)),
            _ => None,
        }
    }

    /// Whether the output is a sum of whole numbers, behind which its scale follows.
    pub fn is_whole(&self) -> bool {
        let output = self.node.outputs.first().copied().flatten();
        let reads = |node: &&Node| node.inputs.first().is_some_and(|&input| input == output);
        let mut readers = self.graph.nodes.iter().filter(reads);
        readers.any(|node| {
            node.operator
                .is_some_and(|own| own.domain == OWN && matches!(own.name, "Scale" | "Levels"))
        })
    }

    /// Whether input `index` depends on the values of the sample.
    pub fn is_of_sample(&self, index: usize) -> bool {
        let id = self.node.input(index);
        id.is_some_and(|id| self.graph.is_of_sample(id))
    }

    /// How many outputs the file lists.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    pub fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.node.attributes.int(name)?.unwrap_or(default))
    }

    pub fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    pub fn float(&self, name: &str, default: f64) -> Outcome<f64> {
        Ok(self.node.attributes.float(name)?.unwrap_or(default))
    }

    pub fn text(&self, name: &str, default: &str) -> Outcome<String> {
        Ok(self.node.attributes.text(name)?.unwrap_or(default).to_owned())
    }

    pub fn ints(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        self.node.attributes.ints(name)
    }

    pub fn tensor(&self, name: &str) -> Outcome<Option<Rc<Stored>>> {
        self.node.attributes.tensor(name)
    }

    /// What an attribute gave before the opset `since`, and input `index` gives from it on.
    pub fn integers(&self, name: &str, since: i64, index: usize) -> Outcome<Option<Integers>> {
        if self.opset() < since {
            return Ok(self.ints(name)?.map(Integers::Known));
        }
        Ok(self.has(index).then_some(Integers::Input(index)))
    }

    /// Reads attributes that change nothing here.
    pub fn ignore(&self, names: &[&str]) {
        self.node.attributes.ignore(names);
    }
}
