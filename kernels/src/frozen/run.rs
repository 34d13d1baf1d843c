//! Running a segment: samples in parallel on all cores, the steps of a sample in order.

use std::sync::Arc;

use rayon::prelude::*;

use super::arena::{Arena, Tape, Tapes};
use super::segment::{Segment, Step, StepKind};

impl Segment {
    /// Computes the outputs of the samples in `x`, and the tapes for the backward pass.
    pub fn forward(&self, x: &[f32]) -> (Vec<f32>, Tapes) {
        let (input_len, output_len): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        let count = x.len() / input_len;
        let mut samples = self
            .tapes
            .lock()
            .map(|mut free| {
                let remaining = free.len().saturating_sub(count);
                free.split_off(remaining)
            })
            .unwrap_or_default();
        // A pass that panicked leaves incomplete tapes, which are discarded.
        samples.retain(|tape| tape.fits(&self.tape));
        samples.resize_with(count, || Tape::new(&self.tape));
        self.prepare(&self.forward, count);
        let mut y = vec![0.0; count * output_len];
        let rows = x.par_chunks_exact(input_len).zip(y.par_chunks_exact_mut(output_len));
        rows.zip(samples.par_iter_mut()).for_each(|((x, y), tape)| {
            self.with_arena(|arena| self.run_steps(&self.forward, x, y, arena, tape));
        });
        (y, Tapes { samples, free: Arc::clone(&self.tapes) })
    }

    /// Computes the outputs of the samples in `x` without tapes.
    pub fn scores(&self, x: &[f32]) -> Vec<f32> {
        let (input_len, output_len): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        self.prepare(&self.forward, x.len() / input_len);
        let mut y = vec![0.0; x.len() / input_len * output_len];
        let rows = x.par_chunks_exact(input_len).zip(y.par_chunks_exact_mut(output_len));
        rows.for_each(|(x, y)| {
            self.with_arena(|arena| {
                let tape = arena.scores.take();
                let mut tape = tape.unwrap_or_else(|| Tape::without_records(&self.tape));
                self.run_steps(&self.forward, x, y, arena, &mut tape);
                arena.scores = Some(tape);
            });
        });
        y
    }

    /// Computes the gradient with respect to the samples from the gradient with respect to the outputs.
    ///
    /// # Panics
    ///
    /// If `gradient` and `tapes` differ in the number of samples.
    pub fn backward(&self, gradient: &[f32], tapes: &mut Tapes) -> Vec<f32> {
        let (input_len, output_len): (usize, usize) =
            (self.input.iter().product(), self.output.iter().product());
        assert_eq!(
            gradient.len(),
            tapes.samples.len() * output_len,
            "`gradient` must have as many samples as the forward pass that made `tapes`"
        );
        self.prepare(&self.backward, tapes.samples.len());
        let mut x = vec![0.0; tapes.samples.len() * input_len];
        let rows = gradient.par_chunks_exact(output_len).zip(x.par_chunks_exact_mut(input_len));
        rows.zip(tapes.samples.par_iter_mut()).for_each(|((gradient, x), tape)| {
            self.with_arena(|arena| self.run_steps(&self.backward, gradient, x, arena, tape));
        });
        x
    }

    /// Packs the weights of `steps` that are not packed yet, on all cores, and allocates the arenas for
    /// `samples`.
    fn prepare(&self, steps: &[Step], samples: usize) {
        self.make_arenas(samples);
        for step in steps {
            match &step.kind {
                StepKind::Convolve { winograd: Some(winograd), .. } if self.uses_winograd() => {
                    winograd.panels();
                }
                StepKind::Convolve { packed, .. } => {
                    packed.packed_phases();
                }
                _ => {}
            }
        }
    }

    /// Allocates arenas for `samples`, at most one per core. The calling thread allocates all of them,
    /// because an allocator may not hand memory freed by one thread to others.
    fn make_arenas(&self, samples: usize) {
        if let Ok(mut arenas) = self.arenas.lock() {
            let count = samples.min(rayon::current_num_threads());
            while arenas.len() < count {
                arenas.push(Arena::new(&self.buffers));
            }
        }
    }

    pub(super) fn with_arena(&self, run: impl FnOnce(&mut Arena)) {
        let free_arena = self.arenas.lock().ok().and_then(|mut arenas| arenas.pop());
        let mut arena = free_arena.unwrap_or_else(|| Arena::new(&self.buffers));
        run(&mut arena);
        if let Ok(mut arenas) = self.arenas.lock() {
            arenas.push(arena);
        }
    }

    pub(super) fn new_tape(&self) -> Tape {
        Tape::new(&self.tape)
    }

    fn run_steps(
        &self,
        steps: &[Step],
        x: &[f32],
        y: &mut [f32],
        arena: &mut Arena,
        tape: &mut Tape,
    ) {
        for step in steps {
            self.run_step(step, x, y, arena, tape);
        }
    }
}
