//! The data of the page of attribution maps.

use crate::picture::EncodedPicture;

/// A page of attribution maps.
#[derive(Clone, Debug)]
pub struct MapsPage {
    /// The title.
    pub title: String,
    /// The command line that makes the page again.
    pub command: String,
    /// Names and values of the settings.
    pub settings: Vec<(String, String)>,
    /// Warnings about the whole run.
    pub warnings: Vec<String>,
    /// Inputs that were left out, with the reason.
    pub failures: Vec<String>,
    /// The explained inputs.
    pub inputs: Vec<InputMaps>,
}

/// The maps of one input.
#[derive(Clone, Debug)]
pub struct InputMaps {
    /// The name, such as a file name.
    pub name: String,
    /// The region of the picture that the model received. Its resolution may be higher than that of the maps.
    /// `None` for inputs that are not pictures.
    pub picture: Option<EncodedPicture>,
    /// The explained targets.
    pub targets: Vec<TargetMaps>,
}

/// The maps of one target.
#[derive(Clone, Debug)]
pub struct TargetMaps {
    /// The title, such as `tabby, class 281 (93.1 %)`.
    pub title: String,
    /// One map per method.
    pub maps: Vec<Map>,
}

/// One attribution map.
#[derive(Clone, Debug)]
pub struct Map {
    /// The method's name.
    pub method: String,
    /// What the values are. Maps of different units never share a colour scale.
    pub unit: String,
    /// Whether the sign of a value has a meaning. The values of a map without sign are not negative.
    pub is_signed: bool,
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
    /// The values, row by row.
    pub values: Vec<f32>,
    /// The standard error of each value; `None` if it is not known.
    pub standard_error: Option<Vec<f32>>,
    /// The magnitude at which colours saturate, usually the 99th percentile of the magnitudes.
    pub clip: f32,
    /// The colours.
    pub palette: Palette,
    /// Names and values of facts, such as the cost.
    pub facts: Vec<(String, String)>,
    /// Remarks that the reader should not miss.
    pub notes: Vec<String>,
    /// The folder with the exact values.
    pub files: String,
}

/// The colours of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// The colours of signed values: 0 is the most negative value, 127 is 0, 254 is the most positive value.
    pub signed: [[u8; 3]; 255],
    /// The colours of magnitudes: 0 is no attribution, 254 is the strongest.
    pub unsigned: [[u8; 3]; 255],
}
