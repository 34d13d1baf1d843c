//! The options of pictures of maps.

use attriburn_picture::{ColorMap, Overlay, View};

use super::choice::one_of;

// Structs with options have no doc comments: these would become the description of the command.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Pictures")]
pub struct DisplayArgs {
    /// How map and image are put together [default: blend]
    #[arg(long, value_name = "NAME", value_parser = one_of(&Overlay::ALL))]
    pub overlay: Option<Overlay>,

    /// Values to show [default: signed]
    #[arg(long, value_name = "NAME", value_parser = one_of(&View::ALL))]
    pub view: Option<View>,

    /// Leave values within two standard errors of zero blank
    #[arg(long)]
    pub certain: bool,

    /// Sum values over the image's superpixels
    #[arg(long, conflicts_with = "certain", hide_short_help = true)]
    pub regions: bool,

    /// Blur the shown values, not the map, by this standard deviation in pixels
    #[arg(long, value_name = "SIGMA", hide_short_help = true)]
    pub display_blur: Option<f64>,

    /// Colour map [default: red-blue, or inferno for values without a sign]
    #[arg(long, value_name = "NAME", value_parser = one_of(&ColorMap::ALL), hide_short_help = true)]
    pub colormap: Option<ColorMap>,

    /// Percentile of |value| at which colours are clipped [default: 99]
    #[arg(long, value_name = "P", hide_short_help = true)]
    pub percentile: Option<f64>,

    /// Draw the overlays in the terminal
    #[arg(long, conflicts_with = "json")]
    pub show: bool,
}

impl DisplayArgs {
    /// Returns the names of the options that are set.
    pub fn names(&self) -> Vec<&'static str> {
        let options = [
            ("overlay", self.overlay.is_some()),
            ("view", self.view.is_some()),
            ("certain", self.certain),
            ("regions", self.regions),
            ("display-blur", self.display_blur.is_some()),
            ("colormap", self.colormap.is_some()),
            ("percentile", self.percentile.is_some()),
            ("show", self.show),
        ];
        options.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}
