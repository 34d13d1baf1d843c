//! The channel order of a model's input.

use crate::error::Error;

/// The channel order of a model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel: the ITU-R 601-2 luma as computed by Pillow.
    Grey,
}

impl Channels {
    /// All channel orders with their names.
    pub const ALL: [(Channels, &'static str); 3] =
        [(Channels::Rgb, "rgb"), (Channels::Bgr, "bgr"), (Channels::Grey, "gray")];

    /// The name of the channel order.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(order, _)| *order == self).map_or("", |(_, name)| name)
    }

    /// The number of channels.
    pub fn count(self) -> usize {
        match self {
            Channels::Rgb | Channels::Bgr => 3,
            Channels::Grey => 1,
        }
    }
}

/// Checks that a picture can be converted to this number of channels.
pub(super) fn check_channels(channels: usize) -> Result<(), Error> {
    match channels {
        1 | 3 => Ok(()),
        other => Err(Error::preprocess(format!(
            "a picture has 3 channels, or 1 in grey, but the model needs {other}; give the input as a .npy file"
        ))),
    }
}
