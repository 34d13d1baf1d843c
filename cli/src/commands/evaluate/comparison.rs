//! Models whose maps are compared with those of the explained model.

use std::path::{Path, PathBuf};

use attriburn::Model;
use attriburn_onnx::OnnxModel;

use crate::args::EvaluateArgs;
use crate::exit::Fatal;
use crate::output::manifest::ModelFile;
use crate::setup::Setup;
use crate::setup::load::{LoadedModel, load_file};

/// A comparison model, with the entry of its file for `settings.json`.
pub struct ComparisonModel {
    pub model: OnnxModel,
    pub file: ModelFile,
}

/// The comparison models that the options name.
pub struct ComparisonModels {
    /// The model trained on shuffled labels.
    pub shuffled: Option<ComparisonModel>,
    /// The model trained on shifted inputs, and the offset added to its inputs.
    pub shifted: Option<(ComparisonModel, f32)>,
    /// The second model of a comparison, such as one trained on other data.
    pub other: Option<ComparisonModel>,
}

impl ComparisonModels {
    /// Loads the models that `args` name, with the settings of the model in `setup`.
    ///
    /// # Errors
    ///
    /// When a model cannot be loaded, or its input or classes differ from those of the model in `setup`.
    pub fn load(args: &EvaluateArgs, setup: &Setup) -> Result<Self, Fatal> {
        let load = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| load(path, args, setup)).transpose()
        };
        let shifted = match (load(&args.shifted_model)?, args.shift) {
            (Some(_), Some(shift)) if !shift.is_finite() => {
                return Err(format!("--shift is {shift}, but it must be finite").into());
            }
            (Some(model), Some(shift)) => Some((model, shift)),
            (Some(_), None) => return Err("--shifted-model needs --shift".into()),
            (None, _) => None,
        };
        Ok(Self { shuffled: load(&args.shuffled_model)?, shifted, other: load(&args.other_model)? })
    }
}

fn load(path: &Path, args: &EvaluateArgs, setup: &Setup) -> Result<ComparisonModel, Fatal> {
    let noise_on_weights = setup.variants.iter().any(|variant| variant.plan.weights.is_some());
    let shape = setup.model.input_shape();
    let device = setup.model.device();
    let loaded = load_file(path, &args.model.with, noise_on_weights, Some(shape), device)?;
    let LoadedModel { model, file, .. } = loaded;
    if model.input_shape() != shape || model.classes() != setup.model.classes() {
        return Err(format!(
            "{}: samples of shape {:?} and {} classes do not match the {shape:?} and {} classes of the explained model",
            path.display(),
            model.input_shape(),
            model.classes(),
            setup.model.classes()
        )
        .into());
    }
    let takes_integers = |model: &OnnxModel| model.summary().inputs[0].is_integer();
    if takes_integers(&model) != takes_integers(&setup.model) {
        let kind = |integer| if integer { "integers" } else { "floats" };
        let (own, explained) = (takes_integers(&model), takes_integers(&setup.model));
        let (own, explained) = (kind(own), kind(explained));
        let path = path.display();
        return Err(
            format!("{path}: it takes {own}, but the explained model takes {explained}").into()
        );
    }
    Ok(ComparisonModel { model, file })
}
