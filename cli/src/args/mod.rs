//! The command line as it is typed. What was not given is none: defaults are taken where a value is used.

mod choice;
mod file;
mod model;
mod picture;
mod plan;
mod read;
mod sweep;
mod uses;

use std::path::PathBuf;

use attriburn::{Baseline, Method};
use clap::ValueHint;

use crate::evaluate::{Metric, PAPERS};
use choice::one_of;
pub use file::Given;
pub use model::{ComputeArgs, ModelArgs, QUANTIZATIONS, TensorArgs, WithModelArgs};
pub use picture::PreprocessArgs;
pub use plan::{MethodArgs, PlanArgs};
pub use read::{command, read};
pub use sweep::{Choice, Sweep};
pub use uses::PlanOption;

/// Explains what an image classifier looked at: attribution maps of any ONNX model, in pure Rust.
///
/// With no command, the built-in picture is explained with the built-in model.
#[derive(clap::Parser, Debug)]
#[command(name = "attriburn", version, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print errors only
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,

    /// Print what is chosen and found on the way
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
    /// Make attribution maps of pictures
    Explain(Box<ExplainArgs>),
    /// Measure methods as the papers do: tables, plots and a file of results
    Evaluate(Box<EvaluateArgs>),
    /// Compare the scores and the maps of two models, such as float32 and int8
    Compare(Box<CompareArgs>),
    /// Show what a model contains, and whether it can be explained
    Inspect(InspectArgs),
    /// List what models can run on here
    Devices(ListArgs),
    /// List the methods
    Methods(ListArgs),
    /// List the metrics of evaluate
    Metrics(ListArgs),
    /// Print a script that completes the command line in a shell
    Completions {
        /// The shell
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

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  attriburn explain photo.jpg                                  the built-in model
  attriburn explain photos/ -m resnet50.onnx -l imagenet.txt   a folder of pictures
  attriburn explain photo.jpg -M gradient,adaptgrad -t tabby   two methods, one class
  attriburn explain photo.jpg -t tabby-lynx                    why this class and not that one
  attriburn explain --like attriburn-out/photo/manifest.json   the same again";

const EVALUATE_EXAMPLES: &str = "\
Examples:
  attriburn evaluate sparseness --methods smoothgrad,adaptgrad --images photos/
  attriburn evaluate insertion,deletion --images photos/ -m resnet50.onnx --repeats 5
  attriburn evaluate sparseness --images photos/ --methods smoothgrad --sweep alpha=0.1,0.2";

#[derive(clap::Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// Print a line of JSON for each
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// The ONNX file
    #[arg(value_hint = ValueHint::FilePath)]
    pub model: PathBuf,

    /// List the parameters that noise can be put on, by the names that --freeze takes
    #[arg(long)]
    pub parameters: bool,

    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub tensors: TensorArgs,
}

#[derive(clap::Parser, Debug, Default)]
#[command(allow_negative_numbers = true, after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// Pictures, folders, patterns such as "photos/*.jpg", .npy files of the model's input shape,
    /// or - for standard input [default: a built-in picture]
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<PathBuf>,

    /// A file with an input on each line, or - for standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub files_from: Option<PathBuf>,

    /// A class by index or label, predicted, expected, top:K, A-B or contrast:K; repeatable
    /// [default: predicted]
    #[arg(short, long, value_name = "TARGET", allow_hyphen_values = true)]
    pub target: Vec<String>,

    #[command(flatten)]
    pub output: ExplainOutputArgs,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[arg(skip)]
    pub given: Given,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct ExplainOutputArgs {
    /// Where the maps go [default: attriburn-out]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Leave out what was made before with the same settings
    #[arg(long)]
    pub skip_existing: bool,

    /// Print manifests as lines of JSON, in place of the summary
    #[arg(long)]
    pub json: bool,

    /// Write the standard error of each element as well
    #[arg(long, hide_short_help = true)]
    pub standard_error: bool,

    /// The maps of a grid that share a colour scale [default: row]
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

// Options from files.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct RunArgs {
    /// Take options that are not given here from a TOML file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Do again what a manifest.json or settings.json records
    #[arg(long, value_name = "FILE", conflicts_with = "config", value_hint = ValueHint::FilePath)]
    pub like: Option<PathBuf>,
}

