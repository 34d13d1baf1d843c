//! A segment under construction: operations on tensors whose sizes are known.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use super::pack::Window;
use super::view::{Along, Pair, Part, View, pairs};
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
    /// The first input times the number that the second has for each channel.
    Gate,
    Largest(Window),
    Mean(Window, bool),
    /// The mean over all pixels.
    GlobalMean,
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
}

impl Builder {
    /// A segment of tensors of `shape`, whose first axis is the batch, and its input. Of four axes the
    /// second is that of the channels, else the last. `None` for a tensor without numbers or axes.
    pub fn new(shape: &[usize]) -> Option<(Self, Value)> {
        let samples = *shape.first()?;
        let (view, dims) = match *shape {
            [samples, channels, height, width] => {
                let dims = [channels, height, width];
                (View::planes(samples, dims), dims)
            }
            [_] => return None,
            _ => View::rows(samples, shape),
        };
        let input = Node { operation: Operation::Input, inputs: Vec::new(), dims, view };
        let own = Self { nodes: vec![input], samples };
        (!shape.contains(&0)).then_some((own, Value(0)))
    }

    /// `[channels, height, width]` of the picture in which a value lies.
    pub fn dims(&self, value: Value) -> [usize; 3] {
        self.nodes[value.0].dims
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

    /// The same numbers in axes of other sizes; `None` where they do not fit.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Option<Value> {
        self.seen(x, self.view(x).reshape(shape))
    }

    /// The axes in another order; `None` where they do not fit.
    pub fn permute(&mut self, x: Value, order: &[usize]) -> Option<Value> {
        self.seen(x, self.view(x).permute(order))
    }

    /// `count` numbers of an axis from `start` on; `None` where there are not so many.
    pub fn slice(&mut self, x: Value, axis: usize, start: usize, count: usize) -> Option<Value> {
        self.seen(x, self.view(x).slice(axis, start, count))
    }

    /// `factor x`.
    pub fn scale(&mut self, x: Value, factor: f32) -> Option<Value> {
        let view = self.view(x);
        let factor = view.factor * factor;
        self.seen(x, Some(View { factor, ..view.clone() }))
    }

    /// Whether the first axis is the batch alone.
    pub fn begins_with_batch(&self, x: Value) -> bool {
        let first: &[Part] = &self.view(x).axes[0];
        match self.samples {
            1 => first.is_empty(),
            samples => first == [Part::new(samples, Along::Sample, 1)],
        }
    }

    /// The same tensor in a picture that has no other number.
    pub(super) fn whole(&mut self, x: Value) -> Option<Value> {
        let view = self.view(x);
        if view.is_whole(self.dims(x)) {
            return Some(x);
        }
        match view.has_planes() {
            true => self.planes(x),
            false => self.rows_of(x),
        }
    }

    /// The same tensor in a picture of one row whose channels are the last axis.
    fn rows_of(&mut self, x: Value) -> Option<Value> {
        let (view, dims) = View::rows(self.samples, &self.shape(x));
        self.arrange(x, view, dims)
    }

    /// The same tensor as `view` sees it in a picture of `dims`.
    fn arrange(&mut self, x: Value, view: View, dims: [usize; 3]) -> Option<Value> {
        let from = self.view(x).clone();
        let loops = from.pairs(&view)?;
        let root = self.root(x);
        let arrangement = Arrangement { from, to: view.clone(), loops };
        Some(self.push(Operation::Arrange(vec![arrangement]), &[root], dims, view))
    }

    /// A tensor of `shape` with the numbers of each part from a place on, and zeros elsewhere; `None`
    /// where the parts do not fit. It lies as the first part does.
    fn assembled(&mut self, shape: &[usize], parts: &[(Value, Vec<usize>)]) -> Option<Value> {
        let own = self.view(parts.first()?.0);
        let (view, dims) = match *shape {
            [samples, channels, height, width] if own.has_planes() => {
                let dims = [channels, height, width];
                (View::planes(samples, dims), dims)
            }
            _ => View::rows(self.samples, shape),
        };
        let mut arrangements = Vec::with_capacity(parts.len());
        let mut roots = Vec::with_capacity(parts.len());
        for (part, first) in parts {
            let from = self.view(*part).clone();
            let each = from.shape().into_iter().zip(first).enumerate();
            let to = each
                .into_iter()
                .try_fold(view.clone(), |to, (axis, (size, &at))| to.slice(axis, at, size))?;
            let loops = from.pairs(&to)?;
            arrangements.push(Arrangement { from, to, loops });
            roots.push(self.root(*part));
        }
        Some(self.push(Operation::Arrange(arrangements), &roots, dims, view))
    }

