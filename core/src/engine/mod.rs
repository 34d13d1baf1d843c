//! The engine: cuts a plan's samples into batches, takes their gradients and their mean.
//!
//! ```text
//! inputs -> line (positions) -> points, with noise -> gradients -> tally (sums) -> moments -> map
//! ```

mod line;
mod memory;
mod parameters;
mod run;
mod tally;

#[cfg(feature = "metrics")]
pub(crate) use memory::read as read_back;
pub use parameters::{ParameterGradient, check_parameters};

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use self::line::Line;
use self::memory::{is_out_of_memory, is_out_of_memory_of, read};
use self::run::Run;
use self::tally::Moments;
use crate::plan::{Estimate, Output, Plan, Readout, WidthRule};
use crate::target::{Prediction, Score, Target};
use crate::{Attribution, Error, Input, Link, Model, ModelError};

/// Told after each batch how many of how many gradients are done.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// Makes maps with one model.
pub struct Explainer<'a> {
    model: &'a dyn Model,
    batch: Option<usize>,
    memory: u64,
    progress: Option<Progress<'a>>,
}

/// One map of several: an input and what is explained of it.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The input.
    pub input: &'a Input,
    /// What is explained, from [`Prediction::score`].
    pub score: Score,
    /// The model's answer to the clean input, from [`Explainer::predict`].
    pub prediction: &'a Prediction,
}

