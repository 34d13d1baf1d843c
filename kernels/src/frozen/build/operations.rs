//! Arithmetic operations of the builder.

use super::super::joint_loop::joint_loops;
use super::super::view::{ImageAxis, SubAxis, View};
use super::super::window::Window;
use super::{Builder, Convolution, MatMulViews, Normalization, Operation, Value, Weights};
use crate::Activation;

impl Builder {
    /// Adds a normalization over the last axis; `None` if its size does not match.
    pub fn normalize(&mut self, x: Value, normalization: Normalization) -> Option<Value> {
        let channels = *self.shape(x).last()?;
        let fits = normalization.scale.len() == channels && normalization.shift.len() == channels;
        let x = fits.then(|| self.with_last_channels(x))??;
        Some(self.push_like(Operation::Normalize(normalization), &[x], x))
    }

    /// Adds a softmax `exp(x) / sum(exp(x))` over the last axis.
    pub fn softmax(&mut self, x: Value) -> Option<Value> {
        let x = self.with_last_channels(x)?;
        Some(self.push_like(Operation::Softmax, &[x], x))
    }

    /// Adds the matrix product over the last two axes of `a` and `b`, with broadcast leading axes; `None` if
    /// the shapes are not compatible.
    pub fn product(&mut self, a: Value, b: Value) -> Option<Value> {
        let rank = self.shape(a).len();
        if rank < 3 || self.shape(b).len() != rank {
            return None;
        }
        // Leading axes of size 1 are broadcast.
        let leading: Vec<usize> =
            (0..rank - 2).map(|axis| self.shape(a)[axis].max(self.shape(b)[axis])).collect();
        let [a, b] = [a, b].map(|x| {
            let matrix = self.shape(x).split_off(rank - 2);
            self.expand(x, &[&leading[..], &matrix].concat())
        });
        let (a, b) = (a?, b?);
        let is_matrix = |view: &View| {
            let mut axes = view.axes[rank - 2..].iter();
            axes.all(|axis| axis.len() <= 1 && axis.iter().all(|sub_axis| sub_axis.step > 0))
        };
        let [a, b] = [a, b].map(|x| match is_matrix(self.view(x)) {
            true => Some(x),
            false => self.copied_channels_last(x),
        });
        let (a, b) = (a?, b?);
        let (left, right) = (self.view(a).clone(), self.view(b).clone());
        let (shape, other) = (left.shape(), right.shape());
        if shape[rank - 1] != other[rank - 2] {
            return None;
        }
        let sizes = [shape[rank - 2], shape[rank - 1], other[rank - 1]];
        let leading = left.axes[..rank - 2].iter().zip(&right.axes[..rank - 2]);
        let strict = left.batch().is_some() && right.batch().is_some();
        let loops: Vec<_> =
            leading.map(|(a, b)| joint_loops(a, b, strict)).collect::<Option<_>>()?;
        let mut shape = shape;
        shape[rank - 1] = other[rank - 1];
        let batch = left.batch().or(right.batch());
        if batch.is_some_and(|batch| batch.0 + 2 >= rank) {
            return None;
        }
        let (view, dims) = View::channels_last(batch, &shape)?;
        // The batch of the result must be in the same position as in the operands.
        let operand = if left.batch().is_some() { &left } else { &right };
        let mut axes = operand.axes[..rank - 2].iter().zip(&view.axes);
        if !axes.all(|(operand, result)| joint_loops(operand, result, batch.is_some()).is_some()) {
            return None;
        }
        let roots = [self.root(a), self.root(b)];
        let product = MatMulViews { left, right, leading: loops.concat(), sizes };
        Some(self.push(Operation::MatMul(product), &roots, dims, view))
    }

    /// Adds a constant with the layout of `x`, which is materialized. `shape` is the shape of `values` and is
    /// broadcast to the shape of a sample of `x`; `None` if it is not compatible.
    fn constant_like(&mut self, x: Value, values: &[f32], shape: &[usize]) -> Option<Value> {
        let dims = self.dims(x);
        let view = self.view(x);
        let full_shape = view.shape();
        let shape = [&vec![1; full_shape.len().checked_sub(shape.len())?], shape].concat();
        let fits = (0..full_shape.len())
            .all(|axis| [1, view.size_per_sample(axis)].contains(&shape[axis]));
        if !fits || values.len() != shape.iter().product::<usize>() {
            return None;
        }
        // The index in `values` of each element of a sample, in order.
        let mut from = vec![0];
        let mut step = values.len();
        for (axis, size) in shape.iter().enumerate() {
            step /= size;
            let count = view.size_per_sample(axis);
            let step = if *size == 1 { 0 } else { step };
            from =
                from.iter().flat_map(|from| (0..count).map(move |at| from + at * step)).collect();
        }
        let mut elements = vec![0.0; dims.iter().product()];
        for (from, to) in from.iter().zip(view.element_offsets(dims)) {
            elements[to] = values[*from];
        }
        Some(self.push_like(Operation::Constant(elements), &[], x))
    }