#[derive(clap::Parser, Clone, Debug, Default)]
#[command(allow_negative_numbers = true, after_help = EVALUATE_EXAMPLES)]
pub struct EvaluateArgs {
    /// Metrics by name, such as insertion,deletion; `attriburn metrics` lists them
    #[arg(
        value_name = "METRICS",
        value_delimiter = ',',
        value_parser = choice::metric(),
        hide_possible_values = true
    )]
    pub metrics: Vec<&'static Metric>,

    #[command(flatten)]
    pub images: ImageArgs,

    /// What replaces pixels that are left out [default: zero]
    #[arg(long, value_name = "NAME", value_parser = one_of(&FILLS), hide_short_help = true)]
    pub fill: Option<Fill>,

    /// The model trained on shuffled labels, for consistency
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub shuffled_model: Option<PathBuf>,

    /// The model trained on shifted inputs, for invariance
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub shifted_model: Option<PathBuf>,

    /// What was added to the inputs of --shifted-model
    #[arg(long, value_name = "VALUE", requires = "shifted_model", hide_short_help = true)]
    pub shift: Option<f32>,

    /// A model trained on other data, for stability
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub other_model: Option<PathBuf>,

    /// Where the objects are: a folder of Pascal VOC's XML, or a CSV file
    #[arg(long, value_name = "PATH")]
    pub boxes: Option<PathBuf>,

    /// Count the boxes of every label, not those of the class alone
    #[arg(long, hide_short_help = true)]
    pub all_boxes: bool,

    /// The strongest pixels that the pointing game looks at [default: 5]
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub points: Option<usize>,

    /// The least probability of a picture that sic is measured on [default: 0.8]
    #[arg(long, value_name = "P", hide_short_help = true)]
    pub least_probability: Option<f64>,

    /// Randomized models of a cascade, at even distances [default: one for each layer]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub stages: Option<usize>,

    /// A setting and its values in turn, such as alpha=0.1,0.2; repeatable
    #[arg(long, value_name = "SETTING=VALUES", value_parser = Sweep::parse)]
    pub sweep: Vec<Sweep>,

    /// A paper's table with all its settings, such as adaptgrad-table2
    #[arg(
        long,
        value_name = "NAME",
        requires = "data",
        value_parser = clap::builder::PossibleValuesParser::new(PAPERS),
        hide_possible_values = true,
        conflicts_with_all = ["metrics", "images", "files_from", "method", "sweep", "model", "shuffled_model", "shifted_model", "shift", "other_model", "boxes", "all_boxes", "fill", "picture_shape"],
        hide_short_help = true
    )]
    pub paper: Option<String>,

    /// The folder of the models and data that --paper takes
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
    pub given: Given,
}

// What is measured.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ImageArgs {
    /// Pictures, folders of them, patterns, or .npy files of the model's input shape
    #[arg(short, long, value_name = "INPUT", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub images: Vec<PathBuf>,

    /// A file with an input on each line, or - for standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub files_from: Option<PathBuf>,

    /// The first so many of them only
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub limit: Option<usize>,

    /// The class: predicted, an index, a label, or expected (its folder's) [default: predicted]
    #[arg(short, long, value_name = "CLASS")]
    pub target: Option<String>,

    /// Seeds per method with noise, from --seed on [default: 1]
    #[arg(long, value_name = "N")]
    pub repeats: Option<u32>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct TableOutputArgs {
    /// Where tables and results go [default: attriburn-evaluation or -comparison]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,

    /// Go on with the results that are there
    #[arg(long)]
    pub resume: bool,

    /// Print the results as lines of JSON, in place of the tables
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Parser, Clone, Debug)]
#[command(allow_negative_numbers = true)]
pub struct CompareArgs {
    /// The model that is compared, whose preprocessing and classes hold
    pub model: PathBuf,

    /// The other, such as the same one quantized, pruned or exported again
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
    pub given: Given,
}

/// What replaces pixels that are left out.
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
    /// Its name.
    pub fn name(self) -> &'static str {
        FILLS.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }

    /// The values that it means.
    pub fn baseline(self) -> Baseline {
        match self {
            Fill::Zero => Baseline::Zero,
            Fill::Black => Baseline::Black,
            Fill::Mean => Baseline::Mean,
            Fill::Blur => Baseline::Blur,
        }
    }
}

impl MethodArgs {
    /// The methods that were asked for, each once.
    pub fn methods(&self) -> Vec<Method> {
        let default = Method::named(DEFAULT_METHOD);
        let asked = self.method.iter().copied().chain(default.filter(|_| self.method.is_empty()));
        let mut methods = Vec::new();
        for method in asked {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods
    }
}

/// The method where none is named.
const DEFAULT_METHOD: &str = "adaptgrad";
