//! A node on its way into a segment of the CPU.

use attriburn_kernels::Activation;
use attriburn_kernels::frozen::{Builder, Value};

use std::collections::HashMap;

use super::site::Integers;
use super::{Site, axis};
use crate::graph::Id;
use crate::value::Value as Operand;

/// Adds a node to a segment; `None` where it cannot be part of one.
pub type Freeze = fn(&mut Freezing) -> Option<Value>;

/// A node, and the segment that it is to become part of.
pub struct Freezing<'a> {
    pub site: &'a Site<'a>,
    pub builder: &'a mut Builder,
    /// Those of its inputs that are part of the segment.
    pub inputs: &'a [Option<Value>],
    /// Values that depend on shapes alone.
    pub constants: &'a HashMap<Id, Operand>,
    /// The shapes of its outputs, where something reads them.
    pub shapes: &'a [Option<Vec<usize>>],
    /// The output that is added.
    pub output: usize,
}

impl Freezing<'_> {
    /// The first input.
    pub fn x(&self) -> Option<Value> {
        self.inputs[0]
    }

    /// The shape of the first input.
    pub fn dims(&self) -> Option<Vec<usize>> {
        Some(self.builder.shape(self.x()?))
    }

    /// An input that is the same for every sample.
    pub fn constant(&self, index: usize) -> Option<Operand> {
        let id = self.site.node.input(index)?;
        self.site.constant(index).or_else(|| self.constants.get(&id).cloned())
    }

    /// The inputs, those that are the same for every sample among them.
    pub fn parts(&mut self) -> Option<Vec<Value>> {
        let inputs = self.inputs.iter().enumerate();
        let part = |(index, input): (usize, &Option<Value>)| match input {
            Some(value) => Some(*value),
            None => {
                let constant = self.constant(index)?;
                self.builder.constant(&constant.floats().ok()?, &constant.dims())
            }
        };
        inputs.map(part).collect()
    }

    /// The height and the width of the first input, which has four axes.
    pub fn pixels(&self) -> Option<[usize; 2]> {
        self.dims()?.get(2..)?.try_into().ok()
    }

    /// An axis of the first input.
    pub fn axis(&self, at: i64) -> Option<usize> {
        axis(at, self.dims()?.len()).ok()
    }

    /// The constant integers that an attribute or an input gives.
    pub fn known(&self, integers: &Integers) -> Option<Vec<i64>> {
        match integers {
            Integers::Known(values) => Some(values.clone()),
            Integers::Input(index) => self.site.constant(*index)?.ints().ok(),
        }
    }

    /// The two inputs, where both are part of the segment. Before opset 7 they did not broadcast as they
    /// do since.
    pub fn both(&self) -> Option<[Value; 2]> {
        let [Some(a), Some(b)] = *self.inputs else { return None };
        let alike = self.builder.shape(a) == self.builder.shape(b);
        (alike || self.site.opset() >= 7).then_some([a, b])
    }

    /// The one input that is part of the segment, its place, and the numbers and shape of the other one,
    /// which is the same for every sample.
    pub fn with_constant(&self) -> Option<(Value, usize, Vec<f32>, Vec<usize>)> {
        let data = self.inputs.iter().position(Option::is_some)?;
        let other = self.constant(1 - data)?;
        let fits = self.site.opset() >= 7 && self.inputs.len() == 2;
        fits.then_some((self.inputs[data]?, data, other.floats().ok()?, other.dims()))
    }

    /// The axes that an attribute or an input gives; `None` where there are none.
    pub fn axes(&self, since: i64) -> Option<Vec<usize>> {
        let axes = self.site.integers("axes", since, 1).ok()??;
        self.known(&axes)?.iter().map(|&at| self.axis(at)).collect()
    }

    /// An activation of the first input.
    pub fn activate(&mut self, activation: Activation) -> Option<Value> {
        self.builder.activate(self.x()?, activation)
    }

    /// The first input in the shape of the output.
    pub fn reshape(&mut self) -> Option<Value> {
        self.reshape_of(self.x()?)
    }

    /// `x` in the shape of the output.
    pub fn reshape_of(&mut self, x: Value) -> Option<Value> {
        self.builder.reshape(x, self.shapes[self.output].as_ref()?)
    }
}
