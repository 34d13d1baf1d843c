//! The options of the model and the device.

use std::path::PathBuf;

use attriburn_onnx::Quantization;

use super::choice::one_of;
use super::picture::PreprocessArgs;

// Structs with options have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// ONNX classifier [default: the built-in EfficientNet-Lite0]
    #[arg(short, long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    #[command(flatten)]
    pub with: WithModelArgs,
}

// The options of a model whose file another argument names.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct WithModelArgs {
    /// Class names: lines, CSV or JSON [default: found with the model]
    #[arg(short, long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    #[command(flatten)]
    pub tensors: TensorArgs,

    /// Rectangle of input pixels whose output positions are explained
    #[arg(
        long,
        value_name = "X,Y,W,H",
        value_delimiter = ',',
        num_args = 1,
        hide_short_help = true
    )]
    pub region: Option<Vec<usize>>,

    /// Weight of each input pixel: an image or .npy file
    #[arg(long, value_name = "FILE", conflicts_with = "region", hide_short_help = true)]
    pub mask: Option<PathBuf>,

    /// Treatment of rounding in a quantized model [default: straight-through]
    #[arg(long, value_name = "NAME", value_parser = one_of(&QUANTIZATIONS), hide_short_help = true)]
    pub quantization: Option<Quantization>,

    #[command(flatten)]
    pub preprocess: PreprocessArgs,

    #[command(flatten)]
    pub compute: ComputeArgs,
}

// The options of the model's inputs and outputs.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct TensorArgs {
    /// Output to explain, if the model has several
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub model_output: Option<String>,

    /// Value of another input of the model; repeatable
    #[arg(long = "fix", value_name = "INPUT=FILE", value_parser = input_and_file, hide_short_help = true)]
    pub fixed: Vec<(String, PathBuf)>,

    /// Sample shape where the model leaves it free, such as 3,224,224
    #[arg(long, value_name = "SIZES", value_delimiter = ',', hide_short_help = true)]
    pub input_shape: Option<Vec<usize>>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Device")]
pub struct ComputeArgs {
    /// Device name; `attriburn devices` lists them [default: auto]
    #[arg(short, long, value_name = "NAME")]
    pub device: Option<String>,

    /// Number of CPU threads [default: one per core]
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Gradients per batch [default: as many as fit into memory]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub batch: Option<usize>,

    /// Memory limit of a batch, such as 512M or 2G
    #[arg(long, value_name = "SIZE", conflicts_with = "batch", hide_short_help = true)]
    pub memory: Option<String>,

    /// Compute CPU convolutions directly, without Winograd's algorithm
    #[arg(long, hide_short_help = true)]
    pub exact: bool,

    /// Run each GPU operation as a separate kernel
    #[arg(long, hide_short_help = true)]
    pub no_fusion: bool,
}

/// Parses `INPUT=FILE`.
fn input_and_file(text: &str) -> Result<(String, PathBuf), String> {
    let (input, file) = text.split_once('=').ok_or("write INPUT=FILE.npy")?;
    Ok((input.to_owned(), file.into()))
}

/// The treatments of rounding in a quantized model.
pub const QUANTIZATIONS: [(Quantization, &str); 2] =
    [(Quantization::StraightThrough, "straight-through"), (Quantization::Ignore, "ignore")];
