//! The options that say how pictures become inputs.

use attriburn::picture::{Channels, Interpolation, Mode};
use attriburn_onnx::Layout;

use super::choice::one_of;

// Structs here have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessArgs {
    /// imagenet, inception, clip, unit, signed, raw255, caffe-bgr, torchvision's weights, or a
    /// file of Hugging Face's or timm's [default: found by the model, else imagenet]
    #[arg(short, long, value_name = "WHAT")]
    pub preprocess: Option<String>,

    /// What is subtracted: a number for each channel, or one for all
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

    /// What is divided by then, likewise
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        num_args = 1,
        requires = "mean",
        hide_short_help = true
    )]
    pub std: Option<Vec<f32>>,

    /// What bytes are divided by first: 255, 127.5 or none [default: 255]
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    pub scale: Option<String>,

    /// The size before the crop: one side, or HEIGHT,WIDTH
    #[arg(
        long,
        value_name = "SIZE",
        value_delimiter = ',',
        num_args = 1,
        conflicts_with = "crop_pct",
        hide_short_help = true
    )]
    pub resize: Option<Vec<usize>>,

    /// The same as a share: the crop over the size before it
    #[arg(long, value_name = "SHARE", hide_short_help = true)]
    pub crop_pct: Option<f64>,

    /// The size of the crop where the model's is free: SIDE or HEIGHT,WIDTH
    #[arg(long, value_name = "SIZE", value_delimiter = ',', num_args = 1, hide_short_help = true)]
    pub crop: Option<Vec<usize>>,

    /// How shapes are matched
    #[arg(long, value_name = "NAME", value_parser = one_of(&Mode::ALL), hide_short_help = true)]
    pub resize_mode: Option<Mode>,

    /// The filter of the resize
    #[arg(long, value_name = "NAME", value_parser = one_of(&Interpolation::ALL), hide_short_help = true)]
    pub interpolation: Option<Interpolation>,

    /// The order of the model's channels
    #[arg(long, value_name = "NAME", value_parser = one_of(&Channels::ALL), hide_short_help = true)]
    pub channels: Option<Channels>,

    /// Where the model's channels lie [default: by its shape]
    #[arg(long, value_name = "NAME", value_parser = one_of(&LAYOUTS), hide_short_help = true)]
    pub layout: Option<Layout>,

    /// The input's least and greatest value, or a pair for each channel
    #[arg(
        long,
        value_name = "MIN,MAX",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub domain: Option<Vec<f32>>,

    /// The pictures behind flat samples, such as 1,28,28 for 784 values
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', num_args = 1, hide_short_help = true)]
    pub picture_shape: Option<Vec<usize>>,
}

impl PreprocessArgs {
    /// Whether anything is asked for that pictures alone have.
    pub fn asks(&self) -> bool {
        let (domain, picture_shape, layout) = (None, None, None);
        Self { domain, picture_shape, layout, ..self.clone() } != Self::default()
    }
}

/// Where the channels of the model's input lie.
const LAYOUTS: [(Layout, &str); 2] =
    [(Layout::AsStored, "nchw"), (Layout::FromChannelsLast, "nhwc")];
