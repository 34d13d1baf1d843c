//! Strided copies between two views.

use multiversion::multiversion;

use super::image::Image;
use super::joint_loop::JointLoop;
use super::view::{ImageAxis, View};

/// A copy from one buffer to another by nested loops: `y = factor x`, or `y += factor x`.
#[derive(Clone, Debug)]
pub struct StridedCopy {
    loops: Vec<Loop>,
    first: [usize; 2],
    factor: f32,
    accumulates: bool,
}

#[derive(Clone, Copy, Debug)]
struct Loop {
    size: usize,
    steps: [usize; 2],
}

/// A view and the layout of the image that it refers to.
pub type ImageView<'a> = (&'a View, &'a Image);

/// The distance in memory of two elements that are `step` apart along an axis of `image`.
pub fn distance(image: &Image, along: ImageAxis, step: usize) -> usize {
    match along {
        ImageAxis::Sample => 0,
        ImageAxis::Row => step * image.row(),
        ImageAxis::Column => step * image.stride,
        ImageAxis::Channel => step,
    }
}

/// The offset of the first element of a view.
pub fn base_offset((view, image): ImageView) -> usize {
    let [row, column, channel] = view.first;
    image.offset(row, column) + channel
}

impl StridedCopy {
    /// Returns the copy from view `from` to view `to`; `joint_loops` traverses both.
    pub fn new(joint_loops: &[JointLoop], from: ImageView, to: ImageView) -> Self {
        let step = |joint: &JointLoop| Loop {
            size: joint.size,
            steps: [
                distance(from.1, joint.steps[0].0, joint.steps[0].1),
                distance(to.1, joint.steps[1].0, joint.steps[1].1),
            ],
        };
        let mut loops: Vec<Loop> = joint_loops.iter().map(step).collect();
        // The loop that writes contiguous elements becomes the innermost one.
        if let Some(at) = loops.iter().position(|candidate| candidate.steps[1] == 1) {
            let inner = loops.remove(at);
            loops.push(inner);
        }
        let factor = from.0.factor / to.0.factor;
        Self {
            loops: merge_loops(loops),
            first: [base_offset(from), base_offset(to)],
            factor,
            accumulates: false,
        }
    }

    /// Returns the gradient of that copy: from `to` to `from`. With `accumulates`, the result is added to the
    /// destination.
    pub fn gradient(
        joint_loops: &[JointLoop],
        from: ImageView,
        to: ImageView,
        accumulates: bool,
    ) -> Self {
        let swapped: Vec<JointLoop> = joint_loops.iter().map(|joint| joint.swapped()).collect();
        let factor = from.0.factor / to.0.factor;
        Self { accumulates, factor, ..Self::new(&swapped, to, from) }
    }

    /// Copies from `x` to `y`.
    pub fn run(&self, x: &[f32], y: &mut [f32]) {
        let [from, to] = self.first;
        match self.loops.split_last() {
            Some((inner, outer)) => self.run_loops(outer, inner, [from, to], x, y),
            None => self.run_inner(&Loop { size: 1, steps: [1, 1] }, [from, to], x, y),
        }
    }

    fn run_loops(&self, loops: &[Loop], inner: &Loop, at: [usize; 2], x: &[f32], y: &mut [f32]) {
        let Some((first, rest)) = loops.split_first() else {
            return self.run_inner(inner, at, x, y);
        };
        for index in 0..first.size {
            let at = [at[0] + index * first.steps[0], at[1] + index * first.steps[1]];
            self.run_loops(rest, inner, at, x, y);
        }
    }

    fn run_inner(&self, inner: &Loop, [from, to]: [usize; 2], x: &[f32], y: &mut [f32]) {
        let steps = inner.steps;
        let (x, y) = (&x[from..], &mut y[to..]);
        match steps {
            [1, 1] => copy_contiguous(
                &x[..inner.size],
                &mut y[..inner.size],
                self.factor,
                self.accumulates,
            ),
            [read, written] => {
                for index in 0..inner.size {
                    let value = self.factor * x[index * read];
                    let to = &mut y[index * written];
                    *to = if self.accumulates { *to + value } else { value };
                }
            }
        }
    }
}

/// Merges adjacent loops that are contiguous in both buffers.
fn merge_loops(loops: Vec<Loop>) -> Vec<Loop> {
    let mut merged: Vec<Loop> = Vec::with_capacity(loops.len());
    for inner in loops {
        match merged.last_mut() {
            Some(outer) if outer.steps == inner.steps.map(|step| step * inner.size) => {
                *outer = Loop { size: outer.size * inner.size, ..inner };
            }
            _ => merged.push(inner),
        }
    }
    merged
}

/// Copies contiguous elements.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn copy_contiguous(x: &[f32], y: &mut [f32], factor: f32, accumulates: bool) {
    match accumulates {
        true => y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x),
        false => y.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x),
    }
}