    /// Adds the operation `x + values`. `shape` is the shape of `values` and is broadcast to the shape of a
    /// sample of `x`; `None` if it is not compatible.
    pub fn add_constant(&mut self, x: Value, values: &[f32], shape: &[usize]) -> Option<Value> {
        let x = self.materialized(x)?;
        let constant = self.constant_like(x, values, shape)?;
        Some(self.push_like(Operation::Add, &[x, constant], x))
    }

    /// Adds the operation `x values`, with `values` as in [`Builder::add_constant`].
    pub fn multiply_constant(
        &mut self,
        x: Value,
        values: &[f32],
        shape: &[usize],
    ) -> Option<Value> {
        let x = self.materialized(x)?;
        let constant = self.constant_like(x, values, shape)?;
        Some(self.push_like(Operation::Multiply, &[x, constant], x))
    }

    /// Adds a convolution of `x`, `[samples, channels, height, width]`; `None` if the shapes do not match or
    /// the output is empty.
    pub fn convolution(&mut self, x: Value, convolution: Convolution) -> Option<Value> {
        let x = self.nchw(x)?;
        let dims = self.convolution_dims(x, &convolution)?;
        Some(self.push_nchw(Operation::Convolution(convolution), &[x], dims))
    }

    /// Adds a linear layer over the last axis, given as a pointwise convolution; `None` if the shapes do not
    /// match.
    pub fn linear(&mut self, x: Value, convolution: Convolution) -> Option<Value> {
        let x = self.with_last_channels(x)?;
        let dims = self.convolution_dims(x, &convolution)?;
        let mut view = self.view(x).clone();
        *view.axes.last_mut()? = match dims[0] {
            1 => Vec::new(),
            channels => vec![SubAxis::new(channels, ImageAxis::Channel, 1)],
        };
        Some(self.push(Operation::Convolution(convolution), &[x], dims, view))
    }

    /// The size of the image that a convolution of `x` computes; `None` if the shapes do not match.
    fn convolution_dims(&self, x: Value, convolution: &Convolution) -> Option<[usize; 3]> {
        let [channels, height, width] = self.dims(x);
        let Convolution { outputs, groups, window, weights, bias, .. } = convolution;
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

    /// Adds the operation `scale x + shift`, with a scale and a shift for each index of `axis`; `None` if
    /// their number does not match.
    pub fn affine(
        &mut self,
        x: Value,
        axis: usize,
        scale: Vec<f32>,
        shift: Vec<f32>,
    ) -> Option<Value> {
        let rank = self.shape(x).len();
        let is_uniform = scale.windows(2).all(|pair| pair[0] == pair[1]);
        let factor = *scale.first()?;
        let is_per_channel =
            (self.is_planes(x) && axis == 1) || (self.ends_in_channels(x) && axis + 1 == rank);
        if !is_per_channel && is_uniform && shift.iter().all(|&shift| shift == 0.0) {
            return self.scale(x, factor);
        }
        if self.may_be_batch(x, axis) || axis >= rank {
            return None;
        }
        if !is_per_channel {
            // Move the axis to the end, and back.
            let order: Vec<_> = (0..rank).filter(|&at| at != axis).chain([axis]).collect();
            let back: Vec<_> = (0..axis).chain([rank - 1]).chain(axis..rank - 1).collect();
            let permuted = self.permute(x, &order)?;
            let permuted = self.with_last_channels(permuted)?;
            let result = self.affine(permuted, rank - 1, scale, shift)?;
            return self.permute(result, &back);
        }
        let channels = self.dims(x)[0];
        let convolution = Convolution {
            weights: Weights::Values(scale),
            bias: Some(shift),
            outputs: channels,
            groups: channels,
            window: Window::pixel(),
            exact: false,
        };
        let fits = self.convolution_dims(x, &convolution).is_some();
        fits.then(|| self.push_like(Operation::Convolution(convolution), &[x], x))
    }

    /// Adds an activation of `x`.
    pub fn activate(&mut self, x: Value, activation: Activation) -> Option<Value> {
        let x = self.materialized(x)?;
        Some(self.push_like(Operation::Activate(activation), &[x], x))
    }

    /// Broadcasts two tensors to the same shape and gives them the same layout.
    fn with_same_layout(&mut self, a: Value, b: Value) -> Option<[Value; 2]> {
        let shape = broadcast(&self.shape(a), &self.shape(b))?;
        let (a, b) = (self.expand(a, &shape)?, self.expand(b, &shape)?);
        let is_materialized = |x: Value| self.view(x).is_materialized(self.dims(x));
        // If only `b` is materialized, `a` is copied to the layout of `b`.
        let swaps = !is_materialized(a) && is_materialized(b);
        let (first, second) = if swaps { (b, a) } else { (a, b) };
        let first = self.materialized(first)?;
        let (view, dims) = (self.view(first).clone(), self.dims(first));
        let second = match *self.view(second) == view && self.dims(second) == dims {
            true => second,
            false => self.copy_into(second, view, dims)?,
        };
        Some(if swaps { [second, first] } else { [first, second] })
    }

    /// Adds the operation `a + b` with broadcasting; `None` if the shapes are not compatible.
    pub fn add(&mut self, a: Value, b: Value) -> Option<Value> {
        let both = self.with_same_layout(a, b)?;
        Some(self.push_like(Operation::Add, &both, both[0]))
    }

    /// Adds the elementwise product `a b` with broadcasting; `None` if the shapes are not compatible.
    pub fn multiply(&mut self, a: Value, b: Value) -> Option<Value> {
        for (x, other) in [(a, b), (b, a)] {
            let node = &self.nodes[other.0];
            let fused = match node.operation {
                Operation::Activate(Activation::Sigmoid) => Some(Activation::Swish { alpha: 1.0 }),
                Operation::Activate(activation) if activation == HARD_SWISH_GATE => {
                    Some(Activation::HardSwish)
                }
                _ => None,
            };
            if let Some(fused) = fused.filter(|_| node.inputs == [x]) {
                return self.activate(x, fused);
            }
        }
        for (x, gate) in [(a, b), (b, a)] {
            let dims = self.dims(x);
            let is_gate = self.dims(gate) == [dims[0], 1, 1] && dims != [dims[0], 1, 1];
            let same_axis = (self.is_planes(x) && self.is_planes(gate))
                || (self.ends_in_channels(x)
                    && self.ends_in_channels(gate)
                    && self.shape(x).len() == self.shape(gate).len());
            if is_gate && same_axis {
                let gate = self.root(gate);
                return Some(self.push_like(Operation::Multiply, &[x, gate], x));
            }
        }
        let both = self.with_same_layout(a, b)?;
        Some(self.push_like(Operation::Multiply, &both, both[0]))
    }

    /// Adds max pooling of `x`; `None` if no window fits, or if a window has more than 255 taps.
    pub fn largest(&mut self, x: Value, window: Window) -> Option<Value> {
        let padding_is_smaller = (0..2).all(|axis| window.begin[axis] < window.kernel[axis]);
        let taps_fit_in_byte = window.kernel[0] * window.kernel[1] <= 255;
        let x = (padding_is_smaller && taps_fit_in_byte).then(|| self.nchw(x))??;
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push_nchw(Operation::MaxPool(window), &[x], dims))
    }

