//! Maps: tasks prepared, run and turned into attributions.

use std::collections::HashMap;
use std::ptr;
use std::rc::Rc;
use std::time::Instant;

use super::explainer::Explainer;
use super::layer::{image_size, layer_of};
use super::moments::Moments;
use super::nodes::Nodes;
use super::readback::classified;
use super::reading::Reading;
use super::run::Run;
use super::task::Task;
use crate::error::{Error, ErrorKind, error};
use crate::plan::{Estimate, Plan, Readout, Sizes};
use crate::{Attribution, Input, Layer, Prediction, Target, Weighting};

impl<'a> Explainer<'a> {
    /// The map of `input` for `target` under `plan`.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting of the plan is out of range, the input's shape is not the model's, the
    /// target does not exist, the model fails or lacks the parameters that the plan puts noise on, no
    /// gradient is finite, or the progress callback cancels.
    pub fn explain(
        &self,
        input: &Input,
        target: impl Into<Target>,
        plan: &Plan,
    ) -> Result<Attribution, Error> {
        plan.check()?;
        let task = self.task(input, target)?;
        self.explain_all(std::slice::from_ref(&task), plan)?.remove(0)
    }

    /// The maps of all `tasks`. Their gradients share batches: each map is the same, up to float rounding,
    /// as it would be alone, but many maps of few gradients each are faster.
    ///
    /// # Errors
    ///
    /// Returns an error if something fails that concerns all tasks; the error of a single input or gradient
    /// stands in the place of its map. See [`Explainer::explain`].
    pub fn explain_all(
        &self,
        tasks: &[Task],
        plan: &Plan,
    ) -> Result<Vec<Result<Attribution, Error>>, Error> {
        plan.check()?;
        if plan.until.is_some() && tasks.len() > 1 {
            // Each map may stop after another number of samples.
            let alone = |task| self.explain_all(std::slice::from_ref(task), plan);
            let maps: Result<Vec<_>, Error> = tasks.iter().map(alone).collect();
            return Ok(maps?.into_iter().flatten().collect());
        }
        let start = Instant::now();
        let prepared = self.prepare(tasks, plan);
        let ready: Vec<(&Task, &Nodes)> =
            prepared.iter().flatten().map(|task| (task.task, &*task.nodes)).collect();
        let layer = layer_of(self.model, plan)?;
        let (run, mut cost) = self.run(&ready, plan, layer.as_ref())?;
        cost.seconds = start.elapsed().as_secs_f64() / ready.len() as f64;
        let moments: Vec<Result<Moments, Error>> = run.moments().collect();
        let mut moments = moments.into_iter();
        let map = |task: Result<Prepared, Error>| {
            let task = task?;
            let moments = moments.next().unwrap_or_else(|| Err(Error::no_gradient()))?;
            task.attribution(plan, layer.as_ref(), &moments, &cost)
        };
        Ok(prepared.into_iter().map(map).collect())
    }

    /// The nodes of each task and, where a map is complete, the sum that it should have.
    fn prepare<'t>(&self, tasks: &'t [Task<'t>], plan: &Plan) -> Vec<Result<Prepared<'t>, Error>> {
        // Tasks of one input share its nodes and baseline.
        let mut known: Vec<(&Input, Rc<Nodes>)> = Vec::new();
        let mut with_nodes = |task: &'t Task<'t>| -> Result<(&'t Task<'t>, Rc<Nodes>), Error> {
            self.check_shape(task.input())?;
            task.check(plan)?;
            if plan.cam.is_some() {
                image_size(task.input())?;
            }
            if let Some((_, nodes)) = known.iter().find(|(input, _)| ptr::eq(*input, task.input()))
            {
                return Ok((task, Rc::clone(nodes)));
            }
            let nodes = Rc::new(Nodes::new(plan, task.input())?);
            known.push((task.input(), Rc::clone(&nodes)));
            Ok((task, nodes))
        };
        let tasks: Vec<Result<_, Error>> = tasks.iter().map(&mut with_nodes).collect();
        let is_complete = (plan.readout, plan.estimate)
            == (Readout::TimesDifference, Estimate::Mean)
            && plan.path.as_ref().is_some_and(|path| path.weighting == Weighting::Uniform);
        let nodes = known.iter().map(|(_, nodes)| nodes).filter(|_| is_complete);
        let at_baselines = self.predict_baselines(nodes);
        let prepared = |task: Result<(&'t Task<'t>, Rc<Nodes>), Error>| {
            let (task, nodes) = task?;
            let difference = match at_baselines.get(&Rc::as_ptr(&nodes)) {
                None => None,
                Some(at_baseline) => {
                    Some(task.difference(plan.output, at_baseline.as_ref().map_err(Clone::clone)?)?)
                }
            };
            Ok(Prepared { task, nodes, difference })
        };
        tasks.into_iter().map(prepared).collect()
    }

    /// The prediction at the baseline of each path, in batches.
    fn predict_baselines<'n>(
        &self,
        nodes: impl Iterator<Item = &'n Rc<Nodes>>,
    ) -> HashMap<*const Nodes, Result<Prediction, Error>> {
        let (keys, baselines): (Vec<*const Nodes>, Vec<&[f32]>) =
            nodes.filter_map(|nodes| Some((Rc::as_ptr(nodes), nodes.baseline.as_deref()?))).unzip();
        let named = |prediction: Result<Prediction, Error>| {
            prediction.map_err(|error| Error::baseline(format!("cannot be used: {error}")))
        };
        keys.into_iter().zip(self.predict_rows(&baselines).into_iter().map(named)).collect()
    }

