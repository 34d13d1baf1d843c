//! Products of two matrices that are both computed, one for each of some leading indices.

use multiversion::multiversion;

use super::aligned::Aligned;
use super::arrange::{distance, first};
use super::build::Product;
use super::image::Image;
use super::tile::{Level, Tiles, fused, multiply};
use super::view::{Part, View};

/// How a matrix lies in a buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Matrix {
    pub first: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

/// A leading index, and its steps in the product and in what is multiplied.
#[derive(Clone, Copy, Debug)]
pub struct Leading {
    pub size: usize,
    pub steps: [usize; 3],
}

/// `y[l][i][j] = factor sum_k a[l][i][k] b[l][k][j]`.
#[derive(Clone, Debug)]
pub struct Multiply {
    /// `y`, `a` and `b`.
    matrices: [Matrix; 3],
    leading: Vec<Leading>,
    /// Of `i`, `k` and `j`.
    sizes: [usize; 3],
    factor: f32,
    adds: bool,
    /// Whether all of this is turned: `a` is the second matrix.
    turned: bool,
}

impl Matrix {
    /// The matrix with rows and columns exchanged.
    pub fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

impl Multiply {
    /// `own`, in pictures of the product and of what is multiplied.
    pub fn forward(own: &Product, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = places(own, images);
        Self::new([y, a, b], leading, own.sizes, own.factor(), false)
    }

    /// Adds the gradient with respect to the first matrix, `a' = y' b^T`, in pictures of the gradients
    /// `y'` and `a'`, and of `b`.
    pub fn left_gradient(own: &Product, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = places(own, images);
        let [rows, inner, columns] = own.sizes;
        let leading = leading.into_iter().map(|own| own.ordered([1, 0, 2])).collect();
        Self::new([a, y, b.turned()], leading, [rows, columns, inner], own.factor(), true)
    }

    /// Adds the gradient with respect to the second matrix, `b' = a^T y'`, in pictures of the gradient
    /// `y'`, of `a` and of the gradient `b'`.
    pub fn right_gradient(own: &Product, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = places(own, images);
        let [rows, inner, columns] = own.sizes;
        let leading = leading.into_iter().map(|own| own.ordered([2, 1, 0])).collect();
        Self::new([b, a.turned(), y], leading, [inner, rows, columns], own.factor(), true)
    }

    /// The product of the last two `matrices`, written to the first; with `adds` added to what is there.
    fn new(
        matrices: [Matrix; 3],
        leading: Vec<Leading>,
        sizes: [usize; 3],
        factor: f32,
        adds: bool,
    ) -> Self {
        let [y, a, b] = matrices;
        // The turned product is that of the turned matrices in the other order.
        if y.row == 1 && y.column != 1 {
            return Self {
                matrices: [y.turned(), b.turned(), a.turned()],
                leading: leading.into_iter().map(|own| own.ordered([0, 2, 1])).collect(),
                sizes: [sizes[2], sizes[1], sizes[0]],
                factor,
                adds,
                turned: true,
            };
        }
        Self { matrices, leading, sizes, factor, adds, turned: false }
    }

    /// Multiplications.
    pub fn operations(&self) -> usize {
        let leading: usize = self.leading.iter().map(|own| own.size).product();
        leading * self.sizes.iter().product::<usize>()
    }

    /// The product of `a` and `b`, written to `y`.
    pub fn run(&self, level: Level, a: &[f32], b: &[f32], y: &mut [f32], room: &mut Aligned) {
        let (a, b) = if self.turned { (b, a) } else { (a, b) };
        let firsts = self.matrices.map(|matrix| matrix.first);
        let [rows, inner, columns] = self.sizes;
        let wanted = inner * (columns.next_multiple_of(32) + rows);
        if room.len() < wanted {
            *room = Aligned::zeros(wanted);
        }
        self.over(&self.leading, firsts, &mut |firsts| {
            self.one(level, firsts, a, b, y, room);
        });
    }

