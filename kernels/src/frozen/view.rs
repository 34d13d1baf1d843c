//! How the axes of a tensor lie in a picture. Reshaping, transposing and slicing change a view alone;
//! no number is moved.

/// A tensor whose numbers are those of a picture, in another order: each axis is a product of parts, the
/// outermost first, each of which goes through the picture in equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Row, column and channel of the first number.
    pub first: [usize; 3],
    pub axes: Vec<Vec<Part>>,
    /// What the picture's numbers are multiplied with.
    pub factor: f32,
}

/// `size` numbers, each `step` rows, columns or channels behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub size: usize,
    pub along: Along,
    pub step: usize,
}

/// An axis of a picture; or that of the batch, of which a picture is one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    Sample,
    Row,
    Column,
    Channel,
}

/// An axis, and the samples that it goes through.
pub type Batch = Option<(usize, usize)>;

/// A loop that goes through two views at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub size: usize,
    /// The steps in the two.
    pub steps: [(Along, usize); 2],
}

impl Pair {
    /// The same for the views in the other order.
    pub fn turned(self) -> Self {
        Self { steps: [self.steps[1], self.steps[0]], ..self }
    }
}

impl Part {
    pub fn new(size: usize, along: Along, step: usize) -> Self {
        Self { size, along, step }
    }

    /// Every `inner`-th of its numbers.
    fn outer(self, inner: usize) -> Self {
        Self { size: self.size / inner, step: self.step * inner, ..self }
    }
}

impl View {
    /// `[samples, channels, height, width]`.
    pub fn planes(samples: usize, [channels, height, width]: [usize; 3]) -> Self {
        Self::new(vec![
            vec![Part::new(samples, Along::Sample, 1)],
            vec![Part::new(channels, Along::Channel, 1)],
            vec![Part::new(height, Along::Row, 1)],
            vec![Part::new(width, Along::Column, 1)],
        ])
    }

    /// A tensor of `shape` whose last axis is the channels of a picture of one row, and the size of that
    /// picture. The batch, an axis and its samples, is not part of it; `None` where these do not divide
    /// the axis.
    pub fn rows(batch: Batch, shape: &[usize]) -> Option<(Self, [usize; 3])> {
        let last = shape.len().saturating_sub(1);
        Self::flat(batch, shape, |axis| axis == last)
    }

    /// The same, but that the channels are all axes `of_channels`.
    pub fn flat(
        batch: Batch,
        shape: &[usize],
        of_channels: impl Fn(usize) -> bool,
    ) -> Option<(Self, [usize; 3])> {
        let (mut channels, mut width) = (1, 1);
        let mut axes = Vec::with_capacity(shape.len());
        for (axis, &size) in shape.iter().enumerate().rev() {
            let (along, step) = match of_channels(axis) {
                true => (Along::Channel, &mut channels),
                false => (Along::Column, &mut width),
            };
            let samples = batch.filter(|own| own.0 == axis).map(|own| own.1);
            if !size.is_multiple_of(samples.unwrap_or(1)) {
                return None;
            }
            let each = size / samples.unwrap_or(1);
            *step *= each;
            let own = Part::new(each, along, *step / each);
            let batch = samples.map(|samples| Part::new(samples, Along::Sample, 1));
            axes.push(batch.into_iter().chain([own]).collect());
        }
        axes.reverse();
        Some((Self::new(axes), [channels, 1, width]))
    }

    fn new(axes: Vec<Vec<Part>>) -> Self {
        let axes = axes.iter().map(|axis| joined(axis)).collect();
        Self { first: [0; 3], axes, factor: 1.0 }
    }

    /// The axis that goes through the batch, and how many samples that has; of one sample nothing is known.
    pub fn batch(&self) -> Batch {
        let of_samples = |(axis, parts): (usize, &Vec<Part>)| {
            let own = parts.iter().find(|part| part.along == Along::Sample)?;
            Some((axis, own.size))
        };
        self.axes.iter().enumerate().find_map(of_samples)
    }

