//! The public entry: an explainer of one model, and the tasks it checks.

use std::ops::ControlFlow;

use attriburn_backends::{BatchLimits, memory_budget};

use super::task::Task;
use crate::error::{Error, error};
use crate::{Input, Model, Prediction, Score, Target};

/// The state of a computation after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The gradients computed so far.
    pub done: u64,
    /// The gradients in total; an upper bound if the plan may stop before.
    pub total: u64,
}

/// Called after each batch; [`ControlFlow::Break`] cancels the computation.
type Callback<'a> = &'a dyn Fn(Progress) -> ControlFlow<()>;

/// Computes maps of one model.
#[derive(Clone, Copy)]
pub struct Explainer<'a> {
    pub(super) model: &'a dyn Model,
    batch: Option<usize>,
    memory: u64,
    progress: Option<Callback<'a>>,
}

/// Builder methods.
impl<'a> Explainer<'a> {
    /// An explainer of `model` whose batches fit the device's memory.
    pub fn new(model: &'a dyn Model) -> Self {
        let memory = memory_budget(model.device());
        Self { model, batch: None, memory, progress: None }
    }

    /// Computes this number of samples at a time, whatever the memory; `None` as many as the memory and the
    /// device allow.
    #[must_use]
    pub fn batch(mut self, samples: impl Into<Option<usize>>) -> Self {
        self.batch = samples.into();
        self
    }

    /// Limits the memory of a batch to about this number of bytes.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Calls `progress` after each batch. If it returns [`ControlFlow::Break`], the computation ends with
    /// an error of the kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Fn(Progress) -> ControlFlow<()>) -> Self {
        self.progress = Some(progress);
        self
    }
}

/// Tasks.
impl<'a> Explainer<'a> {
    /// The task to explain `target` of the input: one prediction, and all checks that do not depend on a
    /// plan.
    ///
    /// # Errors
    ///
    /// As [`Explainer::predict`] and [`Prediction::score`].
    pub fn task<'i>(&self, input: &'i Input, target: impl Into<Target>) -> Result<Task<'i>, Error> {
        let prediction = self.predict(input)?;
        let score = prediction.score(&target.into())?;
        Task::new(input, prediction, score)
    }

    /// The task to explain `score` of an input whose prediction is known, from [`Explainer::predict_all`].
    ///
    /// # Errors
    ///
    /// Returns an error if the input's shape is not the model's, or the score has a class that the
    /// prediction does not have.
    pub fn task_with<'i>(
        &self,
        input: &'i Input,
        prediction: &Prediction,
        score: Score,
    ) -> Result<Task<'i>, Error> {
        self.check_shape(input)?;
        Task::new(input, prediction.clone(), score)
    }

    pub(super) fn check_shape(&self, input: &Input) -> Result<(), Error> {
        let (found, expected) = (input.shape(), self.model.input_shape());
        if found == expected {
            return Ok(());
        }
        Err(error!(
            Input,
            "the input's shape is {found:?}, but the model takes {expected:?} (without the batch axis)"
        ))
    }

    /// The number of samples of a batch, of `total` samples: the requested number, else as many as the memory
    /// and the [limits of the device](BatchLimits) allow; never more than the model's own limit.
    pub(super) fn batch_size(&self, total: u64) -> usize {
        let limits = BatchLimits::of(self.model.device());
        let best = || limits.samples(self.model.bytes_per_sample(), self.memory);
        let batch = self.batch.unwrap_or_else(best);
        let limit = self.model.max_batch().unwrap_or(batch);
        batch.min(limit).min(usize::try_from(total).unwrap_or(batch)).max(1)
    }

    /// Returns `samples`, if the memory holds what the model keeps of so many samples to average over them.
    pub(super) fn checked_joint(&self, samples: u64) -> Result<u64, Error> {
        let bytes = self.model.smoothed_bytes_per_sample()?;
        if samples.saturating_mul(bytes) <= self.memory {
            return Ok(samples);
        }
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let fitting = match self.memory / bytes.max(1) {
            0 => String::new(),
            count => format!(", or take at most {count} samples"),
        };
        Err(error!(
            OutOfMemory,
            "SmoothDiff keeps values of all {samples} samples, {:.1} GB, but the limit for batches is {:.1} GB; allow more memory{fitting}",
            gigabytes(samples * bytes),
            gigabytes(self.memory)
        ))
    }

    /// Reports the progress to the caller.
    pub(super) fn report(&self, done: u64, total: u64) -> Result<(), Error> {
        match self.progress.map(|progress| progress(Progress { done, total })) {
            Some(ControlFlow::Break(())) => {
                Err(error!(Cancelled, "cancelled after {done} of {total} gradients"))
            }
            _ => Ok(()),
        }
    }
}
