//! Weight packing: the weights in the order in which the kernels read them, packed once per segment.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::aligned::AlignedBuffer;
use super::panel::{PackedPhase, WeightPanel};
use super::phase::Phase;
use super::tile::Level;
use super::window::Window;

/// The shape of a convolution.
#[derive(Clone, Debug)]
pub struct Shape {
    pub outputs: usize,
    pub inputs: usize,
    pub groups: usize,
    pub window: Window,
}

/// The weights `[outputs, inputs / groups, height, width]` of a convolution.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    pub weights: &'a [f32],
    pub shape: &'a Shape,
}

/// A convolution, forward or backward, with packed weights. The weights of the gradient are packed at first
/// use, so that forward passes alone never allocate them.
#[derive(Debug)]
pub struct PackedConvolution {
    pub phases: Vec<Phase>,
    /// The number of input channels that a panel reads.
    pub inputs: usize,
    pub outputs: usize,
    /// Whether only the direct algorithm may be used, so that sums of integers stay exact.
    pub exact: bool,
    panel_ranges: Vec<PanelRange>,
    /// The weights of each phase.
    packed_phases: OnceLock<Vec<PackedPhase>>,
    /// For a gradient: the forward convolution whose weights it uses.
    source: Option<GradientSource>,
}

/// The forward convolution of a gradient.
#[derive(Debug)]
struct GradientSource {
    forward: Arc<PackedConvolution>,
    shape: Shape,
    /// See [`PackedConvolution::backward_space_to_depth`].
    block_size: Option<usize>,
}

/// Returns the content of `cell`, computing it first if the cell is empty. Unlike `OnceLock::get_or_init`, no
/// thread blocks while another computes: while `make` runs on rayon's pool, a pool thread may be given work
/// that reads the same cell, which would deadlock.
pub fn get_or_compute<T>(cell: &OnceLock<Vec<T>>, make: impl FnOnce() -> Vec<T>) -> &[T] {
    if let Some(values) = cell.get() {
        return values;
    }
    let values = make();
    cell.get_or_init(|| values)
}

impl PackedConvolution {
    /// Packs a forward convolution.
    pub fn forward(kernel: &Kernel, level: Level) -> Self {
        let Shape { outputs, inputs, groups, ref window } = *kernel.shape;
        let (outputs_per_group, inputs_per_group) = (outputs / groups, inputs / groups);
        let area = window.kernel[0] * window.kernel[1];
        let panel_ranges = panel_ranges(level, outputs, outputs_per_group, inputs_per_group);
        let packed = Self::new(vec![Phase::forward(window)], panel_ranges, outputs, None);
        let packed_phases = packed.pack(|output, input, kernel_index| {
            let group_input = input
                .checked_sub(output / outputs_per_group * inputs_per_group)
                .filter(|&index| index < inputs_per_group)?;
            Some(kernel.weights[(output * inputs_per_group + group_input) * area + kernel_index])
        });
        Self { packed_phases: packed_phases.into(), ..packed }
    }

    /// Returns the gradient with respect to the input of `forward`, a convolution of this shape. The gradient
    /// is a convolution with inputs and outputs exchanged.
    pub fn backward(forward: &Arc<PackedConvolution>, shape: &Shape, level: Level) -> Self {
        let (inputs_per_group, outputs_per_group) =
            (shape.outputs / shape.groups, shape.inputs / shape.groups);
        let panel_ranges = panel_ranges(level, shape.inputs, outputs_per_group, inputs_per_group);
        let source =
            GradientSource { forward: Arc::clone(forward), shape: shape.clone(), block_size: None };
        Self::new(Phase::backward(&shape.window), panel_ranges, shape.inputs, Some(source))
    }

    /// Returns the gradient with respect to an input of few channels, in space-to-depth layout: each output
    /// pixel holds a block of `block_size` by `block_size` pixels, `[block_size][block_size][channels]`, so
    /// that no lanes are left empty. With the block size `b` and the stride `s`, input pixel `b t + p` was
    /// read by output `b / s t + a` through the tap `i` with `i dilation = p + begin - s a`. `block_size` is
    /// a multiple of the stride.
    pub fn backward_space_to_depth(
        forward: &Arc<PackedConvolution>,
        shape: &Shape,
        level: Level,
        block_size: usize,
    ) -> Self {
        let window = &shape.window;
        let taps_along = |axis: usize| {
            let (stride, dilation) = (window.strides[axis] as isize, window.dilations[axis]);
            let last = ((window.kernel[axis] - 1) * dilation) as isize;
            let begin = window.begin[axis] as isize;
            let last_pixel = block_size as isize - 1 + begin;
            -(last - begin).div_euclid(stride)..last_pixel.div_euclid(stride) + 1
        };
        let taps: Vec<[isize; 2]> =
            taps_along(0).flat_map(|y| taps_along(1).map(move |x| [y, x])).collect();
        let phase = Phase {
            origin: [0, 0],
            step: [1, 1],
            input_step: window.strides.map(|stride| block_size / stride),
            kernel_indices: (0..taps.len()).collect(),
            taps,
        };
        let outputs = block_size * block_size * shape.inputs;
        let panel_ranges = panel_ranges(level, outputs, outputs, shape.outputs);
        let source = GradientSource {
            forward: Arc::clone(forward),
            shape: shape.clone(),
            block_size: Some(block_size),
        };
        Self::new(vec![phase], panel_ranges, outputs, Some(source))
    }

    fn new(
        phases: Vec<Phase>,
        panel_ranges: Vec<PanelRange>,
        outputs: usize,
        source: Option<GradientSource>,
    ) -> Self {
        let inputs = panel_ranges.first().map_or(0, |range| range.inputs);
        Self {
            phases,
            inputs,
            outputs,
            exact: false,
            panel_ranges,
            packed_phases: OnceLock::new(),
            source,
        }
    }

