//! The builder of a segment: operations on tensors of known shape.

mod operations;
mod views;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use super::joint_loop::JointLoop;
use super::view::View;
use super::window::Window;
use crate::Activation;

/// A value of a [`Builder`]: the result of an operation, or the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

/// The operation that computes a value.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Input,
    Convolution(Convolution),
    Activate(Activation),
    Add,
    /// The elementwise product of two images; the second one may be a single pixel, which is broadcast.
    Multiply,
    MaxPool(Window),
    /// Average pooling, and whether padding counts.
    MeanPool(Window, bool),
    /// The sum over all pixels, multiplied by a factor.
    SpatialSum(f32),
    Normalize(Normalization),
    /// `exp(x - max) / sum(exp(x - max))` over the channels of each pixel.
    Softmax,
    /// The matrix product over the last two axes of two tensors.
    MatMul(MatMulViews),
    /// Copies of the inputs to parts of the result; the rest of the result is zero.
    Copy(Vec<ViewCopy>),
    /// A constant, the same for every sample: `[channels][height][width]`.
    Constant(Vec<f32>),
    /// A view of the image of another value.
    View,
    /// An operation that has been moved to a plan.
    Planned,
}

/// The operands of `y[l][i][j] = sum_k a[l][i][k] b[l][k][j]`, where `l` stands for all axes but the last
/// two.
#[derive(Clone, Debug)]
pub(super) struct MatMulViews {
    pub left: View,
    pub right: View,
    /// The loops through the leading axes of `a` and `b`.
    pub leading: Vec<JointLoop>,
    /// The sizes of the axes `i`, `k` and `j`.
    pub sizes: [usize; 3],
}

impl MatMulViews {
    /// The factor by which the product is multiplied.
    pub fn factor(&self) -> f32 {
        self.left.factor * self.right.factor
    }
}

/// A copy from one view to another.
#[derive(Clone, Debug)]
pub(super) struct ViewCopy {
    pub from: View,
    pub to: View,
    /// The loops that traverse both views.
    pub loops: Vec<JointLoop>,
}

/// A normalization `(x - mean) / sqrt(variance + epsilon) scale + shift` over the last axis, with the
/// variance `mean((x - mean)^2)`: layer normalization. If it is not centred, the mean is taken as 0: RMS
/// normalization.
#[derive(Clone, Debug)]
pub struct Normalization {
    /// The scale of each channel.
    pub scale: Vec<f32>,
    /// The shift of each channel.
    pub shift: Vec<f32>,
    /// The value that is added to the variance.
    pub epsilon: f32,
    /// Whether the mean is subtracted.
    pub centred: bool,
}

/// A convolution with constant weights.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// The weights, `[outputs, inputs / groups, height, width]`.
    pub weights: Weights,
    /// The bias of each output channel.
    pub bias: Option<Vec<f32>>,
    /// The number of output channels.
    pub outputs: usize,
    /// The number of groups.
    pub groups: usize,
    /// Kernel, strides, dilations and padding.
    pub window: Window,
    /// Whether sums of integers stay exact: the direct algorithm is used, and a following scale is applied
    /// after the sum instead of being folded into the weights.
    pub exact: bool,
}

/// Constant weights.
#[derive(Clone)]
pub enum Weights {
    /// The weights themselves.
    Values(Vec<f32>),
    /// The number of weights, and a function that reads them when they are packed. A large model is thus
    /// never held twice.
    Deferred(usize, Rc<dyn Fn() -> Vec<f32>>),
}

impl Weights {
    /// The number of weights.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(weights) => weights.len(),
            Self::Deferred(count, _) => *count,
        }
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the weights, reading them if necessary.
    pub fn read(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Values(weights) => weights.into(),
            Self::Deferred(_, read) => read().into(),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weights", self.len())
    }
}

/// A value with its operation and layout.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub operation: Operation,
    pub inputs: Vec<Value>,
    /// The size `[channels, height, width]` of the image.
    pub dims: [usize; 3],
    /// The view of the image that is the tensor.
    pub view: View,
}

/// A builder of segments: operations on the samples of a batch, added one after the other. Every value is a
/// tensor, stored in an image (one sample in channels-last order) of which it is a view.
///
/// A method that adds an operation returns `None` if a segment cannot compute it.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) nodes: Vec<Node>,
    samples: usize,
    /// Whether an operation may have moved the batch from the first axis.
    batch_moves: bool,
}

impl Builder {
    /// Returns a builder and its input, a tensor of `shape` whose first axis is the batch. With four axes the
    /// second one is the channels, otherwise the last one. `None` if the tensor is empty or has fewer than
    /// two axes.
    pub fn new(shape: &[usize]) -> Option<(Self, Value)> {
        let samples = *shape.first().filter(|_| !shape.contains(&0))?;
        let (view, dims) = match *shape {
            [samples, channels, height, width] => {
                let dims = [channels, height, width];
                (View::nchw(samples, dims), dims)
            }
            [_] => return None,
            _ => View::channels_last(Some((0, samples)), shape)?,
        };
        let input = Node { operation: Operation::Input, inputs: Vec::new(), dims, view };
        Some((Self { nodes: vec![input], samples, batch_moves: false }, Value(0)))
    }

    /// The size `[channels, height, width]` of the image in which a value is stored.
    pub fn dims(&self, value: Value) -> [usize; 3] {
        self.nodes[value.0].dims
    }

    /// Whether an operation may have moved the batch from the first axis of a tensor. With a batch of one
    /// sample, the builder cannot tell which axis of size 1 is the batch; the caller must then verify the
    /// segment with several samples.
    pub fn batch_moves(&self) -> bool {
        self.batch_moves
    }

    /// The number of samples in the batch for which the builder was made.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The shape of a value, including the batch.
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

    /// Adds an operation whose result has the layout of `x`.
    fn push_like(&mut self, operation: Operation, inputs: &[Value], x: Value) -> Value {
        let Node { dims, view, .. } = self.nodes[x.0].clone();
        self.push(operation, inputs, dims, view)
    }

    /// Adds an operation whose result is `[samples, channels, height, width]`.
    fn push_nchw(&mut self, operation: Operation, inputs: &[Value], dims: [usize; 3]) -> Value {
        self.push(operation, inputs, dims, View::nchw(self.samples, dims))
    }

    /// Adds a view of the image of `x`.
    fn push_view(&mut self, x: Value, view: Option<View>) -> Option<Value> {
        let view = view?;
        if *self.view(x) == view {
            return Some(x);
        }
        let (root, dims) = (self.root(x), self.dims(x));
        Some(self.push(Operation::View, &[root], dims, view))
    }

    /// The value whose image `value` is a view of; `value` itself if it is not a view.
    pub(super) fn root(&self, value: Value) -> Value {
        match self.nodes[value.0].operation {
            Operation::View => self.nodes[value.0].inputs[0],
            _ => value,
        }
    }
}
