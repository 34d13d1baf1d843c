//! A segment under construction: operations on tensors whose sizes are known.

mod moves;
mod operations;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use super::pack::Window;
use super::view::{Pair, View};
use crate::Activation;

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
    /// The product of two pictures, number by number; the second may be a single pixel, which stands for
    /// all.
    Multiply,
    Largest(Window),
    Mean(Window, bool),
    /// The sum over all pixels, times a factor.
    Total(f32),
    Normalize(Normalization),
    /// `exp(x - max) / sum(exp(x - max))` over the channels of each pixel.
    Softmax,
    /// The product of two tensors' last two axes.
    Product(Product),
    /// The numbers of each input where the result has them, times a factor; zero elsewhere.
    Arrange(Vec<Arrangement>),
    /// The same for every sample: `[channels][height][width]`.
    Constant(Vec<f32>),
    /// The same picture, seen as a tensor of another shape.
    View,
    /// What was here has become part of a plan.
    Planned,
}

/// `y[l][i][j] = sum_k a[l][i][k] b[l][k][j]`, with `l` all axes but the last two.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub left: View,
    pub right: View,
    /// The loops through the leading axes of `a` and `b`.
    pub leading: Vec<Pair>,
    /// The sizes of the axes `i`, `k` and `j`.
    pub sizes: [usize; 3],
}

impl Product {
    /// What each product is multiplied with.
    pub fn factor(&self) -> f32 {
        self.left.factor * self.right.factor
    }
}

/// Loops over all numbers of two views.
#[derive(Clone, Debug)]
pub(super) struct Arrangement {
    pub from: View,
    pub to: View,
    pub loops: Vec<Pair>,
}

/// `(x - mean) / sqrt(variance + epsilon) scale + shift` over the channels of each pixel, the variance
/// being the mean of `(x - mean)^2`; where it is not centred, the mean counts as 0.
#[derive(Clone, Debug)]
pub struct Normalization {
    /// A number for each channel.
    pub scale: Vec<f32>,
    /// A number for each channel.
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is subtracted.
    pub centred: bool,
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
    /// Whether sums of whole numbers stay exact: they are computed by their definition, and what scales
    /// them comes after the sum instead of into the weights.
    pub exact: bool,
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
    /// `[channels, height, width]` of the picture.
    pub dims: [usize; 3],
    /// How the tensor lies in it.
    pub view: View,
}

/// Operations on one sample, added one after the other. Every value is a picture, and a tensor that is
/// seen in it.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) nodes: Vec<Node>,
    samples: usize,
    /// Whether the batch may have left the first axis.
    batch_moves: bool,
}

impl Builder {
    /// A segment of tensors of `shape`, whose first axis is the batch, and its input. Of four axes the
    /// second is that of the channels, else the last. `None` for a tensor without numbers or axes.
    pub fn new(shape: &[usize]) -> Option<(Self, Value)> {
        let samples = *shape.first().filter(|_| !shape.contains(&0))?;
        let (view, dims) = match *shape {
            [samples, channels, height, width] => {
                let dims = [channels, height, width];
                (View::planes(samples, dims), dims)
            }
            [_] => return None,
            _ => View::rows(Some((0, samples)), shape)?,
        };
        let input = Node { operation: Operation::Input, inputs: Vec::new(), dims, view };
        Some((Self { nodes: vec![input], samples, batch_moves: false }, Value(0)))
    }

    /// `[channels, height, width]` of the picture in which a value lies.
    pub fn dims(&self, value: Value) -> [usize; 3] {
        self.nodes[value.0].dims
    }

    /// Whether the batch may have left the first axis of a tensor. Where the builder was begun with a batch
    /// of one sample, it is then not known which axis of size 1 is the batch: whoever begins so must try
    /// out several samples.
    pub fn batch_moves(&self) -> bool {
        self.batch_moves
    }

    /// The samples in the batch with whose shapes it was begun.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The axes of a value, the batch first.
    pub fn shape(&self, value: Value) -> Vec<usize> {
        self.nodes[value.0].view.shape()
    }

    pub(super) fn view(&self, value: Value) -> &View {
        &self.nodes[value.0].view
    }

    fn push(
        &mut self,
        operation: Operation,
        inputs: &[Value],
        dims: [usize; 3],
        view: View,
    ) -> Value {
        self.nodes.push(Node { operation, inputs: inputs.to_vec(), dims, view });
        Value(self.nodes.len() - 1)
    }

    /// An operation that gives a picture like `x`.
    fn push_like(&mut self, operation: Operation, inputs: &[Value], x: Value) -> Value {
        let Node { dims, view, .. } = self.nodes[x.0].clone();
        self.push(operation, inputs, dims, view)
    }

    /// An operation that gives `[samples, channels, height, width]`.
    fn push_planes(&mut self, operation: Operation, inputs: &[Value], dims: [usize; 3]) -> Value {
        self.push(operation, inputs, dims, View::planes(self.samples, dims))
    }

    fn seen(&mut self, x: Value, view: Option<View>) -> Option<Value> {
        let view = view?;
        if *self.view(x) == view {
            return Some(x);
        }
        let (root, dims) = (self.root(x), self.dims(x));
        Some(self.push(Operation::View, &[root], dims, view))
    }

    /// The value whose picture `value` shows.
    pub(super) fn root(&self, value: Value) -> Value {
        match self.nodes[value.0].operation {
            Operation::View => self.nodes[value.0].inputs[0],
            _ => value,
        }
    }
}
