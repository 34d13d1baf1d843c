//! The measuring loop: computes every map that the results lack, and every metric of each map.
//!
//! ```text
//! sources -> chunks of opened samples -> predictions -> maps -> metrics -> records
//! ```
//!
//! The gradients of all maps of a chunk share batches.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use attriburn::{Attribution, Explainer, Input, Plan, Prediction, Task};

use crate::case::Case;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::metric::{Metric, any_is_random};
use crate::record::Record;
use crate::results::{Group, Results};
use crate::sample::{Sample, Source};
use crate::value::{Missing, Value};
use crate::variant::Variant;

/// An evaluation of several methods by several metrics.
pub struct Evaluation<'a> {
    /// The models, and the parameters of metrics.
    pub context: Context<'a>,
    /// The metrics, in the order of the records.
    pub metrics: &'a [&'static Metric],
    /// The methods with their settings.
    pub variants: &'a [Variant],
    /// The number of seeds of each map that is random.
    pub repeats: u32,
}

/// A callback after each measured map; [`ControlFlow::Break`] cancels the evaluation.
pub type OnMap<'a> = &'a dyn Fn() -> ControlFlow<()>;

/// The approximate number of gradients of one method for all samples of a chunk.
const GRADIENTS_PER_CHUNK: u64 = 256;
/// The maximum number of samples in a chunk.
const MAX_SAMPLES_PER_CHUNK: u64 = 16;

impl Evaluation<'_> {
    /// Returns the number of seeds of a plan; see [`repeats`].
    pub fn repeats(&self, plan: &Plan) -> u32 {
        repeats(plan, self.metrics, self.repeats)
    }

    /// Returns the maps of one sample in order, each as the indices of its variant and repeat.
    fn maps(&self) -> Vec<(usize, u32)> {
        let maps = |(index, variant): (usize, &Variant)| {
            (0..self.repeats(&variant.plan)).map(move |repeat| (index, repeat))
        };
        self.variants.iter().enumerate().flat_map(maps).collect()
    }

    /// Measures every map that `results` lacks, and appends the records of the map.
    ///
    /// Samples are processed in chunks whose maps share batches. The chunks do not depend on the number of
    /// maps that were measured before, so a resumed evaluation computes the same numbers.
    ///
    /// # Errors
    ///
    /// Returns an error if the results cannot be written, or `on_map` cancels. If a sample, map or metric
    /// fails, its records have a reason instead of a value.
    pub fn run<S: Source>(
        &self,
        sources: &[S],
        results: &mut Results,
        on_map: OnMap,
    ) -> Result<(), Error> {
        let maps = self.maps();
        // The number of groups in the results that belong to the samples from here on.
        let mut done = results.records().len() / self.metrics.len().max(1);
        let mut is_warm = !self.metrics.iter().any(|metric| metric.is_timed);
        for sources in sources.chunks(samples_per_chunk(self.variants, self.metrics)) {
            let groups_of_chunk = maps.len() * sources.len();
            if done >= groups_of_chunk {
                done -= groups_of_chunk;
                continue;
            }
            let opened: Vec<Result<S::Opened, String>> = sources.iter().map(S::open).collect();
            let samples = self.samples(sources, &opened);
            if let (false, Some(Ok(sample))) = (is_warm, samples.first()) {
                self.warm_up(sample);
                is_warm = true;
            }
            let mut pending = Pending { next: done, groups: BTreeMap::new() };
            for (map, &(variant, repeat)) in maps.iter().enumerate() {
                let groups = (0..sources.len()).map(|sample| sample * maps.len() + map);
                if groups.clone().all(|group| group < done) {
                    continue;
                }
                let variant = &self.variants[variant];
                let values = self.measure(&samples, &variant.plan, repeat);
                for ((group, values), sample) in groups.zip(values).zip(&samples) {
                    if group >= done {
                        let class = sample.as_ref().ok().map(|sample| sample.subject.class);
                        let source = &sources[group / maps.len()];
                        let key = (source.name(), variant.name.clone(), repeat);
                        // What the callback keeps of a map is kept before the map counts as measured.
                        let wanted = on_map();
                        pending.add(group, self.records(key, class, values), results)?;
                        if wanted.is_break() {
                            return Err(Error::new(
                                ErrorKind::Cancelled,
                                "the evaluation was cancelled",
                            ));
                        }
                    }
                }
            }
            done = 0;
        }
        Ok(())
    }

    /// Returns the samples of a chunk, whose predictions share batches.
    fn samples<'o, S: Source>(
        &self,
        sources: &[S],
        opened: &'o [Result<S::Opened, String>],
    ) -> Vec<Result<Sample<'o>, String>> {
        let inputs: Vec<&Input> = opened.iter().flatten().map(S::input).collect();
        let mut predictions = self.context.explainer.predict_all(&inputs).into_iter();
        let sample = |(source, opened): (&S, &'o Result<S::Opened, String>)| {
            let opened = opened.as_ref().map_err(Clone::clone)?;
            let prediction: Prediction = match predictions.next() {
                Some(prediction) => prediction.map_err(|error| error.to_string())?,
                None => return Err("the sample has no prediction".into()),
            };
            let subject = source.subject(opened, &prediction)?;
            Ok(Sample::new(S::input(opened), prediction, subject))
        };
        sources.iter().zip(opened).map(sample).collect()
    }

    /// Computes one map of each method without measuring it, because the first map on a device also compiles
    /// and tunes kernels.
    fn warm_up(&self, sample: &Sample) {
        for variant in self.variants {
            // An error is reported when the method is measured.
            let _ = self.attributions(&[sample], &variant.plan);
        }
    }

    /// Returns the map of each sample.
    fn attributions(&self, samples: &[&Sample], plan: &Plan) -> Vec<Result<Attribution, String>> {
        let explainer = &self.context.explainer;
        let tasks: Result<Vec<Task>, attriburn::Error> =
            samples.iter().map(|sample| task(explainer, sample)).collect();
        match tasks.and_then(|tasks| explainer.explain_all(&tasks, plan)) {
            Ok(maps) => maps.into_iter().map(|map| map.map_err(|e| e.to_string())).collect(),
            Err(error) => vec![Err(error.to_string()); samples.len()],
        }
    }

    /// Returns the values of all metrics of the map of each sample.
    fn measure(
        &self,
        samples: &[Result<Sample, String>],
        plan: &Plan,
        repeat: u32,
    ) -> Vec<Vec<Result<Value, Missing>>> {
        let plan = plan.clone().seed(plan.seed.wrapping_add(repeat.into()));
        let usable: Vec<&Sample> = samples.iter().flatten().collect();
        let mut maps = match usable.is_empty() {
            true => Vec::new(),
            false => self.attributions(&usable, &plan),
        }
        .into_iter();
        let values = |sample: &Result<Sample, String>| -> Vec<Result<Value, Missing>> {
            let map = match sample {
                Ok(sample) => maps
                    .next()
                    .unwrap_or_else(|| Err("the sample has no map".into()))
                    .map(|map| (sample, map)),
                Err(reason) => Err(reason.clone()),
            };
            match map {
                Ok((sample, map)) => {
                    let case = Case::new(&self.context, &plan, sample, &map);
                    self.metrics.iter().map(|metric| metric.measure(&case)).collect()
                }
                Err(reason) => vec![Err(Missing::failed(reason)); self.metrics.len()],
            }
        };
        samples.iter().map(values).collect()
    }

    /// Returns the records of one map.
    fn records(
        &self,
        (picture, method, repeat): Group,
        class: Option<usize>,
        values: Vec<Result<Value, Missing>>,
    ) -> Vec<Record> {
        let record = |(metric, value): (&&Metric, Result<Value, Missing>)| {
            let (value, missing) = match value {
                Ok(value) => (Some(value), None),
                Err(missing) => (None, Some(missing)),
            };
            Record {
                picture: picture.clone(),
                method: method.clone(),
                repeat,
                metric: metric.name.to_owned(),
                class,
                value: value.as_ref().map(|value| value.number),
                curve: value.and_then(|value| value.curve),
                not_applicable: missing.as_ref().is_some_and(|missing| !missing.is_failure),
                reason: missing.map(|missing| missing.reason),
            }
        };
        self.metrics.iter().zip(values).map(record).collect()
    }
}

