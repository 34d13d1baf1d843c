//! The domain of a model's input.

/// The range of values that the model's input can take, in the model's units: one pair of bounds, or one
/// pair per channel. The channels are the first axis of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// The lower bounds: one for all channels, or one per channel.
    pub lower: Vec<f32>,
    /// The upper bounds, likewise.
    pub upper: Vec<f32>,
}

impl Domain {
    /// The domain `[lower, upper]` for every element.
    pub fn uniform(lower: f32, upper: f32) -> Self {
        Self { lower: vec![lower], upper: vec![upper] }
    }

    /// A domain with one pair of bounds per channel.
    pub fn per_channel(lower: Vec<f32>, upper: Vec<f32>) -> Self {
        Self { lower, upper }
    }

    /// Checks that the domain fits a sample with this number of channels.
    ///
    /// # Errors
    ///
    /// Returns what is wrong: the number of bounds, or bounds that are not finite and ordered.
    pub fn check(&self, channels: usize) -> Result<(), String> {
        let (lower, upper) = (self.lower.len(), self.upper.len());
        if lower != upper || (lower != 1 && lower != channels) {
            return Err(format!(
                "has {lower} lower and {upper} upper bounds; the input takes one pair, or one for each of its {channels} channels"
            ));
        }
        let is_wrong = |&(lower, upper): &(f32, f32)| {
            !(lower.is_finite() && upper.is_finite() && lower < upper)
        };
        let mut pairs = self.lower.iter().copied().zip(self.upper.iter().copied());
        match pairs.clone().position(|pair| is_wrong(&pair)).zip(pairs.find(is_wrong)) {
            Some((channel, (lower, upper))) => Err(format!(
                "of channel {channel} is [{lower}, {upper}]; its bounds must be finite and in order"
            )),
            None => Ok(()),
        }
    }

    /// The bounds of a channel.
    ///
    /// # Panics
    ///
    /// Panics if the domain has no bounds; see [`Domain::check`].
    pub fn channel_bounds(&self, channel: usize) -> (f32, f32) {
        let pair = channel.min(self.lower.len() - 1);
        (self.lower[pair], self.upper[pair])
    }

    /// The bounds of the element with the flat index `element` of a sample with `features` elements.
    ///
    /// # Panics
    ///
    /// As [`Domain::channel_bounds`].
    pub fn element_bounds(&self, element: usize, features: usize) -> (f32, f32) {
        self.channel_bounds(element / (features / self.lower.len()).max(1))
    }
}
