//! A segment under construction: operations on pictures whose sizes are known.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use super::finish::Activation;
use super::pack::Window;

/// The number of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

/// What makes a value.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Input,
    Convolution(Convolution),
    Activate(Activation),
    Add,
    /// The first input times the number that the second has for each channel.
    Gate,
    Largest(Window),
    Mean(Window, bool),
    /// The mean over all pixels.
    GlobalMean,
    Concat,
    Normalize(Normalization),
    /// The same picture, whose axes lie in another order outside.
    Turn,
    /// What was here has become part of a plan.
    Planned,
}

/// `(x - mean) / sqrt(variance + epsilon) scale + shift` over the channels of each pixel.
#[derive(Clone, Debug)]
pub struct Normalization {
    /// A number for each channel.
    pub scale: Vec<f32>,
    /// A number for each channel.
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// A convolution with constant weights.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// `[outputs, inputs / groups, height, width]`.
    pub weights: Weights,
    /// A number for each output.
    pub bias: Option<Vec<f32>>,
    /// The output channels.
    pub outputs: usize,
    /// Groups of channels that are convolved apart.
    pub groups: usize,
    /// Kernel, strides, dilations and padding.
    pub window: Window,
}

/// Constant weights.
#[derive(Clone)]
pub enum Weights {
    /// As they are.
    Given(Vec<f32>),
    /// So many, which are read when they are packed: a large model is never held twice.
    Later(usize, Rc<dyn Fn() -> Vec<f32>>),
}

impl Weights {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Given(weights) => weights.len(),
            Self::Later(count, _) => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights.
    pub fn read(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Given(weights) => weights.into(),
            Self::Later(_, read) => read().into(),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weights", self.len())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub operation: Operation,
    pub inputs: Vec<Value>,
    pub dims: [usize; 3],
    /// Whether the channels are the last axis outside.
    pub last: bool,
}

/// Operations on one sample, `[channels, height, width]`, added one after the other.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) nodes: Vec<Node>,
}

impl Builder {
    /// A segment of samples of `dims`, and its input.
    pub fn new(dims: [usize; 3]) -> (Self, Value) {
        let input = Node { operation: Operation::Input, inputs: Vec::new(), dims, last: false };
        (Self { nodes: vec![input] }, Value(0))
    }

    /// `[channels, height, width]` of a value.
    pub fn dims(&self, value: Value) -> [usize; 3] {
        self.nodes[value.0].dims
    }

    fn push(&mut self, operation: Operation, inputs: &[Value], dims: [usize; 3]) -> Value {
        let last = inputs.iter().any(|input| self.nodes[input.0].last);
        self.nodes.push(Node { operation, inputs: inputs.to_vec(), dims, last });
        Value(self.nodes.len() - 1)
    }

    /// Whether the channels of a value are its last axis outside.
    pub fn is_channels_last(&self, value: Value) -> bool {
        self.nodes[value.0].last
    }

    /// The axes of a value as they lie outside, without the batch.
    pub fn shape(&self, value: Value) -> [usize; 3] {
        let [channels, height, width] = self.dims(value);
        match self.nodes[value.0].last {
            true => [height, width, channels],
            false => [channels, height, width],
        }
    }

    /// The same picture with the channels as the last axis outside, or as the first again.
    pub fn turn(&mut self, x: Value) -> Value {
        let (dims, last) = (self.dims(x), self.nodes[x.0].last);
        let turned = self.push(Operation::Turn, &[x], dims);
        self.nodes[turned.0].last = !last;
        turned
    }

    /// A normalization over the channels of each pixel; `None` where it does not fit.
    pub fn normalize(&mut self, x: Value, normalization: Normalization) -> Option<Value> {
        let dims = self.dims(x);
        let fits = normalization.scale.len() == dims[0] && normalization.shift.len() == dims[0];
        fits.then(|| self.push(Operation::Normalize(normalization), &[x], dims))
    }

