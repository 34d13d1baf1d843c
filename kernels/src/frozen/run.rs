//! Runs a segment: samples on all cores, each in order.

use std::mem::take;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::aligned::Aligned;
use super::finish::{Added, Derivative, Finish, Outs};
use super::image::Image;
use super::segment::{AddedPlan, Outside, Place, Record, Segment, Step, TapeSize, Work};
use super::{depthwise, plane, pool, softmax, tile, winograd};

/// The buffers in which one sample is computed.
#[derive(Debug)]
pub struct Arena {
    buffers: Vec<Aligned>,
    /// What a step needs beside them.
    room: Aligned,
    /// The pictures of a pass of which nothing is kept.
    scores: Option<Tape>,
}

/// What is kept of one sample for its gradient.
#[derive(Debug)]
pub struct Tape {
    bytes: Vec<u8>,
    floats: Aligned,
    pictures: Vec<Aligned>,
}

impl Arena {
    fn new(sizes: &[usize]) -> Self {
        let buffers = sizes.iter().map(|&len| Aligned::zeros(len)).collect();
        Self { buffers, room: Aligned::default(), scores: None }
    }
}

impl Tape {
    fn new(size: &TapeSize) -> Self {
        Self {
            bytes: vec![0; size.bytes],
            floats: Aligned::zeros(size.floats),
            pictures: size.pictures.iter().map(|&len| Aligned::zeros(len)).collect(),
        }
    }

    /// The pictures alone.
    fn without_records(size: &TapeSize) -> Self {
        Self::new(&TapeSize { bytes: 0, floats: 0, pictures: size.pictures.clone() })
    }

    fn fits(&self, size: &TapeSize) -> bool {
        let pictures = self.pictures.iter().map(|own| own.len());
        self.bytes.len() == size.bytes
            && self.floats.len() == size.floats
            && pictures.eq(size.pictures.iter().copied())
    }
}

/// What is kept of a batch. Its memory is used again.
#[derive(Debug)]
pub struct Tapes {
    samples: Vec<Tape>,
    home: Arc<Mutex<Vec<Tape>>>,
}

impl Drop for Tapes {
    fn drop(&mut self) {
        if let Ok(mut home) = self.home.lock() {
            home.append(&mut self.samples);
        }
    }
}

impl Segment {
    /// The outputs of the samples in `x`, and what the gradient needs of them.
    pub fn forward(&self, x: &[f32]) -> (Vec<f32>, Tapes) {
        let (read, written): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        let count = x.len() / read;
        let mut samples = self
            .tapes
            .lock()
            .map(|mut home| {
                let kept = home.len().saturating_sub(count);
                home.split_off(kept)
            })
            .unwrap_or_default();
        // What a pass that failed left behind is not used again.
        samples.retain(|tape| tape.fits(&self.tape));
        samples.resize_with(count, || Tape::new(&self.tape));
        self.prepare(&self.forward, count);
        let mut y = vec![0.0; count * written];
        let rows = x.par_chunks_exact(read).zip(y.par_chunks_exact_mut(written));
        rows.zip(samples.par_iter_mut()).for_each(|((x, y), tape)| {
            self.with_arena(|arena| self.steps(&self.forward, x, y, arena, tape));
        });
        (y, Tapes { samples, home: Arc::clone(&self.tapes) })
    }

    /// The outputs of the samples in `x` alone.
    pub fn scores(&self, x: &[f32]) -> Vec<f32> {
        let (read, written): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        self.prepare(&self.forward, x.len() / read);
        let mut y = vec![0.0; x.len() / read * written];
        let rows = x.par_chunks_exact(read).zip(y.par_chunks_exact_mut(written));
        rows.for_each(|(x, y)| {
            self.with_arena(|arena| {
                let tape = arena.scores.take();
                let mut tape = tape.unwrap_or_else(|| Tape::without_records(&self.tape));
                self.steps(&self.forward, x, y, arena, &mut tape);
                arena.scores = Some(tape);
            });
        });
        y
    }

    /// The gradients with respect to the samples, from those with respect to the outputs.
    ///
    /// # Panics
    ///
    /// When `tapes` are not those of as many samples.
    pub fn backward(&self, gradient: &[f32], tapes: &mut Tapes) -> Vec<f32> {
        let (written, read): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        assert_eq!(gradient.len(), tapes.samples.len() * read, "the tapes are of other samples");
        self.prepare(&self.backward, tapes.samples.len());
        let mut x = vec![0.0; tapes.samples.len() * written];
        let rows = gradient.par_chunks_exact(read).zip(x.par_chunks_exact_mut(written));
        rows.zip(tapes.samples.par_iter_mut()).for_each(|((gradient, x), tape)| {
            self.with_arena(|arena| self.steps(&self.backward, gradient, x, arena, tape));
        });
        x
    }