impl<'a> Explainer<'a> {
    /// An explainer whose batches fit the device's memory.
    pub fn new(model: &'a dyn Model) -> Self {
        Self {
            model,
            batch: None,
            memory: attriburn_backends::memory_budget(model.device()),
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
        self.check_shape(input)?;
        self.predict_at(input.values())
    }

    /// Refuses a probability where there is none.
    pub(crate) fn check_output(
        &self,
        output: Output,
        prediction: &Prediction,
    ) -> Result<(), Error> {
        if output == Output::Probability && !prediction.has_probability() {
            return Err(Error::NoProbability { classes: prediction.logits.len() });
        }
        Ok(())
    }

    /// Refuses a task that is not of this model, and says where its noise has no width.
    fn check_task(&self, plan: &Plan, task: &Task) -> Result<(), Error> {
        self.check_shape(task.input)?;
        check_classes(&task.score, task.prediction.logits.len())?;
        task.score.check(plan.output)?;
        self.check_output(plan.output, task.prediction)?;
        let share = task.input.outside_domain();
        let adaptive = plan
            .sampler
            .as_ref()
            .is_some_and(|noise| matches!(noise.width, WidthRule::Adaptive { .. }));
        if adaptive && share > 0.0 {
            log::warn!(
                "{:.1} % of the input's elements lie outside their domain and get no noise; check the domain and the preprocessing",
                100.0 * share
            );
        }
        Ok(())
    }

    fn check_shape(&self, input: &Input) -> Result<(), Error> {
        let (found, expected) = (input.shape(), self.model.input_shape());
        if found == expected {
            return Ok(());
        }
        Err(Error::Shape { found: found.to_vec(), expected: expected.to_vec() })
    }

    /// The model's logits for each clean input, in batches, or what is wrong with it; see
    /// [`Explainer::predict`].
    pub fn predict_all(&self, inputs: &[&Input]) -> Vec<Result<Prediction, Error>> {
        let fits = |input: &&&Input| self.check_shape(input).is_ok();
        let fitting: Vec<&[f32]> = inputs.iter().filter(fits).map(|input| input.values()).collect();
        let mut logits = self.answers(&fitting).into_iter();
        let answer = |input: &&Input| {
            self.check_shape(input)?;
            self.finite(logits.next().unwrap_or_else(|| Ok(Vec::new()))?)
        };
        inputs.iter().map(answer).collect()
    }

    /// The logits of each sample, in batches.
    fn answers(&self, samples: &[&[f32]]) -> Vec<Result<Vec<f32>, Error>> {
        let batches = samples.chunks(self.batch_size(u64::MAX));
        batches.flat_map(|batch| self.logits(batch)).collect()
    }

    /// The logits of each sample of a batch. One that fails is tried in halves: the memory may not
    /// do for all, or one of them be at fault.
    fn logits(&self, batch: &[&[f32]]) -> Vec<Result<Vec<f32>, Error>> {
        let together = || -> Result<Vec<Vec<f32>>, Error> {
            let data = TensorData::new(batch.concat(), [batch.len(), batch[0].len()]);
            let rows = self.model.forward(Tensor::from_data(data, self.model.device()))?;
            let rows = checked(rows, batch.len())?;
            let classes = rows.dims()[1];
            Ok(read(rows)?.chunks(classes).map(<[f32]>::to_vec).collect())
        };
        match together() {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) if batch.len() == 1 => vec![Err(error)],
            Err(_) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                [self.logits(first), self.logits(second)].into_iter().flatten().collect()
            }
        }
    }

    /// The model's logits for a sample of these values.
    fn predict_at(&self, values: &[f32]) -> Result<Prediction, Error> {
        self.finite(read(checked(self.model.forward(self.row(values))?, 1)?)?)
    }

    /// The prediction of these logits, which must be finite.
    fn finite(&self, logits: Vec<f32>) -> Result<Prediction, Error> {
        match logits.iter().position(|logit| !logit.is_finite()) {
            Some(class) => Err(Error::NoFinitePrediction { class, value: logits[class] }),
            None => Ok(Prediction { logits, link: self.model.link() }),
        }
    }

    /// One sample as a batch.
    fn row(&self, values: &[f32]) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [1, values.len()]);
        Tensor::from_data(data, self.model.device())
    }

    /// The map of `input` for `target` under `plan`.
    ///
    /// # Errors
    ///
    /// When a setting of the plan is out of range, the input's shape is not the model's, the
    /// target does not exist, the model fails or keeps no parameters for the noise on them, or no
    /// gradient is finite.
    pub fn explain(
        &self,
        plan: &Plan,
        input: &Input,
        target: Target,
    ) -> Result<Attribution, Error> {
        plan.check()?;
        let prediction = self.predict(input)?;
        let score = prediction.score(&target)?;
        let task = Task { input, score, prediction: &prediction };
        let maps = self.explain_all(plan, &[task])?;
        maps.into_iter().next().unwrap_or(Err(Error::NoGradient))
    }

    /// The maps of all `tasks`, whose gradients share batches: a map is the same, up to float
    /// rounding, as it would be alone, but many maps of few gradients each are made faster.
    ///
    /// # Errors
    ///
    /// For all tasks what would also fail another, and for each what is wrong with its own input
    /// or gradients; see [`Explainer::explain`].
    pub fn explain_all<'t>(
        &self,
        plan: &Plan,
        tasks: &[Task<'t>],
    ) -> Result<Vec<Result<Attribution, Error>>, Error> {
        plan.check()?;
        if plan.until.is_some() && tasks.len() > 1 {
            // Each may stop after another number of samples.
            let alone = |task: &Task<'t>| self.explain_all(plan, std::slice::from_ref(task));
            let maps: Result<Vec<_>, Error> = tasks.iter().map(alone).collect();
            return Ok(maps?.into_iter().flatten().collect());
        }
        let start = Instant::now();
        // An input of several tasks has one line and one baseline.
        let mut lines: HashMap<*const Input, Rc<Line>> = HashMap::new();
        let mut begin = |task: &Task<'t>| {
            self.check_task(plan, task)?;
            let key: *const Input = task.input;
            let line = match lines.get(&key) {
                Some(line) => Rc::clone(line),
                None => Rc::new(Line::new(plan, task.input)?),
            };
            lines.insert(key, Rc::clone(&line));
            Ok((task.clone(), line))
        };
        let begun: Vec<Result<(Task<'t>, Rc<Line>), Error>> =
            tasks.iter().map(&mut begin).collect();
        let mut at_baselines = self.at_baselines(plan, begun.iter().flatten());
        let with_difference = |begun: Result<(Task<'t>, Rc<Line>), Error>| {
            let (task, line) = begun?;
            let key: *const Line = Rc::as_ptr(&line);
            let difference = match at_baselines.get_mut(&key) {
                None => None,
                Some(Ok(at_baseline)) => Some(self.difference(plan, &task, at_baseline)?),
                Some(Err(message)) => return Err(Error::Baseline(message.clone())),
            };
            Ok((task, line, difference))
        };
        let begun: Vec<Result<_, Error>> = begun.into_iter().map(with_difference).collect();
        let ready: Vec<(Task, &Line)> =
            begun.iter().flatten().map(|(task, line, _)| (task.clone(), &**line)).collect();
        if ready.is_empty() {
            return Ok(begun
                .into_iter()
                .map(|failed| Err(failed.err().unwrap_or(Error::NoGradient)))
                .collect());
        }
        let first_batch = self.batch_size(plan.gradients().saturating_mul(ready.len() as u64));
        let mut batch = first_batch;
        let run = loop {
            match Run::finished(self, plan, &ready, batch) {
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
        // What was asked of the device may still be under way.
        if let Err(error) = self.model.device().sync() {
            return Err(ModelError::new(format!("the device failed: {error}")).into());
        }
        let seconds = start.elapsed().as_secs_f64() / ready.len() as f64;
        let cost = Cost {
            sizes: run.sizes,
            batch,
            refused_batch: (batch < first_batch).then_some(first_batch),
            seconds,
        };
        let mut moments: Vec<Result<Moments, Error>> = run.moments().collect();
        let mut moments = moments.drain(..);
        let finish = |begun: Result<(Task<'t>, Rc<Line>, Option<f64>), Error>| {
            let (task, line, difference) = begun?;
            let moments = moments.next().unwrap_or(Err(Error::NoGradient))?;
            attribution(plan, &task, &line, &moments, &cost, difference)
        };
        Ok(begun.into_iter().map(finish).collect())
    }

    /// The model's answers at the baselines of paths whose maps add up, in batches and once for each line; or what
    /// is wrong with one.
    fn at_baselines<'l, 't: 'l>(
        &self,
        plan: &Plan,
        begun: impl Iterator<Item = &'l (Task<'t>, Rc<Line>)>,
    ) -> HashMap<*const Line, Result<Prediction, String>> {
        let complete = (plan.readout, plan.estimate) == (Readout::TimesDifference, Estimate::Mean);
        let mut lines: Vec<&Rc<Line>> = Vec::new();
        for (_, line) in begun.filter(|_| complete) {
            if line.baseline.is_some() && !lines.iter().any(|own| Rc::ptr_eq(own, line)) {
                lines.push(line);
            }
        }
        let baselines: Vec<&[f32]> =
            lines.iter().filter_map(|line| line.baseline.as_deref()).collect();
        let answers = self.answers(&baselines);
        let named = |answer: Result<Vec<f32>, Error>| {
            answer.and_then(|logits| self.finite(logits)).map_err(|error| match error {
                Error::NoFinitePrediction { class, value } => {
                    format!("gives an output that is not finite: class {class} is {value}")
                }
                other => format!("cannot be run: {other}"),
            })
        };
        let keys = lines.into_iter().map(Rc::as_ptr);
        keys.zip(answers.into_iter().map(named)).collect()
    }

    /// What the map of a path should add up to: the output at the input less that at the baseline.
    fn difference(&self, plan: &Plan, task: &Task, at_baseline: &Prediction) -> Result<f64, Error> {
        let value = |prediction| self.value(plan.output, &task.score, prediction);
        Ok(value(task.prediction)? - value(at_baseline)?)
    }

    /// The value of a score that is differentiated.
    fn value(&self, output: Output, score: &Score, prediction: &Prediction) -> Result<f64, Error> {
        match (output, score) {
            (Output::Logit, Score::Class(class)) => return Ok(prediction.logits[*class].into()),
            (Output::Probability, Score::Class(class)) => return Ok(prediction.probability(*class)),
            _ => {}
        }
        let outputs = outputs(self.row(&prediction.logits), output, prediction.link);
        let values = read(score.of(outputs)?)?;
        values.first().map(|&value| value.into()).ok_or(Error::NoGradient)
    }

    /// Samples per batch: what was asked for, or what the memory holds, within the model's limit.
    fn batch_size(&self, total: u64) -> usize {
        let within = |memory: u64| {
            let bytes = self.model.bytes_per_sample();
            let count = bytes.map(|bytes| usize::try_from(memory / bytes.max(1)));
            count.and_then(Result::ok).unwrap_or(BEST_BATCH)
        };
        let (even, cached) = match *self.model.device() == Device::flex() {
            true => (attriburn_backends::threads().next_multiple_of(EVEN), within(CACHE)),
            false => (EVEN, BEST_BATCH),
        };
        let best = within(self.memory).min(BEST_BATCH.max(even)).min(cached.max(even));
        // As many for every core.
        let best = if best > even { best - best % even } else { best };
        let batch = self.batch.unwrap_or(best).max(1);
        let limit = self.model.max_batch().unwrap_or(batch);
        batch.min(limit).min(usize::try_from(total).unwrap_or(batch))
    }
}

