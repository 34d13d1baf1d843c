//! Convolutions of 3 by 3 pixels by Winograd's algorithm F(4x4, 3x3): a quarter of the
//! multiplications. Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
//!
//! Four by four outputs read six by six inputs. Those are transformed, `V = B' d B`, the weights are,
//! `U = G g G'`, and at each of the 36 positions a product over the channels, `M = V U`, gives the
//! transformed outputs, `Y = A' M A`.
//!
//! The matrices belong to points at which polynomials are evaluated. With 0, 1, -1, 2, -2 and infinity,
//! as they are printed, rounding errors are four to five times those of the sums by definition; with 5/8
//! and 3/2 in place of 1 and 2, twice. Barabasz, Anderson, Soodhalter and Gregg, Error Analysis and
//! Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2020, say why.

use std::sync::{Arc, OnceLock};

use multiversion::multiversion;
use rayon::prelude::*;

use super::aligned::Aligned;
use super::finish::{Finish, Outs, Places, lanes, lanes_mut};
use super::image::{Image, LANES};
use super::pack::{Block, Packed, made};
use super::sweep::Sweep;
use super::tile::{Level, Tiles, fused, multiply};

/// Outputs to each side of a tile.
const SIDE: usize = 4;
/// Inputs to each side of a tile.
const READ: usize = 6;
const POSITIONS: usize = READ * READ;
/// The lines of a cache would otherwise all lie in one set.
const GAP: usize = LANES;

/// A lane of a picture's channels.
type Lanes = [f32; LANES];

/// A convolution in one direction, of which the direct algorithm is `direct`.
#[derive(Debug)]
pub struct Winograd {
    direct: Arc<Packed>,
    /// The first tap, relative to the output's pixel.
    first: [isize; 2],
    /// The transformed weights, `[position][input][lane]` in each block, when they are read first.
    blocks: OnceLock<Vec<Block>>,
}

impl Winograd {
    /// The same convolution, of a picture of `rows` times `columns`, where the algorithm computes it and
    /// is faster.
    pub fn of(direct: &Arc<Packed>, rows: usize, columns: usize) -> Option<Self> {
        let [phase] = &direct.phases[..] else { return None };
        let first = [0, 1].map(|axis| phase.taps.iter().map(|tap| tap[axis]).min());
        let [Some(top), Some(left)] = first else { return None };
        let square = (0..9).map(|at| [top + at / 3, left + at % 3]);
        let whole = phase.step == [1, 1]
            && phase.reads == [1, 1]
            && phase.taps.len() == 9
            && square.clone().all(|tap| phase.taps.contains(&tap));
        let worth = direct.is_whole()
            && !direct.exact
            && direct.inputs >= LANES
            && direct.outputs >= LANES
            && tiles(rows) * tiles(columns) >= FEWEST
            && 4 * POSITIONS * direct.inputs * direct.outputs <= LARGEST;
        let blocks = OnceLock::new();
        (whole && worth).then(|| Self { direct: Arc::clone(direct), first: [top, left], blocks })
    }

    /// The transformed weights.
    pub fn blocks(&self) -> &[Block] {
        made(&self.blocks, || self.transformed())
    }

    fn transformed(&self) -> Vec<Block> {
        let direct = self.direct.read();
        let taps = &self.direct.phases[0].taps;
        let place = |tap: &[isize; 2]| (tap[0] - self.first[0]) * 3 + tap[1] - self.first[1];
        let places: Vec<usize> = taps.iter().map(|tap| place(tap) as usize).collect();
        let transform = |block: &Block| {
            let each = self.direct.inputs * block.lanes;
            let mut weights = Aligned::zeros(POSITIONS * each);
            for at in 0..each {
                let mut kernel = [[0f64; 3]; 3];
                for (tap, &place) in places.iter().enumerate() {
                    kernel[place / 3][place % 3] = block.weights[tap * each + at].into();
                }
                let half = kernel.map(weight);
                for column in 0..READ {
                    let values = weight([0, 1, 2].map(|row| half[row][column]));
                    for (row, value) in values.iter().enumerate() {
                        weights[(row * READ + column) * each + at] = *value as f32;
                    }
                }
            }
            Block { weights, ..*block }
        };
        direct[0].blocks.par_iter().map(transform).collect()
    }
}

