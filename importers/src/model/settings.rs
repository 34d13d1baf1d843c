//! The settings of loading a model.

/// The treatment of rounding in a quantized model. The derivative of rounding is 0 almost everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantization {
    /// Keeps the scores of the quantized model. The gradient passes through a rounding unchanged where the
    /// level is within the range of its type, bounds included, and is 0 elsewhere: the straight-through
    /// estimator (Bengio et al. 2013), which is also used to train such models.
    #[default]
    StraightThrough,
    /// Does not round values that depend on the sample, but only clamps them to the range of their type,
    /// bounds included. The gradient is the exact gradient of this model. The weights are those of the
    /// quantized model.
    Ignore,
}

/// The constant value of an input.
#[derive(Clone, Debug)]
pub(crate) struct FixedInput {
    /// The name of the input.
    pub name: String,
    /// The shape of the value.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub values: Vec<f32>,
}

/// The map `scale * x + shift` of the input `x`, with one scale and one shift per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The factor of each channel.
    pub scale: Vec<f64>,
    /// The summand of each channel, after the multiplication.
    pub shift: Vec<f64>,
}

/// The layout of image inputs: that of the file and that of the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Inputs have the layout of the file.
    #[default]
    AsStored,
    /// Inputs are `[channels, height, width]`. They are transposed if the file has the layout
    /// `[height, width, channels]`: the size of the last axis is 1 or 3, and that of the first axis is not.
    ChannelsFirst,
    /// Inputs are `[channels, height, width]`, and the file has the layout `[height, width, channels]`.
    FromChannelsLast,
}

impl Layout {
    /// Whether samples are transposed for a file whose samples have the shape `shape`.
    pub fn transposes(self, shape: &[usize]) -> bool {
        let is_channel_count = |size: usize| matches!(size, 1 | 3);
        match (self, shape) {
            (Layout::AsStored, _) => false,
            (Layout::ChannelsFirst, &[first, _, last]) => {
                is_channel_count(last) && !is_channel_count(first)
            }
            (Layout::FromChannelsLast, shape) => shape.len() == 3,
            _ => false,
        }
    }
}
