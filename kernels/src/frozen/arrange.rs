//! Moves the numbers of one view to where another has them.

use multiversion::multiversion;

use super::image::Image;
use super::view::{Along, Pair, View};

/// Loops over numbers of two buffers.
#[derive(Clone, Debug)]
pub struct Move {
    loops: Vec<Loop>,
    first: [usize; 2],
    factor: f32,
    adds: bool,
}

#[derive(Clone, Copy, Debug)]
struct Loop {
    size: usize,
    steps: [usize; 2],
}

/// A view, and the picture in which it lies.
pub type Seen<'a> = (&'a View, &'a Image);

/// The distance of two numbers that lie so far apart along an axis of `image`.
pub fn distance(image: &Image, along: Along, step: usize) -> usize {
    match along {
        Along::Sample => 0,
        Along::Row => step * image.row(),
        Along::Column => step * image.stride,
        Along::Channel => step,
    }
}

/// Where the first number of a view is.
pub fn first((view, image): Seen) -> usize {
    let [row, column, channel] = view.first;
    image.offset(row, column) + channel
}

impl Move {
    /// Goes through `pairs`, those of the two views.
    pub fn new(pairs: &[Pair], from: Seen, to: Seen) -> Self {
        let step = |pair: &Pair| Loop {
            size: pair.size,
            steps: [
                distance(from.1, pair.steps[0].0, pair.steps[0].1),
                distance(to.1, pair.steps[1].0, pair.steps[1].1),
            ],
        };
        let mut loops: Vec<Loop> = pairs.iter().map(step).collect();
        // What lies side by side is written last.
        if let Some(at) = loops.iter().position(|own| own.steps[1] == 1) {
            let inner = loops.remove(at);
            loops.push(inner);
        }
        let factor = from.0.factor / to.0.factor;
        Self { loops: joined(loops), first: [first(from), first(to)], factor, adds: false }
    }

    /// The gradient of it, which can add to what is there.
    pub fn gradient(pairs: &[Pair], from: Seen, to: Seen, adds: bool) -> Self {
        let turned: Vec<Pair> = pairs.iter().map(|pair| pair.turned()).collect();
        let factor = from.0.factor / to.0.factor;
        Self { adds, factor, ..Self::new(&turned, to, from) }
    }

    /// From `x` to `y`.
    pub fn run(&self, x: &[f32], y: &mut [f32]) {
        let [from, to] = self.first;
        match self.loops.split_last() {
            Some((inner, outer)) => self.over(outer, inner, [from, to], x, y),
            None => self.row(&Loop { size: 1, steps: [1, 1] }, [from, to], x, y),
        }
    }

    fn over(&self, loops: &[Loop], inner: &Loop, at: [usize; 2], x: &[f32], y: &mut [f32]) {
        let Some((first, rest)) = loops.split_first() else {
            return self.row(inner, at, x, y);
        };
        for index in 0..first.size {
            let at = [at[0] + index * first.steps[0], at[1] + index * first.steps[1]];
            self.over(rest, inner, at, x, y);
        }
    }

    fn row(&self, inner: &Loop, [from, to]: [usize; 2], x: &[f32], y: &mut [f32]) {
        let steps = inner.steps;
        let (x, y) = (&x[from..], &mut y[to..]);
        match steps {
            [1, 1] => run(&x[..inner.size], &mut y[..inner.size], self.factor, self.adds),
            [read, written] => {
                for index in 0..inner.size {
                    let own = self.factor * x[index * read];
                    let to = &mut y[index * written];
                    *to = if self.adds { *to + own } else { own };
                }
            }
        }
    }
}

/// The same loops, as few as can be.
fn joined(loops: Vec<Loop>) -> Vec<Loop> {
    let mut few: Vec<Loop> = Vec::with_capacity(loops.len());
    for inner in loops {
        match few.last_mut() {
            Some(outer) if outer.steps == inner.steps.map(|step| step * inner.size) => {
                *outer = Loop { size: outer.size * inner.size, ..inner };
            }
            _ => few.push(inner),
        }
    }
    few
}

/// Numbers that lie side by side.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn run(x: &[f32], y: &mut [f32], factor: f32, adds: bool) {
    match adds {
        true => y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x),
        false => y.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x),
    }
}
