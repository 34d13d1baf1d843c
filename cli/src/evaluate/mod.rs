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
use crate::source::sources;
use crate::{Fatal, NOTHING_DONE, SOME_FAILED, files};

use job::Job;
use records::{Record, Results};

/// Measures every method on every picture, and writes the tables and plots.
pub fn run(args: &EvaluateArgs) -> Result<ExitCode, Fatal> {
    let runs = match &args.paper {
        Some(name) => paper::runs(name, args)?,
        None if args.metrics.is_empty() => return Err(options::asks_for_metrics().into()),
        None if args.images.is_empty() => return Err("give pictures with --images".into()),
        None => vec![paper::Run { args: args.clone(), sources: sources(&args.images)? }],
    };
    // What cannot be measured is said before hours are spent on what can.
    if let [_, others @ ..] = &runs[..] {
        others.iter().try_for_each(|run| Job::new(&run.args, &run.sources).map(drop))?;
    }
    let mut ends = Vec::new();
    for run in &runs {
        let job = Job::new(&run.args, &run.sources)?;
        if runs.len() > 1 {
            say!("{}:\n", run.args.out.display());
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
    files::make_folder(&job.args.out)?;
    let metrics: Vec<&str> = job.metrics.iter().map(|metric| metric.name).collect();
    let mut results =
        Results::open(&job.args.out, job.args.resume, &job.settings(), job.groups(), &metrics)?;
    files::remove_unfinished(&job.args.out);
    measure::measure(job, &mut results)?;
    report(job, &results.records)?;
    let failed = results.records.iter().filter(|record| record.value.is_none()).count();
    if failed == 0 {
        return Ok(End::AllMeasured);
    }
    if failed == results.records.len() {
        return Ok(End::NothingMeasured);
    }
    let (all, path) = (results.records.len(), results.path.display());
    eprintln!("{failed} of {all} values are missing; {path} says why");
    Ok(End::SomeMissing)
}

/// Writes the tables and plots, and prints the tables.
fn report(job: &Job, records: &[Record]) -> Result<(), String> {
    let variants = &job.setup.variants;
    let methods: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
    let cells = cells::cells(records, &job.metrics, &methods);
    let (differences, together) = (cells::differences(&cells), cells::together(&cells));
    let scaled = cells::scaled(&cells);
    let text = table::markdown(&cells, &differences, &together, &scaled, records);
    say!("{text}");
    let write = |name: &str, bytes: &[u8]| -> Result<(), String> {
        say!("{}", files::write(&job.args.out, name, bytes)?.display());
        Ok(())
    };
    write("table.md", text.as_bytes())?;
    for (name, bytes) in table::csv(&cells, &differences, &together, &scaled)? {
        write(name, &bytes)?;
    }
    for (name, bytes) in plot::plots(&cells, variants)? {
        write(&name, &bytes)?;
    }
    say!("{}", job.args.out.join(records::RESULTS).display());
    Ok(())
}