    fn uses_winograd(&self) -> bool {
        self.winograd.load(Ordering::Relaxed)
    }

    /// Packs the weights of `steps` where that is not done yet, on all cores, and makes what `samples`
    /// are computed in.
    fn prepare(&self, steps: &[Step], samples: usize) {
        self.make_arenas(samples);
        for step in steps {
            match &step.work {
                Work::Convolve { winograd: Some(own), .. } if self.uses_winograd() => {
                    own.blocks();
                }
                Work::Convolve { packed, .. } => {
                    packed.blocks();
                }
                _ => {}
            }
        }
    }

    /// Makes arenas for `samples`, as many as there are cores. Here, since memory that one thread gave
    /// back may be kept from the others.
    fn make_arenas(&self, samples: usize) {
        if let Ok(mut arenas) = self.arenas.lock() {
            let count = samples.min(rayon::current_num_threads());
            while arenas.len() < count {
                arenas.push(Arena::new(&self.buffers));
            }
        }
    }

    pub(super) fn with_arena(&self, run: impl FnOnce(&mut Arena)) {
        let kept = self.arenas.lock().ok().and_then(|mut arenas| arenas.pop());
        let mut arena = kept.unwrap_or_else(|| Arena::new(&self.buffers));
        run(&mut arena);
        if let Ok(mut arenas) = self.arenas.lock() {
            arenas.push(arena);
        }
    }

    pub(super) fn new_tape(&self) -> Tape {
        Tape::new(&self.tape)
    }

    fn steps(&self, steps: &[Step], x: &[f32], y: &mut [f32], arena: &mut Arena, tape: &mut Tape) {
        for step in steps {
            self.step(step, x, y, arena, tape);
        }
    }

    pub(super) fn step(
        &self,
        step: &Step,
        x: &[f32],
        y: &mut [f32],
        arena: &mut Arena,
        tape: &mut Tape,
    ) {
        let level = self.level;
        let (goal, image) = step.to;
        if let Work::Store(outside) = &step.work {
            let (place, from) = step.sources[0];
            let x = self.picture(arena, tape, place);
            return match outside {
                Outside::Planes { side, dims } => from.store(x, *side, *dims, y),
                Outside::Other(own) => own.run(x, y),
            };
        }
        let mut to = match goal {
            Place::Buffer(at) => take(&mut arena.buffers[at]),
            Place::Kept(at) => take(&mut tape.pictures[at]),
            Place::Constant(_) => return,
        };
        let mut room = take(&mut arena.room);
        let (mut bytes, mut floats) = (take(&mut tape.bytes), take(&mut tape.floats));
        if step.clear {
            image.clear_halo(&mut to);
        }
        let source = |index: usize| -> Option<(&[f32], &Image)> {
            let (place, image) = step.sources.get(index)?;
            Some((self.picture(arena, tape, *place), image))
        };
        let Records { written: kept, read, derivative } = records(step, &mut bytes, &mut floats);
        let added = match step.finish.added {
            AddedPlan::Nothing => Added::Nothing,
            AddedPlan::Own => Added::Own,
            AddedPlan::Other(place) => Added::Other(self.picture(arena, tape, place)),
        };
        let finish = Finish {
            bias: &step.finish.bias,
            scale: &step.finish.scale,
            added,
            activation: step.finish.activation,
            derivative,
        };
        match &step.work {
            Work::Store(_) => {}
            Work::Load(Outside::Planes { .. }) => image.load(x, &mut to),
            Work::Load(Outside::Other(own)) => own.run(x, &mut to),
            Work::Zero => to[..image.len()].fill(0.0),
            Work::Convolve { sweeps, winograd: Some(own), .. } if self.uses_winograd() => {
                let (x, from) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = kept;
                let outs = Outs { to: &mut to, bytes, floats };
                winograd::convolve(level, x, from, &sweeps[0], own, &mut room, outs, &finish);
            }
            Work::Convolve { packed, sweeps, .. } => {
                let (x, _) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = kept;
                for (own, sweep) in packed.blocks().iter().zip(sweeps) {
                    let outs = Outs { to: &mut to, bytes: &mut *bytes, floats: &mut *floats };
                    tile::convolve(level, x, sweep, &own.blocks, outs, &finish);
                }
            }
            Work::Depthwise { taps, sweeps } => {
                let (x, _) = source(0).unwrap_or((&[], &image));
                let (bytes, floats) = kept;
                for ((_, weights), sweep) in taps.phases.iter().zip(sweeps) {
                    let outs = Outs { to: &mut to, bytes: &mut *bytes, floats: &mut *floats };
                    depthwise::convolve(level, x, sweep, weights, image.stride, outs, &finish);
                }
            }
            Work::Map { sweep, factor, gate } => {
                let gate = gate.as_ref().zip(source(1)).map(|(sweep, (gate, _))| (gate, sweep));
                let from = plane::Source { x: source(0).map(|(x, _)| x), factor: *factor, gate };
                let (bytes, floats) = kept;
                let outs = Outs { to: &mut to, bytes, floats };
                plane::map(level, &from, sweep, image.stride, outs, &finish);
            }
            Work::Sum { factor } => {
                if let Some(first) = source(0) {
                    let to = &mut to[image.offset(0, 0)..];
                    plane::sum(level, first, source(1), *factor, to);
                }
            }
            Work::Largest { window, bytes: first } => {
                if let Some(x) = source(0) {
                    let taps = behind(kept.0, *first);
                    pool::largest(window, x, (&mut to, &image), taps);
                }
            }
            Work::LargestGradient { window, bytes: first } => {
                if let Some(gradient) = source(0) {
                    pool::largest_gradient(window, gradient, (&mut to, &image), &read.0[*first..]);
                }
            }
            Work::Mean { window, counts_padding } => {
                if let Some(x) = source(0) {
                    pool::mean(window, *counts_padding, x, (&mut to, &image));
                }
            }
            Work::MeanGradient { window, counts_padding } => {
                if let Some(gradient) = source(0) {
                    pool::mean_gradient(window, *counts_padding, gradient, (&mut to, &image));
                }
            }
            Work::Normalize { own, kept: first } => {
                if let Some(x) = source(0) {
                    let kept = behind(kept.1, *first);
                    plane::normalize(level, x, (&mut to, &image), own, kept);
                }
            }
            Work::NormalizeGradient { own, kept: first, sweep } => {
                if let Some(gradient) = source(0) {
                    let outs = Outs { to: &mut to, bytes: &mut [], floats: &mut [] };
                    let kept = &read.1[*first..];
                    plane::normalize_gradient(level, gradient, own, kept, sweep, outs, &finish);
                }
            }
            Work::Softmax => {
                if let Some(x) = source(0) {
                    softmax::rows(level, x, (&mut to, &image));
                }
            }
            Work::SoftmaxGradient { sweep } => {
                if let (Some(gradient), Some(result)) = (source(0), source(1)) {
                    let outs = Outs { to: &mut to, bytes: &mut [], floats: &mut [] };
                    softmax::gradient(level, gradient, result, sweep, outs, &finish);
                }
            }
            Work::Product(own) => {
                if let (Some((a, _)), Some((b, _))) = (source(0), source(1)) {
                    own.run(level, a, b, &mut to, &mut room);
                }
            }
            Work::Arrange(own) => {
                if let Some((x, _)) = source(0) {
                    own.run(x, &mut to);
                }
            }
        }
        arena.room = room;
        (tape.bytes, tape.floats) = (bytes, floats);
        match goal {
            Place::Buffer(at) => arena.buffers[at] = to,
            Place::Kept(at) => tape.pictures[at] = to,
            Place::Constant(_) => {}
        }
    }