    /// The numbers along an axis without the batch.
    pub fn each(&self, axis: usize) -> usize {
        let own = self.axes[axis].iter().filter(|part| part.along != Along::Sample);
        own.map(|part| part.size).product()
    }

    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| size(axis)).collect()
    }

    /// How many numbers there are of one sample.
    pub fn len(&self) -> usize {
        let parts = self.axes.iter().flatten().filter(|part| part.along != Along::Sample);
        parts.map(|part| part.size).product()
    }

    /// Whether it has every number of a picture of `dims`, as it is.
    pub fn is_whole(&self, dims: [usize; 3]) -> bool {
        self.factor == 1.0 && self.covers(dims)
    }

    /// Whether it has every number of a picture of `dims`, each once.
    pub fn covers(&self, dims: [usize; 3]) -> bool {
        let once = self.axes.iter().flatten().all(|part| part.step > 0);
        once && self.len() == dims.iter().product::<usize>()
    }

    /// The same numbers again and again along axes of size 1, and along new ones in front.
    pub fn expand(&self, shape: &[usize]) -> Option<Self> {
        let new = shape.len().checked_sub(self.axes.len())?;
        let mut axes = vec![Vec::new(); new];
        axes.extend(self.axes.iter().cloned());
        for (axis, &wanted) in axes.iter_mut().zip(shape) {
            match size(axis) {
                own if own == wanted => {}
                1 if axis.is_empty() && wanted > 0 => {
                    *axis = vec![Part::new(wanted, Along::Column, 0)]
                }
                _ => return None,
            }
        }
        Some(Self { axes, ..self.clone() })
    }

    /// Whether it has four axes, of which the second is of channels alone.
    pub fn has_planes(&self) -> bool {
        let of_channels = |axis: &[Part]| axis.iter().all(|part| part.along == Along::Channel);
        self.axes.len() == 4 && of_channels(&self.axes[1])
    }

    /// The same with axes of size 1 at the places `added` of the result.
    pub fn with_axes(&self, added: &[usize]) -> Option<Self> {
        let mut own = self.axes.iter().cloned();
        let rank = self.axes.len() + added.len();
        let axis = |at| if added.contains(&at) { Some(Vec::new()) } else { own.next() };
        let axes = (0..rank).map(axis).collect::<Option<_>>()?;
        Some(Self { axes, ..self.clone() })
    }

    /// The same numbers in axes of other sizes; `None` where an axis would no longer be made of parts.
    pub fn reshape(&self, shape: &[usize]) -> Option<Self> {
        let all: Vec<Part> = self.axes.iter().flatten().copied().collect();
        let mut left: Vec<Part> = joined(&all).into_iter().rev().collect();
        let mut axes = Vec::with_capacity(shape.len());
        for &wanted in shape {
            let mut axis = Vec::new();
            let mut missing = wanted;
            while missing > 1 {
                let part = left.pop()?;
                if missing.is_multiple_of(part.size) {
                    missing /= part.size;
                    axis.push(part);
                } else if part.size.is_multiple_of(missing) {
                    let inner = part.size / missing;
                    axis.push(part.outer(inner));
                    left.push(Part { size: inner, ..part });
                    missing = 1;
                } else {
                    return None;
                }
            }
            axes.push(joined(&axis));
        }
        (left.is_empty() && !shape.contains(&0)).then(|| Self { axes, ..self.clone() })
    }

    /// The axes in another order.
    pub fn permute(&self, order: &[usize]) -> Option<Self> {
        let axes = order.iter().map(|&axis| self.axes.get(axis).cloned()).collect::<Option<_>>()?;
        (order.len() == self.axes.len()).then(|| Self { axes, ..self.clone() })
    }

    /// `count` numbers of an axis from `start` on, each `step` behind the one before; `None` where they
    /// are not made of parts.
    pub fn slice(&self, axis: usize, [start, count, step]: [usize; 3]) -> Option<Self> {
        let mut sliced = self.clone();
        let parts = sliced.axes.get_mut(axis)?;
        if count == 0 || step == 0 || start + (count - 1) * step + 1 > size(parts) {
            return None;
        }
        if start == 0 && count == size(parts) {
            return Some(sliced);
        }
        if step > 1 {
            let &mut [part] = &mut parts[..] else { return None };
            if part.along == Along::Sample {
                return None;
            }
            sliced.first[part.along as usize - 1] += start * part.step;
            let strided = Part { size: count, step: part.step * step, ..part };
            *parts = joined(&[strided]);
            return Some(sliced);
        }
        let (mut start, mut inner) = (start, size(parts));
        for part in parts.iter_mut() {
            inner /= part.size;
            let (first, last) = (start / inner, (start + count - 1) / inner);
            let whole = start.is_multiple_of(inner) && count.is_multiple_of(inner);
            if part.along == Along::Sample || (first != last && !whole) {
                return None;
            }
            sliced.first[part.along as usize - 1] += first * part.step;
            part.size = last - first + 1;
            start %= inner;
            if first != last {
                // What is inside is taken as a whole.
                break;
            }
        }
        *parts = joined(parts);
        Some(sliced)
    }

    /// Whether the last axis is all `channels`, one after the other.
    pub fn ends_in_channels(&self, channels: usize) -> bool {
        let own: &[Part] = &[Part::new(channels, Along::Channel, 1)];
        self.axes.last().is_some_and(|last| last[..] == joined(own)[..])
    }

    /// The one loop through each of two views of the same shape, the outermost first, without the
    /// batch's; `None` where their parts do not fit. What is the same for every sample has no batch.
    pub fn pairs(&self, other: &Self) -> Option<Vec<Pair>> {
        let strict = self.batch().is_some() && other.batch().is_some();
        let both = self.axes.iter().zip(&other.axes);
        let axes: Vec<_> = both.map(|(a, b)| pairs(a, b, strict)).collect::<Option<_>>()?;
        (self.axes.len() == other.axes.len()).then(|| axes.concat())
    }

    /// The places of all numbers of a sample in a picture of `dims` without gaps, in order.
    pub fn places(&self, [_, height, width]: [usize; 3]) -> Vec<usize> {
        let each = [width, 1, height * width];
        let first: usize = self.first.iter().zip(each).map(|(at, each)| at * each).sum();
        let mut places = vec![first];
        for part in self.axes.iter().flatten().filter(|part| part.along != Along::Sample) {
            let step = part.step * each[part.along as usize - 1];
            places = places
                .iter()
                .flat_map(|place| (0..part.size).map(move |at| place + at * step))
                .collect();
        }
        places
    }
}

