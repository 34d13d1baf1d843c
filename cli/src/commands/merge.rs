//! `attriburn merge`: puts the shards of an evaluation together.

use crate::args::{Command, EvaluateArgs, MergeArgs, parse_recorded};
use crate::commands::{compare, evaluate};
use crate::exit::Fatal;

/// Writes the files that one run of the whole evaluation would have written.
pub fn run(args: &MergeArgs) -> Result<u8, Fatal> {
    let arguments = evaluate::recorded_arguments(&args.out)?;
    let parsed = parse_recorded(&arguments)
        .map_err(|error| format!("the command that made the shards cannot be repeated: {error}"))?;
    let mut whole: EvaluateArgs = match parsed.command {
        Some(Command::Evaluate(whole)) => *whole,
        Some(Command::Compare(whole)) => compare::evaluation(&whole),
        _ => return Err("the shards record no evaluation".into()),
    };
    whole.output.out = Some(args.out.clone());
    whole.output.json = args.json;
    // The results begin with those of the shards.
    whole.output.resume = true;
    whole.output.shard = None;
    evaluate::merge(&whole)
}
