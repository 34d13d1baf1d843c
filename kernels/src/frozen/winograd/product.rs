//! The matrix product over the channels at each position of the transformed tiles.

use multiversion::multiversion;

use super::super::panel::WeightPanel;
use super::super::tile::{Level, TileSplit, multiply};

/// The transformed inputs at one position, one row per tile.
#[derive(Clone, Copy)]
pub struct InputRows<'a> {
    pub values: &'a [f32],
    /// The distance from one row to the next.
    pub input_stride: usize,
    pub inputs: usize,
    pub count: usize,
}

/// Multiplies the rows by one panel of weights.
pub fn multiply_panel(
    level: Level,
    rows: InputRows,
    panel: &WeightPanel,
    position: usize,
    to: &mut [f32],
    output_stride: usize,
) {
    match (level, panel.lanes) {
        (Level::Avx512, 32) => wide(rows, panel, position, to, output_stride),
        (Level::Avx512, _) => narrow(rows, panel, position, to, output_stride),
        (Level::Avx2, _) => avx2(rows, panel, position, to, output_stride),
        (Level::Plain, _) => plain(rows, panel, position, to, output_stride),
    }
}

/// Defines a function that multiplies all rows by a panel, at most `$max_rows` rows at a time.
macro_rules! products {
    ($name:ident, $lanes:literal, $fused:literal, $max_rows:literal: $($pixels:literal)*) => {
        fn $name(
            rows: InputRows,
            panel: &WeightPanel,
            position: usize,
            to: &mut [f32],
            output_stride: usize,
        ) {
            let (weights, _) = panel.weights.as_chunks::<$lanes>();
            let weights = &weights[position * rows.inputs..][..rows.inputs];
            let tiles = TileSplit::new(rows.count, $max_rows);
            let mut first = 0;
            for tile in 0..tiles.count {
                let count = tiles.size(tile);
                match count {
                    $($pixels => multiply_rows::<$pixels, $lanes, $fused>(
                        rows, first, weights, to, output_stride, panel.output,
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

/// Computes a register tile of `N` rows by `W` outputs.
#[multiversion(
    targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2+fma"),
    dispatcher = "direct"
)]
fn multiply_rows<const N: usize, const W: usize, const FUSED: bool>(
    rows: InputRows,
    first: usize,
    weights: &[[f32; W]],
    to: &mut [f32],
    output_stride: usize,
    output: usize,
) {
    let inputs: [&[f32]; N] =
        std::array::from_fn(|row| &rows.values[(first + row) * rows.input_stride..][..rows.inputs]);
    let mut sums = [[0f32; W]; N];
    multiply::<N, W, FUSED>(inputs, weights, &mut sums);
    for (row, sums) in sums.iter().enumerate() {
        let at = (first + row) * output_stride + output;
        // The last panel may be wider than the remaining outputs.
        let width = W.min(output_stride - output);
        to[at..at + width].copy_from_slice(&sums[..width]);
    }
}
