//! A run: the flat index space of all maps, cut into batches that fill the device.

use std::ops::Range;

use attriburn_kernels::Batch;
use attriburn_kernels::noise::{Domain, Points, noise};
use burn::tensor::{Tensor, TensorData};

use super::line::Line;
use super::memory::read;
use super::parameters::Drawn;
use super::tally::{Moments, Tally};
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
    /// The inputs of the last batch on the device.
    uploaded: Option<Uploaded>,
}

/// One map of a run.
struct Map<'a> {
    task: Task<'a>,
    line: &'a Line,
    sums: Sums,
}

/// What was taken in of a map.
enum Sums {
    /// Nothing yet.
    None,
    /// On the device.
    Open(Box<Tally>),
    /// All, on the host: so the device's memory does not depend on the number of maps.
    Closed(Moments),
}

/// The inputs of neighbouring maps on the device.
struct Uploaded {
    maps: Range<usize>,
    points: Points,
    domain: Domain,
}

/// Neighbouring gradients of one map.
struct Piece {
    map: usize,
    first: u64,
    rows: usize,
}

impl<'a> Run<'a> {
    /// All of `plan`'s gradients for each of the tasks, `batch` at a time.
    pub fn finished(
        explainer: &'a Explainer<'a>,
        plan: &'a Plan,
        tasks: &[(Task<'a>, &'a Line)],
        batch: usize,
    ) -> Result<Self, Error> {
        let map = |(task, line): &(Task<'a>, &'a Line)| Map {
            task: task.clone(),
            line,
            sums: Sums::None,
        };
        let maps = tasks.iter().map(map).collect();
        let (done, sizes, uploaded) = (0, plan.sizes(), None);
        let mut run = Self { explainer, plan, maps, batch, done, sizes, uploaded };
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

    /// The moments of each map, in the maps' order.
    pub fn moments(self) -> impl Iterator<Item = Result<Moments, Error>> {
        self.maps.into_iter().map(|map| match map.sums {
            Sums::Closed(moments) => Ok(moments),
            Sums::Open(tally) => tally.moments(),
            Sums::None => Err(Error::NoGradient),
        })
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
        let Some(Map { task, line, sums: Sums::Open(tally) }) = self.maps.first() else {
            return Ok(None);
        };
        let moments = tally.moments()?;
        let factors = line.factors(self.plan.readout, task.input);
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
            if let (0, Some(piece)) = (self.done, pieces.first())
                && let Sums::Open(tally) = &self.maps[piece.map].sums
            {
                // Batches are alike: what the device refuses, it refuses with the first.
                read(tally.probe())?;
            }
            first += rows;
            if self.plan.weights.is_none() && self.plan.until.is_none() {
                self.close(0..(first / per_map) as usize)?;
            }
            self.done += rows;
            if let Some(progress) = self.explainer.progress {
                progress(self.done, self.plan.gradients().saturating_mul(self.maps.len() as u64));
            }
        }
        Ok(())
    }

    /// The gradients `[rows, features]` of the pieces.
    fn gradients(
        &mut self,
        pieces: &[Piece],
        stream: u32,
        parameters: Option<&[Tensor<1>]>,
    ) -> Result<Tensor<2>, Error> {
        let points = self.points(pieces, stream);
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

    /// The points `[rows, features]` of the pieces, in one launch.
    fn points(&mut self, pieces: &[Piece], stream: u32) -> Tensor<2> {
        let (first, last) = (pieces[0].map, pieces[pieces.len() - 1].map);
        let maps = first..last + 1;
        let uploaded = match self.uploaded.take().filter(|own| own.maps == maps) {
            Some(uploaded) => uploaded,
            None => self.upload(maps),
        };
        let rows = pieces.iter().flat_map(|piece| {
            let line = self.maps[piece.map].line;
            let indices = piece.first..piece.first + piece.rows as u64;
            indices.map(move |index| line.row(index, stream, piece.map - first))
        });
        let batch = Batch { seed: self.plan.seed, stream, rows: rows.collect() };
        let kind = self.plan.sampler.as_ref().map(|sampler| sampler.noise());
        let points = noise(&uploaded.points, kind.as_ref(), &uploaded.domain, &batch);
        self.uploaded = Some(uploaded);
        points
    }

    fn upload(&self, maps: Range<usize>) -> Uploaded {
        let own = &self.maps[maps.clone()];
        let device = self.explainer.model.device();
        let tensor = |rows: Vec<&[f32]>| {
            let shape = [rows.len(), rows[0].len()];
            Tensor::<2>::from_data(TensorData::new(rows.concat(), shape), device)
        };
        let inputs = tensor(own.iter().map(|map| map.task.input.values()).collect());
        let baselines: Option<Vec<&[f32]>> =
            own.iter().map(|map| map.line.baseline.as_deref()).collect();
        let domains: Vec<Domain> = own.iter().map(|map| map.task.input.kernel_domain()).collect();
        let points = Points { inputs, baselines: baselines.map(tensor) };
        Uploaded { maps, points, domain: Domain::joined(&domains) }
    }

    /// Hands each map its gradients.
    fn tally(&mut self, pieces: &[Piece], gradients: Tensor<2>) {
        let mut row = 0;
        for piece in pieces {
            let own = match pieces.len() {
                1 => gradients.clone(),
                _ => gradients.clone().narrow(0, row, piece.rows),
            };
            self.open(piece.map).take(own);
            row += piece.rows;
        }
    }

    /// The sums of a map on the device.
    fn open(&mut self, map: usize) -> &mut Tally {
        let (plan, device) = (self.plan, self.explainer.model.device());
        let Map { task, line, sums } = &mut self.maps[map];
        if !matches!(sums, Sums::Open(_)) {
            let features = task.input.values().len();
            *sums = Sums::Open(Box::new(Tally::new(plan, line, features, device)));
        }
        match sums {
            Sums::Open(tally) => tally,
            // It was opened above.
            Sums::None | Sums::Closed(_) => unreachable!("the sums of a map are open"),
        }
    }

    /// Brings the sums of maps that are complete to the host.
    fn close(&mut self, maps: Range<usize>) -> Result<(), Error> {
        for map in &mut self.maps[maps] {
            if let Sums::Open(tally) = &map.sums {
                map.sums = Sums::Closed(tally.moments()?);
            }
        }
        Ok(())
    }

    fn end_draw(&mut self) {
        let device = self.explainer.model.device();
        for map in &mut self.maps {
            if let Sums::Open(tally) = &mut map.sums {
                tally.end_draw(device);
            }
        }
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
