//! The context in which a node is lowered into a fused CPU segment.

use attriburn_kernels::Activation;
use attriburn_kernels::frozen::{Builder, Value};

use std::collections::HashMap;

use super::site::Integers;
use super::{Site, axis};
use crate::graph::Id;
use crate::value::Value as Operand;

/// Adds a node to a segment and returns its output; `None` if the node cannot be part of a segment.
pub type Freeze = fn(&mut Freezing) -> Option<Value>;

/// A node and the segment under construction.
pub struct Freezing<'a> {
    pub site: &'a Site<'a>,
    pub builder: &'a mut Builder,
    /// The node's inputs as values of the segment; `None` for inputs from outside.
    pub inputs: &'a [Option<Value>],
    /// Values that depend only on shapes, and so are the same for every sample.
    pub constants: &'a HashMap<Id, Operand>,
    /// The shapes of the node's outputs; `None` for outputs that nothing reads.
    pub shapes: &'a [Option<Vec<usize>>],
    /// The index of the output to add.
    pub output: usize,
}

impl Freezing<'_> {
    /// Returns the first input, if it is part of the segment.
    pub fn x(&self) -> Option<Value> {
        self.inputs[0]
    }

    /// Returns the shape of the first input.
    pub fn dims(&self) -> Option<Vec<usize>> {
        Some(self.builder.shape(self.x()?))
    }

    /// Returns the value of an input that is constant or depends only on shapes.
    pub fn constant(&self, index: usize) -> Option<Operand> {
        let id = self.site.node.input(index)?;
        self.site.constant(index).or_else(|| self.constants.get(&id).cloned())
    }

    /// Returns all inputs as values of the segment; constant inputs are added to the segment.
    pub fn all_inputs(&mut self) -> Option<Vec<Value>> {
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

    /// Returns the height and width of the first input, which must have rank 4.
    pub fn spatial_size(&self) -> Option<[usize; 2]> {
        self.dims()?.get(2..)?.try_into().ok()
    }

    /// Normalizes an axis of the first input.
    pub fn axis(&self, at: i64) -> Option<usize> {
        axis(at, self.dims()?.len()).ok()
    }

    /// Returns integers from an attribute or a constant input.
    pub fn constant_integers(&self, integers: &Integers) -> Option<Vec<i64>> {
        match integers {
            Integers::Attribute(values) => Some(values.clone()),
            Integers::Input(index) => self.site.constant(*index)?.ints().ok(),
        }
    }

    /// Returns the two inputs, if both are part of the segment. Before opset 7 their shapes must be equal,
    /// because broadcasting had other rules.
    pub fn both_in_segment(&self) -> Option<[Value; 2]> {
        let [Some(a), Some(b)] = *self.inputs else { return None };
        let alike = self.builder.shape(a) == self.builder.shape(b);
        (alike || self.site.opset() >= 7).then_some([a, b])
    }

    /// Returns the input that is part of the segment, its index, and the values and the shape of the other
    /// input, which is the same for every sample.
    pub fn input_and_constant(&self) -> Option<(Value, usize, Vec<f32>, Vec<usize>)> {
        let data = self.inputs.iter().position(Option::is_some)?;
        let other = self.constant(1 - data)?;
        let fits = self.site.opset() >= 7 && self.inputs.len() == 2;
        fits.then_some((self.inputs[data]?, data, other.floats().ok()?, other.dims()))
    }

    /// Returns the axes of a reduction, an attribute before opset `since` and input 1 from then on; `None` if
    /// the node lists no axes.
    pub fn axes(&self, since: i64) -> Option<Vec<usize>> {
        let axes = self.site.integers("axes", since, 1).ok()??;
        self.constant_integers(&axes)?.iter().map(|&at| self.axis(at)).collect()
    }

    /// Applies an activation to the first input.
    pub fn activate(&mut self, activation: Activation) -> Option<Value> {
        self.builder.activate(self.x()?, activation)
    }

    /// Reshapes the first input to the shape of the output.
    pub fn reshape_input(&mut self) -> Option<Value> {
        self.reshape_to_output(self.x()?)
    }

    /// Reshapes `x` to the shape of the output.
    pub fn reshape_to_output(&mut self, x: Value) -> Option<Value> {
        self.builder.reshape(x, self.shapes[self.output].as_ref()?)
    }
}