/// Tiles along an axis.
fn tiles(size: usize) -> usize {
    size.div_ceil(SIDE)
}

/// The fewest tiles for which reading the transformed weights is worth while.
const FEWEST: usize = 9;
/// The most bytes of transformed weights.
const LARGEST: usize = 64 << 20;
/// The bytes of transformed inputs and outputs that are held at once, where that leaves enough tiles.
const CACHE: usize = 400 << 10;
/// The fewest tiles that are held at once, if there are so many.
const ENOUGH: usize = 48;

/// The points are 0, these two, their negatives, and infinity. All constants that follow are exact.
const POINTS: [f32; 2] = [0.625, 1.5];
/// Their squares, the sum and the product of these, and their cubes.
const SQUARES: [f32; 2] = [POINTS[0] * POINTS[0], POINTS[1] * POINTS[1]];
const SUM: f32 = SQUARES[0] + SQUARES[1];
const PRODUCT: f32 = SQUARES[0] * SQUARES[1];
const CUBES: [f32; 2] = [POINTS[0] * SQUARES[0], POINTS[1] * SQUARES[1]];

/// `G` times a column: a polynomial's value at each point, over the product of the point's distances
/// from the others.
fn weight([a, b, c]: [f64; 3]) -> [f64; READ] {
    let [p, q] = POINTS.map(f64::from);
    let at = |x: f64, scale: f64| (a + b * x + c * x * x) / scale;
    let (first, second) = (2.0 * p * p * (p * p - q * q), 2.0 * q * q * (q * q - p * p));
    [at(0.0, p * p * q * q), at(p, first), at(-p, first), at(q, second), at(-q, second), c]
}

/// `B'` times a column, in every lane.
#[inline(always)]
fn input<const FUSED: bool>(d: [&Lanes; READ]) -> [Lanes; READ] {
    let mut to = [[0f32; LANES]; READ];
    for lane in 0..LANES {
        let (a, b, c) = (d[0][lane], d[1][lane], d[2][lane]);
        let (d, e, f) = (d[3][lane], d[4][lane], d[5][lane]);
        to[0][lane] = fused::<FUSED>(PRODUCT, a, fused::<FUSED>(-SUM, c, e));
        for point in 0..2 {
            let other = SQUARES[1 - point];
            let even = fused::<FUSED>(-other, c, e);
            let odd = fused::<FUSED>(-other, b, d);
            to[1 + 2 * point][lane] = fused::<FUSED>(POINTS[point], odd, even);
            to[2 + 2 * point][lane] = fused::<FUSED>(-POINTS[point], odd, even);
        }
        to[5][lane] = fused::<FUSED>(PRODUCT, b, fused::<FUSED>(-SUM, d, f));
    }
    to
}

/// `A'` times a column, in every lane.
#[inline(always)]
fn output<const FUSED: bool>(m: [&Lanes; READ]) -> [Lanes; SIDE] {
    let mut to = [[0f32; LANES]; SIDE];
    for lane in 0..LANES {
        let (a, b, c) = (m[0][lane], m[1][lane], m[2][lane]);
        let (d, e, f) = (m[3][lane], m[4][lane], m[5][lane]);
        let (sums, differences) = ([b + c, d + e], [b - c, d - e]);
        let both = |[p, q]: [f32; 2], [x, y]: [f32; 2], z: f32| {
            fused::<FUSED>(p, x, fused::<FUSED>(q, y, z))
        };
        to[0][lane] = a + sums[0] + sums[1];
        to[1][lane] = both(POINTS, differences, 0.0);
        to[2][lane] = both(SQUARES, sums, 0.0);
        to[3][lane] = both(CUBES, differences, f);
    }
    to
}

/// Some tiles, one after the other in rows.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
    /// The tiles of a row.
    across: usize,
}

impl Part {
    /// The row and the column of each tile.
    fn places(self) -> impl Iterator<Item = [usize; 2]> {
        (self.first..self.first + self.count).map(move |at| [at / self.across, at % self.across])
    }
}

