//! `attriburn compare`: an evaluation whose metrics are how alike two models are.

use std::process::ExitCode;

use crate::args::{CompareArgs, EvaluateArgs, ModelArgs, TableOutputArgs};
use crate::evaluate::Metric;
use crate::{Fatal, evaluate};

/// How alike scores and maps are, and maps of two seeds beside them.
const METRICS: [&str; 9] = [
    "same-class",
    "scores",
    "difference",
    "cosine",
    "seeds-cosine",
    "rank",
    "seeds-rank",
    "overlap",
    "seeds-overlap",
];

/// Measures how alike the two models are on every picture, and writes the tables.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Fatal> {
    let out = args.output.out.clone().unwrap_or_else(|| "attriburn-comparison".into());
    let evaluation = EvaluateArgs {
        metrics: METRICS.into_iter().filter_map(Metric::named).collect(),
        images: args.images.clone(),
        other_model: Some(args.other.clone()),
        plan: args.plan.clone(),
        model: ModelArgs { model: Some(args.model.clone()), with: args.with.clone() },
        output: TableOutputArgs { out: Some(out), ..args.output.clone() },
        run: args.run.clone(),
        given: args.given.clone(),
        ..EvaluateArgs::default()
    };
    evaluate::run(&evaluation)
}