    fn picture<'a>(&'a self, arena: &'a Arena, tape: &'a Tape, place: Place) -> &'a [f32] {
        match place {
            Place::Buffer(at) => &arena.buffers[at],
            Place::Kept(at) => &tape.pictures[at],
            Place::Constant(at) => &self.constants[at],
        }
    }
}

/// What lies behind `first`; nothing where nothing is kept.
fn behind<T>(records: &mut [T], first: usize) -> &mut [T] {
    records.get_mut(first..).unwrap_or_default()
}

/// What a step may write of the records, what it may read of them, and the derivative among them.
struct Records<'a> {
    written: (&'a mut [u8], &'a mut [f32]),
    read: (&'a [u8], &'a [f32]),
    derivative: Derivative<'a>,
}

fn records<'a>(step: &Step, bytes: &'a mut [u8], floats: &'a mut [f32]) -> Records<'a> {
    let written = match (&step.work, step.finish.keeps) {
        (Work::Largest { .. } | Work::Normalize { .. }, _) => (bytes, floats),
        (_, Some(Record::Bytes { first, .. })) => (behind(bytes, first), &mut [][..]),
        (_, Some(Record::Floats { first })) => (&mut [][..], behind(floats, first)),
        (_, None) => {
            let (bytes, floats): (&[u8], &[f32]) = (bytes, floats);
            let derivative = match step.finish.derivative {
                Some(Record::Bytes { first, slopes }) => Derivative::Bytes(&bytes[first..], slopes),
                Some(Record::Floats { first }) => Derivative::Floats(&floats[first..]),
                None => Derivative::One,
            };
            return Records { written: (&mut [], &mut []), read: (bytes, floats), derivative };
        }
    };
    Records { written, read: (&[], &[]), derivative: Derivative::One }
}
