//! Where a segment's time goes.

use std::time::Instant;

use super::image::Image;
use super::segment::{Segment, Step, Work};

/// What a step took.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Whether it is part of the backward pass.
    pub backward: bool,
    /// What it does and makes, in words.
    pub name: String,
    /// Its multiplications and additions, of the operations alone: what fills up lanes is not counted.
    pub operations: u64,
    /// The shortest time of those that were taken.
    pub seconds: f64,
}

impl Segment {
    /// The multiplications and additions of the forward pass for one sample; the backward pass has as
    /// many.
    pub fn operations(&self) -> u64 {
        self.forward.iter().map(operations).sum()
    }

    /// The time of every step for one sample on one core, the shortest of `rounds`.
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
                        true => self.step(step, x, &mut y, arena, &mut tape),
                        false => self.step(step, &gradient, &mut back, arena, &mut tape),
                    }
                    timing.seconds = timing.seconds.min(start.elapsed().as_secs_f64());
                }
            }
        });
        timings
    }
}

fn name(step: &Step) -> String {
    let kind = match &step.work {
        Work::Load(_) => "load",
        Work::Store(_) => "store",
        Work::Zero => "zero",
        Work::Convolve { .. } => "convolution",
        Work::Depthwise { .. } => "depthwise",
        Work::Map { .. } => "map",
        Work::Sum { .. } => "sum",
        Work::Largest { .. } | Work::LargestGradient { .. } => "max pool",
        Work::Mean { .. } | Work::MeanGradient { .. } => "mean pool",
        Work::Normalize { .. } | Work::NormalizeGradient { .. } => "normalization",
        Work::Softmax | Work::SoftmaxGradient { .. } => "softmax",
        Work::Product(_) => "product",
        Work::Arrange(_) => "arrange",
    };
    let shape = |image: &Image| format!("{}x{}x{}", image.height, image.width, image.channels);
    let from = step.sources.first().map_or_else(String::new, |(_, image)| shape(image));
    let taps = match &step.work {
        Work::Convolve { packed, .. } => packed.phases.iter().map(|phase| phase.taps.len()).sum(),
        Work::Depthwise { taps, .. } => taps.phases.iter().map(|(phase, _)| phase.taps.len()).sum(),
        _ => 0,
    };
    format!("{kind} {from} to {} ({taps} taps)", shape(&step.to.1))
}

fn operations(step: &Step) -> u64 {
    let pixels = |sweep: &super::sweep::Sweep| sweep.rows * sweep.columns;
    let to = step.to.1.channels;
    let products: usize = match &step.work {
        Work::Convolve { packed, sweeps, .. } => {
            let each = packed.blocks().iter().zip(sweeps);
            each.map(|(own, sweep)| pixels(sweep) * own.used).sum()
        }
        Work::Depthwise { taps, sweeps } => {
            let each = taps.phases.iter().zip(sweeps);
            each.map(|((phase, _), sweep)| pixels(sweep) * phase.taps.len() * to).sum()
        }
        Work::Product(own) => own.operations(),
        _ => 0,
    };
    2 * products as u64
}
