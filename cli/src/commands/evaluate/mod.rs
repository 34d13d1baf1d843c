//! `attriburn evaluate`: measures methods over many images, as published evaluations do.
//!
//! ```text
//! options -> job (sources, metrics, models) -> maps, by image, variant and repeat
//!     -> metrics -> results.jsonl -> cells -> tables and plots
//! ```
//!
//! A shard ends with its results; merging begins with those of all shards.

mod boxes;
mod comparison;
mod job;
mod job_source;
mod options;
mod page;
mod paper;
mod shards;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;

use attriburn_evaluate::{
    RESULTS, Record, Results, cells, differences, metric_correlations, model_similarities, plots,
    tables,
};

use crate::args::{EvaluateArgs, Shard};
use crate::exit::{DONE, Fatal, NOTHING_DONE, SOME_FAILED};
use crate::output::files;
use crate::output::pages::{REPORT, counted};
use crate::output::progress::Progress;
use crate::output::report::{error, forget_warnings, note, print_line, print_summary};
use crate::setup::inputs::{find_sources, first_missing};
use crate::setup::source::STDIN;
use job::{Checksums, Job, OUT, Part, storage_error};
use job_source::JobSource;
use shards::{Merged, Warnings};

pub use shards::recorded_arguments;

/// Measures every method on every image, and writes the tables and plots. Or measures the images of a shard, and writes
/// their results.
pub fn run(args: &EvaluateArgs) -> Result<u8, Fatal> {
    let Some(shard) = args.output.shard else {
        return run_each(args, evaluate);
    };
    let is_stdin = |path: &PathBuf| path.as_os_str() == STDIN;
    if args.images.images.iter().chain(&args.images.files_from).any(is_stdin) {
        return Err(format!(
            "--shard {shard} cannot read standard input, because merging finds the images again; name the images or a file with their paths"
        )
        .into());
    }
    let code = run_each(args, |job| evaluate_shard(job, shard))?;
    if !args.output.json {
        let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
        let out = out.display();
        print_summary!("when all {} shards are complete: attriburn merge {out}", shard.count());
    }
    Ok(code)
}

/// Puts the shards of an evaluation together. `args` are the options of the whole evaluation.
pub fn merge(args: &EvaluateArgs) -> Result<u8, Fatal> {
    run_each(args, merge_shards)
}

/// Runs `action` on each evaluation: one, or one for each model of a paper's table. Returns the exit code.
fn run_each(
    args: &EvaluateArgs,
    action: impl Fn(&Job) -> Result<Outcome, Fatal>,
) -> Result<u8, Fatal> {
    let runs = match &args.paper {
        Some(name) => paper::runs(name, args)?,
        None if args.metrics.is_empty() => return Err(options::missing_metrics_message().into()),
        None if args.images.images.is_empty() && args.images.files_from.is_none() => {
            return Err("give images with --images or --files-from".into());
        }
        None => {
            let sources = find_sources(&args.images.images, args.images.files_from.as_deref())?;
            if let Some(reason) = first_missing(&sources) {
                return Err(reason.into());
            }
            vec![paper::EvaluationRun { args: args.clone(), sources }]
        }
    };
    // Check the later runs first: an error in them should not appear after hours of computation.
    if let [_, later @ ..] = &runs[..] {
        later.iter().try_for_each(|run| Job::new(&run.args, &run.sources).map(drop))?;
    }
    let mut outcomes = Vec::new();
    for run in &runs {
        forget_warnings();
        let job = Job::new(&run.args, &run.sources)?;
        if runs.len() > 1 && !args.output.json {
            print_summary!("{}:\n", job.out.display());
        }
        outcomes.push(action(&job)?);
    }
    let is_empty = |outcome: &Outcome| *outcome == Outcome::NothingMeasured;
    Ok(match outcomes.iter().max() {
        Some(Outcome::NothingMeasured) if outcomes.iter().all(is_empty) => NOTHING_DONE,
        Some(Outcome::SomeMissing | Outcome::NothingMeasured) => SOME_FAILED,
        _ => DONE,
    })
}

/// The outcome of an evaluation. Larger is worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    AllMeasured,
    SomeMissing,
    NothingMeasured,
}

/// Runs one evaluation, of one model.
fn evaluate(job: &Job) -> Result<Outcome, Fatal> {
    let part = job.whole();
    let mut results = open(job, &part, &part.checksums())?;
    let maps = job.sources.len() * job.maps_per_image();
    // A page of complete results is kept: it would be the same.
    let has_page = measured(job, &results) == maps && job.out.join(REPORT).is_file();
    measure(job, &part, &mut results, || Ok(()))?;
    report(job, results.records(), has_page)?;
    Ok(outcome(&results))
}

/// Measures the images of a shard.
fn evaluate_shard(job: &Job, shard: Shard) -> Result<Outcome, Fatal> {
    let part = job.shard(shard);
    if part.sources.is_empty() {
        note(format!(
            "shard {shard} has no images: the {} images are divided by groups whose maps share batches, of which there are {}",
            job.sources.len(),
            job.chunks().count()
        ));
    }
    let mut results = open(job, &part, &part.checksums())?;
    let warnings = Warnings::open(job, &part, measured(job, &results))?;
    measure(job, &part, &mut results, || warnings.count_map())?;
    let (maps, images, path) =
        (measured(job, &results), part.sources.len(), results.path().display());
    match job.args.output.json {
        true => print_records(results.records())?,
        false => print_summary!(
            "shard {shard}: {} of {}, {path}",
            counted(maps, "map"),
            counted(images, "image")
        ),
    }
    // A shard of which all values are missing is complete as well.
    Ok(outcome(&results).min(Outcome::SomeMissing))
}