/// The numbers of an axis.
pub fn size(axis: &[Part]) -> usize {
    axis.iter().map(|part| part.size).product()
}

/// The same axis of as few parts as can be.
fn joined(axis: &[Part]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::with_capacity(axis.len());
    for part in axis.iter().filter(|part| part.size != 1) {
        match parts.last_mut() {
            Some(last)
                if last.along == part.along
                    && last.step == part.step * part.size
                    && part.along != Along::Sample =>
            {
                *last = Part { size: last.size * part.size, ..*part };
            }
            _ => parts.push(*part),
        }
    }
    parts
}

/// The loops through two axes of the same size; where that is not `strict`, one of them has no batch.
pub fn pairs(a: &[Part], b: &[Part], strict: bool) -> Option<Vec<Pair>> {
    let kept = |axis: &[Part]| -> Vec<Part> {
        axis.iter().filter(|part| strict || part.along != Along::Sample).copied().collect()
    };
    let (mut a, mut b) = (kept(a), kept(b));
    let mut found = Vec::new();
    while let (Some(&x), Some(&y)) = (a.last(), b.last()) {
        if (x.along == Along::Sample) != (y.along == Along::Sample) {
            return None;
        }
        let size = x.size.min(y.size);
        if !x.size.is_multiple_of(size) || !y.size.is_multiple_of(size) {
            return None;
        }
        for (parts, part) in [(&mut a, x), (&mut b, y)] {
            parts.pop();
            parts.extend((part.size > size).then(|| part.outer(size)));
        }
        if x.along != Along::Sample {
            found.push(Pair { size, steps: [(x.along, x.step), (y.along, y.step)] });
        }
    }
    found.reverse();
    (a.is_empty() && b.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a view reads of a picture whose numbers are their places.
    fn read(view: &View, dims: [usize; 3]) -> Vec<usize> {
        view.places(dims)
    }

    #[test]
    fn heads_are_found_in_tokens() {
        // 5 tokens of queries, keys and values of 2 heads with 3 channels.
        let (view, dims) = View::rows(Some((0, 1)), &[1, 5, 18]).expect("rows");
        assert_eq!(dims, [18, 1, 5]);
        let split = view.reshape(&[1, 5, 3, 2, 3]).expect("parts");
        let turned = split.permute(&[2, 0, 3, 1, 4]).expect("axes");
        let keys =
            turned.slice(0, [1, 1, 1]).and_then(|own| own.reshape(&[1, 2, 5, 3])).expect("keys");
        assert_eq!(keys.shape(), [1, 2, 5, 3]);
        let expected: Vec<usize> = (0..2)
            .flat_map(|head| (0..5).map(move |token| (head, token)))
            .flat_map(|(head, token)| (0..3).map(move |i| (6 + 3 * head + i) * 5 + token))
            .collect();
        assert_eq!(read(&keys, dims), expected);
        assert!(!keys.is_whole(dims) && split.is_whole(dims));
        // And back.
        let back = turned.permute(&[1, 3, 0, 2, 4]).and_then(|own| own.reshape(&[1, 5, 18]));
        assert_eq!(back, Some(view));
    }

    #[test]
    fn rows_and_columns_make_an_axis() {
        let dims = [4, 3, 2];
        let view = View::planes(1, dims);
        let tokens =
            view.reshape(&[1, 4, 6]).and_then(|own| own.permute(&[0, 2, 1])).expect("tokens");
        assert!(tokens.ends_in_channels(4) && !view.ends_in_channels(4));
        let one = tokens.slice(1, [3, 1, 1]).expect("a token");
        assert_eq!(read(&one, dims), [3, 9, 15, 21]);
        let rows = tokens.slice(1, [2, 4, 1]).expect("rows");
        assert_eq!(rows.shape(), [1, 4, 4]);
        assert_eq!(read(&rows, dims)[..4], [2, 8, 14, 20]);
        assert!(tokens.slice(1, [1, 3, 1]).is_none(), "parts of two rows");
        assert!(tokens.slice(1, [4, 4, 1]).is_none(), "beyond its end");
        assert!(tokens.reshape(&[1, 5, 5]).is_none());
    }

    #[test]
    fn a_batch_stays_apart() {
        let view = View::planes(2, [4, 3, 3]);
        assert_eq!(view.shape(), [2, 4, 3, 3]);
        assert!(view.is_whole([4, 3, 3]));
        assert!(view.slice(0, [1, 1, 1]).is_none());
        let (rows, dims) = View::rows(Some((0, 2)), &[2, 4, 9]).expect("rows");
        assert_eq!(dims, [9, 1, 4]);
        let pairs = view.reshape(&[2, 4, 9]).and_then(|view| view.pairs(&rows)).expect("loops");
        let steps = |along: Along, step, to: Along, other| [(along, step), (to, other)];
        assert_eq!(pairs[0].steps, steps(Along::Channel, 1, Along::Column, 1));
        assert_eq!(pairs[1].steps, steps(Along::Row, 1, Along::Channel, 3));
        assert_eq!(pairs[2].steps, steps(Along::Column, 1, Along::Channel, 1));
    }
}
