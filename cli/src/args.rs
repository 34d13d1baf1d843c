//! The command line as it is typed, before anything is checked.

use std::path::PathBuf;

use attriburn::picture::{Channels, Interpolation, Mode};
use attriburn_onnx::Layout;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use crate::variants::Sweep;

/// Explains what an image classifier looked at: attribution maps of any ONNX model, in pure Rust.
///
/// With no command, the built-in picture is explained with the built-in model.
#[derive(clap::Parser, Debug)]
#[command(name = "attriburn", version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// The command line, or none: what is wrong with it is printed and ends the program.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Some((_, given)) = matches.subcommand() {
            let is_typed = |id: &&str| given.value_source(id) == Some(ValueSource::CommandLine);
            let typed = given.ids().map(clap::Id::as_str).filter(is_typed).map(str::to_owned);
            match &mut args.command {
                Some(Command::Explain(explain)) => explain.typed = typed.collect(),
                Some(Command::Evaluate(evaluate)) => evaluate.typed = typed.collect(),
                Some(Command::Compare(compare)) => compare.typed = typed.collect(),
                _ => {}
            }
        }
        args
    }
}

#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Make attribution maps of pictures
    Explain(Box<ExplainArgs>),
    /// Measure methods as the papers do: tables and a machine-readable file
    Evaluate(Box<EvaluateArgs>),
    /// Compare two models of the same classes: their scores and their maps, such as float32 and int8
    Compare(Box<CompareArgs>),
    /// Show a model's inputs, outputs and operators, and what of it is not supported
    Inspect(InspectArgs),
    /// List what models can run on here
    Devices,
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// The ONNX file
    pub model: PathBuf,

    /// List the parameters that noise can be put on (ng), by the names that --freeze takes
    #[arg(long)]
    pub parameters: bool,

    /// The output to explain, where the model has several
    #[arg(long, value_name = "NAME")]
    pub output_name: Option<String>,

    /// A sample's shape, where the model leaves it free, such as 3,224,224
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub input_shape: Option<Vec<usize>>,
}

#[derive(clap::Parser, Debug)]
#[command(allow_negative_numbers = true)]
pub struct ExplainArgs {
    /// Pictures, folders of pictures and of such folders, or .npy files of the model's input shape; the built-in
    /// picture if none is given
    pub inputs: Vec<PathBuf>,

    /// The class to explain: predicted, top:K, an index, or a label; give it again for several
    #[arg(long, default_value = "predicted")]
    pub target: Vec<String>,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Write the standard error of each map as well
    #[arg(long)]
    pub stderr: bool,

    /// Where the maps go
    #[arg(long, value_name = "DIR", default_value = "attriburn-out")]
    pub out: PathBuf,

    /// The maps of the grid that share a colour scale: those of a row, all, or none (panel)
    #[arg(long, value_name = "NAME", default_value = "row")]
    pub grid_scale: String,

    /// Print the manifests instead of a summary
    #[arg(long)]
    pub json: bool,

    /// The names of the options that were typed
    #[arg(skip)]
    pub typed: Vec<String>,
}

#[derive(clap::Parser, Clone, Debug)]
#[command(allow_negative_numbers = true)]
pub struct EvaluateArgs {
    /// Metrics by name (`attriburn evaluate` alone lists them), such as sparseness,insertion,deletion
    #[arg(value_name = "METRIC", value_delimiter = ',')]
    pub metrics: Vec<String>,

    /// Pictures, folders of pictures, or .npy files of the model's input shape
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub images: Vec<PathBuf>,

    /// A table of a paper, with its methods, metrics and settings, such as adaptgrad-table2
    #[arg(long, value_name = "NAME", requires = "data", conflicts_with_all = ["metrics", "images", "method", "sweep", "model", "shuffled_model", "shifted_model", "shift", "other_model", "boxes", "all_boxes", "fill", "picture_shape"])]
    pub paper: Option<String>,

    /// The folder of the models and data that --paper takes
    #[arg(long, value_name = "DIR", requires = "paper")]
    pub data: Option<PathBuf>,

    /// The first so many pictures only
    #[arg(long, value_name = "N")]
    pub first: Option<usize>,

    /// The class to explain: predicted, an index, or a label
    #[arg(long, default_value = "predicted")]
    pub target: String,

    /// Seeds per method with noise, from --seed on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub repeats: u32,

