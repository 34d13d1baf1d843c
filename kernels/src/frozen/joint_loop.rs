//! Loops that traverse two views of the same shape together.

use super::view::{ImageAxis, SubAxis, View};

/// A loop that traverses two views together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JointLoop {
    pub size: usize,
    /// The image axis and the step in the first and in the second view.
    pub steps: [(ImageAxis, usize); 2],
}

impl JointLoop {
    /// Returns the loop with the two views exchanged.
    pub fn swapped(self) -> Self {
        Self { steps: [self.steps[1], self.steps[0]], ..self }
    }
}

impl View {
    /// Returns the loops that traverse two views of the same shape together, the outermost first and without
    /// the batch; `None` if the sub-axes are not compatible. A tensor that is the same for every sample has
    /// no batch axis.
    pub fn joint_loops(&self, other: &Self) -> Option<Vec<JointLoop>> {
        let strict = self.batch().is_some() && other.batch().is_some();
        let both = self.axes.iter().zip(&other.axes);
        let axes: Vec<_> = both.map(|(a, b)| joint_loops(a, b, strict)).collect::<Option<_>>()?;
        (self.axes.len() == other.axes.len()).then(|| axes.concat())
    }
}

/// Returns the loops that traverse two axes of the same size together. Unless `strict`, at most one of the
/// two tensors has a batch, and its sub-axis of samples is ignored.
pub fn joint_loops(a: &[SubAxis], b: &[SubAxis], strict: bool) -> Option<Vec<JointLoop>> {
    let selected = |axis: &[SubAxis]| -> Vec<SubAxis> {
        axis.iter()
            .filter(|sub_axis| strict || sub_axis.along != ImageAxis::Sample)
            .copied()
            .collect()
    };
    let (mut a, mut b) = (selected(a), selected(b));
    let mut loops = Vec::new();
    while let (Some(&x), Some(&y)) = (a.last(), b.last()) {
        if (x.along == ImageAxis::Sample) != (y.along == ImageAxis::Sample) {
            return None;
        }
        let size = x.size.min(y.size);
        if !x.size.is_multiple_of(size) || !y.size.is_multiple_of(size) {
            return None;
        }
        for (sub_axes, sub_axis) in [(&mut a, x), (&mut b, y)] {
            sub_axes.pop();
            sub_axes.extend((sub_axis.size > size).then(|| sub_axis.outer(size)));
        }
        if x.along != ImageAxis::Sample {
            loops.push(JointLoop { size, steps: [(x.along, x.step), (y.along, y.step)] });
        }
    }
    loops.reverse();
    (a.is_empty() && b.is_empty()).then_some(loops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joint_loops_omit_the_batch_and_split_axes() {
        let view = View::nchw(2, [4, 3, 3]);
        let (rows, dims) = View::channels_last(Some((0, 2)), &[2, 4, 9]).expect("rows");
        assert_eq!(dims, [9, 1, 4]);
        let joint_loops =
            view.reshape(&[2, 4, 9]).and_then(|view| view.joint_loops(&rows)).expect("loops");
        let steps = |along: ImageAxis, step, to: ImageAxis, other| [(along, step), (to, other)];
        assert_eq!(joint_loops[0].steps, steps(ImageAxis::Channel, 1, ImageAxis::Column, 1));
        assert_eq!(joint_loops[1].steps, steps(ImageAxis::Row, 1, ImageAxis::Channel, 3));
        assert_eq!(joint_loops[2].steps, steps(ImageAxis::Column, 1, ImageAxis::Channel, 1));
    }
}
