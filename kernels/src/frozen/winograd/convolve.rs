//! The convolution: ranges of tiles are transformed, multiplied and transformed back.

use multiversion::multiversion;

use super::super::aligned::AlignedBuffer;
use super::super::epilogue::{Destinations, Epilogue, PixelOffsets, lanes, lanes_mut};
use super::super::image::{Image, LANES};
use super::super::pixel_loop::PixelLoop;
use super::super::tile::Level;
use super::product::{InputRows, multiply_panel};
use super::transform::{
    INPUT_TILE, Lanes, OUTPUT_TILE, POSITIONS, transform_input, transform_output,
};
use super::weights::{Winograd, tiles};

/// Padding between positions in the workspace. Without padding, the positions of a tile would map to the same
/// cache set.
const POSITION_PADDING: usize = LANES;
/// The size of the transformed inputs and outputs that are held at a time, in bytes, unless that leaves fewer
/// than [`MIN_TILES_PER_RANGE`] tiles.
const CACHE_BYTES: usize = 400 << 10;
/// The minimum number of tiles that are transformed at a time, if the image has that many.
const MIN_TILES_PER_RANGE: usize = 48;

/// Consecutive tiles in row-major order.
#[derive(Clone, Copy)]
struct TileRange {
    first: usize,
    count: usize,
    /// The number of tiles per row.
    across: usize,
}

impl TileRange {
    /// The row and the column of each tile.
    fn coordinates(self) -> impl Iterator<Item = [usize; 2]> {
        (self.first..self.first + self.count).map(move |at| [at / self.across, at % self.across])
    }
}

/// Convolves `x`, with the layout `from`, at every pixel of the loop.
#[allow(clippy::too_many_arguments)]
pub fn convolve(
    level: Level,
    x: &[f32],
    from: &Image,
    pixel_loop: &PixelLoop,
    winograd: &Winograd,
    workspace: &mut AlignedBuffer,
    mut destinations: Destinations,
    epilogue: &Epilogue,
) {
    let (down, across) = (tiles(pixel_loop.rows), tiles(pixel_loop.columns));
    let all = down * across;
    let (inputs, outputs) = (winograd.direct.inputs, winograd.direct.outputs);
    let (input_stride, output_stride) =
        (inputs.next_multiple_of(LANES), outputs.next_multiple_of(LANES));
    let fits = CACHE_BYTES / (4 * POSITIONS * (input_stride + output_stride));
    // Ranges of about the same size.
    let ranges = all.div_ceil(fits.max(MIN_TILES_PER_RANGE)).max(1);
    let tiles_per_range = all.div_ceil(ranges);
    let (input_position_stride, output_position_stride) = (
        tiles_per_range * input_stride + POSITION_PADDING,
        tiles_per_range * output_stride + POSITION_PADDING,
    );
    if workspace.len() < POSITIONS * (input_position_stride + output_position_stride) {
        *workspace =
            AlignedBuffer::zeros(POSITIONS * (input_position_stride + output_position_stride));
    }
    let (values, products) = workspace.split_at_mut(POSITIONS * input_position_stride);
    for first in (0..all).step_by(tiles_per_range) {
        let range = TileRange { first, count: tiles_per_range.min(all - first), across };
        match level {
            Level::Plain => transform_inputs::<false>(
                x,
                from,
                winograd.first,
                range,
                values,
                input_position_stride,
                input_stride,
            ),
            _ => transform_inputs::<true>(
                x,
                from,
                winograd.first,
                range,
                values,
                input_position_stride,
                input_stride,
            ),
        }
        let positions = values
            .chunks_exact(input_position_stride)
            .zip(products.chunks_exact_mut(output_position_stride));
        for (position, (values, products)) in positions.take(POSITIONS).enumerate() {
            for panel in winograd.panels() {
                let rows = InputRows { values, input_stride, inputs, count: range.count };
                multiply_panel(level, rows, panel, position, products, output_stride);
            }
        }
        match level {
            Level::Plain => {
                transform_outputs::<false>(
                    products,
                    output_position_stride,
                    output_stride,
                    pixel_loop,
                    range,
                    &mut destinations,
                    epilogue,
                );
            }
            _ => transform_outputs::<true>(
                products,
                output_position_stride,
                output_stride,
                pixel_loop,
                range,
                &mut destinations,
                epilogue,
            ),
        }
    }
}