    /// What replaces pixels that insertion and deletion leave out: zero, black, mean or blur
    #[arg(long, value_name = "NAME", default_value = "zero")]
    pub fill: String,

    /// The model trained on shuffled labels, for consistency
    #[arg(long, value_name = "FILE")]
    pub shuffled_model: Option<PathBuf>,

    /// The model trained on shifted inputs, for invariance
    #[arg(long, value_name = "FILE")]
    pub shifted_model: Option<PathBuf>,

    /// What was added to the inputs of --shifted-model
    #[arg(long, value_name = "VALUE", requires = "shifted_model")]
    pub shift: Option<f32>,

    /// A model trained on other data, for stability
    #[arg(long, value_name = "FILE")]
    pub other_model: Option<PathBuf>,

    /// Where the objects are, for pointing-game and box-precision: a folder of Pascal VOC's XML
    /// files, or a CSV file of picture, left, top, right, bottom and, if known, label
    #[arg(long, value_name = "PATH")]
    pub boxes: Option<PathBuf>,

    /// Count the boxes of every label, not those of the class alone
    #[arg(long)]
    pub all_boxes: bool,

    /// The strongest pixels that the pointing game looks at
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub points: usize,

    /// The least probability of a picture that sic is measured on
    #[arg(long, value_name = "P", default_value_t = 0.8)]
    pub least_probability: f64,

    /// Randomized models of a cascade, at even distances [default: one for each layer]
    #[arg(long, value_name = "N")]
    pub stages: Option<usize>,

    /// A setting and the values it takes in turn, such as alpha=0.1,0.2,0.3, or with other settings
    /// that go with each, such as kernel=gaussian:alpha=0.2,rect:alpha=0.4; give it again for
    /// several
    #[arg(long, value_name = "SETTING=VALUES", value_parser = Sweep::parse)]
    pub sweep: Vec<Sweep>,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Where the tables and results go
    #[arg(long, value_name = "DIR", default_value = "attriburn-evaluation")]
    pub out: PathBuf,

    /// Go on with the results that are there
    #[arg(long)]
    pub resume: bool,

    /// The names of the options that were typed
    #[arg(skip)]
    pub typed: Vec<String>,
}

#[derive(clap::Parser, Clone, Debug)]
#[command(allow_negative_numbers = true)]
pub struct CompareArgs {
    /// The model that is compared, whose preprocessing and classes hold
    pub first: PathBuf,

    /// The other, such as the same one quantized, pruned or exported again
    pub second: PathBuf,

    /// Pictures, folders of pictures, or .npy files of the models' input shape
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub images: Vec<PathBuf>,

    /// The class to explain: predicted (by the first model), an index, or a label
    #[arg(long, default_value = "predicted")]
    pub target: String,

    /// Seeds per method with noise, from --seed on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub repeats: u32,

    #[command(flatten)]
    pub plan: PlanArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Where the tables and results go
    #[arg(long, value_name = "DIR", default_value = "attriburn-comparison")]
    pub out: PathBuf,

    /// Go on with the results that are there
    #[arg(long)]
    pub resume: bool,

    /// The names of the options that were typed
    #[arg(skip)]
    pub typed: Vec<String>,
}

