//! Operations that compute.

use super::super::pack::Window;
use super::super::view::{Along, Part, View, pairs};
use super::{Builder, Convolution, Normalization, Operation, Product, Value, Weights};
use crate::Activation;

impl Builder {
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
        // Of the batch axes, those of size 1 stand for as many as the other's.
        let leading: Vec<usize> =
            (0..rank - 2).map(|axis| self.shape(a)[axis].max(self.shape(b)[axis])).collect();
        let [a, b] = [a, b].map(|x| {
            let matrix = self.shape(x).split_off(rank - 2);
            self.expand(x, &[&leading[..], &matrix].concat())
        });
        let (a, b) = (a?, b?);
        let simple = |view: &View| {
            let mut axes = view.axes[rank - 2..].iter();
            axes.all(|axis| axis.len() <= 1 && axis.iter().all(|part| part.step > 0))
        };
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
        let strict = left.batch().is_some() && right.batch().is_some();
        let loops: Vec<_> = leading.map(|(a, b)| pairs(a, b, strict)).collect::<Option<_>>()?;
        let mut shape = shape;
        shape[rank - 1] = other[rank - 1];
        let batch = left.batch().or(right.batch());
        if batch.is_some_and(|batch| batch.0 + 2 >= rank) {
            return None;
        }
        let (view, dims) = View::rows(batch, &shape)?;
        // The result has the batch where the operands have it.
        let own = if left.batch().is_some() { &left } else { &right };
        let mut axes = own.axes[..rank - 2].iter().zip(&view.axes);
        if !axes.all(|(own, made)| pairs(own, made, batch.is_some()).is_some()) {
            return None;
        }
        let roots = [self.root(a), self.root(b)];
        let product = Product { left, right, leading: loops.concat(), sizes };
        Some(self.push(Operation::Product(product), &roots, dims, view))
    }

    /// `values` as a picture like that of `x`, which is whole. Their `shape` is that of a sample of `x`, but
    /// for axes of size 1, along which they are repeated; `None` where they do not fit.
    fn constant_like(&mut self, x: Value, values: &[f32], shape: &[usize]) -> Option<Value> {
        let dims = self.dims(x);
        let view = self.view(x);
        let own = view.shape();
        let shape = [&vec![1; own.len().checked_sub(shape.len())?], shape].concat();
        let fits = (0..own.len()).all(|axis| [1, view.each(axis)].contains(&shape[axis]));
        if !fits || values.len() != shape.iter().product::<usize>() {
            return None;
        }
        // The place among `values` of every number, in order.
        let mut from = vec![0];
        let mut step = values.len();
        for (axis, given) in shape.iter().enumerate() {
            step /= given;
            let count = view.each(axis);
            let step = if *given == 1 { 0 } else { step };
            from =
                from.iter().flat_map(|from| (0..count).map(move |at| from + at * step)).collect();
        }
        let mut picture = vec![0.0; dims.iter().product()];
        for (from, to) in from.iter().zip(view.places(dims)) {
            picture[to] = values[*from];
        }
        Some(self.push_like(Operation::Constant(picture), &[], x))
    }

    /// `x + values`, which are of the `shape` of one sample of `x`, or of 1 along some of its axes; `None`
    /// where they do not fit.
    pub fn add_constant(&mut self, x: Value, values: &[f32], shape: &[usize]) -> Option<Value> {
        let x = self.whole(x)?;
        let constant = self.constant_like(x, values, shape)?;
        Some(self.push_like(Operation::Add, &[x, constant], x))
    }

    /// `x values`, with `values` as in [`Builder::add_constant`].
    pub fn multiply_constant(
        &mut self,
        x: Value,
        values: &[f32],
        shape: &[usize],
    ) -> Option<Value> {
        let x = self.whole(x)?;
        let constant = self.constant_like(x, values, shape)?;
        Some(self.push_like(Operation::Multiply, &[x, constant], x))
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

    /// `scale x + shift` with a number for each place along `axis`; `None` where there are not so many.
    pub fn affine(
        &mut self,
        x: Value,
        axis: usize,
        scale: Vec<f32>,
        shift: Vec<f32>,
    ) -> Option<Value> {
        let rank = self.shape(x).len();
        let alike = scale.windows(2).all(|pair| pair[0] == pair[1]);
        let factor = *scale.first()?;
        let ready =
            (self.is_planes(x) && axis == 1) || (self.ends_in_channels(x) && axis + 1 == rank);
        if !ready && alike && shift.iter().all(|&shift| shift == 0.0) {
            return self.scale(x, factor);
        }
        if self.may_be_batch(x, axis) || axis >= rank {
            return None;
        }
        if !ready {
            // That axis last, and back.
            let order: Vec<_> = (0..rank).filter(|&at| at != axis).chain([axis]).collect();
            let back: Vec<_> = (0..axis).chain([rank - 1]).chain(axis..rank - 1).collect();
            let turned = self.permute(x, &order)?;
            let turned = self.with_last_channels(turned)?;
            let made = self.affine(turned, rank - 1, scale, shift)?;
            return self.permute(made, &back);
        }
        let channels = self.dims(x)[0];
        let convolution = Convolution {
            weights: Weights::Given(scale),
            bias: Some(shift),
            outputs: channels,
            groups: channels,
            window: Window::pixel(),
            exact: false,
        };
        let fits = self.convolved(x, &convolution).is_some();
        fits.then(|| self.push_like(Operation::Convolution(convolution), &[x], x))
    }

    /// An activation of `x`.
    pub fn activate(&mut self, x: Value, activation: Activation) -> Option<Value> {
        let x = self.whole(x)?;
        Some(self.push_like(Operation::Activate(activation), &[x], x))
    }

    /// Two tensors as pictures that lie alike, the numbers of axes of size 1 again and again.
    fn alike(&mut self, a: Value, b: Value) -> Option<[Value; 2]> {
        let shape = broadcast(&self.shape(a), &self.shape(b))?;
        let (a, b) = (self.expand(a, &shape)?, self.expand(b, &shape)?);
        let is_whole = |x: Value| self.view(x).is_whole(self.dims(x));
        // The other one moves.
        let turns = !is_whole(a) && is_whole(b);
        let (first, second) = if turns { (b, a) } else { (a, b) };
        let first = self.whole(first)?;
        let (view, dims) = (self.view(first).clone(), self.dims(first));
        let second = match *self.view(second) == view && self.dims(second) == dims {
            true => second,
            false => self.arrange(second, view, dims)?,
        };
        Some(if turns { [second, first] } else { [first, second] })
    }

    /// `a + b`, of which axes of size 1 stand for as many as the other has; `None` where they do not fit.
    pub fn add(&mut self, a: Value, b: Value) -> Option<Value> {
        let both = self.alike(a, b)?;
        Some(self.push_like(Operation::Add, &both, both[0]))
    }

    /// `a b`, of which axes of size 1 stand for as many as the other has; `None` where they do not fit.
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
                return Some(self.push_like(Operation::Multiply, &[x, gate], x));
            }
        }
        let both = self.alike(a, b)?;
        Some(self.push_like(Operation::Multiply, &both, both[0]))
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
    pub fn window_mean(&mut self, x: Value, window: Window, counts_padding: bool) -> Option<Value> {
        let x = (window.dilations == [1, 1]).then(|| self.planes(x))??;
        let [channels, height, width] = self.dims(x);
        let dims = [channels, window.outputs(0, height)?, window.outputs(1, width)?];
        Some(self.push_planes(Operation::Mean(window, counts_padding), &[x], dims))
    }

    /// The sum over `axes` of `x`, which stay as axes of size 1, times `factor`; `None` where the batch is
    /// among them.
    pub fn sum(&mut self, x: Value, axes: &[usize], factor: f32) -> Option<Value> {
        let shape = self.shape(x);
        let view = self.view(x);
        let batch = view.batch();
        let outside = |&axis: &usize| axis >= shape.len() || self.may_be_batch(x, axis);
        if axes.is_empty() || axes.iter().any(outside) {
            return None;
        }
        let of_channels = |axis: usize| !axes.contains(&axis);
        let fits = |part: &Part, axis: usize| {
            part.along == Along::Sample || (part.along == Along::Channel) == of_channels(axis)
        };
        let lies = (0..shape.len()).all(|axis| view.axes[axis].iter().all(|part| fits(part, axis)));
        let x = match lies && view.is_whole(self.dims(x)) {
            true => x,
            false => {
                let (view, dims) = View::flat(batch, &shape, of_channels)?;
                self.arrange(x, view, dims)?
            }
        };
        let mut view = self.view(x).clone();
        axes.iter().for_each(|&axis| view.axes[axis].clear());
        Some(self.push(Operation::Total(factor), &[x], [self.dims(x)[0], 1, 1], view))
    }

    /// The mean over `axes`, as [`Builder::sum`].
    pub fn mean(&mut self, x: Value, axes: &[usize]) -> Option<Value> {
        let shape = self.shape(x);
        let count: usize =
            axes.iter().map(|&axis| shape.get(axis)).try_fold(1, |a, b| Some(a * b?))?;
        self.sum(x, axes, 1.0 / count as f32)
    }
}

/// The shape that two broadcast to, that of the batch first in both.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    let along = |axis| match (at(a, axis), at(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(along).collect()
}

/// The gate of HardSwish.
const HALF: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
