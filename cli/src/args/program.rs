//! The commands, and the arguments of the short ones.

use std::path::PathBuf;

use clap::ValueHint;

use super::evaluate::{CompareArgs, EvaluateArgs};
use super::explain::ExplainArgs;
use super::model::TensorArgs;

/// Explains what an image classifier looked at: attribution maps of any ONNX model, in pure Rust.
///
/// Without a command, the built-in image is explained with the built-in model.
#[derive(clap::Parser, Debug)]
#[command(name = "attriburn", version, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print errors only
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,

    /// Also print details, such as the device and the preprocessing
    #[arg(short, long, global = true, display_order = 901, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Colours in messages and help
    #[arg(
        long,
        global = true,
        display_order = 902,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_short_help = true
    )]
    pub color: clap::ColorChoice,
}

#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Compute attribution maps of images
    Explain(Box<ExplainArgs>),
    /// Measure attribution methods and write tables, plots and raw results
    Evaluate(Box<EvaluateArgs>),
    /// Compare the scores and maps of two models, such as float32 and int8
    Compare(Box<CompareArgs>),
    /// Put the shards of an evaluation together and write its tables, plots and page
    Merge(MergeArgs),
    /// Show the contents of a model, and whether it can be explained
    Inspect(InspectArgs),
    /// List the devices that models can run on
    Devices(ListArgs),
    /// List the attribution methods
    Methods(ListArgs),
    /// List the metrics of the evaluate command
    Metrics(ListArgs),
    /// Print a shell completion script
    Completions {
        /// Shell that runs the script
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

const EXAMPLES: &str = "\
Examples:
  attriburn explain photo.jpg --model resnet50.onnx
  attriburn evaluate insertion,deletion --methods smoothgrad,adaptgrad --images photos/
  attriburn inspect resnet50.onnx
  attriburn explain --help";

#[derive(clap::Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  attriburn evaluate sparseness --images photos/ --shard 1/2    on one machine
  attriburn evaluate sparseness --images photos/ --shard 2/2    on another
  attriburn merge attriburn-evaluation";

#[derive(clap::Args, Debug)]
#[command(after_help = MERGE_EXAMPLES)]
pub struct MergeArgs {
    /// Output folder of an evaluation whose shards are complete
    #[arg(value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,

    /// Print the results as lines of JSON instead of the tables
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// ONNX file
    #[arg(value_hint = ValueHint::FilePath)]
    pub model: PathBuf,

    /// List the parameters that noise can be added to, with their names for --freeze
    #[arg(long)]
    pub parameters: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub tensors: TensorArgs,
}
