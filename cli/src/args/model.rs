//! The options that say with which model, and on which device.

use std::path::PathBuf;

use attriburn_onnx::Quantization;

use super::choice::one_of;
use super::picture::PreprocessArgs;

// Structs here have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The ONNX classifier [default: the built-in EfficientNet-Lite0]
    #[arg(short, long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    #[command(flatten)]
    pub with: WithModelArgs,
}

// What goes with a model, wherever its file was named.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct WithModelArgs {
    /// The classes' names: lines, CSV or JSON [default: found beside it]
    #[arg(short, long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    #[command(flatten)]
    pub tensors: TensorArgs,

    /// The part of the input whose outputs count, in its pixels
    #[arg(
        long,
        value_name = "X,Y,W,H",
        value_delimiter = ',',
        num_args = 1,
        hide_short_help = true
    )]
    pub region: Option<Vec<usize>>,

    /// A weight for each of the input's pixels: a picture or .npy file
    #[arg(long, value_name = "FILE", conflicts_with = "region", hide_short_help = true)]
    pub mask: Option<PathBuf>,

    /// The rounding of a quantized model [default: straight-through]
    #[arg(long, value_name = "NAME", value_parser = one_of(&QUANTIZATIONS), hide_short_help = true)]
    pub quantization: Option<Quantization>,

    #[command(flatten)]
    pub preprocess: PreprocessArgs,

    #[command(flatten)]
    pub compute: ComputeArgs,
}

// The model's inputs and outputs.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct TensorArgs {
    /// The output to explain, where the model has several
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub model_output: Option<String>,

    /// The value of another input of the model; repeatable
    #[arg(long = "fix", value_name = "INPUT=FILE", value_parser = input_and_file, hide_short_help = true)]
    pub fixed: Vec<(String, PathBuf)>,

    /// A sample's shape where it is free, such as 3,224,224
    #[arg(long, value_name = "SIZES", value_delimiter = ',', hide_short_help = true)]
    pub input_shape: Option<Vec<usize>>,
}

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Device")]
pub struct ComputeArgs {
    /// A name that `attriburn devices` lists [default: auto]
    #[arg(short, long, value_name = "NAME")]
    pub device: Option<String>,

    /// Threads that share the work on the CPU [default: one per core]
    #[arg(short = 'j', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Gradients per batch [default: as many as the memory holds]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub batch: Option<usize>,

    /// Memory for a batch, such as 512M or 2G
    #[arg(long, value_name = "SIZE", conflicts_with = "batch", hide_short_help = true)]
    pub memory: Option<String>,

    /// Convolutions by definition on the CPU, not by Winograd's algorithm
    #[arg(long, hide_short_help = true)]
    pub exact: bool,

    /// Run every operation as a kernel of its own on a GPU
    #[arg(long, hide_short_help = true)]
    pub no_fusion: bool,
}

/// Reads `INPUT=FILE`.
fn input_and_file(text: &str) -> Result<(String, PathBuf), String> {
    let (input, file) = text.split_once('=').ok_or("write INPUT=FILE.npy")?;
    Ok((input.to_owned(), file.into()))
}

/// What becomes of the rounding in a quantized model.
pub const QUANTIZATIONS: [(Quantization, &str); 2] =
    [(Quantization::StraightThrough, "straight-through"), (Quantization::Ignore, "ignore")];