    /// Calls `each` with where the matrices begin, for every leading index.
    fn over(&self, leading: &[Leading], at: [usize; 3], each: &mut impl FnMut([usize; 3])) {
        let Some((first, rest)) = leading.split_first() else { return each(at) };
        for index in 0..first.size {
            let mut at = at;
            at.iter_mut().zip(first.steps).for_each(|(at, step)| *at += index * step);
            self.over(rest, at, each);
        }
    }

    /// One product of two matrices.
    fn one(
        &self,
        level: Level,
        [to, left, right]: [usize; 3],
        a: &[f32],
        b: &[f32],
        y: &mut [f32],
        room: &mut [f32],
    ) {
        let [rows, inner, columns] = self.sizes;
        let [written, left_steps, right_steps] = self.matrices;
        let (packed, room) = room.split_at_mut(inner * columns.next_multiple_of(32));
        let mut panels = Vec::with_capacity(columns.div_ceil(16));
        let (mut column, mut at) = (0, 0);
        while column < columns {
            let lanes = level.lanes(columns - column);
            let own = Matrix { first: right + column * right_steps.column, ..right_steps };
            let count = lanes.min(columns - column);
            pack(b, own, inner, [count, lanes], &mut packed[at..at + inner * lanes]);
            panels.push((column, lanes, at));
            column += lanes;
            at += inner * lanes;
        }
        let (a, left) = match left_steps.row == 1 || left_steps.column == 1 {
            true => (a, Matrix { first: left, ..left_steps }),
            false => {
                for row in 0..rows {
                    for k in 0..inner {
                        room[row * inner + k] =
                            a[left + row * left_steps.row + k * left_steps.column];
                    }
                }
                (&*room, Matrix { first: 0, row: inner, column: 1 })
            }
        };
        let most = match level {
            Level::Avx512 => 12,
            Level::Avx2 => 6,
            Level::Plain => 4,
        };
        let tiles = Tiles::of(rows, most);
        for (column, lanes, at) in panels {
            let panel = &packed[at..at + inner * lanes];
            let mut row = 0;
            for tile in 0..tiles.count {
                let pixels = tiles.size(tile);
                let out = Out {
                    at: to + row * written.row + column * written.column,
                    matrix: written,
                    count: lanes.min(columns - column),
                    factor: self.factor,
                    adds: self.adds,
                };
                let left = Matrix { first: left.first + row * left.row, ..left };
                match (level, lanes) {
                    (Level::Avx512, 32) => wide(pixels, a, left, panel, y, &out),
                    (Level::Avx512, _) => narrow(pixels, a, left, panel, y, &out),
                    (Level::Avx2, _) => avx2(pixels, a, left, panel, y, &out),
                    (Level::Plain, _) => plain(pixels, a, left, panel, y, &out),
                }
                row += pixels;
            }
        }
    }
}

impl Leading {
    fn ordered(self, order: [usize; 3]) -> Self {
        Self { steps: order.map(|at| self.steps[at]), ..self }
    }
}

/// Where the matrices of a product lie in the pictures of `y`, `a` and `b`, and their leading indices.
fn places(own: &Product, [y, a, b]: [&Image; 3]) -> ([Matrix; 3], Vec<Leading>) {
    let matrix = |view: &View, image: &Image| {
        let step = |axis: &[Part]| match axis {
            [part, ..] => distance(image, part.along, part.step),
            [] => 1,
        };
        let [.., row, column] = &view.axes[..] else { return Matrix::default() };
        Matrix { first: first((view, image)), row: step(row), column: step(column) }
    };
    // The rows of all products lie one after the other.
    let made = Matrix { first: y.offset(0, 0), row: y.stride, column: 1 };
    let mut behind = own.sizes[0] * y.stride;
    let mut leading: Vec<Leading> = Vec::with_capacity(own.leading.len());
    for pair in own.leading.iter().rev() {
        let [(left, i), (right, j)] = pair.steps;
        leading.push(Leading {
            size: pair.size,
            steps: [behind, distance(a, left, i), distance(b, right, j)],
        });
        behind *= pair.size;
    }
    leading.reverse();
    ([made, matrix(&own.left, a), matrix(&own.right, b)], leading)
}

/// Where sums are written.
struct Out {
    at: usize,
    matrix: Matrix,
    /// The columns that there are.
    count: usize,
    factor: f32,
    adds: bool,
}

/// Copies `count` columns of a matrix to `[row][lanes]`, zeros behind them.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn pack(x: &[f32], matrix: Matrix, rows: usize, [count, lanes]: [usize; 2], to: &mut [f32]) {
    if matrix.column == 1 {
        for (row, to) in to.chunks_exact_mut(lanes).enumerate() {
            let from = &x[matrix.first + row * matrix.row..][..count];
            to[..count].copy_from_slice(from);
            to[count..].fill(0.0);
        }
        return;
    }
    if count < lanes {
        to.fill(0.0);
    }
    for lane in 0..count {
        let from = &x[matrix.first + lane * matrix.column..];
        match matrix.row {
            1 => {
                for (to, from) in to.chunks_exact_mut(lanes).zip(&from[..rows]) {
                    to[lane] = *from;
                }
            }
            step => {
                for (row, to) in to.chunks_exact_mut(lanes).enumerate() {
                    to[lane] = from[row * step];
                }
            }
        }
    }
}

