//! Running one step of a segment.

use std::mem::take;
use std::sync::atomic::Ordering;

use super::arena::{Arena, Tape};
use super::epilogue::{Addend, Derivative, Destinations, Epilogue};
use super::image::Image;
use super::segment::{AddendPlan, ExternalLayout, Location, Record, Segment, Step, StepKind};
use super::{depthwise, image_ops, pool, softmax, tile, winograd};

impl Segment {
    /// Whether convolutions use their Winograd form.
    pub(super) fn uses_winograd(&self) -> bool {
        self.winograd.load(Ordering::Relaxed)
    }

    /// Runs one step of the forward or backward pass of a sample. The pass reads the sample `x` and writes
    /// the sample `y`; its images are in `arena` and `tape`.
    pub(super) fn run_step(
        &self,
        step: &Step,
        x: &[f32],
        y: &mut [f32],
        arena: &mut Arena,
        tape: &mut Tape,
    ) {
        let level = self.level;
        let (location, image) = step.to;
        if let StepKind::Store(external) = &step.kind {
            let (source_location, from) = step.sources[0];
            let x = self.image_data(arena, tape, source_location);
            return match external {
                ExternalLayout::Nchw { block_size, dims } => from.store(x, *block_size, *dims, y),
                ExternalLayout::Strided(copy) => copy.run(x, y),
            };
        }
        let mut to = match location {
            Location::Buffer(at) => take(&mut arena.buffers[at]),
            Location::Tape(at) => take(&mut tape.images[at]),
            Location::Constant(_) => return,
        };
        let mut workspace = take(&mut arena.workspace);
        let (mut bytes, mut floats) = (take(&mut tape.bytes), take(&mut tape.floats));
        if step.clear {
            image.clear_halo(&mut to);
        }
        let source = |index: usize| -> Option<(&[f32], &Image)> {
            let (source_location, image) = step.sources.get(index)?;
            Some((self.image_data(arena, tape, *source_location), image))
        };
        let Records { written, read, derivative } = records(step, &mut bytes, &mut floats);
        let addend = match step.epilogue.addend {
            AddendPlan::Nothing => Addend::Nothing,
            AddendPlan::Output => Addend::Output,
            AddendPlan::Other(source_location) => {
                Addend::Other(self.image_data(arena, tape, source_location))
            }
        };
        let epilogue = Epilogue {
            bias: &step.epilogue.bias,
            scale: &step.epilogue.scale,
            addend,
            activation: step.epilogue.activation,
            derivative,
        };
        match &step.kind {
            StepKind::Store(_) => {}
            StepKind::Load(ExternalLayout::Nchw { .. }) => image.load(x, &mut to),
            StepKind::Load(ExternalLayout::Strided(copy)) => copy.run(x, &mut to),
            StepKind::Zero => to[..image.len()].fill(0.0),
            StepKind::Convolve { pixel_loops, winograd: Some(winograd), .. }
                if self.uses_winograd() =>
            {
                let (x, from) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = written;
                let destinations = Destinations { to: &mut to, bytes, floats };
                winograd::convolve(
                    level,
                    x,
                    from,
                    &pixel_loops[0],
                    winograd,
                    &mut workspace,
                    destinations,
                    &epilogue,
                );
            }
            StepKind::Convolve { packed, pixel_loops, .. } => {
                let (x, _) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = written;
                for (packed_phase, pixel_loop) in packed.packed_phases().iter().zip(pixel_loops) {
                    let destinations =
                        Destinations { to: &mut to, bytes: &mut *bytes, floats: &mut *floats };
                    tile::convolve(
                        level,
                        x,
                        pixel_loop,
                        &packed_phase.panels,
                        destinations,
                        &epilogue,
                    );
                }
            }
            StepKind::Depthwise { packed, pixel_loops } => {
                let (x, _) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = written;
                for ((_, weights), pixel_loop) in packed.phases.iter().zip(pixel_loops) {
                    let destinations =
                        Destinations { to: &mut to, bytes: &mut *bytes, floats: &mut *floats };
                    depthwise::convolve(
                        level,
                        x,
                        pixel_loop,
                        weights,
                        image.stride,
                        destinations,
                        &epilogue,
                    );
                }
            }
            StepKind::Map { pixel_loop, factor, gate } => {
                let gate =
                    gate.as_ref().zip(source(1)).map(|(pixel_loop, (gate, _))| (gate, pixel_loop));
                let from =
                    image_ops::MapInput { x: source(0).map(|(x, _)| x), factor: *factor, gate };
                let (bytes, floats) = written;
                let destinations = Destinations { to: &mut to, bytes, floats };
                image_ops::map(level, &from, pixel_loop, image.stride, destinations, &epilogue);
            }
            StepKind::SpatialSum { factor } => {
                if let Some(first) = source(0) {
                    let to = &mut to[image.offset(0, 0)..];
                    image_ops::spatial_sum(level, first, source(1), *factor, to);
                }
            }
            StepKind::MaxPool { window, bytes: first } => {
                if let Some(x) = source(0) {
                    let taps = slice_from(written.0, *first);
                    pool::max_pool(window, x, (&mut to, &image), taps);
                }
            }
            StepKind::MaxPoolGradient { window, bytes: first } => {
                if let Some(gradient) = source(0) {
                    pool::max_pool_gradient(window, gradient, (&mut to, &image), &read.0[*first..]);
                }
            }
            StepKind::MeanPool { window, counts_padding } => {
                if let Some(x) = source(0) {
                    pool::mean_pool(window, *counts_padding, x, (&mut to, &image));
                }
            }
            StepKind::MeanPoolGradient { window, counts_padding } => {
                if let Some(gradient) = source(0) {
                    pool::mean_pool_gradient(window, *counts_padding, gradient, (&mut to, &image));
                }
            }
            StepKind::Normalize { normalization, floats: first } => {
                if let Some(x) = source(0) {
                    let saved = slice_from(written.1, *first);
                    image_ops::normalize(level, x, (&mut to, &image), normalization, saved);
                }
            }
            StepKind::NormalizeGradient { normalization, floats: first, pixel_loop } => {
                if let Some(gradient) = source(0) {
                    let destinations =
                        Destinations { to: &mut to, bytes: &mut [], floats: &mut [] };
                    let saved = &read.1[*first..];
                    image_ops::normalize_gradient(
                        level,
                        gradient,
                        normalization,
                        saved,
                        pixel_loop,
                        destinations,
                        &epilogue,
                    );
                }
            }
            StepKind::Softmax => {
                if let Some(x) = source(0) {
                    softmax::softmax(level, x, (&mut to, &image));
                }
            }
            StepKind::SoftmaxGradient { pixel_loop } => {
                if let (Some(gradient), Some(result)) = (source(0), source(1)) {
                    let destinations =
                        Destinations { to: &mut to, bytes: &mut [], floats: &mut [] };
                    softmax::gradient(level, gradient, result, pixel_loop, destinations, &epilogue);
                }
            }
            StepKind::MatMul(matmul) => {
                if let (Some((a, _)), Some((b, _))) = (source(0), source(1)) {
                    matmul.run(level, a, b, &mut to, &mut workspace);
                }
            }
            StepKind::Copy(copy) => {
                if let Some((x, _)) = source(0) {
                    copy.run(x, &mut to);
                }
            }
        }
        arena.workspace = workspace;
        (tape.bytes, tape.floats) = (bytes, floats);
        match location {
            Location::Buffer(at) => arena.buffers[at] = to,
            Location::Tape(at) => tape.images[at] = to,
            Location::Constant(_) => {}
        }
    }