/// `x`, which lies like `from`, convolved at every pixel of the sweep.
#[allow(clippy::too_many_arguments)]
pub fn convolve(
    level: Level,
    x: &[f32],
    from: &Image,
    sweep: &Sweep,
    own: &Winograd,
    room: &mut Aligned,
    mut outs: Outs,
    finish: &Finish,
) {
    let (down, across) = (tiles(sweep.rows), tiles(sweep.columns));
    let all = down * across;
    let (inputs, outputs) = (own.direct.inputs, own.direct.outputs);
    let (read, made) = (inputs.next_multiple_of(LANES), outputs.next_multiple_of(LANES));
    let fits = CACHE / (4 * POSITIONS * (read + made));
    // Parts of about the same size.
    let parts = all.div_ceil(fits.max(ENOUGH)).max(1);
    let at_once = all.div_ceil(parts);
    let (each, sums) = (at_once * read + GAP, at_once * made + GAP);
    if room.len() < POSITIONS * (each + sums) {
        *room = Aligned::zeros(POSITIONS * (each + sums));
    }
    let (values, products) = room.split_at_mut(POSITIONS * each);
    for first in (0..all).step_by(at_once) {
        let part = Part { first, count: at_once.min(all - first), across };
        match level {
            Level::Plain => gather::<false>(x, from, own.first, part, values, each, read),
            _ => gather::<true>(x, from, own.first, part, values, each, read),
        }
        let positions = values.chunks_exact(each).zip(products.chunks_exact_mut(sums));
        for (position, (values, products)) in positions.take(POSITIONS).enumerate() {
            for block in own.blocks() {
                let rows = Rows { values, read, inputs, count: part.count };
                product(level, rows, block, position, products, made);
            }
        }
        match level {
            Level::Plain => {
                scatter::<false>(products, sums, made, sweep, part, &mut outs, finish);
            }
            _ => scatter::<true>(products, sums, made, sweep, part, &mut outs, finish),
        }
    }
}

/// Transforms the inputs of some tiles: `to[position][tile][channel]`.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn gather<const FUSED: bool>(
    x: &[f32],
    from: &Image,
    first: [isize; 2],
    part: Part,
    to: &mut [f32],
    each: usize,
    read: usize,
) {
    for (tile, [down, right]) in part.places().enumerate() {
        let top = (SIDE * down) as isize + first[0];
        let left = (SIDE * right) as isize + first[1];
        let inside = |at: isize, size: usize| at >= 0 && at as usize + READ <= size;
        let whole = inside(top, from.height) && inside(left, from.width);
        for channel in (0..read).step_by(LANES) {
            let to = &mut to[tile * read + channel..];
            if whole {
                let start = from.offset(top as usize, left as usize) + channel;
                transform::<FUSED>(&x[start..], from.row(), from.stride, to, each);
            } else {
                let pixels = edge(x, from, [top, left], channel);
                transform::<FUSED>(pixels.as_flattened(), READ * LANES, LANES, to, each);
            }
        }
    }
}

/// The pixels of a tile that reaches beyond the picture, where there are zeros.
fn edge(x: &[f32], from: &Image, [top, left]: [isize; 2], channel: usize) -> [Lanes; POSITIONS] {
    let inside = |at: isize, size: usize| (0..size as isize).contains(&at).then_some(at as usize);
    let mut pixels = [[0f32; LANES]; POSITIONS];
    for (at, pixel) in pixels.iter_mut().enumerate() {
        let y = inside(top + (at / READ) as isize, from.height);
        let column = inside(left + (at % READ) as isize, from.width);
        if let (Some(y), Some(column)) = (y, column) {
            *pixel = *lanes(x, from.offset(y, column) + channel);
        }
    }
    pixels
}

/// `B' d B`: six by six pixels, from one row and from one pixel to the next so many numbers; the
/// results lie `each` numbers apart.
#[inline(always)]
fn transform<const FUSED: bool>(x: &[f32], row: usize, stride: usize, to: &mut [f32], each: usize) {
    let mut half = [[[0f32; LANES]; READ]; READ];
    for j in 0..READ {
        let at = |i: usize| lanes::<f32, LANES>(x, i * row + j * stride);
        let column = input::<FUSED>([at(0), at(1), at(2), at(3), at(4), at(5)]);
        for (half, values) in half.iter_mut().zip(column) {
            half[j] = values;
        }
    }
    for (i, [a, b, c, d, e, f]) in half.iter().enumerate() {
        let values = input::<FUSED>([a, b, c, d, e, f]);
        for (j, values) in values.iter().enumerate() {
            *lanes_mut(to, (i * READ + j) * each) = *values;
        }
    }
}

