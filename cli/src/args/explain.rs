//! The options of `attriburn explain`.

use std::path::PathBuf;

use clap::ValueHint;

use super::choice::one_of;
use super::display::DisplayArgs;
use super::file::{RunArgs, RunOptions};
use super::model::ModelArgs;
use super::plan::PlanArgs;
use super::shard::Shard;

const EXAMPLES: &str = "\
Examples:
  attriburn explain photo.jpg                                  the built-in model
  attriburn explain photos/ -m resnet50.onnx -l imagenet.txt   a folder of images
  attriburn explain photo.jpg -M gradient,adaptgrad -t tabby   two methods, one class
  attriburn explain photo.jpg -t tabby-lynx                    one class against another
  attriburn explain --like attriburn-out/photo/manifest.json   an earlier run again";

#[derive(clap::Parser, Debug, Default)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// Images, folders, patterns such as "photos/*.jpg", .npy files of the model's input shape,
    /// or - for standard input [default: a built-in image]
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<PathBuf>,

    /// File with one input per line, or - for standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub files_from: Option<PathBuf>,

    /// Class index or label, predicted, expected, top:K, A-B or contrast:K; repeatable
    /// [default: predicted]
    #[arg(short, long, value_name = "TARGET", allow_hyphen_values = true)]
    pub target: Vec<String>,

    #[command(flatten)]
    pub output: ExplainOutputArgs,

    #[command(flatten)]
    pub display: DisplayArgs,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[arg(skip)]
    pub options: RunOptions,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct ExplainOutputArgs {
    /// Output folder [default: attriburn-out]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Skip inputs whose maps already exist with the same settings
    #[arg(long)]
    pub skip_existing: bool,

    /// Print the manifests as lines of JSON instead of the summary
    #[arg(long)]
    pub json: bool,

    /// Also write report.html for a single map; several maps always have one
    #[arg(long, hide_short_help = true)]
    pub report: bool,

    /// Explain only part I of N of the inputs, on one of several machines, without report.html
    #[arg(long, value_name = "I/N", conflicts_with = "report", hide_short_help = true)]
    pub shard: Option<Shard>,

    /// Also write the standard error of each map element
    #[arg(long, hide_short_help = true)]
    pub standard_error: bool,

    /// Maps that share a colour scale [default: row]
    #[arg(long, value_name = "NAME", value_parser = one_of(&GRID_SCALES), hide_short_help = true)]
    pub grid_scale: Option<GridScale>,
}

/// Which maps of a grid share a colour scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridScale {
    Panel,
    #[default]
    Row,
    Shared,
}

const GRID_SCALES: [(GridScale, &str); 3] =
    [(GridScale::Panel, "panel"), (GridScale::Row, "row"), (GridScale::Shared, "shared")];
