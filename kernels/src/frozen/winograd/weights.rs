//! The Winograd form of a convolution: its transformed weights.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::super::aligned::AlignedBuffer;
use super::super::image::LANES;
use super::super::pack::{PackedConvolution, get_or_compute};
use super::super::panel::WeightPanel;
use super::transform::{INPUT_TILE, OUTPUT_TILE, POSITIONS, transform_weight};

/// The minimum number of tiles: with fewer, reading the transformed weights costs more than it saves.
const MIN_TILES: usize = 9;
/// The maximum size of the transformed weights, in bytes.
const MAX_WEIGHT_BYTES: usize = 64 << 20;

/// The Winograd form of a convolution, forward or backward.
#[derive(Debug)]
pub struct Winograd {
    /// The same convolution for the direct algorithm.
    pub(super) direct: Arc<PackedConvolution>,
    /// The position of the first tap, relative to the output pixel.
    pub(super) first: [isize; 2],
    /// The transformed weights, `[position][input][lane]` in each panel; computed at first use.
    panels: OnceLock<Vec<WeightPanel>>,
}

impl Winograd {
    /// Returns the Winograd form of a convolution with an output of `rows` by `columns` pixels; `None` if the
    /// algorithm does not apply (3 by 3 kernel, stride 1, one group) or is not faster.
    pub fn for_convolution(
        direct: &Arc<PackedConvolution>,
        rows: usize,
        columns: usize,
    ) -> Option<Self> {
        let [phase] = &direct.phases[..] else { return None };
        let first = [0, 1].map(|axis| phase.taps.iter().map(|tap| tap[axis]).min());
        let [Some(top), Some(left)] = first else { return None };
        let square = (0..9).map(|at| [top + at / 3, left + at % 3]);
        let whole = phase.step == [1, 1]
            && phase.input_step == [1, 1]
            && phase.taps.len() == 9
            && square.clone().all(|tap| phase.taps.contains(&tap));
        let is_profitable = direct.is_dense()
            && !direct.exact
            && direct.inputs >= LANES
            && direct.outputs >= LANES
            && tiles(rows) * tiles(columns) >= MIN_TILES
            && 4 * POSITIONS * direct.inputs * direct.outputs <= MAX_WEIGHT_BYTES;
        let panels = OnceLock::new();
        (whole && is_profitable).then(|| Self {
            direct: Arc::clone(direct),
            first: [top, left],
            panels,
        })
    }

    /// The transformed weights.
    pub fn panels(&self) -> &[WeightPanel] {
        get_or_compute(&self.panels, || self.transform_weights())
    }

    fn transform_weights(&self) -> Vec<WeightPanel> {
        let direct = self.direct.packed_phases_uncached();
        let taps = &self.direct.phases[0].taps;
        let kernel_index = |tap: &[isize; 2]| (tap[0] - self.first[0]) * 3 + tap[1] - self.first[1];
        let kernel_indices: Vec<usize> =
            taps.iter().map(|tap| kernel_index(tap) as usize).collect();
        let transform_panel = |panel: &WeightPanel| {
            let panel_len = self.direct.inputs * panel.lanes;
            let mut weights = AlignedBuffer::zeros(POSITIONS * panel_len);
            for at in 0..panel_len {
                let mut kernel = [[0f64; 3]; 3];
                for (tap, &index) in kernel_indices.iter().enumerate() {
                    kernel[index / 3][index % 3] = panel.weights[tap * panel_len + at].into();
                }
                let half = kernel.map(transform_weight);
                for column in 0..INPUT_TILE {
                    let values = transform_weight([0, 1, 2].map(|row| half[row][column]));
                    for (row, value) in values.iter().enumerate() {
                        weights[(row * INPUT_TILE + column) * panel_len + at] = *value as f32;
                    }
                }
            }
            WeightPanel { weights, ..*panel }
        };
        direct[0].panels.par_iter().map(transform_panel).collect()
    }
}

/// The number of tiles along an axis of `size` outputs.
pub fn tiles(size: usize) -> usize {
    size.div_ceil(OUTPUT_TILE)
}
