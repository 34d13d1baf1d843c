//! Timing of the steps of a segment.

use std::time::Instant;

use super::image::Image;
use super::segment::{Segment, Step, StepKind};

/// The time of a step.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Whether the step is part of the backward pass.
    pub backward: bool,
    /// The operation of the step with its input and output shapes.
    pub name: String,
    /// The number of multiplications and additions, without those on padding.
    pub operations: u64,
    /// The shortest measured time, in seconds.
    pub seconds: f64,
}

impl Segment {
    /// The number of multiplications and additions of the forward pass for one sample. The backward pass has
    /// the same number.
    pub fn operations(&self) -> u64 {
        self.forward.iter().map(operations).sum()
    }

    /// Measures the time of every step for the sample `x` on one core; the shortest of `rounds` runs.
    pub fn profile(&self, x: &[f32], rounds: usize) -> Vec<Timing> {
        let gradient = vec![1.0; self.output.iter().product()];
        let (mut y, mut back) = (gradient.clone(), vec![0.0; x.len()]);
        let mut timings: Vec<Timing> = [(false, &self.forward), (true, &self.backward)]
            .into_iter()
            .flat_map(|(backward, steps)| {
                steps.iter().map(move |step| Timing {
                    backward,
                    name: name(step),
                    operations: operations(step),
                    seconds: f64::INFINITY,
                })
            })
            .collect();
        self.with_arena(|arena| {
            let mut tape = self.new_tape();
            for _ in 0..rounds {
                let all = self.forward.iter().chain(&self.backward);
                for (at, (step, timing)) in all.zip(&mut timings).enumerate() {
                    let start = Instant::now();
                    match at < self.forward.len() {
                        true => self.run_step(step, x, &mut y, arena, &mut tape),
                        false => self.run_step(step, &gradient, &mut back, arena, &mut tape),
                    }
                    timing.seconds = timing.seconds.min(start.elapsed().as_secs_f64());
                }
            }
        });
        timings
    }
}

fn name(step: &Step) -> String {
    let kind = match &step.kind {
        StepKind::Load(_) => "load",
        StepKind::Store(_) => "store",
        StepKind::Zero => "zero",
        StepKind::Convolve { .. } => "convolution",
        StepKind::Depthwise { .. } => "depthwise",
        StepKind::Map { .. } => "map",
        StepKind::SpatialSum { .. } => "sum",
        StepKind::MaxPool { .. } | StepKind::MaxPoolGradient { .. } => "max pool",
        StepKind::MeanPool { .. } | StepKind::MeanPoolGradient { .. } => "mean pool",
        StepKind::Normalize { .. } | StepKind::NormalizeGradient { .. } => "normalization",
        StepKind::Softmax | StepKind::SoftmaxGradient { .. } => "softmax",
        StepKind::MatMul(_) => "product",
        StepKind::Copy(_) => "copy",
    };
    let shape = |image: &Image| format!("{}x{}x{}", image.height, image.width, image.channels);
    let from = step.sources.first().map_or_else(String::new, |(_, image)| shape(image));
    let taps = match &step.kind {
        StepKind::Convolve { packed, .. } => {
            packed.phases.iter().map(|phase| phase.taps.len()).sum()
        }
        StepKind::Depthwise { packed, .. } => {
            packed.phases.iter().map(|(phase, _)| phase.taps.len()).sum()
        }
        _ => 0,
    };
    format!("{kind} {from} to {} ({taps} taps)", shape(&step.to.1))
}

fn operations(step: &Step) -> u64 {
    let pixels = |pixel_loop: &super::pixel_loop::PixelLoop| pixel_loop.rows * pixel_loop.columns;
    let to = step.to.1.channels;
    let products: usize = match &step.kind {
        StepKind::Convolve { packed, pixel_loops, .. } => {
            let each = packed.packed_phases().iter().zip(pixel_loops);
            each.map(|(packed_phase, pixel_loop)| pixels(pixel_loop) * packed_phase.used).sum()
        }
        StepKind::Depthwise { packed, pixel_loops } => {
            let each = packed.phases.iter().zip(pixel_loops);
            each.map(|((phase, _), pixel_loop)| pixels(pixel_loop) * phase.taps.len() * to).sum()
        }
        StepKind::MatMul(matmul) => matmul.operations(),
        _ => 0,
    };
    2 * products as u64
}