/// A model's answer to `rows` samples, which must be `[rows, classes]`.
fn checked(scores: Tensor<2>, rows: usize) -> Result<Tensor<2>, Error> {
    match scores.dims() {
        [found, classes] if found == rows && classes > 0 => Ok(scores),
        found => Err(ModelError::new(format!(
            "the model answered {rows} samples with scores of shape {found:?}; it must give [{rows}, classes]"
        ))
        .into()),
    }
}

/// Beyond this many samples a batch gains no speed on any device tried.
const BEST_BATCH: usize = 64;

/// What a CPU's caches hold of a batch: a larger one is written to memory between its passes.
const CACHE: u64 = 64 << 20;

/// A batch is a multiple of this, so that cores are given the same; more where there are more cores.
const EVEN: usize = 8;

/// What the maps of a run cost.
struct Cost {
    sizes: crate::plan::Sizes,
    batch: usize,
    refused_batch: Option<usize>,
    seconds: f64,
}

/// The map of one task.
fn attribution(
    plan: &Plan,
    task: &Task,
    line: &Line,
    moments: &Moments,
    cost: &Cost,
    difference: Option<f64>,
) -> Result<Attribution, Error> {
    let drawn = cost.sizes.draws * cost.sizes.samples;
    if moments.samples == 0 {
        return Err(Error::NoFiniteGradient { samples: drawn });
    }
    if plan.estimate == Estimate::Variance && moments.samples == 1 {
        return Err(Error::TooFewFinite { kept: 1, samples: drawn });
    }
    let factors = line.factors(plan.readout, task.input);
    let values = moments.map(plan.estimate, &factors);
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    Ok(Attribution {
        values,
        standard_error: moments.standard_error(plan, &factors),
        shape: task.input.shape().to_vec(),
        outside_domain: task.input.outside_domain(),
        score: task.score.clone(),
        gradients: drawn * cost.sizes.nodes,
        samples: moments.samples,
        left_out: drawn - moments.samples,
        batch: cost.batch,
        refused_batch: cost.refused_batch,
        completeness_gap: difference.map(|difference| (sum - difference).abs()),
        seconds: cost.seconds,
    })
}

