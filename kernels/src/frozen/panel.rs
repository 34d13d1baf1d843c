//! Panels: the packed weights of adjacent output channels.

use super::aligned::AlignedBuffer;

/// The packed weights of adjacent output channels for every tap.
#[derive(Clone, Debug)]
pub struct WeightPanel {
    /// The first output channel.
    pub output: usize,
    /// The number of output channels, padded to whole lanes.
    pub lanes: usize,
    /// The first input channel that the panel reads.
    pub input: usize,
    /// The weights, `[tap][input][lane]`.
    pub weights: AlignedBuffer,
}

/// The packed weights of one phase.
#[derive(Clone, Debug)]
pub struct PackedPhase {
    /// The panels of all output channels, in order.
    pub panels: Vec<WeightPanel>,
    /// The number of weights without padding.
    pub used: usize,
}