/// Writes the results of all shards as those of one evaluation, and finishes the evaluation.
fn merge_shards(job: &Job) -> Result<Outcome, Fatal> {
    let Merged { lines, checksums, warnings } = Merged::read(job)?;
    let path = job.out.join(RESULTS);
    let differs = || {
        let path = path.display();
        format!("{path} already exists and differs from the results of the shards; remove the file")
    };
    let known = std::fs::read(&path).unwrap_or_default();
    if !lines.starts_with(&known) {
        return Err(differs().into());
    }
    // Opening removes an incomplete group, which a killed process left at the end.
    let mut results = open(job, &job.whole(), &checksums)?;
    let known = std::fs::read(&path).unwrap_or_default();
    let new = lines.strip_prefix(&known[..]).ok_or_else(differs)?;
    // A page of complete results is kept: it would be the same.
    let has_page = new.is_empty() && job.out.join(REPORT).is_file();
    results.append_lines(new).map_err(storage_error)?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    report(job, results.records(), has_page)?;
    Ok(outcome(&results))
}

/// Opens the results of a part whose images have these checksums, in a folder that is created if it does not exist.
fn open(job: &Job, part: &Part, checksums: &Checksums) -> Result<Results, Fatal> {
    files::create_folder(&part.folder)?;
    let results = job.results(part, checksums).map_err(storage_error)?;
    files::note_written();
    files::remove_temporary_files(&part.folder);
    Ok(results)
}

/// Returns the number of maps whose records the results have.
fn measured(job: &Job, results: &Results) -> usize {
    results.records().len() / job.metrics.len()
}

/// Measures the maps of a part that the results lack. Calls `on_map` after each map.
fn measure(
    job: &Job,
    part: &Part,
    results: &mut Results,
    on_map: impl Fn() -> Result<(), String>,
) -> Result<(), Fatal> {
    let cascade = job.cascade()?;
    let sources: Vec<JobSource> =
        part.sources.iter().map(|source| JobSource { job, source }).collect();
    let maps = part.sources.len() * job.maps_per_image();
    let progress = Progress::new(maps as u64, measured(job, results) as u64, "maps");
    let failure = Cell::new(None);
    let on_map = || {
        progress.finish(1);
        match on_map() {
            Ok(()) => ControlFlow::Continue(()),
            Err(message) => {
                failure.set(Some(message));
                ControlFlow::Break(())
            }
        }
    };
    let evaluation = job.evaluation(cascade.as_ref());
    let outcome = evaluation.run(&sources, results, &on_map);
    match failure.take() {
        Some(message) => Err(message.into()),
        None => Ok(outcome.map_err(storage_error)?),
    }
}

/// Reports missing values, and returns the outcome.
fn outcome(results: &Results) -> Outcome {
    let missing = || results.records().iter().filter(|record| record.value.is_none());
    let failed = missing().filter(|record| !record.not_applicable).count();
    let (total, path) = (results.records().len(), results.path().display());
    match missing().count() {
        0 => return Outcome::AllMeasured,
        count if failed == 0 => {
            note(format!("{count} of {total} values are missing; {path} has the reasons"))
        }
        count => error(format!(
            "{count} of {total} values are missing, of which {failed} failed; {path} has the reasons"
        )),
    }
    match failed {
        // A metric that is not defined for an image or a method is no failure.
        0 => Outcome::AllMeasured,
        _ if missing().count() == total => Outcome::NothingMeasured,
        _ => Outcome::SomeMissing,
    }
}

/// Prints records as lines of JSON.
fn print_records(records: &[Record]) -> Result<(), String> {
    for record in records {
        print_line!("{}", serde_json::to_string(record).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Writes the tables, the plots and, unless there is one, the page, and prints the tables.
fn report(job: &Job, records: &[Record], has_page: bool) -> Result<(), String> {
    let variants = &job.setup.variants;
    let methods: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
    let cells = cells(records, &job.metrics, &methods);
    let (differences, correlations) = (differences(&cells), metric_correlations(&cells));
    let similarities = model_similarities(&cells);
    let text = tables::markdown(&cells, &differences, &correlations, &similarities, records);
    let as_json = job.args.output.json;
    match as_json {
        true => print_records(records)?,
        false => print_summary!("{text}"),
    }
    let write = |name: &str, bytes: &[u8]| -> Result<(), String> {
        let path = files::write(&job.out, name, bytes)?;
        if !as_json {
            print_summary!("{}", path.display());
        }
        Ok(())
    };
    write("table.md", text.as_bytes())?;
    let csv = tables::csv(&cells, &differences, &correlations, &similarities);
    for (name, bytes) in csv.map_err(|error| error.to_string())? {
        write(name, &bytes)?;
    }
    for (name, bytes) in plots(&cells, variants).map_err(|error| error.to_string())? {
        write(&name, &bytes)?;
    }
    if !has_page {
        write(REPORT, page::page(job, records, &cells, &differences).as_bytes())?;
    }
    if !as_json {
        print_summary!("{}", job.out.join(RESULTS).display());
    }
    Ok(())
}