/// Returns the task of explaining a sample whose prediction is known.
fn task<'s>(explainer: &Explainer, sample: &Sample<'s>) -> Result<Task<'s>, attriburn::Error> {
    explainer.task_with(sample.input, &sample.prediction, sample.score())
}

/// Returns the number of seeds of a plan: `repeats` if the plan has noise or a metric draws random numbers,
/// else 1.
pub fn repeats(plan: &Plan, metrics: &[&Metric], repeats: u32) -> u32 {
    if plan.is_noisy() || any_is_random(metrics) { repeats } else { 1 }
}

/// Returns the number of consecutive samples that form a chunk, whose maps share batches: 1 if a metric is the time
/// to compute a map. Which samples share batches changes the rounding of maps, so an evaluation is divided among
/// processes by whole chunks.
pub fn samples_per_chunk(variants: &[Variant], metrics: &[&Metric]) -> usize {
    if metrics.iter().any(|metric| metric.is_timed) {
        return 1;
    }
    let gradients = variants.iter().map(|variant| variant.plan.gradients()).max().unwrap_or(1);
    (GRADIENTS_PER_CHUNK / gradients.max(1)).clamp(1, MAX_SAMPLES_PER_CHUNK) as usize
}

/// The records of a chunk that wait for the records before them. They are computed method by method, but
/// appended sample by sample.
struct Pending {
    /// The index within the chunk of the next group to append.
    next: usize,
    groups: BTreeMap<usize, Vec<Record>>,
}

impl Pending {
    /// Adds a group, and appends all groups whose predecessors were appended.
    fn add(
        &mut self,
        group: usize,
        records: Vec<Record>,
        results: &mut Results,
    ) -> Result<(), Error> {
        self.groups.insert(group, records);
        while let Some(records) = self.groups.remove(&self.next) {
            results.append(&records)?;
            self.next += 1;
        }
        Ok(())
    }
}
