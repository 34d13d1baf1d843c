//! Strided views: how the axes of a tensor map to an image. Reshaping, permuting and slicing change only
//! the view; no data is moved.

/// A tensor whose elements are stored in an image. Each axis is a product of sub-axes, the outermost
/// first, and each sub-axis has a constant step along one axis of the image.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Row, column and channel of the first element.
    pub first: [usize; 3],
    pub axes: Vec<Vec<SubAxis>>,
    /// The factor by which the elements of the image are multiplied.
    pub factor: f32,
}

/// `size` elements that are `step` rows, columns or channels apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAxis {
    pub size: usize,
    pub along: ImageAxis,
    pub step: usize,
}

/// An axis of an image, or the batch axis, along which each image is one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageAxis {
    Sample,
    Row,
    Column,
    Channel,
}

/// The axis of a tensor that contains the batch, and the number of samples. `None` if the batch size is 1
/// or the tensor is the same for every sample.
pub type BatchAxis = Option<(usize, usize)>;

impl SubAxis {
    pub fn new(size: usize, along: ImageAxis, step: usize) -> Self {
        Self { size, along, step }
    }

    /// Returns the outer part of the sub-axis after `inner` elements have been split off: every `inner`-th
    /// element.
    pub(super) fn outer(self, inner: usize) -> Self {
        Self { size: self.size / inner, step: self.step * inner, ..self }
    }
}

impl View {
    /// Returns the view `[samples, channels, height, width]` of an image.
    pub fn nchw(samples: usize, [channels, height, width]: [usize; 3]) -> Self {
        Self::new(vec![
            vec![SubAxis::new(samples, ImageAxis::Sample, 1)],
            vec![SubAxis::new(channels, ImageAxis::Channel, 1)],
            vec![SubAxis::new(height, ImageAxis::Row, 1)],
            vec![SubAxis::new(width, ImageAxis::Column, 1)],
        ])
    }

    /// Returns the view of a tensor of `shape` in an image of one row whose channels are the last axis, and
    /// the `[channels, height, width]` of the image. The samples of `batch` are not part of the image.
    /// `None` if the number of samples does not divide the batch axis.
    pub fn channels_last(batch: BatchAxis, shape: &[usize]) -> Option<(Self, [usize; 3])> {
        let last = shape.len().saturating_sub(1);
        Self::single_row(batch, shape, |axis| axis == last)
    }

    /// Like [`View::channels_last`], but the channels are all axes for which `of_channels` is true; the
    /// other axes are the columns.
    pub fn single_row(
        batch: BatchAxis,
        shape: &[usize],
        of_channels: impl Fn(usize) -> bool,
    ) -> Option<(Self, [usize; 3])> {
        let (mut channels, mut width) = (1, 1);
        let mut axes = Vec::with_capacity(shape.len());
        for (axis, &size) in shape.iter().enumerate().rev() {
            let (along, step) = match of_channels(axis) {
                true => (ImageAxis::Channel, &mut channels),
                false => (ImageAxis::Column, &mut width),
            };
            let samples = batch.filter(|batch| batch.0 == axis).map(|batch| batch.1);
            if !size.is_multiple_of(samples.unwrap_or(1)) {
                return None;
            }
            let each = size / samples.unwrap_or(1);
            *step *= each;
            let sub_axis = SubAxis::new(each, along, *step / each);
            let batch = samples.map(|samples| SubAxis::new(samples, ImageAxis::Sample, 1));
            axes.push(batch.into_iter().chain([sub_axis]).collect());
        }
        axes.reverse();
        Some((Self::new(axes), [channels, 1, width]))
    }

    fn new(axes: Vec<Vec<SubAxis>>) -> Self {
        let axes = axes.iter().map(|axis| merge_sub_axes(axis)).collect();
        Self { first: [0; 3], axes, factor: 1.0 }
    }

    /// The axis that contains the batch and the number of samples; `None` for a batch of one sample.
    pub fn batch(&self) -> BatchAxis {
        let of_samples = |(axis, sub_axes): (usize, &Vec<SubAxis>)| {
            let samples = sub_axes.iter().find(|sub_axis| sub_axis.along == ImageAxis::Sample)?;
            Some((axis, samples.size))
        };
        self.axes.iter().enumerate().find_map(of_samples)
    }

