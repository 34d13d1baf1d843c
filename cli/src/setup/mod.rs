//! The setup of `explain` and `evaluate`: plans, model, device, preprocessing and domain, checked against
//! each other.

pub mod arrays;
pub mod domain;
pub mod inputs;
pub mod labels;
pub mod load;
pub mod plans;
pub mod preprocess;
pub mod source;
pub mod targets;

use std::collections::BTreeMap;

use attriburn::{Baseline, Domain, Explainer, Model, Plan};
use attriburn_evaluate::{Setting, Sweep, Variant};
use attriburn_onnx::OnnxModel;
use attriburn_picture::npy::Array;

use crate::args::{ModelArgs, PlanArgs, RunOptions};
use crate::exit::Fatal;
use crate::output::manifest::{FileRecord, ModelFile};
use labels::Labels;
use load::{LoadedModel, open_device};
use plans::{check_all_used, read_baseline};
use preprocess::{FoundPreprocess, ModelProperties, PreprocessPart};
use source::{LoadedInput, Source, sample_shape};

/// The checked plans, the loaded model and the settings of a run.
pub struct Setup {
    /// The methods with their plans.
    pub variants: Vec<Variant>,
    /// The file of the baseline.
    pub baseline: Option<FileRecord>,
    pub labels: Labels,
    pub model: OnnxModel,
    pub model_file: ModelFile,
    /// The name of the device in manifests.
    pub device: String,
    /// The shape of an image, or of a sample if the samples are not images.
    pub image_shape: Vec<usize>,
    /// The preprocessing of images, or the reason why the model takes none.
    pub preprocess: Result<FoundPreprocess, String>,
    pub domain: Domain,
    batch: Option<usize>,
    memory: Option<u64>,
}

/// The options from which a setup is built.
#[derive(Clone, Copy)]
pub struct SetupOptions<'a> {
    pub plan: &'a PlanArgs,
    pub sweeps: &'a [Sweep],
    pub model: &'a ModelArgs,
    /// Whether to keep the weights as separate parameters even if no method adds noise to them.
    pub parameters: bool,
    /// Whether a metric uses the seed, so that it is used even if no method is random.
    pub seeded: bool,
    pub options: &'a RunOptions,
}

impl Setup {
    /// Reads the files that the options name, loads the model and checks all settings.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a setting is invalid or does not fit the model.
    pub fn new(options: &SetupOptions) -> Result<Self, Fatal> {
        let SetupOptions { plan, sweeps, model: args, options: run_options, .. } = *options;
        let with = &args.with;
        let baseline = plan.path.baseline.as_deref().map(read_baseline).transpose()?;
        let (mut array, baseline) = baseline.unzip();
        let mut variants = plans::variants(plan, array.as_ref(), sweeps, run_options)?;
        let typed = Setting::all()
            .filter(|setting| run_options.is_typed(setting.name))
            .filter(|setting| !(options.seeded && setting.name == "seed"));
        check_all_used(typed, &variants)?;
        if with.compute.batch == Some(0) {
            return Err("batch is 0, but it must be at least 1".into());
        }
        let memory = with.compute.memory.as_deref().map(parse_bytes).transpose()?;
        let mut labels = Labels::load(with.labels.as_deref(), args.model.is_none())?;
        let device = open_device(&with.compute)?;
        let noise_on_weights = variants.iter().any(|variant| variant.plan.weights.is_some());
        let loaded = load::load(args, noise_on_weights || options.parameters, &device)?;
        let LoadedModel { model, file: model_file, size_source } = loaded;
        if let (None, Some(path)) = (&with.labels, &args.model) {
            labels = Labels::find(path, &model.summary().metadata, model.classes());
        }
        labels.check(model.classes())?;
        if model.is_transposed() && array.is_some() {
            array = array.map(arrays::channels_first);
            variants = plans::variants(plan, array.as_ref(), sweeps, run_options)?;
        }
        for variant in &variants {
            attriburn::check_parameters(&model, &variant.plan)?;
            attriburn::layer_of(&model, &variant.plan)?;
        }
        let shape = model.input_shape();
        let image_args = &with.preprocess;
        let image_shape = domain::image_shape(image_args.picture_shape.as_deref(), shape)?.to_vec();
        check_paths(&variants, array.as_ref(), shape, &image_shape)?;
        let properties = ModelProperties::new(&model, &image_shape, args.model.as_deref());
        let properties = ModelProperties { size_source: size_source.as_deref(), ..properties };
        let preprocess = preprocess::find(image_args, &properties);
        // Arrays need no preprocessing, but an explicit option for it must be applicable.
        if let (Err(message), true) = (&preprocess, image_args.needs_images()) {
            return Err(message.clone().into());
        }
        let found = preprocess.as_ref().map(|found| &found.preprocess);
        let domain = domain::input_domain(image_args.domain.as_deref(), found, shape)?;
        let device = match attriburn::describe(&device) {
            name if with.compute.exact && name == "cpu" => format!("{name}, exact"),
            name if with.compute.no_fusion && name != "cpu" => format!("{name}, without fusion"),
            name => name,
        };
        log::info!("on {device}, {} classes, samples of shape {shape:?}", model.classes());
        let parts = preprocess.iter().flat_map(|found| &found.parts);
        for PreprocessPart { name, value, source } in parts {
            log::info!("preprocessing: {name} {value}, from {source}");
        }
        let batch = with.compute.batch;
        Ok(Self {
            variants,
            baseline,
            labels,
            model,
            model_file,
            device,
            image_shape,
            preprocess,
            domain,
            batch,
            memory,
        })
    }

