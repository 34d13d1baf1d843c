//! Batched matrix products of two computed operands, as in attention.

use multiversion::multiversion;

use super::aligned::AlignedBuffer;
use super::build::MatMulViews;
use super::fma::fused;
use super::image::Image;
use super::strided_copy::{base_offset, distance};
use super::tile::{Level, TileSplit, multiply};
use super::view::{SubAxis, View};

/// The layout of a matrix in a buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatrixLayout {
    /// The offset of the first element.
    pub first: usize,
    /// The distance from one row to the next.
    pub row: usize,
    /// The distance from one column to the next.
    pub column: usize,
}

/// The loop over one leading (batch) axis, with its steps in the product and in the two operands.
#[derive(Clone, Copy, Debug)]
pub struct BatchLoop {
    pub size: usize,
    pub steps: [usize; 3],
}

/// The product `y[l][i][j] = factor sum_k a[l][i][k] b[l][k][j]`.
#[derive(Clone, Debug)]
pub struct MatMul {
    /// The layouts of `y`, `a` and `b`.
    matrices: [MatrixLayout; 3],
    leading: Vec<BatchLoop>,
    /// The sizes of `i`, `k` and `j`.
    sizes: [usize; 3],
    factor: f32,
    accumulates: bool,
    /// Whether the transposed product `y^T = b^T a^T` is computed; the operands are then exchanged.
    transposed: bool,
}

impl MatrixLayout {
    /// Returns the layout of the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

impl MatMul {
    /// Returns the product `own`; `images` are the layouts of `y`, `a` and `b`.
    pub fn forward(views: &MatMulViews, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = layouts(views, images);
        Self::new([y, a, b], leading, views.sizes, views.factor(), false)
    }

    /// Returns the gradient with respect to the first operand, `a' += y' b^T`; `images` are the layouts of
    /// `y'`, `a'` and `b`.
    pub fn left_gradient(views: &MatMulViews, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = layouts(views, images);
        let [rows, inner, columns] = views.sizes;
        let leading =
            leading.into_iter().map(|batch_loop| batch_loop.reordered([1, 0, 2])).collect();
        Self::new([a, y, b.transposed()], leading, [rows, columns, inner], views.factor(), true)
    }

    /// Returns the gradient with respect to the second operand, `b' += a^T y'`; `images` are the layouts of
    /// `y'`, `a` and `b'`.
    pub fn right_gradient(views: &MatMulViews, images: [&Image; 3]) -> Self {
        let ([y, a, b], leading) = layouts(views, images);
        let [rows, inner, columns] = views.sizes;
        let leading =
            leading.into_iter().map(|batch_loop| batch_loop.reordered([2, 1, 0])).collect();
        Self::new([b, a.transposed(), y], leading, [inner, rows, columns], views.factor(), true)
    }

    /// Returns the product of the last two `matrices`, which is written to the first, or added to it with
    /// `accumulates`.
    fn new(
        matrices: [MatrixLayout; 3],
        leading: Vec<BatchLoop>,
        sizes: [usize; 3],
        factor: f32,
        accumulates: bool,
    ) -> Self {
        let [y, a, b] = matrices;
        // The micro-kernel writes rows: if the columns of `y` are contiguous, compute y^T = b^T a^T.
        if y.row == 1 && y.column != 1 {
            return Self {
                matrices: [y.transposed(), b.transposed(), a.transposed()],
                leading: leading
                    .into_iter()
                    .map(|batch_loop| batch_loop.reordered([0, 2, 1]))
                    .collect(),
                sizes: [sizes[2], sizes[1], sizes[0]],
                factor,
                accumulates,
                transposed: true,
            };
        }
        Self { matrices, leading, sizes, factor, accumulates, transposed: false }
    }

    /// The number of multiplications.
    pub fn operations(&self) -> usize {
        let leading: usize = self.leading.iter().map(|batch_loop| batch_loop.size).product();
        leading * self.sizes.iter().product::<usize>()
    }

