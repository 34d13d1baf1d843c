//! What is kept of the gradients of one map while they come in.

use attriburn_kernels::estimator::{CARRY, Estimator};
use burn::tensor::{Device, Tensor, TensorData};

use super::line::Line;
use super::memory::read;
use crate::Error;
use crate::plan::{Estimate, Plan};

/// The sums of one map.
pub struct Tally {
    sums: PathSums,
    /// Over all samples of all draws of the parameters.
    samples: Estimator,
    /// Where each draw of the parameters has samples of its own, which are not independent of
    /// each other: over the samples of the draw that is under way, and over the draws' means.
    draws: Option<(Estimator, Estimator)>,
}

impl Tally {
    pub fn new(plan: &Plan, line: &Line, features: usize, device: &Device) -> Self {
        let estimator = || Estimator::new(features, device);
        let nested = plan.weights.is_some() && plan.sampler.is_some();
        Self {
            sums: PathSums::new(&line.weights(), device),
            samples: estimator(),
            draws: nested.then(|| (estimator(), estimator())),
        }
    }

    /// Takes in the gradients `[rows, features]` at the next points.
    pub fn take(&mut self, gradients: Tensor<2>) {
        let Some(samples) = self.sums.take(gradients) else {
            return;
        };
        self.samples.update(samples.clone());
        if let Some((draw, _)) = &mut self.draws {
            draw.update(samples);
        }
    }

    /// A value that takes all that was taken in to compute.
    pub fn probe(&self) -> Tensor<2> {
        match &self.sums.begun {
            Some((sum, _)) => sum.clone().slice([0..1, 0..1]),
            None => self.samples.clone().into_state().slice([2..3, 0..1]),
        }
    }

    /// Closes a draw of the parameters.
    pub fn end_draw(&mut self, device: &Device) {
        if let Some((draw, draws)) = &mut self.draws {
            // A draw without a finite sample has no mean, and is left out as such.
            let mean = draw.mean();
            *draw = Estimator::new(mean.dims()[1], device);
            draws.update(mean);
        }
    }

    /// The moments of what was taken in.
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

/// An estimator's state on the host.
struct State {
    mean: Vec<f32>,
    squares: Vec<f32>,
    samples: u64,
}

fn state(estimator: &Estimator) -> Result<State, Error> {
    let mut mean = read(estimator.clone().into_state())?;
    let features = mean.len() / 4;
    // Every element has the same number of samples.
    let (low, high) = (mean[2 * features] as u64, mean[3 * features] as u64);
    mean.truncate(2 * features);
    let squares = mean.split_off(features);
    Ok(State { mean, squares, samples: low + high * CARRY as u64 })
}

/// The moments of the samples on the host.
pub struct Moments {
    mean: Vec<f32>,
    squares: Vec<f32>,
    variance_of_mean: Vec<f64>,
    /// How many samples were kept.
    pub samples: u64,
}

impl Moments {
    /// The map of gradients times `factors`.
    pub fn map(&self, estimate: Estimate, factors: &[f32]) -> Vec<f32> {
        let n = self.samples as f64;
        let value = |(&mean, &squares): (&f32, &f32)| match estimate {
            Estimate::Mean => mean,
            Estimate::Square => (f64::from(mean).powi(2) + f64::from(squares) / n) as f32,
            Estimate::Variance => (f64::from(squares) / n) as f32,
        };
        let factor = |factor: f32| match estimate {
            Estimate::Mean => factor,
            Estimate::Square | Estimate::Variance => factor * factor,
        };
        let values = self.mean.iter().zip(&self.squares).map(value);
        values.zip(factors).map(|(value, &by)| value * factor(by)).collect()
    }

    /// The standard error of the mean of gradients times `factors`: zero without noise, and not a
    /// number where a single sample was kept, or of other estimates.
    pub fn standard_error(&self, plan: &Plan, factors: &[f32]) -> Vec<f32> {
        let error = |variance: f64| match (plan.estimate, plan.is_noisy(), plan.chooses_nodes()) {
            (_, false, false) => 0.0,
            (Estimate::Mean, ..) => variance.sqrt() as f32,
            (Estimate::Square | Estimate::Variance, ..) => f32::NAN,
        };
        let errors = self.variance_of_mean.iter().map(|&variance| error(variance));
        errors.zip(factors).map(|(error, factor)| error * factor.abs()).collect()
    }
}

/// Sums the weighted gradients of each sample over the nodes of its path. The nodes of a sample
/// follow each other, in one batch or in several.
struct PathSums {
    weights: Tensor<2>,
    nodes: usize,
    /// The sum over the first nodes of a sample whose others are still to come, and their number.
    begun: Option<(Tensor<2>, usize)>,
}

impl PathSums {
    fn new(weights: &[f64], device: &Device) -> Self {
        let values: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let nodes = values.len();
        let weights = Tensor::from_data(TensorData::new(values, [nodes, 1]), device);
        Self { weights, nodes, begun: None }
    }

    /// The samples `[n, features]` that the batch `gradients` `[rows, features]` completes, if any.
    fn take(&mut self, gradients: Tensor<2>) -> Option<Tensor<2>> {
        if self.nodes == 1 {
            return Some(gradients);
        }
        let [rows, features] = gradients.dims();
        let mut complete = Vec::new();
        let mut done = 0;
        if let Some((sum, from)) = self.begun.take() {
            done = rows.min(self.nodes - from);
            let sum = sum + self.weighted(gradients.clone().narrow(0, 0, done), from);
            if from + done == self.nodes {
                complete.push(sum);
            } else {
                self.begun = Some((sum, from + done));
            }
        }
        let whole = (rows - done) / self.nodes;
        if whole > 0 {
            let end = done + whole * self.nodes;
            let samples = gradients.clone().narrow(0, done, end - done);
            let samples: Tensor<3> = samples.reshape([whole, self.nodes, features]);
            let weights: Tensor<3> = self.weights.clone().reshape([1, self.nodes, 1]);
            complete.push((samples * weights).sum_dim(1).reshape([whole, features]));
            done = end;
        }
        if done < rows {
            let rest = gradients.narrow(0, done, rows - done);
            self.begun = Some((self.weighted(rest, 0), rows - done));
        }
        (!complete.is_empty()).then(|| Tensor::cat(complete, 0))
    }

    /// The weighted sum `[1, features]` of the gradients at the nodes from `from` on.
    fn weighted(&self, gradients: Tensor<2>, from: usize) -> Tensor<2> {
        let weights = self.weights.clone().narrow(0, from, gradients.dims()[0]);
        (gradients * weights).sum_dim(0)
    }
}
