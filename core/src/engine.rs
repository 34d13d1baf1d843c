//! The engine: cuts a plan's samples into batches, takes their gradients and their mean.

use std::time::Instant;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use mollify_kernels::estimator::Estimator;
use mollify_kernels::noise::{Address, noise};

use crate::plan::{Estimate, Output, Plan, Readout};
use crate::target::{Prediction, Target};
use crate::{Attribution, Error, Input, Model, ModelError};

/// Told after each batch how many of how many gradients are done.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// Makes maps with one model.
pub struct Explainer<'a> {
    model: &'a dyn Model,
    batch: Option<usize>,
    memory: u64,
    progress: Option<Progress<'a>>,
}

impl<'a> Explainer<'a> {
    /// An explainer whose batches fit the device's memory.
    pub fn new(model: &'a dyn Model) -> Self {
        Self {
            model,
            batch: None,
            memory: mollify_backends::memory_budget(model.device()),
            progress: None,
        }
    }

    /// Takes `batch` samples at a time, whatever the memory.
    #[must_use]
    pub fn batch(mut self, batch: Option<usize>) -> Self {
        self.batch = batch;
        self
    }

    /// Cuts batches so that they take about `bytes` of memory.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Calls `progress` after each batch.
    #[must_use]
    pub fn progress(mut self, progress: Progress<'a>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The model's logits for the clean input.
    ///
    /// # Errors
    ///
    /// When the input's shape is not the model's, or the model fails or answers with a value that
    /// is not finite.
    pub fn predict(&self, input: &Input) -> Result<Prediction, Error> {
        if input.shape() != self.model.input_shape() {
            return Err(Error::Shape {
                found: input.shape().to_vec(),
                expected: self.model.input_shape().to_vec(),
            });
        }
        self.predict_at(input.values())
    }

    /// The model's logits for a sample of these values.
    fn predict_at(&self, values: &[f32]) -> Result<Prediction, Error> {
        let data = TensorData::new(values.to_vec(), [1, values.len()]);
        let logits = read(self.model.forward(Tensor::from_data(data, self.model.device()))?)?;
        match logits.iter().position(|logit| !logit.is_finite()) {
            Some(class) => Err(Error::NoFinitePrediction { class, value: logits[class] }),
            None => Ok(Prediction { logits }),
        }
    }

    /// The map of `input` for `target` under `plan`.
    ///
    /// # Errors
    ///
    /// When a setting of the plan is out of range, the input's shape is not the model's, the
    /// target does not exist, the model fails, or no gradient is finite.
    pub fn explain(
        &self,
        plan: &Plan,
        input: &Input,
        target: Target,
    ) -> Result<Attribution, Error> {
        plan.check()?;
        let prediction = self.predict(input)?;
        let class = prediction.class(target)?;
        let start = Instant::now();
        let way = Way::new(plan, input)?;
        let difference = self.difference(plan, &way, &prediction, class)?;
        let first_batch = self.batch_size(plan.gradients());
        let mut batch = first_batch;
        let moments = loop {
            match self.moments(plan, &way, input, class, batch) {
                Err(error)
                    if is_out_of_memory(&error)
                        && batch > 1
                        && self.model.max_batch().is_none() =>
                {
                    self.model.device().memory_cleanup();
                    batch = batch.div_ceil(2);
                }
                Err(Error::Model(error)) if is_out_of_memory_of(&error) => {
                    return Err(Error::OutOfMemory(error.to_string()));
                }
                result => break result?,
            }
        };
        if moments.samples == 0 {
            return Err(Error::NoFiniteGradient { samples: plan.draws() });
        }
        if plan.estimate == Estimate::Variance && moments.samples == 1 {
            return Err(Error::TooFewFinite { kept: 1, samples: plan.draws() });
        }
        let factors = way.factors(plan.readout, input);
        let values = moments.map(plan.estimate, &factors);
        let standard_error = moments.standard_error(plan, &factors);
        let seconds = start.elapsed().as_secs_f64();
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        Ok(Attribution {
            values,
            standard_error,
            shape: input.shape().to_vec(),
            class,
            gradients: plan.gradients(),
            samples: moments.samples,
            left_out: plan.draws() - moments.samples,
            batch,
            refused_batch: (batch < first_batch).then_some(first_batch),
            completeness_gap: difference.map(|difference| (sum - difference).abs()),
            seconds,
        })
    }

    /// What the map of a path should add up to: the output at the input less that at the baseline.
    /// None where it need not add up.
    fn difference(
        &self,
        plan: &Plan,
        way: &Way,
        prediction: &Prediction,
        class: usize,
    ) -> Result<Option<f64>, Error> {
        let complete = (plan.readout, plan.estimate) == (Readout::TimesDifference, Estimate::Mean);
        let Some(baseline) = way.baseline.as_ref().filter(|_| complete) else {
            return Ok(None);
        };
        let at_baseline = self.predict_at(baseline).map_err(|error| match error {
            Error::NoFinitePrediction { class, value } => Error::Baseline(format!(
                "gives an output that is not finite: class {class} is {value}"
            )),
            other => other,
        })?;
        let (here, there) =
            (prediction.score(plan.output, class), at_baseline.score(plan.output, class));
        Ok(Some(here - there))
    }

    /// The moments of all of a plan's samples, `batch` of their nodes at a time.
    fn moments(
        &self,
        plan: &Plan,
        way: &Way,
        input: &Input,
        class: usize,
        batch: usize,
    ) -> Result<Moments, Error> {
        let (device, total) = (self.model.device(), plan.gradients());
        let features = input.values().len();
        let nodes = way.nodes(device);
        let mut sums = PathSums::new(&way.weights, device);
        let mut estimator = Estimator::new(features, device);
        let mut first = 0;
        while first < total {
            let rows = batch.min((total - first) as usize);
            let points = points(plan, &nodes, input, first, rows);
            if let Some(samples) = sums.take(self.gradients(plan.output, points, class)?) {
                estimator = estimator.update(samples);
            }
            if first == 0 && total > batch as u64 {
                // Batches are alike: what the device refuses, it refuses with the first.
                read(sums.probe().unwrap_or_else(|| estimator.count()))?;
            }
            first += rows as u64;
            if let Some(progress) = self.progress {
                progress(first, total);
            }
        }
        Moments::read(estimator)
    }

    /// Gradients `[n, features]` of the class's output at `points` `[n, features]`.
    fn gradients(
        &self,
        output: Output,
        points: Tensor<2>,
        class: usize,
    ) -> Result<Tensor<2>, Error> {
        let points = points.autodiff().require_grad();
        let logits = self.model.forward(points.clone())?;
        let outputs = match output {
            Output::Logit => logits,
            Output::Probability => softmax(logits, 1),
        };
        let score = outputs.narrow(1, class, 1).sum();
        if !score.is_tracked() {
            return Err(Error::NoGradient);
        }
        points.grad(&score.backward()).ok_or(Error::NoGradient)
    }

    /// Samples per batch: what was asked for, or what the memory holds, within the model's limit.
    fn batch_size(&self, total: u64) -> usize {
        let fitting = self.model.bytes_per_sample().map_or(BEST_BATCH, |bytes| {
            usize::try_from(self.memory / bytes.max(1)).unwrap_or(BEST_BATCH)
        });
        let batch = self.batch.unwrap_or(fitting.min(BEST_BATCH)).max(1);
        let limit = self.model.max_batch().unwrap_or(batch);
        batch.min(limit).min(usize::try_from(total).unwrap_or(batch))
    }
}

/// Beyond this many samples a batch gains no speed on any device tried.
const BEST_BATCH: usize = 64;

/// The most values of a path's nodes: 4 GiB of float32.
const MOST_NODE_VALUES: u64 = 1 << 30;

/// Where a plan's gradients are taken before there is noise: the input itself, or the nodes of its
/// path with their weights.
struct Way {
    rows: Vec<f32>,
    features: usize,
    weights: Vec<f64>,
    baseline: Option<Vec<f32>>,
}

impl Way {
    fn new(plan: &Plan, input: &Input) -> Result<Self, Error> {
        let features = input.values().len();
        let Some(path) = &plan.path else {
            let (rows, weights) = (input.values().to_vec(), vec![1.0]);
            return Ok(Self { rows, features, weights, baseline: None });
        };
        let baseline = path.baseline.values(input)?;
        if let Some(index) = baseline.iter().position(|value| !value.is_finite()) {
            return Err(Error::Baseline(format!("is not finite at value {index}")));
        }
        if u64::from(path.steps) * features as u64 > MOST_NODE_VALUES {
            let (value, range) =
                (path.steps.to_string(), "fewer: the path's nodes take over 4 GiB");
            return Err(Error::Setting { setting: "steps", value, range });
        }
        let (rows, weights) = path.nodes(input, &baseline);
        Ok(Self { rows, features, weights, baseline: Some(baseline) })
    }

