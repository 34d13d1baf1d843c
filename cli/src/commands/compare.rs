//! `attriburn compare`: an evaluation with metrics of the similarity of two models.

use crate::args::{CompareArgs, EvaluateArgs, ModelArgs, TableOutputArgs};
use crate::commands::evaluate;
use crate::exit::Fatal;
use attriburn_evaluate::Metric;

/// Measures the similarity of the two models on every image, and writes the tables.
pub fn run(args: &CompareArgs) -> Result<u8, Fatal> {
    evaluate::run(&evaluation(args))
}

/// Returns the options of the evaluation that compares the models.
pub fn evaluation(args: &CompareArgs) -> EvaluateArgs {
    let out = args.output.out.clone().unwrap_or_else(|| "attriburn-comparison".into());
    EvaluateArgs {
        metrics: Metric::of_model_comparison(),
        images: args.images.clone(),
        other_model: Some(args.other.clone()),
        plan: args.plan.clone(),
        model: ModelArgs { model: Some(args.model.clone()), with: args.with.clone() },
        output: TableOutputArgs { out: Some(out), ..args.output.clone() },
        run: args.run.clone(),
        options: args.options.clone(),
        ..EvaluateArgs::default()
    }
}
