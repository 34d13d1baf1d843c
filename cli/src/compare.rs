//! `attriburn compare`: an evaluation whose metrics are how alike two models are.

use std::process::ExitCode;

use clap::Parser;

use crate::args::{CompareArgs, EvaluateArgs, ModelArgs};
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
    if args.model.model.is_some() {
        return Err("--model: both models are given without an option; leave it out".into());
    }
    let evaluation = EvaluateArgs {
        metrics: METRICS.map(str::to_owned).to_vec(),
        images: args.images.clone(),
        target: args.target.clone(),
        repeats: args.repeats,
        other_model: Some(args.second.clone()),
        plan: args.plan.clone(),
        model: ModelArgs { model: Some(args.first.clone()), ..args.model.clone() },
        out: args.out.clone(),
        resume: args.resume,
        typed: args.typed.clone(),
        ..EvaluateArgs::parse_from(["evaluate"])
    };
    evaluate::run(&evaluation)
}
