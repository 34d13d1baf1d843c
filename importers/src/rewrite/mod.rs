//! What is changed in a file before the parser reads it, so that the parser understands it.

mod constants;
mod defaults;
mod external;
mod joined;
mod parameters;

use std::path::Path;

use onnx_ir::{Message, ModelProto};

use crate::error::{ErrorKind, LoadError};

pub use parameters::Stored;

/// A file as the parser takes it.
pub struct Prepared {
    /// Its bytes, where something had to be changed.
    pub bytes: Option<Vec<u8>>,
    /// The parameters, in the order of the inputs they have become.
    pub parameters: Vec<Stored>,
    /// The files beside the model that hold weights.
    pub files: Vec<std::path::PathBuf>,
}

/// Changes what the parser would not understand and, where `parameters` are asked for, makes them
/// inputs.
///
/// # Errors
///
/// When a file that holds weights is not there or lies outside the model's folder, or the values
/// of a parameter cannot be read.
pub fn for_the_parser(
    model: &mut ModelProto,
    path: Option<&Path>,
    parameters: bool,
) -> Result<Prepared, LoadError> {
    let files = external::inline(model, path)?;
    let mut changed = !files.is_empty();
    let parameters = if parameters { parameters::promote(model)? } else { Vec::new() };
    changed |= !parameters.is_empty();
    changed |= constants::fold(model);
    changed |= defaults::spell_out(model);
    changed |= joined::keep_apart(model);
    if !changed {
        return Ok(Prepared { bytes: None, parameters, files });
    }
    let bytes = model.write_to_bytes().map_err(|error| {
        LoadError::new(ErrorKind::Format, format!("the model cannot be rewritten: {error}"))
    })?;
    Ok(Prepared { bytes: Some(bytes), parameters, files })
}
