//! A run: the flat index space of the gradients of all maps, cut into batches that fill the device.

use std::ops::Range;

use attriburn_kernels::noise::{Points, noise};
use attriburn_kernels::{Batch, Domain};
use burn::tensor::{Tensor, TensorData};

use super::accumulator::Accumulator;
use super::explainer::Explainer;
use super::layer;
use super::moments::Moments;
use super::nodes::Nodes;
use super::parameters::ParameterNoise;
use super::predict::checked;
use super::readback::read;
use super::reading::Reading;
use super::task::Task;
use crate::attribution::relative_norm;
use crate::plan::{Plan, Sizes};
use crate::score::{outputs, sum_of_scores};
use crate::{Activations, CamRule, Error, Layer, Smoothed};

/// The gradients of several maps under one plan. Within a draw of the parameters the flat index runs over
/// maps, then samples, then nodes.
pub struct Run<'a> {
    explainer: &'a Explainer<'a>,
    plan: &'a Plan,
    /// The layer of a class activation map.
    layer: Option<&'a Layer>,
    maps: Vec<Map<'a>>,
    batch: usize,
    /// The number of gradients computed.
    done: u64,
    /// The numbers of draws, samples and nodes that were computed in the end.
    pub sizes: Sizes,
    /// The inputs of the last batch on the device.
    uploaded: Option<Uploaded>,
}

/// One map of a run.
struct Map<'a> {
    task: &'a Task<'a>,
    nodes: &'a Nodes,
    /// The sums so far, on the device.
    sums: Option<Box<Accumulator>>,
    /// The moments of a map that is complete, on the host, so that the device's memory does not depend on
    /// the number of maps.
    moments: Option<Moments>,
}

/// The inputs of consecutive maps on the device.
struct Uploaded {
    maps: Range<usize>,
    points: Points,
    domains: Vec<Domain>,
}

/// Consecutive gradients of one map in a batch.
struct Span {
    map: usize,
    /// The number of the first gradient within its map.
    first: u64,
    rows: usize,
}

/// The number of samples, or draws of the parameters, before the standard error is checked for the first time.
const MIN_SAMPLES: u64 = 8;

