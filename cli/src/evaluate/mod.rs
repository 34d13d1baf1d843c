//! `attriburn evaluate`: the papers' measurements over many pictures.
//!
//! ```text
//! options -> job (what is measured, on what) -> maps, variant by variant, repeat by repeat
//!     -> metrics -> results.jsonl -> cells -> tables and plots
//! ```

mod boxes;
mod case;
mod cells;
mod job;
mod measure;
mod metric;
mod options;
mod others;
mod paper;
mod plot;
mod records;
mod table;
mod value;

use std::process::ExitCode;

use crate::args::EvaluateArgs;
use crate::report::{error, note, print_line, say};
use crate::source::{missing, sources};
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files};

pub use metric::{METRICS, Metric};
pub use paper::PAPERS;

use job::Job;
use records::{Record, Results};

/// Measures every method on every picture, and writes the tables and plots.
pub fn run(args: &EvaluateArgs) -> Result<ExitCode, Fatal> {
    let runs = match &args.paper {
        Some(name) => paper::runs(name, args)?,
        None if args.metrics.is_empty() => return Err(options::asks_for_metrics().into()),
        None if args.images.images.is_empty() && args.images.files_from.is_none() => {
            return Err("give pictures with --images or --files-from".into());
        }
        None => {
            let sources = sources(&args.images.images, args.images.files_from.as_deref())?;
            if let Some(reason) = missing(&sources) {
                return Err(reason.into());
            }
            vec![paper::Run { args: args.clone(), sources }]
        }
    };
    // What cannot be measured is said before hours are spent on what can.
    if let [_, others @ ..] = &runs[..] {
        others.iter().try_for_each(|run| Job::new(&run.args, &run.sources).map(drop))?;
    }
    let mut ends = Vec::new();
    for run in &runs {
        let job = Job::new(&run.args, &run.sources)?;
        if runs.len() > 1 {
            say!("{}:\n", job.out.display());
        }
        ends.push(evaluate(&job)?);
    }
    Ok(match ends.iter().max() {
        Some(End::NothingMeasured) if ends.iter().all(|end| *end == End::NothingMeasured) => {
            ExitCode::from(NOTHING_DONE)
        }
        Some(End::SomeMissing | End::NothingMeasured) => ExitCode::from(SOME_FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// How an evaluation ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    AllMeasured,
    SomeMissing,
    NothingMeasured,
}

/// One evaluation, of one model.
fn evaluate(job: &Job) -> Result<End, Fatal> {
    files::make_folder(&job.out)?;
    let metrics: Vec<&str> = job.metrics.iter().map(|metric| metric.name).collect();
    let mut results =
        Results::open(&job.out, job.args.output.resume, &job.settings(), job.groups(), &metrics)?;
    files::remove_unfinished(&job.out);
    measure::measure(job, &mut results)?;
    report(job, &results.records)?;
    let missing = || results.records.iter().filter(|record| record.value.is_none());
    let failed = missing().filter(|record| !record.not_applicable).count();
    let (all, path) = (results.records.len(), results.path.display());
    match missing().count() {
        0 => return Ok(End::AllMeasured),
        count if failed == 0 => {
            note(format!("{count} of {all} values are missing; {path} says why"))
        }
        count => error(format!(
            "{count} of {all} values are missing, of which {failed} failed; {path} says why"
        )),
    }
    Ok(match failed {
        // A metric that is not defined for a picture or a method is no failure.
        0 => End::AllMeasured,
        _ if missing().count() == all => End::NothingMeasured,
        _ => End::SomeMissing,
    })
}

/// Writes the tables and plots, and prints the tables.
fn report(job: &Job, records: &[Record]) -> Result<(), String> {
    let variants = &job.setup.variants;
    let methods: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
    let cells = cells::cells(records, &job.metrics, &methods);
    let (differences, together) = (cells::differences(&cells), cells::together(&cells));
    let scaled = cells::scaled(&cells);
    let text = table::markdown(&cells, &differences, &together, &scaled, records);
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
        false => say!("{text}"),
    }
    let write = |name: &str, bytes: &[u8]| -> Result<(), String> {
        let path = files::write(&job.out, name, bytes)?;
        if !as_json {
            say!("{}", path.display());
        }
        Ok(())
    };
    write("table.md", text.as_bytes())?;
    for (name, bytes) in table::csv(&cells, &differences, &together, &scaled)? {
        write(name, &bytes)?;
    }
    for (name, bytes) in plot::plots(&cells, variants)? {
        write(&name, &bytes)?;
    }
    if !as_json {
        say!("{}", job.out.join(records::RESULTS).display());
    }
    Ok(())
}