    /// A convolution of `x`; `None` where it does not fit or is empty.
    pub fn convolution(&mut self, x: Value, convolution: Convolution) -> Option<Value> {
        let [channels, height, width] = self.dims(x);
        let Convolution { outputs, groups, window, weights, bias } = &convolution;
        let (outputs, groups) = (*outputs, *groups);
        let area = window.kernel[0] * window.kernel[1];
        let fits = groups > 0
            && area > 0
            && channels.is_multiple_of(groups)
            && outputs.is_multiple_of(groups)
            && outputs > 0
            && weights.len() == outputs * (channels / groups) * area
            && bias.as_ref().is_none_or(|bias| bias.len() == outputs);
        if !fits {
            return None;
        }
        let dims = [outputs, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push(Operation::Convolution(convolution), &[x], dims))
    }

    /// An activation of `x`.
    pub fn activate(&mut self, x: Value, activation: Activation) -> Value {
        let dims = self.dims(x);
        self.push(Operation::Activate(activation), &[x], dims)
    }

    /// `a + b`; `None` where they differ in shape.
    pub fn add(&mut self, a: Value, b: Value) -> Option<Value> {
        let dims = self.dims(a);
        let order = |value| self.is_channels_last(value);
        let same = dims == self.dims(b) && order(a) == order(b);
        same.then(|| self.push(Operation::Add, &[a, b], dims))
    }

    /// `a b`, where that is an activation of one of them, or one of them has one pixel; else `None`.
    pub fn multiply(&mut self, a: Value, b: Value) -> Option<Value> {
        for (x, other) in [(a, b), (b, a)] {
            let node = &self.nodes[other.0];
            let whole = match node.operation {
                Operation::Activate(Activation::Sigmoid) => Some(Activation::Silu),
                Operation::Activate(activation) if activation == HALF => {
                    Some(Activation::HardSwish)
                }
                _ => None,
            };
            if let Some(whole) = whole.filter(|_| node.inputs == [x]) {
                return Some(self.activate(x, whole));
            }
        }
        for (x, gate) in [(a, b), (b, a)] {
            let dims = self.dims(x);
            if self.dims(gate) == [dims[0], 1, 1] && dims != [dims[0], 1, 1] {
                return Some(self.push(Operation::Gate, &[x, gate], dims));
            }
        }
        None
    }

    /// The largest of each window of `x`; `None` where none fits, or one has more than 255 taps.
    pub fn largest(&mut self, x: Value, window: Window) -> Option<Value> {
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        let reaches = (0..2).all(|axis| window.begin[axis] < window.kernel[axis]);
        let few = window.kernel[0] * window.kernel[1] <= 255;
        (reaches && few).then(|| self.push(Operation::Largest(window), &[x], dims))
    }

    /// The mean of each window of `x`; `None` where none fits.
    pub fn mean(&mut self, x: Value, window: Window, counts_padding: bool) -> Option<Value> {
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        let plain = window.dilations == [1, 1];
        plain.then(|| self.push(Operation::Mean(window, counts_padding), &[x], dims))
    }

    /// The mean over all pixels of `x`.
    pub fn global_mean(&mut self, x: Value) -> Value {
        let [channels, ..] = self.dims(x);
        self.push(Operation::GlobalMean, &[x], [channels, 1, 1])
    }

    /// The channels of `parts` one after the other; `None` where the parts differ in size.
    pub fn concat(&mut self, parts: &[Value]) -> Option<Value> {
        let [_, height, width] = self.dims(*parts.first()?);
        let same = |&part: &Value| self.dims(part)[1..] == [height, width];
        let channels = parts.iter().map(|&part| self.dims(part)[0]).sum();
        parts
            .iter()
            .all(same)
            .then(|| self.push(Operation::Concat, parts, [channels, height, width]))
    }
}

/// The gate of HardSwish.
const HALF: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
