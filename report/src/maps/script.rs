//! The data that the script of the maps page reads.

use serde::Serialize;

use super::colours::clip;
use super::data::{Map, Palette};
use crate::tile::{CodedErrors, CodedValues};

/// The data of all maps of a page.
#[derive(Default, Serialize)]
pub(super) struct ScriptData {
    pub(super) palettes: Vec<ScriptPalette>,
    pub(super) maps: Vec<ScriptMap>,
    #[serde(skip)]
    known: Vec<Palette>,
}

/// The colours of a palette, six hexadecimal digits each.
#[derive(Serialize)]
pub(super) struct ScriptPalette {
    signed: String,
    unsigned: String,
}

/// What the script has to know of a map besides its PNG files.
#[derive(Serialize)]
pub(super) struct ScriptMap {
    method: String,
    unit: String,
    input: usize,
    row: usize,
    height: usize,
    width: usize,
    signed: bool,
    clip: f32,
    limit: f32,
    /// The smallest and largest coded standard error.
    errors: Option<[f32; 2]>,
    palette: usize,
}

impl ScriptData {
    /// Adds a map and returns its number.
    pub(super) fn add(
        &mut self,
        map: &Map,
        (input, row): (usize, usize),
        values: &CodedValues,
        errors: Option<&CodedErrors>,
    ) -> usize {
        let palette = self.palette(&map.palette);
        self.maps.push(ScriptMap {
            method: map.method.clone(),
            unit: map.unit.clone(),
            input,
            row,
            height: map.height,
            width: map.width,
            signed: map.is_signed,
            clip: clip(map, values.limit),
            limit: values.limit,
            errors: errors.map(|errors| [errors.low, errors.high]),
            palette,
        });
        self.maps.len() - 1
    }

    /// Returns the number of a palette. Maps share equal palettes.
    fn palette(&mut self, palette: &Palette) -> usize {
        if let Some(index) = self.known.iter().position(|known| known == palette) {
            return index;
        }
        let (signed, unsigned) = (hex(&palette.signed), hex(&palette.unsigned));
        self.palettes.push(ScriptPalette { signed, unsigned });
        self.known.push(palette.clone());
        self.known.len() - 1
    }
}

fn hex(colours: &[[u8; 3]]) -> String {
    colours.as_flattened().iter().map(|byte| format!("{byte:02x}")).collect()
}