    /// Computes the product of `a` and `b` into `y`.
    pub fn run(
        &self,
        level: Level,
        a: &[f32],
        b: &[f32],
        y: &mut [f32],
        workspace: &mut AlignedBuffer,
    ) {
        let (a, b) = if self.transposed { (b, a) } else { (a, b) };
        let offsets = self.matrices.map(|matrix| matrix.first);
        let [rows, inner, columns] = self.sizes;
        let required = inner * (columns.next_multiple_of(32) + rows);
        if workspace.len() < required {
            *workspace = AlignedBuffer::zeros(required);
        }
        self.for_each_matrix(&self.leading, offsets, &mut |offsets| {
            self.multiply_one(level, offsets, a, b, y, workspace);
        });
    }

    /// Calls `each` for every combination of leading indices with the offsets of the three matrices.
    fn for_each_matrix(
        &self,
        leading: &[BatchLoop],
        at: [usize; 3],
        each: &mut impl FnMut([usize; 3]),
    ) {
        let Some((first, rest)) = leading.split_first() else { return each(at) };
        for index in 0..first.size {
            let mut at = at;
            at.iter_mut().zip(first.steps).for_each(|(at, step)| *at += index * step);
            self.for_each_matrix(rest, at, each);
        }
    }

    /// Computes one matrix product.
    fn multiply_one(
        &self,
        level: Level,
        [to, left, right]: [usize; 3],
        a: &[f32],
        b: &[f32],
        y: &mut [f32],
        workspace: &mut [f32],
    ) {
        let [rows, inner, columns] = self.sizes;
        let [output_layout, left_steps, right_steps] = self.matrices;
        let (packed, workspace) = workspace.split_at_mut(inner * columns.next_multiple_of(32));
        let mut panels = Vec::with_capacity(columns.div_ceil(16));
        let (mut column, mut at) = (0, 0);
        while column < columns {
            let lanes = level.lanes(columns - column);
            let columns_layout =
                MatrixLayout { first: right + column * right_steps.column, ..right_steps };
            let count = lanes.min(columns - column);
            pack_panel(
                b,
                columns_layout,
                inner,
                [count, lanes],
                &mut packed[at..at + inner * lanes],
            );
            panels.push((column, lanes, at));
            column += lanes;
            at += inner * lanes;
        }
        let (a, left) = match left_steps.row == 1 || left_steps.column == 1 {
            true => (a, MatrixLayout { first: left, ..left_steps }),
            false => {
                for row in 0..rows {
                    for k in 0..inner {
                        workspace[row * inner + k] =
                            a[left + row * left_steps.row + k * left_steps.column];
                    }
                }
                (&*workspace, MatrixLayout { first: 0, row: inner, column: 1 })
            }
        };
        let max_rows = match level {
            Level::Avx512 => 12,
            Level::Avx2 => 6,
            Level::Plain => 4,
        };
        let tiles = TileSplit::new(rows, max_rows);
        for (column, lanes, at) in panels {
            let panel = &packed[at..at + inner * lanes];
            let mut row = 0;
            for tile in 0..tiles.count {
                let tile_rows = tiles.size(tile);
                let out = OutputTile {
                    at: to + row * output_layout.row + column * output_layout.column,
                    matrix: output_layout,
                    count: lanes.min(columns - column),
                    factor: self.factor,
                    accumulates: self.accumulates,
                };
                let left = MatrixLayout { first: left.first + row * left.row, ..left };
                match (level, lanes) {
                    (Level::Avx512, 32) => wide(tile_rows, a, left, panel, y, &out),
                    (Level::Avx512, _) => narrow(tile_rows, a, left, panel, y, &out),
                    (Level::Avx2, _) => avx2(tile_rows, a, left, panel, y, &out),
                    (Level::Plain, _) => plain(tile_rows, a, left, panel, y, &out),
                }
                row += tile_rows;
            }
        }
    }
}

impl BatchLoop {
    fn reordered(self, order: [usize; 3]) -> Self {
        Self { steps: order.map(|at| self.steps[at]), ..self }
    }
}

/// The layouts of the matrices `y`, `a` and `b` in their images, and the loops over the leading axes.
fn layouts(views: &MatMulViews, [y, a, b]: [&Image; 3]) -> ([MatrixLayout; 3], Vec<BatchLoop>) {
    let matrix = |view: &View, image: &Image| {
        let step = |axis: &[SubAxis]| match axis {
            [part, ..] => distance(image, part.along, part.step),
            [] => 1,
        };
        let [.., row, column] = &view.axes[..] else { return MatrixLayout::default() };
        MatrixLayout { first: base_offset((view, image)), row: step(row), column: step(column) }
    };
    // The rows of all products are contiguous pixels of one image.
    let product = MatrixLayout { first: y.offset(0, 0), row: y.stride, column: 1 };
    let mut product_step = views.sizes[0] * y.stride;
    let mut leading: Vec<BatchLoop> = Vec::with_capacity(views.leading.len());
    for joint in views.leading.iter().rev() {
        let [(left, i), (right, j)] = joint.steps;
        leading.push(BatchLoop {
            size: joint.size,
            steps: [product_step, distance(a, left, i), distance(b, right, j)],
        });
        product_step *= joint.size;
    }
    leading.reverse();
    ([product, matrix(&views.left, a), matrix(&views.right, b)], leading)
}

/// The destination of a register tile.
struct OutputTile {
    /// The offset of the first element.
    at: usize,
    matrix: MatrixLayout,
    /// The number of columns that are written; the others are padding.
    count: usize,
    factor: f32,
    accumulates: bool,
}

/// Packs `count` columns of a matrix as a panel `[row][lanes]`, padded with zeros.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn pack_panel(
    x: &[f32],
    matrix: MatrixLayout,
    rows: usize,
    [count, lanes]: [usize; 2],
    to: &mut [f32],
) {
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

/// Defines a function that computes a tile of `rows` rows.
macro_rules! tiles {
    ($name:ident, $lanes:literal, $fused:literal: $($rows:literal)*) => {
        fn $name(
            rows: usize,
            a: &[f32],
            left: MatrixLayout,
            panel: &[f32],
            y: &mut [f32],
            out: &OutputTile,
        ) {
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

/// Computes a register tile of `N` rows by `W` columns.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn tile<const N: usize, const W: usize, const FUSED: bool>(
    a: &[f32],
    left: MatrixLayout,
    panel: &[f32],
    y: &mut [f32],
    out: &OutputTile,
) {
    let panel = panel.as_chunks::<W>().0;
    let mut sums = [[0f32; W]; N];
    if left.column == 1 {
        let rows: [&[f32]; N] =
            std::array::from_fn(|row| &a[left.first + row * left.row..][..panel.len()]);
        multiply::<N, W, FUSED>(rows, panel, &mut sums);
    } else {
        // The columns of `a` are contiguous: one load per `k` reads a value of each row.
        let mut accumulators = sums;
        for (k, weights) in panel.iter().enumerate() {
            let values: [f32; N] = a[left.first + k * left.column..]
                .first_chunk()
                .copied()
                .expect("the tile has no more rows than the matrix");
            let weights = *weights;
            for row in 0..N {
                for lane in 0..W {
                    accumulators[row][lane] =
                        fused::<FUSED>(values[row], weights[lane], accumulators[row][lane]);
                }
            }
        }
        sums = accumulators;
    }
    for (row, sums) in sums.iter().enumerate() {
        let at = out.at + row * out.matrix.row;
        if out.matrix.column == 1 {
            let to = &mut y[at..at + out.count];
            let each = to.iter_mut().zip(sums);
            match out.accumulates {
                true => each.for_each(|(to, sum)| *to += out.factor * sum),
                false => each.for_each(|(to, sum)| *to = out.factor * sum),
            }
        } else {
            for (lane, sum) in sums[..out.count].iter().enumerate() {
                let to = &mut y[at + lane * out.matrix.column];
                *to = if out.accumulates { *to } else { 0.0 } + out.factor * sum;
            }
        }
    }
}
