//! `attriburn evaluate`: measures methods over many images, as published evaluations do.
//!
//! ```text
//! options -> job (sources, metrics, models) -> maps, by image, variant and repeat
//!     -> metrics -> results.jsonl -> cells -> tables and plots
//! ```

mod boxes;
mod comparison;
mod job;
mod job_source;
mod options;
mod page;
mod paper;

use std::ops::ControlFlow;

use attriburn_evaluate::{
    RESULTS, Record, cells, differences, metric_correlations, model_similarities, plots, tables,
};

use crate::args::EvaluateArgs;
use crate::exit::{DONE, Fatal, NOTHING_DONE, SOME_FAILED};
use crate::output::files;
use crate::output::pages::REPORT;
use crate::output::progress::Progress;
use crate::output::report::{error, forget_warnings, note, print_line, print_summary};
use crate::setup::inputs::{find_sources, first_missing};
use job::{Job, storage_error};
use job_source::JobSource;

/// Measures every method on every image, and writes the tables and plots.
pub fn run(args: &EvaluateArgs) -> Result<u8, Fatal> {
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
        if runs.len() > 1 {
            print_summary!("{}:\n", job.out.display());
        }
        outcomes.push(evaluate(&job)?);
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
    files::create_folder(&job.out)?;
    let mut results = job.results()?;
    files::note_written();
    files::remove_temporary_files(&job.out);
    let cascade = job.cascade()?;
    let sources: Vec<JobSource> =
        job.sources.iter().map(|source| JobSource { job, source }).collect();
    let done = results.records().len() / job.metrics.len();
    let progress = Progress::new(job.groups().count() as u64, done as u64, "maps");
    let on_map = || {
        progress.finish(1);
        ControlFlow::Continue(())
    };
    // A page of complete results is kept: it would be the same.
    let has_page = done == job.groups().count() && job.out.join(REPORT).is_file();
    let evaluation = job.evaluation(cascade.as_ref());
    evaluation.run(&sources, &mut results, &on_map).map_err(storage_error)?;
    drop(progress);
    report(job, results.records(), has_page)?;
    let missing = || results.records().iter().filter(|record| record.value.is_none());
    let failed = missing().filter(|record| !record.not_applicable).count();
    let (total, path) = (results.records().len(), results.path().display());
    match missing().count() {
        0 => return Ok(Outcome::AllMeasured),
        count if failed == 0 => {
            note(format!("{count} of {total} values are missing; {path} has the reasons"))
        }
        count => error(format!(
            "{count} of {total} values are missing, of which {failed} failed; {path} has the reasons"
        )),
    }
    Ok(match failed {
        // A metric that is not defined for an image or a method is no failure.
        0 => Outcome::AllMeasured,
        _ if missing().count() == total => Outcome::NothingMeasured,
        _ => Outcome::SomeMissing,
    })
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
        true => {
            for record in records {
                print_line!(
                    "{}",
                    serde_json::to_string(record).map_err(|error| error.to_string())?
                );
            }
        }
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