    /// The nodes `[nodes, features]` on the device.
    fn nodes(&self, device: &Device) -> Tensor<2> {
        let shape = [self.weights.len(), self.features];
        Tensor::from_data(TensorData::new(self.rows.clone(), shape), device)
    }

    /// What the mean is multiplied with, element by element.
    fn factors(&self, readout: Readout, input: &Input) -> Vec<f32> {
        match (readout, &self.baseline) {
            (Readout::Gradient, _) => vec![1.0; self.features],
            (Readout::TimesDifference, Some(baseline)) => {
                input.values().iter().zip(baseline).map(|(x, b)| x - b).collect()
            }
            (Readout::TimesInput | Readout::TimesDifference, _) => input.values().to_vec(),
        }
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
            self.begun =
                Some((self.weighted(gradients.narrow(0, done, rows - done), 0), rows - done));
        }
        (!complete.is_empty()).then(|| Tensor::cat(complete, 0))
    }

    /// The weighted sum `[1, features]` of the gradients at the nodes from `from` on.
    fn weighted(&self, gradients: Tensor<2>, from: usize) -> Tensor<2> {
        let weights = self.weights.clone().narrow(0, from, gradients.dims()[0]);
        (gradients * weights).sum_dim(0)
    }

    /// A value that takes all of the sum begun so far.
    fn probe(&self) -> Option<Tensor<2>> {
        self.begun.as_ref().map(|(sum, _)| sum.clone().slice([0..1, 0..1]))
    }
}

