//! A run: the flat index space of all maps, cut into batches that fill the device.

use std::ops::Range;

use attriburn_kernels::Address;
use burn::tensor::Tensor;

use super::memory::read;
use super::parameters::Drawn;
use super::tally::Tally;
use super::way::{Nodes, Way};
use super::{Explainer, Task, checked, outputs, sum_of_scores};
use crate::Error;
use crate::attribution::relative_norm;
use crate::plan::{Plan, Sizes};

/// The gradients of several maps under one plan. Within a draw of the parameters the flat index
/// runs over the maps, in each over the samples, and in each over the nodes.
pub struct Run<'a> {
    explainer: &'a Explainer<'a>,
    plan: &'a Plan,
    maps: Vec<Map<'a>>,
    batch: usize,
    /// Gradients taken.
    done: u64,
    /// What was taken of the plan in the end.
    pub sizes: Sizes,
    /// The sums of each map, in the maps' order.
    pub tallies: Vec<Tally>,
}

/// What a map's points are made from.
struct Map<'a> {
    task: Task<'a>,
    way: &'a Way,
    nodes: Nodes,
}

/// Neighbouring gradients of one map.
struct Piece {
    map: usize,
    first: u64,
    rows: usize,
}

impl<'a> Run<'a> {
    /// All of `plan`'s gradients for each of `ways`, `batch` at a time.
    pub fn finished(
        explainer: &'a Explainer<'a>,
        plan: &'a Plan,
        ways: &[(Task<'a>, &'a Way)],
        batch: usize,
    ) -> Result<Self, Error> {
        let device = explainer.model.device();
        let maps: Vec<Map> = ways
            .iter()
            .map(|(task, way)| Map { task: task.clone(), way, nodes: way.nodes(plan, device) })
            .collect();
        let tally = |map: &Map| Tally::new(plan, &map.nodes, map.task.input.values().len(), device);
        let tallies = maps.iter().map(tally).collect();
        let mut run = Self { explainer, plan, maps, batch, done: 0, sizes: plan.sizes(), tallies };
        match &plan.weights {
            None => run.take(run.sizes.samples, |run, samples| {
                run.sizes.samples = samples.end;
                run.pass(0, None, samples)
            }),
            Some(noise) => {
                let drawn = Drawn::new(explainer.model, noise, plan.seed)?;
                run.take(run.sizes.draws, |run, draws| {
                    run.sizes.draws = draws.end;
                    for draw in draws {
                        let parameters = drawn.draw(draw);
                        run.pass(draw as u32, Some(&parameters), 0..run.sizes.samples)?;
                        run.end_draw();
                    }
                    Ok(())
                })
            }
        }?;
        Ok(run)
    }

    /// Takes `all` samples or draws, or as many as the plan needs, by `next`.
    fn take(
        &mut self,
        all: u64,
        mut next: impl FnMut(&mut Self, Range<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(until) = self.plan.until else {
            return next(self, 0..all);
        };
        let mut done = 0;
        while done < all {
            let end = if done == 0 { LEAST } else { (done * 5).div_ceil(4) }.min(all);
            next(self, done..end)?;
            done = end;
            if self.relative_error()?.is_some_and(|error| error <= until) {
                break;
            }
        }
        Ok(())
    }

    /// The relative standard error of the first map as it is.
    fn relative_error(&self) -> Result<Option<f64>, Error> {
        let (Some(map), Some(tally)) = (self.maps.first(), self.tallies.first()) else {
            return Ok(None);
        };
        let moments = tally.moments()?;
        let factors = map.way.factors(self.plan.readout, map.task.input);
        let values = moments.map(self.plan.estimate, &factors);
        Ok(relative_norm(&moments.standard_error(self.plan, &factors), &values))
    }

    /// The gradients of these samples of every map, under one draw of the parameters.
    fn pass(
        &mut self,
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
        samples: Range<u64>,
    ) -> Result<(), Error> {
        let nodes = self.sizes.nodes;
        let (from, per_map) = (samples.start * nodes, (samples.end - samples.start) * nodes);
        let total = per_map * self.maps.len() as u64;
        let mut first = 0;
        while first < total {
            let rows = (self.batch as u64).min(total - first);
            let pieces = pieces(first..first + rows, per_map, from);
            let gradients = self.gradients(&pieces, stream, parameters)?;
            self.tally(&pieces, gradients);
            if let (0, Some(piece)) = (self.done, pieces.first()) {
                // Batches are alike: what the device refuses, it refuses with the first.
                read(self.tallies[piece.map].probe())?;
            }
            first += rows;
            self.done += rows;
            if let Some(progress) = self.explainer.progress {
                progress(self.done, self.plan.gradients().saturating_mul(self.maps.len() as u64));
            }
        }
        Ok(())
    }

    /// The gradients `[rows, features]` of the pieces.
    fn gradients(
        &self,
        pieces: &[Piece],
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Tensor<2>, Error> {
        let points = |piece: &Piece| {
            let map = &self.maps[piece.map];
            let (first, rows) = (piece.first, piece.rows);
            let at = Address { seed: self.plan.seed, stream, node: 0, first, rows };
            map.nodes.points(self.plan.sampler.as_ref(), map.task.input, &at)
        };
        let mut parts: Vec<Tensor<2>> = pieces.iter().map(points).collect();
        let points = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) };
        let points = points.autodiff().require_grad();
        let model = self.explainer.model;
        let logits = match parameters {
            Some(parameters) => model.forward_with(points.clone(), parameters),
            None => model.forward(points.clone()),
        }?;
        let logits = checked(logits, points.dims()[0])?;
        let score = |piece: &Piece| (&self.maps[piece.map].task.score, piece.rows);
        let scores: Vec<_> = pieces.iter().map(score).collect();
        let score = sum_of_scores(outputs(logits, self.plan.output, model.link()), &scores)?;
        if !score.is_tracked() {
            return Err(Error::NoGradient);
        }
        points.grad(&score.backward()).ok_or(Error::NoGradient)
    }

    /// Hands each map its gradients.
    fn tally(&mut self, pieces: &[Piece], gradients: Tensor<2>) {
        if let [piece] = pieces {
            return self.tallies[piece.map].take(gradients);
        }
        let mut row = 0;
        for piece in pieces {
            self.tallies[piece.map].take(gradients.clone().narrow(0, row, piece.rows));
            row += piece.rows;
        }
    }

    fn end_draw(&mut self) {
        let device = self.explainer.model.device();
        self.tallies.iter_mut().for_each(|tally| tally.end_draw(device));
    }
}

/// Samples, or draws of the parameters, before the standard error is first looked at.
const LEAST: u64 = 8;

/// The pieces of the flat `rows` of a pass, in which each map has `per_map` from its own `from` on.
fn pieces(rows: Range<u64>, per_map: u64, from: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = rows.start;
    while at < rows.end {
        let (map, inside) = (at / per_map, at % per_map);
        let end = rows.end.min((map + 1) * per_map);
        let (map, first) = (map as usize, from + inside);
        pieces.push(Piece { map, first, rows: (end - at) as usize });
        at = end;
    }
    pieces
}
