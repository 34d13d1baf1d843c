//! The engine: cuts a plan's samples into batches, takes their gradients and their mean.

use std::time::Instant;

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use mollify_kernels::estimator::Estimator;
use mollify_kernels::noise::{Address, noise};

use crate::plan::{Output, Plan, Readout};
use crate::target::{Prediction, Target};
use crate::{Attribution, Error, Input, Model};

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
        let logits = read(self.model.forward(self.row(input)?)?)?;
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
        let class = self.predict(input)?.class(target)?;
        let start = Instant::now();
        let total = plan.gradients();
        let first_batch = self.batch_size(total);
        let mut batch = first_batch;
        let estimate = loop {
            match self.estimate(plan, input, class, batch) {
                Err(error) if is_out_of_memory(&error) && batch > 1 => {
                    self.model.device().memory_cleanup();
                    batch = batch.div_ceil(2);
                }
                Err(Error::Model(error)) if error.is_out_of_memory() => {
                    return Err(Error::OutOfMemory(error.to_string()));
                }
                result => break result?,
            }
        };
        if estimate.samples == 0 {
            return Err(Error::NoFiniteGradient { samples: total });
        }
        let (values, standard_error) = estimate.read_out(plan.readout, input.values(), total);
        Ok(Attribution {
            values,
            standard_error,
            shape: input.shape().to_vec(),
            class,
            gradients: total,
            samples: estimate.samples,
            left_out: total - estimate.samples,
            batch,
            refused_batch: (batch < first_batch).then_some(first_batch),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// The estimate from all of a plan's samples, `batch` of them at a time.
    fn estimate(
        &self,
        plan: &Plan,
        input: &Input,
        class: usize,
        batch: usize,
    ) -> Result<Estimate, Error> {
        let (node, total) = (self.row(input)?, plan.gradients());
        let mut estimator = Estimator::new(input.values().len(), self.model.device());
        let mut first = 0;
        while first < total {
            let rows = batch.min((total - first) as usize);
            let points = points(plan, &node, input, first, rows);
            estimator = estimator.update(self.gradients(plan.output, points, class)?);
            if first == 0 && total > batch as u64 {
                // Batches are alike: what the device refuses, it refuses with the first.
                read(estimator.count())?;
            }
            first += rows as u64;
            if let Some(progress) = self.progress {
                progress(first, total);
            }
        }
        Estimate::read(estimator)
    }

    /// The clean input as a batch of one row on the model's device.
    fn row(&self, input: &Input) -> Result<Tensor<2>, Error> {
        if input.shape() != self.model.input_shape() {
            return Err(Error::Shape {
                found: input.shape().to_vec(),
                expected: self.model.input_shape().to_vec(),
            });
        }
        let data = TensorData::new(input.values().to_vec(), [1, input.values().len()]);
        Ok(Tensor::from_data(data, self.model.device()))
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

/// Where the gradients of a batch are taken: noisy samples, or the clean row itself.
fn points(plan: &Plan, node: &Tensor<2>, input: &Input, first: u64, rows: usize) -> Tensor<2> {
    match &plan.sampler {
        Some(sampler) => noise(
            node.clone(),
            &sampler.noise(),
            &input.kernel_domain(),
            &Address { seed: plan.seed, stream: 0, node: 0, first, rows },
        ),
        None => node.clone(),
    }
}

/// The estimator's state on the host.
struct Estimate {
    mean: Vec<f32>,
    squares: Vec<f32>,
    samples: u64,
}

impl Estimate {
    fn read(estimator: Estimator) -> Result<Self, Error> {
        let mut mean = read(estimator.into_state())?;
        let features = mean.len() / 3;
        let count = mean.split_off(2 * features);
        let squares = mean.split_off(features);
        Ok(Self { mean, squares, samples: count[0] as u64 })
    }

    /// The map and its standard error.
    fn read_out(&self, readout: Readout, input: &[f32], total: u64) -> (Vec<f32>, Vec<f32>) {
        let scale = |i: usize| match readout {
            Readout::Gradient => 1.0,
            Readout::TimesInput => input[i],
        };
        let n = self.samples as f64;
        let error = |squares: f32| match total {
            1 => 0.0,
            _ => (f64::from(squares) / (n - 1.0) / n).sqrt() as f32,
        };
        let values = self.mean.iter().enumerate().map(|(i, mean)| mean * scale(i));
        let errors =
            self.squares.iter().enumerate().map(|(i, &squares)| error(squares) * scale(i).abs());
        (values.collect(), errors.collect())
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
        Error::Model(error) => error.is_out_of_memory(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, ModelError};
    use burn::tensor::Device;

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