// What is computed. No doc comment: it would become the command's description.
#[derive(clap::Args, Clone, Debug)]
pub struct PlanArgs {
    /// Methods by name: gradient, smoothgrad, adaptgrad, clipgrad; gi, ig-black, ig-white, ig-zero,
    /// ig-mean, ig-blur, ig-file, ng, each also with s-, a- or c- before it
    #[arg(
        long,
        visible_alias = "methods",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "adaptgrad"
    )]
    pub method: Vec<String>,

    /// Noisy samples per map
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub samples: u32,

    /// AdaptGrad's confidence c, between 0 and 1
    #[arg(long, value_name = "C", default_value_t = 0.95)]
    pub confidence: f64,

    /// SmoothGrad's noise width as a share of the domain (PAIR's stdev_spread)
    #[arg(long, default_value_t = 0.2)]
    pub alpha: f64,

    /// SmoothGrad's noise width in the model's units, in place of --alpha (captum's stdevs)
    #[arg(long, conflicts_with = "alpha")]
    pub sigma: Option<f64>,

    /// The noise's distribution: gaussian, poisson, hyperbolic, sigmoid, rect
    #[arg(long, default_value = "gaussian")]
    pub kernel: String,

    /// AdaptGrad's width: paper (Eq. 12) or published-code
    #[arg(long, default_value = "paper")]
    pub width_rule: String,

    /// Nodes along the path of Integrated Gradients
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub steps: u32,

    /// Where the nodes lie: gauss-legendre, left, right, midpoint, trapezoid
    #[arg(long, value_name = "RULE", default_value = "gauss-legendre")]
    pub quadrature: String,

    /// Where the path of ig-file starts: a .npy file of the model's input shape
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Draws of the parameters of ng, s-ng, a-ng and c-ng, each with samples of its own
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub weight_samples: u32,

    /// The width of the noise on each parameter, as a share of its size
    #[arg(long, value_name = "ALPHA", default_value_t = 0.2)]
    pub weight_alpha: f64,

    /// The width of the noise on all parameters, in place of --weight-alpha
    #[arg(long, value_name = "SIGMA", conflicts_with = "weight_alpha")]
    pub weight_sigma: Option<f64>,

    /// The confidence that a parameter keeps its sign, in place of --weight-alpha
    #[arg(long, value_name = "C", conflicts_with_all = ["weight_alpha", "weight_sigma"])]
    pub weight_confidence: Option<f64>,

    /// Parameters without noise, by a pattern of their names such as "classifier.*"; give it again
    /// for several
    #[arg(long, value_name = "PATTERN")]
    pub freeze: Vec<String>,

    /// The most gradients of a map that nests draws, samples and nodes (such as a-ig-zero), spread
    /// over them [default: all of them, multiplied]
    #[arg(long, value_name = "N")]
    pub budget: Option<u64>,

    /// Stop when the relative standard error of a map has fallen to this, such as 0.1, at --samples
    /// or --weight-samples at the latest
    #[arg(long, value_name = "ERROR")]
    pub until: Option<f64>,

    /// What is kept of the samples' gradients: mean, square (SmoothGrad-squared) or variance
    /// (VarGrad)
    #[arg(long, value_name = "NAME", default_value = "mean")]
    pub estimate: String,

    /// What is differentiated: logit or probability
    #[arg(long, default_value = "logit")]
    pub output: String,

    /// The seed of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

// What it is computed with.
#[derive(clap::Args, Clone, Debug)]
pub struct ModelArgs {
    /// The ONNX classifier [default: the built-in EfficientNet-Lite0]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// The classes' names: one per line, a CSV file, or JSON with id2label
    /// [default: what the model or a file beside it says]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// The model's output to explain, where it has several
    #[arg(long, value_name = "NAME")]
    pub output_name: Option<String>,

    /// Where to compute: auto, cpu, wgpu or wgpu:N, and more (see `attriburn devices`)
    #[arg(long, default_value = "auto")]
    pub device: String,

    /// Run every operation of the model as a kernel of its own on a GPU
    #[arg(long)]
    pub no_fusion: bool,

    /// What becomes of the rounding in a quantized model: straight-through (the scores are the quantized
    /// model's, and the gradient passes the rounding) or ignore (it is left out)
    #[arg(long, value_name = "NAME", default_value = "straight-through")]
    pub quantization: String,

    /// Compute every convolution by its definition on the CPU, not by Winograd's algorithm
    #[arg(long)]
    pub exact: bool,

    /// Threads that share the work on the CPU; maps do not depend on them [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Gradients per batch [default: as many as the memory holds]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,

    /// Memory for a batch, such as 512M or 2G
    #[arg(long, value_name = "SIZE", conflicts_with = "batch")]
    pub memory: Option<String>,

    #[command(flatten)]
    pub preprocess: PreprocessArgs,

    /// The least and greatest value of the input, such as 0,1
    /// [default: what the preprocessing gives]
    #[arg(
        long,
        help_heading = "Preprocessing",
        value_name = "MIN,MAX",
        allow_hyphen_values = true
    )]
    pub domain: Option<String>,

    /// A sample's shape, where the model leaves it free, such as 3,224,224
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub input_shape: Option<Vec<usize>>,

    /// What pictures are read as for a model of flat samples, such as 1,28,28 for samples of 784
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    pub picture_shape: Option<Vec<usize>>,
}