    /// The size of an axis for one sample.
    pub fn size_per_sample(&self, axis: usize) -> usize {
        let per_sample =
            self.axes[axis].iter().filter(|sub_axis| sub_axis.along != ImageAxis::Sample);
        per_sample.map(|sub_axis| sub_axis.size).product()
    }

    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| size(axis)).collect()
    }

    /// The number of elements of one sample.
    pub fn len(&self) -> usize {
        let sub_axes =
            self.axes.iter().flatten().filter(|sub_axis| sub_axis.along != ImageAxis::Sample);
        sub_axes.map(|sub_axis| sub_axis.size).product()
    }

    /// Whether the view contains every element of an image of `dims` exactly once, unscaled.
    pub fn is_materialized(&self, dims: [usize; 3]) -> bool {
        self.factor == 1.0 && self.covers(dims)
    }

    /// Whether the view contains every element of an image of `dims` exactly once.
    pub fn covers(&self, dims: [usize; 3]) -> bool {
        let once = self.axes.iter().flatten().all(|sub_axis| sub_axis.step > 0);
        once && self.len() == dims.iter().product::<usize>()
    }

    /// Broadcasts to `shape`: repeats the elements along axes of size 1 and along new leading axes. `None` if
    /// the shapes are not compatible.
    pub fn expand(&self, shape: &[usize]) -> Option<Self> {
        let new = shape.len().checked_sub(self.axes.len())?;
        let mut axes = vec![Vec::new(); new];
        axes.extend(self.axes.iter().cloned());
        for (axis, &target) in axes.iter_mut().zip(shape) {
            match size(axis) {
                size if size == target => {}
                1 if axis.is_empty() && target > 0 => {
                    *axis = vec![SubAxis::new(target, ImageAxis::Column, 0)]
                }
                _ => return None,
            }
        }
        Some(Self { axes, ..self.clone() })
    }

    /// Whether the tensor has four axes and the second consists of channels alone.
    pub fn has_nchw_axes(&self) -> bool {
        let of_channels =
            |axis: &[SubAxis]| axis.iter().all(|sub_axis| sub_axis.along == ImageAxis::Channel);
        self.axes.len() == 4 && of_channels(&self.axes[1])
    }

    /// Inserts axes of size 1 at the positions `added` of the result.
    pub fn with_axes(&self, added: &[usize]) -> Option<Self> {
        let mut axes = self.axes.iter().cloned();
        let rank = self.axes.len() + added.len();
        let axis = |at| if added.contains(&at) { Some(Vec::new()) } else { axes.next() };
        let axes = (0..rank).map(axis).collect::<Option<_>>()?;
        Some(Self { axes, ..self.clone() })
    }

    /// Reshapes the tensor; `None` if an axis of the result would not be a product of sub-axes.
    pub fn reshape(&self, shape: &[usize]) -> Option<Self> {
        let all: Vec<SubAxis> = self.axes.iter().flatten().copied().collect();
        let mut left: Vec<SubAxis> = merge_sub_axes(&all).into_iter().rev().collect();
        let mut axes = Vec::with_capacity(shape.len());
        for &target in shape {
            let mut axis = Vec::new();
            let mut remaining = target;
            while remaining > 1 {
                let sub_axis = left.pop()?;
                if remaining.is_multiple_of(sub_axis.size) {
                    remaining /= sub_axis.size;
                    axis.push(sub_axis);
                } else if sub_axis.size.is_multiple_of(remaining) {
                    let inner = sub_axis.size / remaining;
                    axis.push(sub_axis.outer(inner));
                    left.push(SubAxis { size: inner, ..sub_axis });
                    remaining = 1;
                } else {
                    return None;
                }
            }
            axes.push(merge_sub_axes(&axis));
        }
        (left.is_empty() && !shape.contains(&0)).then(|| Self { axes, ..self.clone() })
    }

    /// Permutes the axes; `None` if `order` has the wrong length or an axis that does not exist.
    pub fn permute(&self, order: &[usize]) -> Option<Self> {
        let axes = order.iter().map(|&axis| self.axes.get(axis).cloned()).collect::<Option<_>>()?;
        (order.len() == self.axes.len()).then(|| Self { axes, ..self.clone() })
    }

    /// Selects the indices `start`, `start + step`, ..., `count` in all, of an axis; `None` if the result is
    /// not a product of sub-axes, or if the axis contains the batch.
    pub fn slice(&self, axis: usize, [start, count, step]: [usize; 3]) -> Option<Self> {
        let mut sliced = self.clone();
        let sub_axes = sliced.axes.get_mut(axis)?;
        if count == 0 || step == 0 || start + (count - 1) * step + 1 > size(sub_axes) {
            return None;
        }
        if start == 0 && count == size(sub_axes) {
            return Some(sliced);
        }
        if step > 1 {
            let &mut [sub_axis] = &mut sub_axes[..] else { return None };
            if sub_axis.along == ImageAxis::Sample {
                return None;
            }
            sliced.first[sub_axis.along as usize - 1] += start * sub_axis.step;
            let strided = SubAxis { size: count, step: sub_axis.step * step, ..sub_axis };
            *sub_axes = merge_sub_axes(&[strided]);
            return Some(sliced);
        }
        let (mut start, mut inner) = (start, size(sub_axes));
        for sub_axis in sub_axes.iter_mut() {
            inner /= sub_axis.size;
            let (first, last) = (start / inner, (start + count - 1) / inner);
            let whole = start.is_multiple_of(inner) && count.is_multiple_of(inner);
            if sub_axis.along == ImageAxis::Sample || (first != last && !whole) {
                return None;
            }
            sliced.first[sub_axis.along as usize - 1] += first * sub_axis.step;
            sub_axis.size = last - first + 1;
            start %= inner;
            if first != last {
                // The slice contains all of the inner sub-axes.
                break;
            }
        }
        *sub_axes = merge_sub_axes(sub_axes);
        Some(sliced)
    }

    /// Whether the last axis consists of all `channels`, in order.
    pub fn ends_in_channels(&self, channels: usize) -> bool {
        let all_channels: &[SubAxis] = &[SubAxis::new(channels, ImageAxis::Channel, 1)];
        self.axes.last().is_some_and(|last| last[..] == merge_sub_axes(all_channels)[..])
    }

    /// The offsets of all elements of a sample, in order, in a tensor `[channels, height, width]` of shape
    /// `dims`.
    pub fn element_offsets(&self, [_, height, width]: [usize; 3]) -> Vec<usize> {
        let each = [width, 1, height * width];
        let first: usize = self.first.iter().zip(each).map(|(at, each)| at * each).sum();
        let mut offsets = vec![first];
        for sub_axis in
            self.axes.iter().flatten().filter(|sub_axis| sub_axis.along != ImageAxis::Sample)
        {
            let step = sub_axis.step * each[sub_axis.along as usize - 1];
            offsets = offsets
                .iter()
                .flat_map(|offset| (0..sub_axis.size).map(move |at| offset + at * step))
                .collect();
        }
        offsets
    }
}