/// Where the gradients of a batch are taken: noisy samples of the nodes, or the nodes themselves.
fn points(plan: &Plan, nodes: &Tensor<2>, input: &Input, first: u64, rows: usize) -> Tensor<2> {
    match &plan.sampler {
        Some(sampler) => noise(
            nodes.clone(),
            &sampler.noise(),
            &input.kernel_domain(),
            &Address { seed: plan.seed, stream: 0, node: 0, first, rows },
        ),
        None => nodes.clone().narrow(0, first as usize, rows),
    }
}

/// The estimator's state on the host.
struct Moments {
    mean: Vec<f32>,
    squares: Vec<f32>,
    samples: u64,
}

impl Moments {
    fn read(estimator: Estimator) -> Result<Self, Error> {
        let mut mean = read(estimator.into_state())?;
        let features = mean.len() / 3;
        let count = mean.split_off(2 * features);
        let squares = mean.split_off(features);
        Ok(Self { mean, squares, samples: count[0] as u64 })
    }

    /// The map of gradients times `factors`.
    fn map(&self, estimate: Estimate, factors: &[f32]) -> Vec<f32> {
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
    fn standard_error(&self, plan: &Plan, factors: &[f32]) -> Vec<f32> {
        let n = self.samples as f64;
        let error = |squares: f32| match (plan.estimate, plan.sampler) {
            (_, None) => 0.0,
            (Estimate::Mean, _) => (f64::from(squares) / (n - 1.0) / n).sqrt() as f32,
            (Estimate::Square | Estimate::Variance, _) => f32::NAN,
        };
        self.squares.iter().zip(factors).map(|(&s, factor)| error(s) * factor.abs()).collect()
    }
}

/// The values of a tensor, once the device has computed them.
fn read(tensor: Tensor<2>) -> Result<Vec<f32>, Error> {
    let data = tensor.try_into_data().map_err(|error| device_error(error.to_string()))?;
    data.convert::<f32>().try_into_vec().map_err(|error| Error::Execution(format!("{error:?}")))
}

/// The error of a device that says `message`.
fn device_error(message: String) -> Error {
    match message.lines().find(|line| says_out_of_memory(line)) {
        Some(line) => Error::OutOfMemory(line.trim().to_owned()),
        None => Error::Execution(message),
    }
}

/// Whether a line of a device's message speaks of a failed allocation. The message is all that
/// burn hands on of what its runtimes say (`IoError` and `LaunchError` of CubeCL).
fn says_out_of_memory(line: &str) -> bool {
    ["can't allocate", "out of device memory", "out-of-memory", "out of memory"]
        .iter()
        .any(|words| line.to_lowercase().contains(words))
}

/// Whether a smaller batch may mend the error.
fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::OutOfMemory(_) => true,
        Error::Model(error) => is_out_of_memory_of(error),
        _ => false,
    }
}

fn is_out_of_memory_of(error: &ModelError) -> bool {
    error.is_out_of_memory() || error.to_string().lines().any(says_out_of_memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    /// `sum x^2`, on a device that has memory for batches of up to `rows`.
    struct Small {
        device: Device,
        rows: usize,
    }

    impl Model for Small {
        fn input_shape(&self) -> &[usize] {
            &[3]
        }

        fn device(&self) -> &Device {
            &self.device
        }

        fn forward(&self, batch: Tensor<2>) -> Result<Tensor<2>, ModelError> {
            if batch.dims()[0] > self.rows {
                return Err(ModelError::out_of_memory("no room"));
            }
            Ok(batch.powi_scalar(2))
        }
    }

    #[test]
    fn a_batch_that_does_not_fit_is_halved() {
        let input = Input::new(vec![0.1, 0.5, 0.7], &[3], Domain::uniform(0.0, 1.0));
        let input = input.expect("an input");
        let explain = |rows| {
            let model = Small { device: Device::flex(), rows };
            let plan = Plan::adaptgrad().samples(100);
            Explainer::new(&model).batch(Some(64)).explain(&plan, &input, Target::Index(1))
        };
        let (whole, halved) = (explain(64).expect("a map"), explain(10).expect("a map"));
        assert_eq!((whole.batch, whole.refused_batch), (64, None));
        assert_eq!((halved.batch, halved.refused_batch), (8, Some(64)));
        for (whole, halved) in whole.values.iter().zip(&halved.values) {
            assert!((whole - halved).abs() < 1e-6);
        }
        let message = explain(0).expect_err("no room for one").to_string();
        assert!(message.contains("no room"), "{message}");
    }

    #[test]
    fn failed_allocations_are_told_from_other_failures() {
        let allocation = "An IO error happened\nCaused by:\n  can't allocate buffer of size: 99\n";
        assert!(is_out_of_memory(&device_error(allocation.into())));
        assert!(!is_out_of_memory(&device_error("the kernel does not compile".into())));
    }
}
