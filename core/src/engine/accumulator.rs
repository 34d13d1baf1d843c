//! The running sums of one map's gradients.

use attriburn_kernels::estimator::{Estimator, PathSums, State};
use burn::tensor::{Device, Tensor};

use super::moments::Moments;
use super::nodes::Nodes;
use super::readback::read;
use crate::Error;
use crate::plan::Plan;

/// The running sums of one map, on the device.
pub struct Accumulator {
    sums: PathSums,
    /// Mean and variance over all samples of all draws of the parameters.
    samples: Estimator,
    /// The same over the samples of the current draw of the parameters, and over the means of the draws:
    /// kept where draws have several samples, because samples of one draw are not independent.
    draws: Option<(Estimator, Estimator)>,
}

impl Accumulator {
    /// Empty sums.
    pub fn new(plan: &Plan, nodes: &Nodes, features: usize, device: &Device) -> Self {
        let estimator = || Estimator::new(features, device);
        let nested = plan.weights.is_some() && plan.sampler.is_some();
        Self {
            sums: PathSums::new(&nodes.weights(), device),
            samples: estimator(),
            draws: nested.then(|| (estimator(), estimator())),
        }
    }

    /// Adds the gradients `[rows, features]` at the next points.
    pub fn add(&mut self, gradients: Tensor<2>) {
        let Some(samples) = self.sums.add(gradients) else {
            return;
        };
        self.samples.update(samples.clone());
        if let Some((draw, _)) = &mut self.draws {
            draw.update(samples);
        }
    }

    /// A single value that depends on everything added so far.
    pub fn probe(&self) -> Tensor<2> {
        match self.sums.incomplete() {
            Some(sum) => sum.slice([0..1, 0..1]),
            None => self.samples.clone().into_state().slice([2..3, 0..1]),
        }
    }

    /// Ends a draw of the parameters.
    pub fn end_draw(&mut self, device: &Device) {
        if let Some((draw, draws)) = &mut self.draws {
            // A draw without a finite sample has a mean that is not finite, which the estimator leaves out.
            let mean = draw.mean();
            *draw = Estimator::new(mean.dims()[1], device);
            draws.update(mean);
        }
    }

    /// The moments of the samples added so far.
    pub fn moments(&self) -> Result<Moments, Error> {
        let State { mean, squares, samples } = state(&self.samples)?;
        let spread = |squares: &[f32], samples: u64| -> Vec<f64> {
            let n = samples as f64;
            squares.iter().map(|&sum| f64::from(sum) / (n - 1.0) / n).collect()
        };
        let variance_of_mean = match &self.draws {
            None => spread(&squares, samples),
            Some((_, draws)) => {
                let draws = state(draws)?;
                spread(&draws.squares, draws.samples)
            }
        };
        Ok(Moments { mean, squares, variance_of_mean, samples })
    }
}

fn state(estimator: &Estimator) -> Result<State, Error> {
    Ok(State::from_values(read(estimator.clone().into_state())?))
}
