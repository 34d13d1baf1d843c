//! Tensors seen otherwise, cut and put together.

use super::super::view::{Along, Part, View};
use super::{Arrangement, Builder, Operation, Value};

impl Builder {
    /// The same numbers in axes of other sizes; `None` where they do not fit.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Option<Value> {
        self.batch_moves |= shape.first() != Some(&self.samples);
        self.seen_or_moved(x, |view| view.reshape(shape))
    }

    /// The axes in another order; `None` where they do not fit.
    pub fn permute(&mut self, x: Value, order: &[usize]) -> Option<Value> {
        self.batch_moves |= order.first() != Some(&0);
        self.seen(x, self.view(x).permute(order))
    }

    /// `count` numbers of an axis from `start` on, each `step` behind the one before; `None` where there
    /// are not so many.
    pub fn slice(
        &mut self,
        x: Value,
        axis: usize,
        [start, count, step]: [usize; 3],
    ) -> Option<Value> {
        self.seen_or_moved(x, |view| view.slice(axis, [start, count, step]))
    }

    /// The same numbers again and again along axes of size 1, and along new ones in front, until there
    /// is a tensor of `shape`; `None` where they do not fit.
    pub fn expand(&mut self, x: Value, shape: &[usize]) -> Option<Value> {
        self.seen(x, self.view(x).expand(shape))
    }

    /// What `look` sees of the tensor, or else of the same tensor in a picture of one row.
    fn seen_or_moved(&mut self, x: Value, look: impl Fn(&View) -> Option<View>) -> Option<Value> {
        if let Some(view) = look(self.view(x)) {
            return self.seen(x, Some(view));
        }
        let moved = self.rows_of(x)?;
        self.seen(moved, look(self.view(moved)))
    }

    /// `factor x`.
    pub fn scale(&mut self, x: Value, factor: f32) -> Option<Value> {
        let view = self.view(x);
        let factor = view.factor * factor;
        self.seen(x, Some(View { factor, ..view.clone() }))
    }

    /// The same tensor with axes of size 1 at the places `added` of the result; `None` where there are no
    /// such places.
    pub fn with_axes(&mut self, x: Value, added: &[usize]) -> Option<Value> {
        self.batch_moves |= added.contains(&0);
        self.seen(x, self.view(x).with_axes(added))
    }

    /// Whether the first axis is the batch alone; of a batch of one sample, whether it may be.
    pub fn begins_with_batch(&self, x: Value) -> bool {
        let Some(first) = self.view(x).axes.first() else { return false };
        match self.samples {
            1 => first.is_empty(),
            samples => *first == [Part::new(samples, Along::Sample, 1)],
        }
    }

    /// Whether an axis has the batch; of one sample, the first where it is of size 1.
    pub fn may_be_batch(&self, x: Value, axis: usize) -> bool {
        let view = self.view(x);
        let alone = self.samples == 1
            && axis == 0
            && view.axes.first().is_some_and(|first| first.is_empty());
        alone || view.batch().is_some_and(|batch| batch.0 == axis)
    }

    /// The same tensor in a picture that has no other number.
    pub(in super::super) fn whole(&mut self, x: Value) -> Option<Value> {
        let view = self.view(x);
        if view.is_whole(self.dims(x)) {
            return Some(x);
        }
        match view.has_planes() && self.begins_with_batch(x) {
            true => self.planes(x),
            false => self.rows_of(x),
        }
    }

    /// The same tensor in a picture of one row whose channels are the last axis.
    pub(super) fn rows_of(&mut self, x: Value) -> Option<Value> {
        let view = self.view(x);
        let (view, dims) = View::rows(view.batch(), &view.shape())?;
        self.arrange(x, view, dims)
    }

    /// The same tensor as `view` sees it in a picture of `dims`.
    pub(super) fn arrange(&mut self, x: Value, view: View, dims: [usize; 3]) -> Option<Value> {
        let from = self.view(x).clone();
        let loops = from.pairs(&view)?;
        let root = self.root(x);
        let arrangement = Arrangement { from, to: view.clone(), loops };
        Some(self.push(Operation::Arrange(vec![arrangement]), &[root], dims, view))
    }

    /// A tensor of `shape` with the numbers of each part from a place on, and zeros elsewhere; `None`
    /// where the parts do not fit. It lies as the first part does that has the batch.
    fn assembled(&mut self, shape: &[usize], parts: &[(Value, Vec<usize>)]) -> Option<Value> {
        // What is the same for every sample does not have the batch.
        let mut all = parts.iter().map(|part| part.0);
        let first = all.find(|&part| self.view(part).batch().is_some());
        let first = first.or(parts.first().map(|part| part.0))?;
        let batch = self.view(first).batch();
        let planes = self.view(first).has_planes() && self.begins_with_batch(first);
        let (view, dims) = match *shape {
            [samples, channels, height, width] if planes => {
                let dims = [channels, height, width];
                (View::planes(samples, dims), dims)
            }
            _ => View::rows(batch, shape)?,
        };
        let mut arrangements = Vec::with_capacity(parts.len());
        let mut roots = Vec::with_capacity(parts.len());
        for (part, first) in parts {
            let from = self.view(*part).clone();
            let each = from.shape().into_iter().zip(first).enumerate();
            let to = each
                .into_iter()
                .try_fold(view.clone(), |to, (axis, (size, &at))| to.slice(axis, [at, size, 1]))?;
            let loops = from.pairs(&to)?;
            arrangements.push(Arrangement { from, to, loops });
            roots.push(self.root(*part));
        }
        Some(self.push(Operation::Arrange(arrangements), &roots, dims, view))
    }

    /// What is the same for every sample: `values` of a `shape` whose first axis may be the batch; `None`
    /// where samples differ.
    pub fn constant(&mut self, values: &[f32], shape: &[usize]) -> Option<Value> {
        let batch =
            (self.samples > 1 && shape.first() == Some(&self.samples)).then_some((0, self.samples));
        let numbers = values.len() / batch.map_or(1, |own| own.1);
        let fits = numbers > 0 && values.len() == shape.iter().product::<usize>();
        let mut samples = values.chunks_exact(numbers.max(1));
        let first = samples.next().filter(|_| fits)?;
        if samples.any(|own| own != first) {
            return None;
        }
        let (view, dims) = View::rows(batch, shape)?;
        let mut picture = vec![0.0; numbers];
        view.places(dims).into_iter().zip(first).for_each(|(to, value)| picture[to] = *value);
        Some(self.push(Operation::Constant(picture), &[], dims, view))
    }

    /// `parts`, one after the other along `axis`; `None` where that has the batch, or they do not fit.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Option<Value> {
        let mut shape = self.shape(*parts.first()?);
        let mut end = 0;
        let mut placed = Vec::with_capacity(parts.len());
        for &part in parts {
            let own = self.shape(part);
            let alike = own.len() == shape.len()
                && (0..own.len()).all(|at| at == axis || own[at] == shape[at]);
            let mut first = vec![0; own.len()];
            *first.get_mut(axis).filter(|_| alike && !self.may_be_batch(part, axis))? = end;
            end += own[axis];
            placed.push((part, first));
        }
        shape[axis] = end;
        self.assembled(&shape, &placed)
    }

    /// `x` with `pads` zeros in front of each axis and behind it; `None` where the batch is padded.
    pub fn pad(&mut self, x: Value, pads: &[(usize, usize)]) -> Option<Value> {
        let own = self.shape(x);
        let batch = |axis: usize| self.may_be_batch(x, axis) && pads[axis] != (0, 0);
        if pads.len() != own.len() || (0..own.len()).any(batch) {
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
    pub(super) fn with_last_channels(&mut self, x: Value) -> Option<Value> {
        if self.ends_in_channels(x) {
            return Some(x);
        }
        // Not where the last axis has the batch.
        self.rows_of(x).filter(|&x| self.ends_in_channels(x))
    }

    /// The same tensor, of four axes, as pictures of its second axis.
    pub(super) fn planes(&mut self, x: Value) -> Option<Value> {
        if self.is_planes(x) {
            return Some(x);
        }
        if !self.begins_with_batch(x) {
            return None;
        }
        let dims: [usize; 3] = self.shape(x).get(1..)?.try_into().ok()?;
        self.arrange(x, View::planes(self.samples, dims), dims)
    }
}