    /// Adds average pooling of `x`; `None` if no window fits, or if the window is dilated.
    pub fn window_mean(&mut self, x: Value, window: Window, counts_padding: bool) -> Option<Value> {
        let x = (window.dilations == [1, 1]).then(|| self.nchw(x))??;
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push_nchw(Operation::MeanPool(window, counts_padding), &[x], dims))
    }

    /// Adds `factor` times the sum of `x` over `axes`. The axes remain, with size 1. `None` if an axis
    /// contains the batch.
    pub fn sum(&mut self, x: Value, axes: &[usize], factor: f32) -> Option<Value> {
        let shape = self.shape(x);
        let view = self.view(x);
        let batch = view.batch();
        let is_invalid = |&axis: &usize| axis >= shape.len() || self.may_be_batch(x, axis);
        if axes.is_empty() || axes.iter().any(is_invalid) {
            return None;
        }
        let is_channels = |axis: usize| !axes.contains(&axis);
        let fits = |sub_axis: &SubAxis, axis: usize| {
            sub_axis.along == ImageAxis::Sample
                || (sub_axis.along == ImageAxis::Channel) == is_channels(axis)
        };
        let has_matching_layout = (0..shape.len())
            .all(|axis| view.axes[axis].iter().all(|sub_axis| fits(sub_axis, axis)));
        let x = match has_matching_layout && view.is_materialized(self.dims(x)) {
            true => x,
            false => {
                let (view, dims) = View::single_row(batch, &shape, is_channels)?;
                self.copy_into(x, view, dims)?
            }
        };
        let mut view = self.view(x).clone();
        axes.iter().for_each(|&axis| view.axes[axis].clear());
        Some(self.push(Operation::SpatialSum(factor), &[x], [self.dims(x)[0], 1, 1], view))
    }

    /// Adds the mean of `x` over `axes`; see [`Builder::sum`].
    pub fn mean(&mut self, x: Value, axes: &[usize]) -> Option<Value> {
        let shape = self.shape(x);
        let count: usize =
            axes.iter().map(|&axis| shape.get(axis)).try_fold(1, |a, b| Some(a * b?))?;
        self.sum(x, axes, 1.0 / count as f32)
    }
}

/// The shape to which two shapes broadcast; `None` if they are not compatible.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    let along = |axis| match (at(a, axis), at(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(along).collect()
}

/// The activation `g` with `HardSwish(x) = x g(x)`.
const HARD_SWISH_GATE: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