/// Transforms the inputs of a range of tiles, into `to[position][tile][channel]`.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn transform_inputs<const FUSED: bool>(
    x: &[f32],
    from: &Image,
    first: [isize; 2],
    range: TileRange,
    to: &mut [f32],
    position_stride: usize,
    input_stride: usize,
) {
    for (tile, [down, right]) in range.coordinates().enumerate() {
        let top = (OUTPUT_TILE * down) as isize + first[0];
        let left = (OUTPUT_TILE * right) as isize + first[1];
        let inside = |at: isize, size: usize| at >= 0 && at as usize + INPUT_TILE <= size;
        let whole = inside(top, from.height) && inside(left, from.width);
        for channel in (0..input_stride).step_by(LANES) {
            let to = &mut to[tile * input_stride + channel..];
            if whole {
                let start = from.offset(top as usize, left as usize) + channel;
                transform_tile::<FUSED>(&x[start..], from.row(), from.stride, to, position_stride);
            } else {
                let pixels = edge(x, from, [top, left], channel);
                transform_tile::<FUSED>(
                    pixels.as_flattened(),
                    INPUT_TILE * LANES,
                    LANES,
                    to,
                    position_stride,
                );
            }
        }
    }
}

/// The pixels of a tile that extends beyond the image, padded with zeros.
fn edge(x: &[f32], from: &Image, [top, left]: [isize; 2], channel: usize) -> [Lanes; POSITIONS] {
    let inside = |at: isize, size: usize| (0..size as isize).contains(&at).then_some(at as usize);
    let mut pixels = [[0f32; LANES]; POSITIONS];
    for (at, pixel) in pixels.iter_mut().enumerate() {
        let y = inside(top + (at / INPUT_TILE) as isize, from.height);
        let column = inside(left + (at % INPUT_TILE) as isize, from.width);
        if let (Some(y), Some(column)) = (y, column) {
            *pixel = *lanes(x, from.offset(y, column) + channel);
        }
    }
    pixels
}

/// Computes `B' d B` for 6 by 6 pixels; `row` and `stride` are the distances between rows and pixels, and
/// `position_stride` is the distance between the results.
#[inline(always)]
fn transform_tile<const FUSED: bool>(
    x: &[f32],
    row: usize,
    stride: usize,
    to: &mut [f32],
    position_stride: usize,
) {
    let mut half = [[[0f32; LANES]; INPUT_TILE]; INPUT_TILE];
    for j in 0..INPUT_TILE {
        let at = |i: usize| lanes::<f32, LANES>(x, i * row + j * stride);
        let column = transform_input::<FUSED>([at(0), at(1), at(2), at(3), at(4), at(5)]);
        for (half, values) in half.iter_mut().zip(column) {
            half[j] = values;
        }
    }
    for (i, [a, b, c, d, e, f]) in half.iter().enumerate() {
        let values = transform_input::<FUSED>([a, b, c, d, e, f]);
        for (j, values) in values.iter().enumerate() {
            *lanes_mut(to, (i * INPUT_TILE + j) * position_stride) = *values;
        }
    }
}

/// Transforms the products of a range of tiles back, applies the epilogue and writes the outputs.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn transform_outputs<const FUSED: bool>(
    products: &[f32],
    position_stride: usize,
    output_stride: usize,
    pixel_loop: &PixelLoop,
    range: TileRange,
    destinations: &mut Destinations,
    epilogue: &Epilogue,
) {
    for (tile, [down, right]) in range.coordinates().enumerate() {
        let (top, left) = (OUTPUT_TILE * down, OUTPUT_TILE * right);
        let (rows, columns) =
            (OUTPUT_TILE.min(pixel_loop.rows - top), OUTPUT_TILE.min(pixel_loop.columns - left));
        for channel in (0..output_stride).step_by(LANES) {
            let products = &products[tile * output_stride + channel..];
            let mut half = [[[0f32; LANES]; INPUT_TILE]; OUTPUT_TILE];
            for j in 0..INPUT_TILE {
                let at = |i: usize| {
                    lanes::<f32, LANES>(products, (i * INPUT_TILE + j) * position_stride)
                };
                let column = transform_output::<FUSED>([at(0), at(1), at(2), at(3), at(4), at(5)]);
                for (half, values) in half.iter_mut().zip(column) {
                    half[j] = values;
                }
            }
            for (i, [a, b, c, d, e, f]) in half.iter().enumerate().take(rows) {
                let mut row = transform_output::<FUSED>([a, b, c, d, e, f]);
                let mut at = pixel_loop.cursor_at(top + i, left);
                if columns == OUTPUT_TILE {
                    let (offsets, _) = PixelOffsets::<OUTPUT_TILE>::next(pixel_loop, &mut at);
                    epilogue.apply::<OUTPUT_TILE, LANES, FUSED>(
                        &mut row,
                        &offsets,
                        channel,
                        destinations,
                    );
                    continue;
                }
                for values in &row[..columns] {
                    let (offsets, _) = PixelOffsets::<1>::next(pixel_loop, &mut at);
                    epilogue.apply::<1, LANES, FUSED>(
                        &mut [*values],
                        &offsets,
                        channel,
                        destinations,
                    );
                }
            }
        }
    }
}
