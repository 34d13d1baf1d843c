//! The models that the maps are compared with.

use std::path::{Path, PathBuf};

use attriburn::Model;
use attriburn_onnx::OnnxModel;

use crate::Fatal;
use crate::args::EvaluateArgs;
use crate::manifest::ModelFile;
use crate::setup::{Loaded, Setup, load_file};

/// A model and its file.
pub struct Other {
    pub model: OnnxModel,
    pub file: ModelFile,
}

/// Those that were given.
pub struct Others {
    /// Trained on shuffled labels.
    pub shuffled: Option<Other>,
    /// Trained on shifted inputs, and what was added to them.
    pub shifted: Option<(Other, f32)>,
    /// Trained on other data.
    pub other: Option<Other>,
}

impl Others {
    /// Loads the models that `args` name, as that of `setup` was.
    ///
    /// # Errors
    ///
    /// When one cannot be loaded, or does not take and give what the model does.
    pub fn load(args: &EvaluateArgs, setup: &Setup) -> Result<Self, Fatal> {
        let load = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| load(path, args, setup)).transpose()
        };
        let shifted = match (load(&args.shifted_model)?, args.shift) {
            (Some(_), Some(shift)) if !shift.is_finite() => {
                return Err(format!("--shift is {shift}, but it must be finite").into());
            }
            (Some(model), Some(shift)) => Some((model, shift)),
            (Some(_), None) => return Err("--shifted-model takes --shift".into()),
            (None, _) => None,
        };
        Ok(Self { shuffled: load(&args.shuffled_model)?, shifted, other: load(&args.other_model)? })
    }
}

fn load(path: &Path, args: &EvaluateArgs, setup: &Setup) -> Result<Other, Fatal> {
    let noisy = setup.variants.iter().any(|variant| variant.plan.weights.is_some());
    let like = setup.model.input_shape();
    let loaded = load_file(path, &args.model.with, noisy, Some(like), setup.model.device())?;
    let Loaded { model, file, .. } = loaded;
    if (model.input_shape(), model.classes()) != (setup.model.input_shape(), setup.model.classes())
    {
        let message = "it takes other inputs or has other classes than the model";
        return Err(format!("{}: {message}", path.display()).into());
    }
    let integers = |model: &OnnxModel| model.summary().inputs[0].is_integer();
    if integers(&model) != integers(&setup.model) {
        let message = "one of it and the model takes integers, the other fractions";
        return Err(format!("{}: {message}", path.display()).into());
    }
    Ok(Other { model, file })
}