/// Refuses a score of classes that a model does not have.
fn check_classes(score: &Score, classes: usize) -> Result<(), Error> {
    match score.others().iter().copied().chain(score.class()).find(|&index| index >= classes) {
        Some(index) => Err(Error::Target { index, classes }),
        None => Ok(()),
    }
}

/// The outputs of `logits` `[n, classes]` that are differentiated.
fn outputs(logits: Tensor<2>, output: Output, link: Option<Link>) -> Tensor<2> {
    match (output, link) {
        (Output::Logit, _) => logits,
        (Output::Probability, Some(Link::Sigmoid)) => sigmoid(logits),
        (Output::Probability, _) => softmax(logits, 1),
    }
}

/// The sum over the rows of `outputs` `[n, classes]` of each row's score; each of `scores` is that of as many
/// rows.
fn sum_of_scores(outputs: Tensor<2>, scores: &[(&Score, usize)]) -> Result<Tensor<1>, Error> {
    let classes = scores.iter().map(|(score, rows)| match score {
        Score::Class(class) => Some(std::iter::repeat_n(*class, *rows)),
        _ => None,
    });
    if let Some(classes) = classes.collect::<Option<Vec<_>>>() {
        let classes: Vec<usize> = classes.into_iter().flatten().collect();
        return Ok(sum_of_classes(outputs, &classes));
    }
    let mut first = 0;
    let mut sums = Vec::new();
    for (score, rows) in scores {
        sums.push(score.of(outputs.clone().narrow(0, first, *rows))?.sum());
        first += rows;
    }
    Ok(Tensor::cat(sums, 0).sum())
}

/// The same where each row's score is the output of a class.
fn sum_of_classes(outputs: Tensor<2>, classes: &[usize]) -> Tensor<1> {
    if let Some(&class) = classes.first()
        && classes.iter().all(|&other| other == class)
    {
        return outputs.narrow(1, class, 1).sum();
    }
    let [rows, count] = outputs.dims();
    let mut chosen = vec![0f32; rows * count];
    for (row, class) in classes.iter().enumerate() {
        chosen[row * count + class] = 1.0;
    }
    let chosen = Tensor::from_data(TensorData::new(chosen, [rows, count]), &outputs.device());
    (outputs * chosen).sum()
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
}
