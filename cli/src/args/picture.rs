//! The options of the preprocessing.

use attriburn_onnx::Layout;
use attriburn_picture::{Channels, Interpolation, ResizeMode};

use super::choice::one_of;

// Structs with options have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessArgs {
    /// imagenet, inception, clip, unit, signed, raw255, caffe-bgr, a torchvision weights name, or a
    /// Hugging Face or timm file [default: from the model, else imagenet]
    #[arg(short, long, value_name = "WHAT")]
    pub preprocess: Option<String>,

    /// Mean to subtract: one number, or one per channel
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        requires = "std",
        hide_short_help = true
    )]
    pub mean: Option<Vec<f32>>,

    /// Standard deviation to divide by: one number, or one per channel
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        num_args = 1,
        requires = "mean",
        hide_short_help = true
    )]
    pub std: Option<Vec<f32>>,

    /// Divisor of the bytes: 255, 127.5 or none [default: 255]
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    pub scale: Option<String>,

    /// Size before the crop: SIDE or HEIGHT,WIDTH
    #[arg(
        long,
        value_name = "SIZE",
        value_delimiter = ',',
        num_args = 1,
        conflicts_with = "crop_pct",
        hide_short_help = true
    )]
    pub resize: Option<Vec<usize>>,

    /// Crop size divided by the size before the crop
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub crop_pct: Option<f64>,

    /// Crop size if the model leaves it free: SIDE or HEIGHT,WIDTH
    #[arg(long, value_name = "SIZE", value_delimiter = ',', num_args = 1, hide_short_help = true)]
    pub crop: Option<Vec<usize>>,

    /// Resize mode
    #[arg(long, value_name = "NAME", value_parser = one_of(&ResizeMode::ALL), hide_short_help = true)]
    pub resize_mode: Option<ResizeMode>,

    /// Resize filter
    #[arg(long, value_name = "NAME", value_parser = one_of(&Interpolation::ALL), hide_short_help = true)]
    pub interpolation: Option<Interpolation>,

    /// Channel order of the model
    #[arg(long, value_name = "NAME", value_parser = one_of(&Channels::ALL), hide_short_help = true)]
    pub channels: Option<Channels>,

    /// Input layout of the model [default: from its shape]
    #[arg(long, value_name = "NAME", value_parser = one_of(&LAYOUTS), hide_short_help = true)]
    pub layout: Option<Layout>,

    /// Minimum and maximum of the input, or a pair per channel
    #[arg(
        long,
        value_name = "MIN,MAX",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub domain: Option<Vec<f32>>,

    /// Image shape of flat samples, such as 1,28,28 for 784 values
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', num_args = 1, hide_short_help = true)]
    pub picture_shape: Option<Vec<usize>>,
}

impl PreprocessArgs {
    /// Returns whether an option is set that only images can use.
    pub fn needs_images(&self) -> bool {
        let (domain, picture_shape, layout) = (None, None, None);
        Self { domain, picture_shape, layout, ..self.clone() } != Self::default()
    }
}

/// The layouts of a model's input.
const LAYOUTS: [(Layout, &str); 2] =
    [(Layout::AsStored, "nchw"), (Layout::FromChannelsLast, "nhwc")];