// How pictures become inputs.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
pub struct PreprocessArgs {
    /// imagenet, inception, clip, unit (0 to 1), signed (-1 to 1), raw255 (0 to 255) or caffe-bgr; or a
    /// preprocessor_config.json of Hugging Face or a config.json of timm
    /// [default: what the model or a file beside it says, else imagenet, and unit for one channel]
    #[arg(long, help_heading = "Preprocessing", value_name = "NAME|FILE")]
    pub preprocess: Option<String>,

    /// What is subtracted, one number for each channel or one for all
    #[arg(
        long,
        help_heading = "Preprocessing",
        value_name = "NUMBERS",
        value_delimiter = ',',
        requires = "std"
    )]
    pub mean: Option<Vec<f32>>,

    /// What is divided by then, likewise
    #[arg(
        long,
        help_heading = "Preprocessing",
        value_name = "NUMBERS",
        value_delimiter = ',',
        requires = "mean"
    )]
    pub std: Option<Vec<f32>>,

    /// What bytes are divided by before that: 255, 127.5 or none [default: 255, or none where the mean is
    /// one of bytes]
    #[arg(long, help_heading = "Preprocessing", value_name = "NUMBER")]
    pub scale: Option<String>,

    /// The size before the crop: the side that --resize-mode names, or height and width
    #[arg(
        long,
        help_heading = "Preprocessing",
        value_name = "SIZE",
        value_delimiter = ',',
        conflicts_with = "crop_pct"
    )]
    pub resize: Option<Vec<usize>>,

    /// The same as a share: the crop over the size before it
    #[arg(long, help_heading = "Preprocessing", value_name = "SHARE")]
    pub crop_pct: Option<f64>,

    /// How the shape of a picture becomes that of the input
    #[arg(long, help_heading = "Preprocessing", value_name = "NAME")]
    pub resize_mode: Option<ResizeMode>,

    /// The filter of the resize
    #[arg(long, help_heading = "Preprocessing", value_name = "NAME")]
    pub interpolation: Option<Filter>,

    /// The order of the model's channels
    #[arg(long, help_heading = "Preprocessing", value_name = "NAME")]
    pub channels: Option<ChannelOrder>,

    /// Where the model's channels lie [default: last where the last axis has 1 or 3 and the first has not]
    #[arg(long, help_heading = "Preprocessing", value_name = "NAME")]
    pub layout: Option<LayoutName>,
}

/// How the shape of a picture becomes that of the input.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// Both sides are resized apart
    Squash,
    /// The shorter side is resized and the centre cropped
    Shortest,
    /// The longer side is resized and the rest black
    Longest,
    /// The same with the colour of the mean
    Border,
}

impl From<ResizeMode> for Mode {
    fn from(own: ResizeMode) -> Self {
        match own {
            ResizeMode::Squash => Mode::Squash,
            ResizeMode::Shortest => Mode::Shortest,
            ResizeMode::Longest => Mode::Longest,
            ResizeMode::Border => Mode::Border,
        }
    }
}

/// The filter of a resize.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Nearest,
    Box,
    Bilinear,
    Hamming,
    Bicubic,
    Lanczos,
}

impl From<Filter> for Interpolation {
    fn from(own: Filter) -> Self {
        match own {
            Filter::Nearest => Interpolation::Nearest,
            Filter::Box => Interpolation::Box,
            Filter::Bilinear => Interpolation::Bilinear,
            Filter::Hamming => Interpolation::Hamming,
            Filter::Bicubic => Interpolation::Bicubic,
            Filter::Lanczos => Interpolation::Lanczos,
        }
    }
}

/// Where the channels lie.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutName {
    /// Channels, height, width
    Nchw,
    /// Height, width, channels, as in TensorFlow and Keras
    Nhwc,
}

impl LayoutName {
    /// How a model is loaded whose channels are to be first.
    pub fn loaded(own: Option<Self>) -> Layout {
        match own {
            None => Layout::ChannelsFirst,
            Some(LayoutName::Nchw) => Layout::AsStored,
            Some(LayoutName::Nhwc) => Layout::FromChannelsLast,
        }
    }
}

/// The order of a model's channels.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    Rgb,
    Bgr,
    Gray,
}

impl From<ChannelOrder> for Channels {
    fn from(own: ChannelOrder) -> Self {
        match own {
            ChannelOrder::Rgb => Channels::Rgb,
            ChannelOrder::Bgr => Channels::Bgr,
            ChannelOrder::Gray => Channels::Grey,
        }
    }
}