    /// Computes all gradients, with smaller batches if the device's memory does not hold them.
    fn run<'r>(
        &'r self,
        ready: &[(&'r Task<'r>, &'r Nodes)],
        plan: &'r Plan,
        layer: Option<&'r Layer>,
    ) -> Result<(Run<'r>, Cost), Error> {
        let total = match plan.is_joint() {
            true => self.checked_joint(plan.sizes().samples)?,
            false => plan.gradients().saturating_mul(ready.len() as u64),
        };
        let first_batch = self.batch_size(total);
        let mut batch = first_batch;
        let run = loop {
            let error = match Run::complete(self, plan, layer, ready, batch) {
                Ok(run) => break run,
                Err(error) => classified(error),
            };
            // What a joint plan keeps of its samples does not shrink with the batch.
            let can_halve = batch > 1 && self.model.max_batch().is_none() && !plan.is_joint();
            if error.kind() != ErrorKind::OutOfMemory || !can_halve {
                return Err(error);
            }
            self.model.device().memory_cleanup();
            batch = batch.div_ceil(2);
        };
        // Operations on the device may still be running.
        if let Err(error) = self.model.device().sync() {
            return Err(error!(Device, "the device failed: {error}"));
        }
        let refused_batch = (batch < first_batch).then_some(first_batch);
        let cost = Cost { sizes: run.sizes, batch, refused_batch, seconds: 0.0 };
        Ok((run, cost))
    }
}

/// The cost of a run.
struct Cost {
    sizes: Sizes,
    batch: usize,
    refused_batch: Option<usize>,
    seconds: f64,
}

/// A task with its nodes.
struct Prepared<'t> {
    task: &'t Task<'t>,
    nodes: Rc<Nodes>,
    /// The sum of a complete map.
    difference: Option<f64>,
}

impl Prepared<'_> {
    /// The map.
    fn attribution(
        &self,
        plan: &Plan,
        layer: Option<&Layer>,
        moments: &Moments,
        cost: &Cost,
    ) -> Result<Attribution, Error> {
        let drawn = cost.sizes.draws * cost.sizes.samples;
        // The samples of a joint batch have one derivative.
        let joint = if plan.is_joint() { cost.sizes.samples } else { 1 };
        let samples = moments.samples * joint;
        if moments.samples == 0 && plan.is_joint() {
            return Err(error!(
                NotFinite,
                "the mean Jacobian of a part of the model over the {} samples is not finite, as that of a square root or logarithm at 0, so SmoothDiff has no result; take the mean gradient of the samples, as SmoothGrad does",
                cost.sizes.samples
            ));
        }
        if moments.samples == 0 {
            return Err(error!(
                NotFinite,
                "none of the {drawn} samples has a finite gradient (on a path: at each of its nodes): the model overflows on this input; check the preprocessing and the model's weights"
            ));
        }
        if plan.estimate == Estimate::Variance && moments.samples == 1 {
            return Err(error!(
                NotFinite,
                "only 1 of the {drawn} samples has a finite gradient, too few for a variance; check the preprocessing and the model's weights"
            ));
        }
        let input = self.task.input();
        let Reading { values, standard_error, shape } =
            Reading::new(plan, input, &self.nodes, layer, moments)?;
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        Ok(Attribution {
            values,
            standard_error,
            shape,
            layer: layer.cloned(),
            outside_domain: input.outside_domain(),
            score: self.task.score().clone(),
            gradients: drawn * cost.sizes.nodes,
            samples,
            left_out: drawn - samples,
            batch: cost.batch,
            refused_batch: cost.refused_batch,
            completeness_gap: self.difference.map(|difference| (sum - difference).abs()),
            seconds: cost.seconds,
        })
    }
}