/// Transforms the products of some tiles back and finishes the outputs.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn scatter<const FUSED: bool>(
    products: &[f32],
    sums: usize,
    made: usize,
    sweep: &Sweep,
    part: Part,
    outs: &mut Outs,
    finish: &Finish,
) {
    for (tile, [down, right]) in part.places().enumerate() {
        let (top, left) = (SIDE * down, SIDE * right);
        let (rows, columns) = (SIDE.min(sweep.rows - top), SIDE.min(sweep.columns - left));
        for channel in (0..made).step_by(LANES) {
            let products = &products[tile * made + channel..];
            let mut half = [[[0f32; LANES]; READ]; SIDE];
            for j in 0..READ {
                let at = |i: usize| lanes::<f32, LANES>(products, (i * READ + j) * sums);
                let column = output::<FUSED>([at(0), at(1), at(2), at(3), at(4), at(5)]);
                for (half, values) in half.iter_mut().zip(column) {
                    half[j] = values;
                }
            }
            for (i, [a, b, c, d, e, f]) in half.iter().enumerate().take(rows) {
                let mut row = output::<FUSED>([a, b, c, d, e, f]);
                let mut at = sweep.pixel(top + i, left);
                if columns == SIDE {
                    let (places, _) = Places::<SIDE>::next(sweep, &mut at);
                    finish.apply::<SIDE, LANES, FUSED>(&mut row, &places, channel, outs);
                    continue;
                }
                for values in &row[..columns] {
                    let (places, _) = Places::<1>::next(sweep, &mut at);
                    finish.apply::<1, LANES, FUSED>(&mut [*values], &places, channel, outs);
                }
            }
        }
    }
}

/// Rows of transformed inputs at one position.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    /// From one row to the next.
    read: usize,
    inputs: usize,
    count: usize,
}

/// The rows times one block of weights.
fn product(level: Level, rows: Rows, block: &Block, position: usize, to: &mut [f32], made: usize) {
    match (level, block.lanes) {
        (Level::Avx512, 32) => wide(rows, block, position, to, made),
        (Level::Avx512, _) => narrow(rows, block, position, to, made),
        (Level::Avx2, _) => avx2(rows, block, position, to, made),
        (Level::Plain, _) => plain(rows, block, position, to, made),
    }
}

/// A function that multiplies all rows, at most `$most` at once.
macro_rules! products {
    ($name:ident, $lanes:literal, $fused:literal, $most:literal: $($pixels:literal)*) => {
        fn $name(rows: Rows, block: &Block, position: usize, to: &mut [f32], made: usize) {
            let (weights, _) = block.weights.as_chunks::<$lanes>();
            let weights = &weights[position * rows.inputs..][..rows.inputs];
            let tiles = Tiles::of(rows.count, $most);
            let mut first = 0;
            for tile in 0..tiles.count {
                let count = tiles.size(tile);
                match count {
                    $($pixels => some::<$pixels, $lanes, $fused>(
                        rows, first, weights, to, made, block.output,
                    ),)*
                    _ => {}
                }
                first += count;
            }
        }
    };
}

products!(wide, 32, true, 12: 1 2 3 4 5 6 7 8 9 10 11 12);
products!(narrow, 16, true, 12: 1 2 3 4 5 6 7 8 9 10 11 12);
products!(avx2, 16, true, 6: 1 2 3 4 5 6);
products!(plain, 16, false, 4: 1 2 3 4);

/// `N` rows times `W` outputs, in registers.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn some<const N: usize, const W: usize, const FUSED: bool>(
    rows: Rows,
    first: usize,
    weights: &[[f32; W]],
    to: &mut [f32],
    made: usize,
    output: usize,
) {
    let own: [&[f32]; N] =
        std::array::from_fn(|row| &rows.values[(first + row) * rows.read..][..rows.inputs]);
    let mut sums = [[0f32; W]; N];
    multiply::<N, W, FUSED>(own, weights, &mut sums);
    for (row, sums) in sums.iter().enumerate() {
        let at = (first + row) * made + output;
        // The last block may be wider than what is left.
        let width = W.min(made - output);
        to[at..at + width].copy_from_slice(&sums[..width]);
    }
}