/// The size of an axis.
pub fn size(axis: &[SubAxis]) -> usize {
    axis.iter().map(|sub_axis| sub_axis.size).product()
}

/// Merges adjacent sub-axes that are contiguous, and drops those of size 1.
fn merge_sub_axes(axis: &[SubAxis]) -> Vec<SubAxis> {
    let mut sub_axes: Vec<SubAxis> = Vec::with_capacity(axis.len());
    for sub_axis in axis.iter().filter(|sub_axis| sub_axis.size != 1) {
        match sub_axes.last_mut() {
            Some(last)
                if last.along == sub_axis.along
                    && last.step == sub_axis.step * sub_axis.size
                    && sub_axis.along != ImageAxis::Sample =>
            {
                *last = SubAxis { size: last.size * sub_axis.size, ..*sub_axis };
            }
            _ => sub_axes.push(*sub_axis),
        }
    }
    sub_axes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of a view of an image in which each element is its own offset.
    fn read(view: &View, dims: [usize; 3]) -> Vec<usize> {
        view.element_offsets(dims)
    }

    #[test]
    fn reshape_permute_and_slice_select_the_keys_of_attention_heads() {
        // 5 tokens of queries, keys and values of 2 heads with 3 channels.
        let (view, dims) = View::channels_last(Some((0, 1)), &[1, 5, 18]).expect("rows");
        assert_eq!(dims, [18, 1, 5]);
        let split = view.reshape(&[1, 5, 3, 2, 3]).expect("a valid reshape");
        let permuted = split.permute(&[2, 0, 3, 1, 4]).expect("axes");
        let keys = permuted
            .slice(0, [1, 1, 1])
            .and_then(|view| view.reshape(&[1, 2, 5, 3]))
            .expect("keys");
        assert_eq!(keys.shape(), [1, 2, 5, 3]);
        let expected: Vec<usize> = (0..2)
            .flat_map(|head| (0..5).map(move |token| (head, token)))
            .flat_map(|(head, token)| (0..3).map(move |i| (6 + 3 * head + i) * 5 + token))
            .collect();
        assert_eq!(read(&keys, dims), expected);
        assert!(!keys.is_materialized(dims) && split.is_materialized(dims));
        // And back.
        let back = permuted.permute(&[1, 3, 0, 2, 4]).and_then(|view| view.reshape(&[1, 5, 18]));
        assert_eq!(back, Some(view));
    }

    #[test]
    fn rows_and_columns_merge_into_one_axis() {
        let dims = [4, 3, 2];
        let view = View::nchw(1, dims);
        let tokens =
            view.reshape(&[1, 4, 6]).and_then(|view| view.permute(&[0, 2, 1])).expect("tokens");
        assert!(tokens.ends_in_channels(4) && !view.ends_in_channels(4));
        let one = tokens.slice(1, [3, 1, 1]).expect("a token");
        assert_eq!(read(&one, dims), [3, 9, 15, 21]);
        let rows = tokens.slice(1, [2, 4, 1]).expect("rows");
        assert_eq!(rows.shape(), [1, 4, 4]);
        assert_eq!(read(&rows, dims)[..4], [2, 8, 14, 20]);
        assert!(tokens.slice(1, [1, 3, 1]).is_none(), "the slice covers parts of two rows");
        assert!(tokens.slice(1, [4, 4, 1]).is_none(), "the slice ends beyond the axis");
        assert!(tokens.reshape(&[1, 5, 5]).is_none());
    }

    #[test]
    fn batch_axis_is_not_sliced() {
        let view = View::nchw(2, [4, 3, 3]);
        assert_eq!(view.shape(), [2, 4, 3, 3]);
        assert!(view.is_materialized([4, 3, 3]));
        assert!(view.slice(0, [1, 1, 1]).is_none());
    }
}
