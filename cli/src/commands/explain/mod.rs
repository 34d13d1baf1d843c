//! `attriburn explain`: computes maps of images and writes maps, overlays and manifests.
//!
//! ```text
//! sources -> groups -> prepared inputs (prediction, scores) -> score groups, which share batches -> files
//! ```

mod existing;
mod job;
mod page;
mod prepared;
mod write;

use std::ops::ControlFlow;

use attriburn::{Attribution, Plan, Progress as Gradients, Score, Task};
use attriburn_evaluate::Variant;

use crate::args::{ExplainArgs, Shard};
use crate::exit::{DONE, Fatal, NOTHING_DONE, SOME_FAILED};
use crate::output::maps::MethodMap;
use crate::output::{device_loss, files, report};
use crate::setup::inputs::find_sources;
use crate::setup::source::Source;
use job::{Job, MAX_MAPS};
use page::Gallery;
use prepared::{PreparedInput, ScoreGroup};

/// Explains every input. A failure of one input is reported and does not affect the others.
pub fn run(args: &ExplainArgs) -> Result<u8, Fatal> {
    let sources = match (&args.inputs[..], &args.files_from) {
        ([], None) => vec![Source::built_in()],
        (inputs, list) => find_sources(inputs, list.as_deref())?,
    };
    let job = Job::new(args, &sources)?;
    if let Some(path) = &args.run.like {
        job.warn_if_changed(path, &sources);
    }
    files::create_folder(&job.out)?;
    let inputs: usize = job.groups.iter().map(|group| group.len()).sum();
    let mut gallery = match args.output.shard {
        // The page shows all maps of a run, and a shard has only some of them.
        Some(_) => Gallery::without_space(),
        None => Gallery::default(),
    };
    let failed: usize = job.groups.iter().map(|group| job.explain(group, &mut gallery)).sum();
    match args.output.shard {
        Some(shard) => job.progress.suspend(|| report_shard(&job, shard, inputs, sources.len())),
        None => job.progress.suspend(|| gallery.write(&job))?,
    }
    Ok(match failed {
        0 => DONE,
        failed if failed == inputs => NOTHING_DONE,
        _ => {
            report::note(format!(
                "{failed} of {inputs} inputs failed; the maps of the others are written"
            ));
            SOME_FAILED
        }
    })
}

/// Says how many of all inputs a shard has.
fn report_shard(job: &Job, shard: Shard, inputs: usize, all: usize) {
    if inputs == 0 {
        report::note(format!(
            "shard {shard} has no inputs: the {all} inputs are divided by groups whose maps share batches, of which there are fewer than {}",
            shard.count()
        ));
    }
    if !job.args.output.json {
        report::print_summary!("shard {shard}: {inputs} of {all} inputs");
    }
}

impl Job<'_> {
    /// Explains a group of sources. Returns the number of sources that failed.
    fn explain(&self, sources: &[Source], gallery: &mut Gallery) -> usize {
        let (mut inputs, mut failed) = (Vec::new(), 0);
        let is_skipped =
            |input: &PreparedInput| self.args.output.skip_existing && self.is_complete(input);
        for (source, input) in sources.iter().zip(self.prepare(sources)) {
            let mut skipped_scores = self.targets.max_scores();
            match input {
                Ok(input) if is_skipped(&input) => {
                    self.progress.suspend(|| self.report_existing(&input));
                    gallery.leave_out(&source.name(), "skipped, its maps existed");
                }
                Ok(input) => {
                    skipped_scores -= input.scores.len();
                    inputs.push(input);
                }
                Err(message) => failed += self.report(source, &[message], gallery),
            }
            self.progress.finish(self.setup.gradients() * skipped_scores as u64);
        }
        let max_scores = (MAX_MAPS / self.setup.variants.len()).max(1);
        if let [input] = &inputs[..]
            && input.scores.len() > max_scores
        {
            let groups = input.scores.chunks(max_scores).map(|scores| ScoreGroup { input, scores });
            let messages: Vec<String> =
                groups.flat_map(|group| self.explain_groups(&[group], gallery)).flatten().collect();
            return failed + self.report(input.source, &messages, gallery);
        }
        let groups: Vec<ScoreGroup> =
            inputs.iter().map(|input| ScoreGroup { input, scores: &input.scores }).collect();
        for (group, messages) in groups.iter().zip(self.explain_groups(&groups, gallery)) {
            failed += self.report(group.input.source, &messages, gallery);
        }
        failed
    }

    /// Computes and writes the maps of all groups. Returns the error messages of each group.
    fn explain_groups(&self, groups: &[ScoreGroup], gallery: &mut Gallery) -> Vec<Vec<String>> {
        let tasks: Vec<Task> = groups.iter().flat_map(|group| self.tasks(group)).collect();
        let mut maps: Vec<Vec<MethodMap>> = tasks.iter().map(|_| Vec::new()).collect();
        let mut failures: Vec<Vec<String>> = vec![Vec::new(); tasks.len()];
        for Variant { name: method, plan, .. } in &self.setup.variants {
            for (task, map) in self.maps(plan, &tasks).into_iter().enumerate() {
                match map {
                    Ok(map) => {
                        maps[task].push(MethodMap::new(method, plan, map, &self.setup));
                    }
                    Err(message) => failures[task].push(format!("{method}: {message}")),
                }
            }
        }
        maps.iter_mut().for_each(MethodMap::add_biases);
        let (mut maps, mut failures) = (&maps[..], &failures[..]);
        let write = |group: &ScoreGroup| {
            let (group_maps, other_maps) = maps.split_at(group.scores.len());
            let (group_failures, other_failures) = failures.split_at(group.scores.len());
            (maps, failures) = (other_maps, other_failures);
            let mut messages = group_failures.concat();
            messages.dedup();
            let written = self.progress.suspend(|| self.write(group, group_maps, gallery));
            messages.extend(written.err());
            messages
        };
        groups.iter().map(write).collect()
    }

    /// Returns the tasks of a group, one for each score.
    fn tasks<'g>(&self, group: &ScoreGroup<'g>) -> Vec<Task<'g>> {
        let (input, prediction) = (&group.input.loaded.input, &group.input.prediction);
        let explainer = self.setup.explainer();
        let task = |score: &Score| explainer.task_with(input, prediction, score.clone());
        // Every score was derived from the prediction, so none is rejected.
        group.scores.iter().map(task).filter_map(Result::ok).collect()
    }

    /// Computes the map of each task by one method.
    fn maps(&self, plan: &Plan, tasks: &[Task]) -> Vec<Result<Attribution, String>> {
        let show = |gradients: Gradients| {
            self.progress.show(gradients.done);
            ControlFlow::Continue(())
        };
        let explainer = self.setup.explainer().progress(&show);
        let maps = match explainer.explain_all(tasks, plan) {
            Ok(maps) => maps.into_iter().map(|map| map.map_err(|e| e.to_string())).collect(),
            Err(error) => vec![Err(error.to_string()); tasks.len()],
        };
        self.progress.finish(plan.gradients() * tasks.len() as u64);
        maps
    }

    /// Prints the error messages of a source. Returns the number of failed sources: 1, or 0 without messages.
    fn report(&self, source: &Source, messages: &[String], gallery: &mut Gallery) -> usize {
        for message in messages {
            gallery.leave_out(&source.name(), message);
            device_loss::wait_for_exit();
            self.progress.suspend(|| report::error(format!("{}: {message}", source.name())));
        }
        usize::from(!messages.is_empty())
    }
}