    fn image_data<'a>(
        &'a self,
        arena: &'a Arena,
        tape: &'a Tape,
        source_location: Location,
    ) -> &'a [f32] {
        match source_location {
            Location::Buffer(at) => &arena.buffers[at],
            Location::Tape(at) => &tape.images[at],
            Location::Constant(at) => &self.constants[at],
        }
    }
}

/// The part of a record from `first` on; empty if nothing is saved.
fn slice_from<T>(records: &mut [T], first: usize) -> &mut [T] {
    records.get_mut(first..).unwrap_or_default()
}

/// The parts of the tape's bytes and floats that a step writes and reads, and the derivative that its
/// epilogue reads.
struct Records<'a> {
    written: (&'a mut [u8], &'a mut [f32]),
    read: (&'a [u8], &'a [f32]),
    derivative: Derivative<'a>,
}

/// Selects the records of a step. A step either writes records (forward pass) or reads them (backward pass).
fn records<'a>(step: &Step, bytes: &'a mut [u8], floats: &'a mut [f32]) -> Records<'a> {
    let written = match (&step.kind, step.epilogue.record) {
        (StepKind::MaxPool { .. } | StepKind::Normalize { .. }, _) => (bytes, floats),
        (_, Some(Record::Bytes { first, .. })) => (slice_from(bytes, first), &mut [][..]),
        (_, Some(Record::Floats { first })) => (&mut [][..], slice_from(floats, first)),
        (_, None) => {
            let (bytes, floats): (&[u8], &[f32]) = (bytes, floats);
            let derivative = match step.epilogue.derivative {
                Some(Record::Bytes { first, slopes }) => Derivative::Bytes(&bytes[first..], slopes),
                Some(Record::Floats { first }) => Derivative::Floats(&floats[first..]),
                None => Derivative::One,
            };
            return Records { written: (&mut [], &mut []), read: (bytes, floats), derivative };
        }
    };
    Records { written, read: (&[], &[]), derivative: Derivative::One }
}