    /// Whether every output channel reads every input channel (one group) and the output is not in
    /// space-to-depth layout.
    pub fn is_dense(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.block_size.is_none())
            && self.panel_ranges.iter().all(|range| range.input == 0)
    }

    /// The packed weights of each phase. Those of a gradient are packed at the first call and kept.
    pub fn packed_phases(&self) -> &[PackedPhase] {
        get_or_compute(&self.packed_phases, || self.pack_from_source())
    }

    /// The packed weights of each phase; if they have to be packed first, they are not kept.
    pub fn packed_phases_uncached(&self) -> Cow<'_, [PackedPhase]> {
        self.packed_phases
            .get()
            .map_or_else(|| self.pack_from_source().into(), |packed| packed.as_slice().into())
    }

    fn pack_from_source(&self) -> Vec<PackedPhase> {
        let Some(GradientSource { forward, shape, block_size }) = &self.source else {
            return Vec::new();
        };
        match block_size {
            None => {
                let (inputs_per_group, outputs_per_group) =
                    (shape.outputs / shape.groups, shape.inputs / shape.groups);
                self.pack(|output, input, kernel_index| {
                    let same_group = input / inputs_per_group == output / outputs_per_group;
                    same_group.then(|| forward.weight(input, output, kernel_index))
                })
            }
            Some(block_size) => {
                let taps = &self.phases[0].taps;
                self.pack(|output, input, kernel_index| {
                    let (pixel, channel) = (output / shape.inputs, output % shape.inputs);
                    let tap = |axis: usize, pixel: usize| {
                        let (stride, dilation) =
                            (shape.window.strides[axis] as isize, shape.window.dilations[axis]);
                        let from = (pixel + shape.window.begin[axis]) as isize
                            - stride * taps[kernel_index][axis];
                        let from = usize::try_from(from).ok()?;
                        let tap = from.is_multiple_of(dilation).then_some(from / dilation)?;
                        (tap < shape.window.kernel[axis]).then_some(tap)
                    };
                    let (i, j) = (tap(0, pixel / block_size)?, tap(1, pixel % block_size)?);
                    Some(forward.weight(input, channel, i * shape.window.kernel[1] + j))
                })
            }
        }
    }

    /// The weight of a forward convolution that connects an `output` with an `input` of its group.
    fn weight(&self, output: usize, input: usize, kernel_index: usize) -> f32 {
        let Some(PackedPhase { panels, .. }) = self.packed_phases().first() else { return 0.0 };
        // All panels except the last have the same width.
        let panel = &panels[output / panels[0].lanes];
        let row = kernel_index * self.inputs + input - panel.input;
        panel.weights[row * panel.lanes + output - panel.output]
    }

    fn pack(&self, weight: impl Fn(usize, usize, usize) -> Option<f32> + Sync) -> Vec<PackedPhase> {
        let pack = |phase: &Phase, range: &PanelRange| {
            let mut used = 0;
            let mut weights =
                AlignedBuffer::zeros(phase.kernel_indices.len() * range.inputs * range.lanes);
            let mut rows = weights.chunks_exact_mut(range.lanes);
            let lanes = range.lanes.min(self.outputs - range.output);
            for &kernel_index in &phase.kernel_indices {
                for input in range.input..range.input + range.inputs {
                    let Some(row) = rows.next() else { break };
                    for (lane, value) in row[..lanes].iter_mut().enumerate() {
                        if let Some(packed) = weight(range.output + lane, input, kernel_index) {
                            *value = packed;
                            used += 1;
                        }
                    }
                }
            }
            let PanelRange { output, lanes, input, .. } = *range;
            (WeightPanel { output, lanes, input, weights }, used)
        };
        let of_phase = |phase: &Phase| {
            let (panels, counts): (Vec<_>, Vec<usize>) =
                self.panel_ranges.par_iter().map(|range| pack(phase, range)).unzip();
            PackedPhase { panels, used: counts.iter().sum() }
        };
        self.phases.iter().map(of_phase).collect()
    }
}

/// The output channels of a panel and the input channels that it reads.
#[derive(Clone, Copy, Debug)]
struct PanelRange {
    output: usize,
    lanes: usize,
    input: usize,
    inputs: usize,
}

/// Splits `outputs` channels into panels. A panel that spans several groups reads the inputs of all of them;
/// every panel reads the same number of inputs.
fn panel_ranges(
    level: Level,
    outputs: usize,
    outputs_per_group: usize,
    inputs_per_group: usize,
) -> Vec<PanelRange> {
    let groups = outputs / outputs_per_group;
    let lanes_of = |left: usize| if groups == 1 { level.lanes(left) } else { 16 };
    let mut panel_ranges = Vec::new();
    let mut output = 0;
    while output < outputs {
        let lanes = lanes_of(outputs - output);
        let last = (output + lanes).min(outputs) - 1;
        let (first, end) = (output / outputs_per_group, last / outputs_per_group + 1);
        panel_ranges.push(PanelRange {
            output,
            lanes,
            input: first * inputs_per_group,
            inputs: (end - first) * inputs_per_group,
        });
        output += lanes;
    }
    // The same number of inputs for every panel, because the tap runs of a pixel loop are shared by all
    // panels.
    let widest = panel_ranges.iter().map(|range| range.inputs).max().unwrap_or(0);
    let all = groups * inputs_per_group;
    for range in &mut panel_ranges {
        range.input = range.input.min(all - widest);
        range.inputs = widest;
    }
    panel_ranges
}
