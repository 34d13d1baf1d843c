//! The options of `attriburn evaluate` and `attriburn compare`.

use std::path::PathBuf;

use attriburn::Baseline;
use attriburn_evaluate::{Metric, Sweep};
use clap::ValueHint;

use super::choice::{metric, one_of, paper};
use super::file::{RunArgs, RunOptions};
use super::model::{ModelArgs, WithModelArgs};
use super::plan::PlanArgs;
use super::shard::Shard;

const EXAMPLES: &str = "\
Examples:
  attriburn evaluate sparseness --methods smoothgrad,adaptgrad --images photos/
  attriburn evaluate insertion,deletion --images photos/ -m resnet50.onnx --repeats 5
  attriburn evaluate sparseness --images photos/ --methods smoothgrad --sweep alpha=0.1,0.2";

#[derive(clap::Parser, Clone, Debug, Default)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub struct EvaluateArgs {
    /// Metric names, such as insertion,deletion; `attriburn metrics` lists them
    #[arg(
        value_name = "METRICS",
        value_delimiter = ',',
        value_parser = metric(),
        hide_possible_values = true
    )]
    pub metrics: Vec<&'static Metric>,

    #[command(flatten)]
    pub images: ImageArgs,

    /// Fill of deleted pixels [default: zero]
    #[arg(long, value_name = "NAME", value_parser = one_of(&FILLS), hide_short_help = true)]
    pub fill: Option<Fill>,

    /// Model trained on shuffled labels, for consistency
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub shuffled_model: Option<PathBuf>,

    /// Model trained on shifted inputs, for invariance
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub shifted_model: Option<PathBuf>,

    /// Offset added to the inputs of --shifted-model
    #[arg(long, value_name = "VALUE", requires = "shifted_model", hide_short_help = true)]
    pub shift: Option<f32>,

    /// Model trained on other data, for stability
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub other_model: Option<PathBuf>,

    /// Bounding boxes: a folder of Pascal VOC XML files, or a CSV file
    #[arg(long, value_name = "PATH")]
    pub boxes: Option<PathBuf>,

    /// Count the boxes of all labels, not only those of the class
    #[arg(long, hide_short_help = true)]
    pub all_boxes: bool,

    /// Number of strongest pixels in the pointing game [default: 5]
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub points: Option<usize>,

    /// Skip images whose predicted probability is below this threshold (SIC) [default: 0.8]
    #[arg(long, value_name = "P", alias = "least-probability", hide_short_help = true)]
    pub min_probability: Option<f64>,

    /// Number of evenly spaced randomized models in a cascade [default: one per layer]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub stages: Option<usize>,

    /// Setting and the values to measure, such as alpha=0.1,0.2; repeatable
    #[arg(long, value_name = "SETTING=VALUES", value_parser = Sweep::parse)]
    pub sweep: Vec<Sweep>,

    /// Table of a paper, with all its settings, such as adaptgrad-table2
    #[arg(
        long,
        value_name = "NAME",
        requires = "data",
        value_parser = paper(),
        hide_possible_values = true,
        conflicts_with_all = ["metrics", "images", "files_from", "method", "sweep", "model", "shuffled_model", "shifted_model", "shift", "other_model", "boxes", "all_boxes", "fill", "picture_shape"],
        hide_short_help = true
    )]
    pub paper: Option<String>,

    /// Folder of the models and data that --paper needs
    #[arg(long, value_name = "DIR", requires = "paper", hide_short_help = true)]
    pub data: Option<PathBuf>,

    #[command(flatten)]
    pub output: TableOutputArgs,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[arg(skip)]
    pub options: RunOptions,
}

// The images to measure on, and how.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ImageArgs {
    /// Images, folders, patterns, or .npy files of the model's input shape
    #[arg(short, long, value_name = "INPUT", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub images: Vec<PathBuf>,

    /// File with one input per line, or - for standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub files_from: Option<PathBuf>,

    /// Use only the first N images
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub limit: Option<usize>,

    /// Class: predicted, an index, a label, or expected (named by the folder) [default: predicted]
    #[arg(short, long, value_name = "CLASS")]
    pub target: Option<String>,

    /// Seeds per method with noise, counted from --seed [default: 1]
    #[arg(long, value_name = "N")]
    pub repeats: Option<u32>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct TableOutputArgs {
    /// Output folder [default: attriburn-evaluation or -comparison]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Continue with the results in the output folder
    #[arg(long)]
    pub resume: bool,

    /// Measure only part I of N of the images, on one of several machines; see `attriburn merge`
    #[arg(long, value_name = "I/N", hide_short_help = true)]
    pub shard: Option<Shard>,

    /// Print the results as lines of JSON instead of the tables
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Parser, Clone, Debug)]
#[command(allow_negative_numbers = true)]
pub struct CompareArgs {
    /// First model; its preprocessing and classes are used for both
    pub model: PathBuf,

    /// Second model, such as the first one quantized, pruned or exported again
    pub other: PathBuf,

    #[command(flatten)]
    pub images: ImageArgs,

    #[command(flatten)]
    pub output: TableOutputArgs,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub with: WithModelArgs,

    #[arg(skip)]
    pub options: RunOptions,
}

/// The replacement of deleted pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    #[default]
    Zero,
    Black,
    Mean,
    Blur,
}

const FILLS: [(Fill, &str); 4] =
    [(Fill::Zero, "zero"), (Fill::Black, "black"), (Fill::Mean, "mean"), (Fill::Blur, "blur")];

impl Fill {
    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        FILLS.iter().find(|(fill, _)| *fill == self).map_or("", |(_, name)| name)
    }

    /// Returns the baseline whose values replace the pixels.
    pub fn baseline(self) -> Baseline {
        match self {
            Fill::Zero => Baseline::Zero,
            Fill::Black => Baseline::Black,
            Fill::Mean => Baseline::Mean,
            Fill::Blur => Baseline::Blur,
        }
    }
}
