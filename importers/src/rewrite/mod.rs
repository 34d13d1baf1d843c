//! What is changed in a file before the parser reads it, so that the parser understands it.

mod constants;
mod defaults;
mod external;
mod joined;

use std::path::Path;

use onnx_ir::{Message, ModelProto};

use crate::error::{ErrorKind, LoadError};

/// The bytes for the parser where something had to be changed; `None` where the file's own will do.
///
/// # Errors
///
/// When a file that holds weights is not there or lies outside the model's folder.
pub fn for_the_parser(
    model: &mut ModelProto,
    path: Option<&Path>,
) -> Result<Option<Vec<u8>>, LoadError> {
    let mut changed = external::inline(model, path)?;
    changed |= constants::fold(model);
    changed |= defaults::spell_out(model);
    changed |= joined::keep_apart(model);
    if !changed {
        return Ok(None);
    }
    model.write_to_bytes().map(Some).map_err(|error| {
        LoadError::new(ErrorKind::Format, format!("the model cannot be rewritten: {error}"))
    })
}
