//! Operations that only change views or copy elements: reshape, permute, slice, expand, concat, pad.

use super::super::view::{ImageAxis, SubAxis, View};
use super::{Builder, Operation, Value, ViewCopy};

impl Builder {
    /// Reshapes `x`; `None` if the shapes are not compatible.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Option<Value> {
        self.batch_moves |= shape.first() != Some(&self.samples);
        self.view_or_copy(x, |view| view.reshape(shape))
    }

    /// Permutes the axes of `x`; `None` if `order` is not a permutation of the axes.
    pub fn permute(&mut self, x: Value, order: &[usize]) -> Option<Value> {
        self.batch_moves |= order.first() != Some(&0);
        self.push_view(x, self.view(x).permute(order))
    }

    /// Selects the indices `start`, `start + step`, ..., `count` in all, of an axis; `None` if the axis does
    /// not have them, or contains the batch.
    pub fn slice(
        &mut self,
        x: Value,
        axis: usize,
        [start, count, step]: [usize; 3],
    ) -> Option<Value> {
        self.view_or_copy(x, |view| view.slice(axis, [start, count, step]))
    }

    /// Broadcasts `x` to `shape`, repeating elements along axes of size 1 and along new leading axes; `None`
    /// if the shapes are not compatible.
    pub fn expand(&mut self, x: Value, shape: &[usize]) -> Option<Value> {
        self.push_view(x, self.view(x).expand(shape))
    }

    /// Returns the view that `make_view` makes of `x`; if that is impossible, of a copy of `x` in
    /// channels-last order.
    fn view_or_copy(
        &mut self,
        x: Value,
        make_view: impl Fn(&View) -> Option<View>,
    ) -> Option<Value> {
        if let Some(view) = make_view(self.view(x)) {
            return self.push_view(x, Some(view));
        }
        let copied = self.copied_channels_last(x)?;
        self.push_view(copied, make_view(self.view(copied)))
    }

    /// Multiplies `x` by a factor.
    pub fn scale(&mut self, x: Value, factor: f32) -> Option<Value> {
        let view = self.view(x);
        let factor = view.factor * factor;
        self.push_view(x, Some(View { factor, ..view.clone() }))
    }

    /// Inserts axes of size 1 at the positions `added` of the result; `None` if a position does not exist.
    pub fn with_axes(&mut self, x: Value, added: &[usize]) -> Option<Value> {
        self.batch_moves |= added.contains(&0);
        self.push_view(x, self.view(x).with_axes(added))
    }

    /// Whether the first axis is exactly the batch; with a batch of one sample, whether it may be.
    pub fn begins_with_batch(&self, x: Value) -> bool {
        let Some(first) = self.view(x).axes.first() else { return false };
        match self.samples {
            1 => first.is_empty(),
            samples => *first == [SubAxis::new(samples, ImageAxis::Sample, 1)],
        }
    }

    /// Whether an axis contains the batch. With a batch of one sample, the first axis does if its size is 1.
    pub fn may_be_batch(&self, x: Value, axis: usize) -> bool {
        let view = self.view(x);
        let alone = self.samples == 1
            && axis == 0
            && view.axes.first().is_some_and(|first| first.is_empty());
        alone || view.batch().is_some_and(|batch| batch.0 == axis)
    }

    /// Returns `x` as the only content of an image, unscaled; copies it if necessary.
    pub(in super::super) fn materialized(&mut self, x: Value) -> Option<Value> {
        let view = self.view(x);
        if view.is_materialized(self.dims(x)) {
            return Some(x);
        }
        match view.has_nchw_axes() && self.begins_with_batch(x) {
            true => self.nchw(x),
            false => self.copied_channels_last(x),
        }
    }

    /// Copies `x` to an image of one row whose channels are the last axis.
    pub(super) fn copied_channels_last(&mut self, x: Value) -> Option<Value> {
        let view = self.view(x);
        let (view, dims) = View::channels_last(view.batch(), &view.shape())?;
        self.copy_into(x, view, dims)
    }

    /// Copies `x` to an image of size `dims` in which it has the view `view`.
    pub(super) fn copy_into(&mut self, x: Value, view: View, dims: [usize; 3]) -> Option<Value> {
        let from = self.view(x).clone();
        let loops = from.joint_loops(&view)?;
        let root = self.root(x);
        let copy = ViewCopy { from, to: view.clone(), loops };
        Some(self.push(Operation::Copy(vec![copy]), &[root], dims, view))
    }

    /// Assembles a tensor of `shape` from `parts`, each with the position of its first element; the rest is
    /// zero. The result has the layout of the first part that contains the batch. `None` if the parts are not
    /// compatible.
    fn assemble(&mut self, shape: &[usize], parts: &[(Value, Vec<usize>)]) -> Option<Value> {
        // Constants do not contain the batch.
        let mut all = parts.iter().map(|part| part.0);
        let first = all.find(|&part| self.view(part).batch().is_some());
        let first = first.or(parts.first().map(|part| part.0))?;
        let batch = self.view(first).batch();
        let is_nchw = self.view(first).has_nchw_axes() && self.begins_with_batch(first);
        let (view, dims) = match *shape {
            [samples, channels, height, width] if is_nchw => {
                let dims = [channels, height, width];
                (View::nchw(samples, dims), dims)
            }
            _ => View::channels_last(batch, shape)?,
        };
        let mut copies = Vec::with_capacity(parts.len());
        let mut roots = Vec::with_capacity(parts.len());
        for (part, first) in parts {
            let from = self.view(*part).clone();
            let each = from.shape().into_iter().zip(first).enumerate();
            let to = each
                .into_iter()
                .try_fold(view.clone(), |to, (axis, (size, &at))| to.slice(axis, [at, size, 1]))?;
            let loops = from.joint_loops(&to)?;
            copies.push(ViewCopy { from, to, loops });
            roots.push(self.root(*part));
        }
        Some(self.push(Operation::Copy(copies), &roots, dims, view))
    }

    /// Adds a constant with `values` of a `shape` whose first axis may be the batch; `None` if the samples
    /// differ.
    pub fn constant(&mut self, values: &[f32], shape: &[usize]) -> Option<Value> {
        let batch =
            (self.samples > 1 && shape.first() == Some(&self.samples)).then_some((0, self.samples));
        let per_sample = values.len() / batch.map_or(1, |batch| batch.1);
        let fits = per_sample > 0 && values.len() == shape.iter().product::<usize>();
        let mut samples = values.chunks_exact(per_sample.max(1));
        let first = samples.next().filter(|_| fits)?;
        if samples.any(|sample| sample != first) {
            return None;
        }
        let (view, dims) = View::channels_last(batch, shape)?;
        let mut elements = vec![0.0; per_sample];
        view.element_offsets(dims)
            .into_iter()
            .zip(first)
            .for_each(|(to, value)| elements[to] = *value);
        Some(self.push(Operation::Constant(elements), &[], dims, view))
    }

    /// Concatenates `parts` along `axis`; `None` if the axis contains the batch or the shapes are not
    /// compatible.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Option<Value> {
        let mut shape = self.shape(*parts.first()?);
        let mut end = 0;
        let mut positioned = Vec::with_capacity(parts.len());
        for &part in parts {
            let part_shape = self.shape(part);
            let is_compatible = part_shape.len() == shape.len()
                && (0..part_shape.len()).all(|at| at == axis || part_shape[at] == shape[at]);
            let mut first = vec![0; part_shape.len()];
            *first.get_mut(axis).filter(|_| is_compatible && !self.may_be_batch(part, axis))? = end;
            end += part_shape[axis];
            positioned.push((part, first));
        }
        shape[axis] = end;
        self.assemble(&shape, &positioned)
    }

    /// Pads each axis of `x` with zeros, (before, after); `None` if the batch would be padded.
    pub fn pad(&mut self, x: Value, pads: &[(usize, usize)]) -> Option<Value> {
        let shape = self.shape(x);
        let batch = |axis: usize| self.may_be_batch(x, axis) && pads[axis] != (0, 0);
        if pads.len() != shape.len() || (0..shape.len()).any(batch) {
            return None;
        }
        if pads.iter().all(|&pad| pad == (0, 0)) {
            return Some(x);
        }
        let shape: Vec<_> = shape.iter().zip(pads).map(|(size, (a, b))| a + size + b).collect();
        self.assemble(&shape, &[(x, pads.iter().map(|pad| pad.0).collect())])
    }

    /// Whether the last axis of a value is the channels of its image.
    pub fn ends_in_channels(&self, x: Value) -> bool {
        let dims = self.dims(x);
        self.view(x).is_materialized(dims) && self.view(x).ends_in_channels(dims[0])
    }

    /// Whether a value is `[samples, channels, height, width]` of its image.
    pub fn is_planes(&self, x: Value) -> bool {
        *self.view(x) == View::nchw(self.samples, self.dims(x))
    }

    /// Returns `x` with the channels as the last axis; copies it if necessary.
    pub(super) fn with_last_channels(&mut self, x: Value) -> Option<Value> {
        if self.ends_in_channels(x) {
            return Some(x);
        }
        // `None` if the last axis contains the batch.
        self.copied_channels_last(x).filter(|&x| self.ends_in_channels(x))
    }

    /// Returns `x`, which has four axes, as an image with the second axis as channels; copies it if
    /// necessary.
    pub(super) fn nchw(&mut self, x: Value) -> Option<Value> {
        if self.is_planes(x) {
            return Some(x);
        }
        if !self.begins_with_batch(x) {
            return None;
        }
        let dims: [usize; 3] = self.shape(x).get(1..)?.try_into().ok()?;
        self.copy_into(x, View::nchw(self.samples, dims), dims)
    }
}