    /// Returns the number of gradients for one map by every method: an upper bound for plans with early
    /// stopping.
    pub fn gradients(&self) -> u64 {
        self.variants.iter().map(|variant| variant.plan.gradients()).sum()
    }

    /// Returns an explainer of the model, with the batch settings of the options.
    pub fn explainer(&self) -> Explainer<'_> {
        self.explainer_for(&self.model)
    }

    /// Returns an explainer of another model, with the batch settings of the options.
    pub fn explainer_for<'m>(&self, model: &'m dyn Model) -> Explainer<'m> {
        let explainer = Explainer::new(model).batch(self.batch);
        self.memory.map_or(explainer, |bytes| explainer.memory(bytes))
    }

    /// Returns the parts of the preprocessing by name. `None` if the model does not take images.
    pub fn preprocess_parts(&self) -> Option<BTreeMap<&'static str, &PreprocessPart>> {
        self.preprocess.as_ref().ok().map(FoundPreprocess::by_name)
    }

    /// Returns the class that the folder of a source is named after.
    ///
    /// # Errors
    ///
    /// When no class of the model has the folder's name.
    pub fn expected_class(&self, source: &Source) -> Result<usize, String> {
        let Some(folder) = source.folder() else {
            return Err("the expected class is unknown, because the input is not in a folder; name a class with --target".into());
        };
        self.labels.class_of_folder(&folder, self.model.classes()).ok_or_else(|| {
            format!("no class of the model has the name of the folder {folder:?}; give labels with --labels, or the class with --target expected:LABEL")
        })
    }

    /// Reads a source as an input of the model.
    pub fn open(&self, source: &Source) -> Result<LoadedInput, String> {
        self.load(source, false)
    }

    /// Reads a source as an input of the model, with the image in its own resolution for pictures of maps.
    pub fn open_with_backdrop(&self, source: &Source) -> Result<LoadedInput, String> {
        self.load(source, true)
    }

    fn load(&self, source: &Source, with_backdrop: bool) -> Result<LoadedInput, String> {
        let shape = self.model.input_shape();
        let preprocess = self.preprocess.as_ref().map(|found| &found.preprocess);
        let channels_last = self.model.is_transposed();
        let mut loaded =
            source.open(shape, channels_last, preprocess, &self.domain, with_backdrop)?;
        if let (Some(_), Ok(found)) = (&loaded.preprocess, &self.preprocess) {
            found.warn_if_guessed();
        }
        if self.image_shape != shape {
            let input = loaded.input.with_picture_shape(&self.image_shape);
            loaded.input = input.map_err(|error| error.to_string())?;
        }
        Ok(loaded)
    }
}

/// Checks that samples of `shape`, which are images of `image_shape`, fit the baselines of all paths.
fn check_paths(
    variants: &[Variant],
    baseline: Option<&Array>,
    shape: &[usize],
    image_shape: &[usize],
) -> Result<(), String> {
    if let Some(array) = baseline
        && sample_shape(&array.shape, shape) != shape
    {
        return Err(format!(
            "--baseline holds an array of shape {:?}, but the model takes samples of shape {shape:?}",
            array.shape
        ));
    }
    let blurs = |plan: &Plan| matches!(&plan.path, Some(path) if path.baseline == Baseline::Blur);
    match variants.iter().find(|variant| blurs(&variant.plan)) {
        Some(Variant { name, .. }) if image_shape.len() != 3 => Err(format!(
            "{name} needs images, but the model takes samples of shape {shape:?}; give their image shape with --picture-shape C,H,W"
        )),
        _ => Ok(()),
    }
}

/// Parses a size such as 512M or 2G, in bytes.
fn parse_bytes(text: &str) -> Result<u64, Fatal> {
    let (number, unit) = match text.to_ascii_uppercase() {
        text if text.ends_with('G') => (text[..text.len() - 1].to_owned(), 1 << 30),
        text if text.ends_with('M') => (text[..text.len() - 1].to_owned(), 1 << 20),
        text if text.ends_with('K') => (text[..text.len() - 1].to_owned(), 1 << 10),
        text => (text, 1u64),
    };
    let parsed = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match parsed {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("--memory {text:?}: write a size such as 512M or 2G").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_bytes_accepts_units() {
        for (text, expected) in [("512M", 512 << 20), ("2g", 2 << 30), ("7", 7)] {
            assert_eq!(parse_bytes(text).unwrap(), expected);
        }
        for text in ["", "G", "0", "-1M", "99999999999999G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