impl<'a> Run<'a> {
    /// Computes all of `plan`'s gradients for each of the tasks, `batch` at a time.
    pub fn complete(
        explainer: &'a Explainer<'a>,
        plan: &'a Plan,
        layer: Option<&'a Layer>,
        tasks: &[(&'a Task<'a>, &'a Nodes)],
        batch: usize,
    ) -> Result<Self, Error> {
        let map = |&(task, nodes): &(&'a Task<'a>, &'a Nodes)| Map {
            task,
            nodes,
            sums: None,
            moments: None,
        };
        let maps = tasks.iter().map(map).collect();
        let (done, sizes, uploaded) = (0, plan.sizes(), None);
        let mut run = Self { explainer, plan, layer, maps, batch, done, sizes, uploaded };
        match &plan.weights {
            None => run.until_accurate(run.sizes.samples, |run, samples| {
                run.sizes.samples = samples.end;
                run.pass(0, None, samples)
            }),
            Some(noise) => {
                let noise = ParameterNoise::new(explainer.model, noise, plan.seed)?;
                run.until_accurate(run.sizes.draws, |run, draws| {
                    run.sizes.draws = draws.end;
                    for draw in draws {
                        let parameters = noise.draw(draw);
                        run.pass(draw as u32, Some(&parameters), 0..run.sizes.samples)?;
                        run.end_draw();
                    }
                    Ok(())
                })
            }
        }?;
        Ok(run)
    }

    /// The moments of each map, in the maps' order.
    pub fn moments(self) -> impl Iterator<Item = Result<Moments, Error>> {
        self.maps.into_iter().map(|map| match (map.moments, map.sums) {
            (Some(moments), _) => Ok(moments),
            (None, Some(sums)) => sums.moments(),
            (None, None) => Err(Error::no_gradient()),
        })
    }

    /// Computes `all` samples or draws by `next`, or as many as the plan's standard error needs.
    fn until_accurate(
        &mut self,
        all: u64,
        mut next: impl FnMut(&mut Self, Range<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(until) = self.plan.until else {
            return next(self, 0..all);
        };
        let mut done = 0;
        while done < all {
            let end = if done == 0 { MIN_SAMPLES } else { (done * 5).div_ceil(4) }.min(all);
            next(self, done..end)?;
            done = end;
            if self.relative_error()?.is_some_and(|error| error <= until) {
                break;
            }
        }
        Ok(())
    }

    /// The relative standard error of the first map so far.
    fn relative_error(&self) -> Result<Option<f64>, Error> {
        let Some(Map { task, nodes, sums: Some(sums), .. }) = self.maps.first() else {
            return Ok(None);
        };
        let reading = Reading::new(self.plan, task.input(), nodes, self.layer, &sums.moments()?)?;
        Ok(relative_norm(&reading.standard_error, &reading.values))
    }

    /// Computes the gradients of these samples of every map, under one draw of the parameters.
    fn pass(
        &mut self,
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
        samples: Range<u64>,
    ) -> Result<(), Error> {
        if self.plan.is_joint() {
            return self.joint_pass(stream, parameters, samples);
        }
        let nodes = self.sizes.nodes;
        let (from, per_map) = (samples.start * nodes, (samples.end - samples.start) * nodes);
        let total = per_map * self.maps.len() as u64;
        let mut first = 0;
        while first < total {
            let rows = (self.batch as u64).min(total - first);
            let spans = spans(first..first + rows, per_map, from);
            let gradients = match (&self.plan.cam, self.layer) {
                (Some(cam), Some(layer)) => self.cams(cam.rule, layer, &spans, stream, parameters),
                _ => self.gradients(&spans, stream, parameters),
            }?;
            self.accumulate(&spans, gradients);
            if let (0, Some(span)) = (self.done, spans.first())
                && let Some(sums) = &self.maps[span.map].sums
            {
                // All batches are alike: if the device refuses one, it refuses the first.
                read(sums.probe())?;
            }
            first += rows;
            if self.plan.weights.is_none() && self.plan.until.is_none() {
                self.finish(0..(first / per_map) as usize)?;
            }
            self.report(rows)?;
        }
        Ok(())
    }

    /// The gradients `[rows, features]` of the spans.
    fn gradients(
        &mut self,
        spans: &[Span],
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Tensor<2>, Error> {
        let points = self.points(spans, stream).autodiff().require_grad();
        let model = self.explainer.model;
        let logits = match parameters {
            Some(parameters) => model.forward_with(points.clone(), parameters),
            None => model.forward(points.clone()),
        }?;
        let logits = checked(logits, points.dims()[0], Some(self.classes(spans)))?;
        let score = self.score(spans, logits)?;
        gradient(&points, score).ok_or_else(Error::no_gradient)
    }

    /// Computes the gradient of every map through mean Jacobians over these samples, under one draw of the
    /// parameters.
    fn joint_pass(
        &mut self,
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
        samples: Range<u64>,
    ) -> Result<(), Error> {
        let model = self.explainer.model;
        let count = samples.end - samples.start;
        for map in 0..self.maps.len() {
            let span = |first: u64| {
                let rows = (self.batch as u64).min(samples.end - first) as usize;
                Span { map, first, rows }
            };
            let spans: Vec<Span> = samples.clone().step_by(self.batch).map(span).collect();
            // A batch is reported when the next one is asked for.
            let mut last = 0;
            let mut batches = spans.iter().map(|span| {
                self.report(std::mem::replace(&mut last, span.rows as u64))?;
                Ok(self.points(std::slice::from_ref(span), stream))
            });
            let Smoothed { point, logits } = model.forward_smoothed(&mut batches, parameters)?;
            let whole = [Span { map, first: samples.start, rows: count as usize }];
            let logits = checked(logits, count as usize, Some(self.classes(&whole)))?;
            let score = self.score(&whole, logits.clone())?;
            let sum = gradient(&point, score).ok_or_else(Error::no_gradient)?;
            // 0, or not a number: one sample whose logits are not finite spoils the means.
            let spoiled = logits.inner().sum() * 0.0;
            self.accumulate(&whole, sum / count as f32 + spoiled.unsqueeze());
            if self.plan.weights.is_none() {
                self.finish(0..map + 1)?;
            }
            self.report(last)?;
        }
        Ok(())
    }

    /// Reports `rows` more gradients to the caller.
    fn report(&mut self, rows: u64) -> Result<(), Error> {
        self.done += rows;
        let all = self.plan.gradients().saturating_mul(self.maps.len() as u64);
        self.explainer.report(self.done, all)
    }

    /// The class activation maps `[rows, positions]` of the spans.
    fn cams(
        &mut self,
        rule: CamRule,
        layer: &Layer,
        spans: &[Span],
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Tensor<2>, Error> {
        let (points, classes) = (self.points(spans, stream), self.classes(spans));
        let Activations { values, logits } =
            layer::activations(self.explainer.model, layer, points, parameters, classes)?;
        let score = self.score(spans, logits)?;
        let gradients = gradient(&values, score).ok_or_else(|| layer::no_gradient(layer))?;
        Ok(rule.maps(values.inner(), gradients))
    }

    /// The number of classes of the spans' predictions.
    fn classes(&self, spans: &[Span]) -> usize {
        self.maps[spans[0].map].task.prediction().logits().len()
    }

    /// The sum of the scores of the spans' rows, to be differentiated.
    fn score(&self, spans: &[Span], logits: Tensor<2>) -> Result<Tensor<1>, Error> {
        let score = |span: &Span| (self.maps[span.map].task.score(), span.rows);
        let scores: Vec<_> = spans.iter().map(score).collect();
        let link = self.explainer.model.link();
        sum_of_scores(outputs(logits, self.plan.output, link), &scores)
    }

    /// The points `[rows, features]` of the spans, in one launch.
    fn points(&mut self, spans: &[Span], stream: u32) -> Tensor<2> {
        let (first, last) = (spans[0].map, spans[spans.len() - 1].map);
        let maps = first..last + 1;
        let uploaded = match self.uploaded.take().filter(|uploaded| uploaded.maps == maps) {
            Some(uploaded) => uploaded,
            None => self.upload(maps),
        };
        let rows = spans.iter().flat_map(|span| {
            let nodes = self.maps[span.map].nodes;
            let indices = span.first..span.first + span.rows as u64;
            indices.map(move |index| nodes.row(index, stream, span.map - first))
        });
        let batch = Batch { seed: self.plan.seed, stream, rows: rows.collect() };
        let kind = self.plan.sampler.as_ref().map(|sampler| sampler.noise());
        let points = noise(&uploaded.points, kind.as_ref(), &uploaded.domains, &batch);
        self.uploaded = Some(uploaded);
        points
    }

    fn upload(&self, maps: Range<usize>) -> Uploaded {
        let batch_maps = &self.maps[maps.clone()];
        let device = self.explainer.model.device();
        let tensor = |rows: Vec<&[f32]>| {
            let shape = [rows.len(), rows[0].len()];
            Tensor::<2>::from_data(TensorData::new(rows.concat(), shape), device)
        };
        let inputs = tensor(batch_maps.iter().map(|map| map.task.input().values()).collect());
        let baselines: Option<Vec<&[f32]>> =
            batch_maps.iter().map(|map| map.nodes.baseline.as_deref()).collect();
        let domains = batch_maps.iter().map(|map| map.task.input().domain().clone()).collect();
        let points = Points { inputs, baselines: baselines.map(tensor) };
        Uploaded { maps, points, domains }
    }

    /// Adds the gradients or class activation maps of each span to the sums of its map.
    fn accumulate(&mut self, spans: &[Span], gradients: Tensor<2>) {
        let (plan, device) = (self.plan, self.explainer.model.device());
        let features = gradients.dims()[1];
        let mut row = 0;
        for span in spans {
            let rows = match spans.len() {
                1 => gradients.clone(),
                _ => gradients.clone().narrow(0, row, span.rows),
            };
            let Map { nodes, sums, .. } = &mut self.maps[span.map];
            let new = || Box::new(Accumulator::new(plan, nodes, features, device));
            sums.get_or_insert_with(new).add(rows);
            row += span.rows;
        }
    }

    /// Moves the sums of complete maps to the host.
    fn finish(&mut self, maps: Range<usize>) -> Result<(), Error> {
        for map in &mut self.maps[maps] {
            if let Some(sums) = map.sums.take() {
                map.moments = Some(sums.moments()?);
            }
        }
        Ok(())
    }

    fn end_draw(&mut self) {
        let device = self.explainer.model.device();
        for sums in self.maps.iter_mut().filter_map(|map| map.sums.as_mut()) {
            sums.end_draw(device);
        }
    }
}

/// The gradient of `score` with respect to `leaf`; `None` if `score` does not depend on it.
fn gradient<const D: usize>(leaf: &Tensor<D>, score: Tensor<1>) -> Option<Tensor<D>> {
    score.is_tracked().then(|| leaf.grad(&score.backward())).flatten()
}

/// The spans of the flat `rows` of a pass in which each map has `per_map` gradients, from its own number
/// `from` on.
fn spans(rows: Range<u64>, per_map: u64, from: u64) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = rows.start;
    while at < rows.end {
        let (map, inside) = (at / per_map, at % per_map);
        let end = rows.end.min((map + 1) * per_map);
        let (map, first) = (map as usize, from + inside);
        spans.push(Span { map, first, rows: (end - at) as usize });
        at = end;
    }
    spans
}