    /// What is the same for every sample: `values`, of a `shape` whose first axis is the batch; `None`
    /// where samples differ.
    pub fn constant(&mut self, values: &[f32], shape: &[usize]) -> Option<Value> {
        let numbers: usize = shape.iter().skip(1).product();
        let fits = numbers > 0
            && shape.first() == Some(&self.samples)
            && values.len() == numbers * self.samples;
        let mut samples = values.chunks_exact(numbers.max(1));
        let first = samples.next().filter(|_| fits)?;
        if samples.any(|own| own != first) {
            return None;
        }
        let (view, dims) = View::rows(self.samples, shape);
        let mut picture = vec![0.0; numbers];
        view.places(dims).into_iter().zip(first).for_each(|(to, value)| picture[to] = *value);
        Some(self.push(Operation::Constant(picture), &[], dims, view))
    }

    /// `parts`, one after the other along `axis`; `None` where that is the batch, or they do not fit.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Option<Value> {
        let mut shape = self.shape(*parts.first()?);
        let mut end = 0;
        let mut placed = Vec::with_capacity(parts.len());
        for &part in parts {
            let own = self.shape(part);
            let alike = own.len() == shape.len()
                && (0..own.len()).all(|at| at == axis || own[at] == shape[at]);
            let mut first = vec![0; own.len()];
            *first.get_mut(axis).filter(|_| alike && axis > 0)? = end;
            end += own[axis];
            placed.push((part, first));
        }
        shape[axis] = end;
        self.assembled(&shape, &placed)
    }

    /// `x` with `pads` zeros in front of each axis and behind it; `None` where the batch is padded.
    pub fn pad(&mut self, x: Value, pads: &[(usize, usize)]) -> Option<Value> {
        let own = self.shape(x);
        if pads.len() != own.len() || pads[0] != (0, 0) {
            return None;
        }
        if pads.iter().all(|&pad| pad == (0, 0)) {
            return Some(x);
        }
        let shape: Vec<_> = own.iter().zip(pads).map(|(own, (a, b))| a + own + b).collect();
        self.assembled(&shape, &[(x, pads.iter().map(|pad| pad.0).collect())])
    }

    /// Whether the channels of a value's picture are its last axis.
    pub fn ends_in_channels(&self, x: Value) -> bool {
        let dims = self.dims(x);
        self.view(x).is_whole(dims) && self.view(x).ends_in_channels(dims[0])
    }

    /// Whether a value is `[samples, channels, height, width]` of its picture.
    pub fn is_planes(&self, x: Value) -> bool {
        *self.view(x) == View::planes(self.samples, self.dims(x))
    }

    /// The same tensor, whose last axis is the channels.
    fn with_last_channels(&mut self, x: Value) -> Option<Value> {
        if self.ends_in_channels(x) { Some(x) } else { self.rows_of(x) }
    }

    /// The same tensor, of four axes, as pictures of its second axis.
    fn planes(&mut self, x: Value) -> Option<Value> {
        if self.is_planes(x) {
            return Some(x);
        }
        let dims: [usize; 3] = self.shape(x).get(1..)?.try_into().ok()?;
        self.arrange(x, View::planes(self.samples, dims), dims)
    }

    /// A normalization over the last axis; `None` where it does not fit.
    pub fn normalize(&mut self, x: Value, normalization: Normalization) -> Option<Value> {
        let channels = *self.shape(x).last()?;
        let fits = normalization.scale.len() == channels && normalization.shift.len() == channels;
        let x = fits.then(|| self.with_last_channels(x))??;
        Some(self.push_like(Operation::Normalize(normalization), &[x], x))
    }

    /// `exp(x) / sum(exp(x))` over the last axis.
    pub fn softmax(&mut self, x: Value) -> Option<Value> {
        let x = self.with_last_channels(x)?;
        Some(self.push_like(Operation::Softmax, &[x], x))
    }

    /// The product of the last two axes of `a` and `b`, for each of the others; `None` where they do not
    /// fit.
    pub fn product(&mut self, a: Value, b: Value) -> Option<Value> {
        let rank = self.shape(a).len();
        if rank < 3 || self.shape(b).len() != rank {
            return None;
        }
        let simple = |view: &View| view.axes[rank - 2..].iter().all(|axis| axis.len() <= 1);
        let [a, b] = [a, b].map(|x| match simple(self.view(x)) {
            true => Some(x),
            false => self.rows_of(x),
        });
        let (a, b) = (a?, b?);
        let (left, right) = (self.view(a).clone(), self.view(b).clone());
        let (shape, other) = (left.shape(), right.shape());
        if shape[rank - 1] != other[rank - 2] {
            return None;
        }
        let sizes = [shape[rank - 2], shape[rank - 1], other[rank - 1]];
        let leading = left.axes[..rank - 2].iter().zip(&right.axes[..rank - 2]);
        let loops: Vec<_> = leading.map(|(a, b)| pairs(a, b)).collect::<Option<_>>()?;
        let mut shape = shape;
        shape[rank - 1] = other[rank - 1];
        if self.samples > 1 && !(self.begins_with_batch(a) && self.begins_with_batch(b)) {
            return None;
        }
        let (view, dims) = View::rows(self.samples, &shape);
        let roots = [self.root(a), self.root(b)];
        let product = Product { left, right, leading: loops.concat(), sizes };
        Some(self.push(Operation::Product(product), &roots, dims, view))
    }

    /// `x + values`, which are `[..]` of the shape of one sample of `x`, or 1 along some of its axes;
    /// `None` where they do not fit.
    pub fn add_constant(&mut self, x: Value, values: &[f32], shape: &[usize]) -> Option<Value> {
        let x = self.whole(x)?;
        let dims = self.dims(x);
        let view = self.view(x);
        let own = view.shape();
        let shape = [&vec![1; own.len().checked_sub(shape.len())?], shape].concat();
        let fits = own.iter().zip(&shape).all(|(own, given)| given == own || *given == 1);
        let spread =
            values.len() == shape.iter().product::<usize>() && (self.samples == 1 || shape[0] == 1);
        if !fits || !spread {
            return None;
        }
        // The place among `values` of every number, in order.
        let mut from = vec![0];
        let mut step = values.len();
        for (axis, (own, given)) in own.iter().zip(&shape).enumerate() {
            step /= given;
            let count = if axis == 0 && self.samples > 1 { 1 } else { *own };
            let step = if *given == 1 { 0 } else { step };
            from =
                from.iter().flat_map(|from| (0..count).map(move |at| from + at * step)).collect();
        }
        let mut picture = vec![0.0; dims.iter().product()];
        for (from, to) in from.iter().zip(view.places(dims)) {
            picture[to] = values[*from];
        }
        let constant = self.push_like(Operation::Constant(picture), &[], x);
        Some(self.push_like(Operation::Add, &[x, constant], x))
    }

    /// A convolution of `x`, `[samples, channels, height, width]`; `None` where it does not fit or is
    /// empty.
    pub fn convolution(&mut self, x: Value, convolution: Convolution) -> Option<Value> {
        let x = self.planes(x)?;
        let dims = self.convolved(x, &convolution)?;
        Some(self.push_planes(Operation::Convolution(convolution), &[x], dims))
    }

    /// A convolution of one pixel along the last axis; `None` where it does not fit.
    pub fn linear(&mut self, x: Value, convolution: Convolution) -> Option<Value> {
        let x = self.with_last_channels(x)?;
        let dims = self.convolved(x, &convolution)?;
        let mut view = self.view(x).clone();
        *view.axes.last_mut()? = match dims[0] {
            1 => Vec::new(),
            channels => vec![Part::new(channels, Along::Channel, 1)],
        };
        Some(self.push(Operation::Convolution(convolution), &[x], dims, view))
    }

    /// The picture that a convolution of `x` gives.
    fn convolved(&self, x: Value, convolution: &Convolution) -> Option<[usize; 3]> {
        let [channels, height, width] = self.dims(x);
        let Convolution { outputs, groups, window, weights, bias } = convolution;
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
        Some([outputs, window.outputs(0, height)?, window.outputs(1, width)?])
    }

    /// `scale x + shift` with a number for each channel: the second axis of
    /// `[samples, channels, height, width]`, else the last one.
    pub fn affine(&mut self, x: Value, scale: Vec<f32>, shift: Vec<f32>) -> Option<Value> {
        let ready = self.is_planes(x) || self.ends_in_channels(x);
        let alike = scale.windows(2).all(|pair| pair[0] == pair[1]);
        if !ready && alike && shift.iter().all(|&shift| shift == 0.0) {
            return self.scale(x, *scale.first()?);
        }
        let x = if ready { x } else { self.rows_of(x)? };
        let channels = self.dims(x)[0];
        let convolution = Convolution {
            weights: Weights::Given(scale),
            bias: Some(shift),
            outputs: channels,
            groups: channels,
            window: Window::pixel(),
        };
        let fits = self.convolved(x, &convolution).is_some();
        fits.then(|| self.push_like(Operation::Convolution(convolution), &[x], x))
    }

    /// An activation of `x`.
    pub fn activate(&mut self, x: Value, activation: Activation) -> Option<Value> {
        let x = self.whole(x)?;
        Some(self.push_like(Operation::Activate(activation), &[x], x))
    }

    /// `a + b`; `None` where they differ in shape.
    pub fn add(&mut self, a: Value, b: Value) -> Option<Value> {
        let a = self.whole(a)?;
        let (view, dims) = (self.view(a).clone(), self.dims(a));
        let b = match *self.view(b) == view && self.dims(b) == dims {
            true => b,
            false => self.arrange(b, view, dims)?,
        };
        Some(self.push_like(Operation::Add, &[a, b], a))
    }

    /// `a b`, where that is an activation of one of them, or one of them has one pixel; else `None`.
    pub fn multiply(&mut self, a: Value, b: Value) -> Option<Value> {
        for (x, other) in [(a, b), (b, a)] {
            let node = &self.nodes[other.0];
            let whole = match node.operation {
                Operation::Activate(Activation::Sigmoid) => Some(Activation::Swish { alpha: 1.0 }),
                Operation::Activate(activation) if activation == HALF => {
                    Some(Activation::HardSwish)
                }
                _ => None,
            };
            if let Some(whole) = whole.filter(|_| node.inputs == [x]) {
                return self.activate(x, whole);
            }
        }
        for (x, gate) in [(a, b), (b, a)] {
            let dims = self.dims(x);
            let one = self.dims(gate) == [dims[0], 1, 1] && dims != [dims[0], 1, 1];
            let same_axis = (self.is_planes(x) && self.is_planes(gate))
                || (self.ends_in_channels(x)
                    && self.ends_in_channels(gate)
                    && self.shape(x).len() == self.shape(gate).len());
            if one && same_axis {
                let gate = self.root(gate);
                return Some(self.push_like(Operation::Gate, &[x, gate], x));
            }
        }
        None
    }

    /// The largest of each window of `x`; `None` where none fits, or one has more than 255 taps.
    pub fn largest(&mut self, x: Value, window: Window) -> Option<Value> {
        let reaches = (0..2).all(|axis| window.begin[axis] < window.kernel[axis]);
        let few = window.kernel[0] * window.kernel[1] <= 255;
        let x = (reaches && few).then(|| self.planes(x))??;
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push_planes(Operation::Largest(window), &[x], dims))
    }

    /// The mean of each window of `x`; `None` where none fits.
    pub fn mean(&mut self, x: Value, window: Window, counts_padding: bool) -> Option<Value> {
        let x = (window.dilations == [1, 1]).then(|| self.planes(x))??;
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push_planes(Operation::Mean(window, counts_padding), &[x], dims))
    }

    /// The mean over `axes` of `x`, which are all but the batch and one other, and stay as axes of size
    /// 1; else `None`.
    pub fn global_mean(&mut self, x: Value, axes: &[usize]) -> Option<Value> {
        let shape = self.shape(x);
        let left = |axis: &usize| *axis > 0 && !axes.contains(axis);
        let axis = (0..shape.len()).find(left)?;
        if axes.len() + 2 != shape.len() || axes.contains(&0) {
            return None;
        }
        let channels: &[Part] = &[Part::new(self.dims(x)[0], Along::Channel, 1)];
        let view = self.view(x);
        let x = match view.is_whole(self.dims(x)) && view.axes[axis] == channels {
            true => x,
            false => {
                let order: Vec<usize> =
                    (0..shape.len()).filter(|at| *at != axis).chain([axis]).collect();
                let turned = self.permute(x, &order)?;
                self.rows_of(turned)?
            }
        };
        let channels = self.dims(x)[0];
        let mut view = View::planes(self.samples, [channels, 1, 1]);
        let mut axes = vec![Vec::new(); shape.len()];
        axes[0] = view.axes.swap_remove(0);
        axes[axis] = self
            .view(x)
            .axes
            .iter()
            .flatten()
            .filter(|part| part.along == Along::Channel)
            .copied()
            .collect();
        view.axes = axes;
        Some(self.push(Operation::GlobalMean, &[x], [channels, 1, 1], view))
    }
}

/// The gate of HardSwish.
const HALF: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