/// A function that computes a tile of so many rows.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($rows:literal)*) => {
        fn $name(rows: usize, a: &[f32], left: Matrix, panel: &[f32], y: &mut [f32], out: &Out) {
            match rows {
                $($rows => tile::<$rows, $lanes, $fused>(a, left, panel, y, out),)*
                _ => {}
            }
        }
    };
}

tiles!(wide, 32, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(narrow, 16, true: 1 2 3 4 5 6 7 8 9 10 11 12);
tiles!(avx2, 16, true: 1 2 3 4 5 6);
tiles!(plain, 16, false: 1 2 3 4);

/// `N` rows times `W` columns.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn tile<const N: usize, const W: usize, const FUSED: bool>(
    a: &[f32],
    left: Matrix,
    panel: &[f32],
    y: &mut [f32],
    out: &Out,
) {
    let panel = panel.as_chunks::<W>().0;
    let mut sums = [[0f32; W]; N];
    if left.column == 1 {
        let rows: [&[f32]; N] =
            std::array::from_fn(|row| &a[left.first + row * left.row..][..panel.len()]);
        multiply::<N, W, FUSED>(rows, panel, &mut sums);
    } else {
        // The rows lie side by side.
        let mut own = sums;
        for (k, weights) in panel.iter().enumerate() {
            let values: [f32; N] = a[left.first + k * left.column..]
                .first_chunk()
                .copied()
                .expect("as many rows as the matrix has");
            let weights = *weights;
            for row in 0..N {
                for lane in 0..W {
                    own[row][lane] = fused::<FUSED>(values[row], weights[lane], own[row][lane]);
                }
            }
        }
        sums = own;
    }
    for (row, sums) in sums.iter().enumerate() {
        let at = out.at + row * out.matrix.row;
        if out.matrix.column == 1 {
            let to = &mut y[at..at + out.count];
            let each = to.iter_mut().zip(sums);
            match out.adds {
                true => each.for_each(|(to, sum)| *to += out.factor * sum),
                false => each.for_each(|(to, sum)| *to = out.factor * sum),
            }
        } else {
            for (lane, sum) in sums[..out.count].iter().enumerate() {
                let to = &mut y[at + lane * out.matrix.column];
                *to = if out.adds { *to } else { 0.0 } + out.factor * sum;
            }
        }
    }
}
