//! Preprocessing files of other libraries beside the model.

use std::path::{Path, PathBuf};

use attriburn_picture::{Recipe, recipe_from_config};

use super::parts::Sources;

/// Files beside a model that may describe its preprocessing.
const FILES_BESIDE_MODEL: [&str; 2] = ["preprocessor_config.json", "config.json"];

/// Reads the recipes in the files beside `model`, and in the parent folder if the model's folder is called
/// `onnx`. A file that cannot be parsed, or is for another input `size`, is skipped with a warning.
pub fn recipes_beside(model: Option<&Path>, size: Option<(usize, usize)>) -> Sources {
    let Some(folder) = model.map(|path| path.parent().unwrap_or(Path::new(""))) else {
        return Vec::new();
    };
    let parent = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "onnx"));
    let files = [Some(folder), parent].into_iter().flatten();
    let files = files.flat_map(|folder| FILES_BESIDE_MODEL.map(|name| folder.join(name)));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        let problem = match recipe_from_config(&text) {
            Ok(Some(recipe)) => {
                let name = path.display().to_string();
                return fits_size(&recipe, size, &name).then_some((name, recipe));
            }
            Ok(None) => return None,
            Err(reason) => reason,
        };
        log::warn!("{} is not used: {problem}", path.display());
        None
    };
    files.filter_map(read).collect()
}

/// Returns whether `recipe` is for inputs of `size`. Logs a warning that names `source` if it is for another
/// size.
pub fn fits_size(recipe: &Recipe, size: Option<(usize, usize)>, source: &str) -> bool {
    match recipe.size.zip(size) {
        Some((recipe_size, size)) if recipe_size != size => {
            log::warn!(
                "{source} is not used: it is for inputs of {}x{}, but the model takes {}x{}",
                recipe_size.0,
                recipe_size.1,
                size.0,
                size.1
            );
            false
        }
        _ => true,
    }
}
