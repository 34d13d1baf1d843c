//! Plans and a loaded model, checked against each other: what every command starts from.

use std::path::Path;

use attriburn::picture::Preprocess;
use attriburn::{Domain, Explainer, Model};
use attriburn_onnx::{Loader, OnnxModel};
use burn::tensor::Device;

use crate::args::{ModelArgs, PlanArgs};
use crate::labels::Labels;
use crate::manifest::{File, ModelFile};
use crate::settings;
use crate::source::{Opened, Source};
use crate::variants::{Sweep, Variant, variants};
use crate::{Fatal, assets};

/// What is computed, with what.
pub struct Setup {
    /// The methods with their plans.
    pub variants: Vec<Variant>,
    pub baseline: Option<File>,
    pub labels: Labels,
    pub model: OnnxModel,
    pub model_file: ModelFile,
    /// The device, as the manifest names it.
    pub device: String,
    /// The shape of pictures, or of the model's samples where these are none.
    pub pictures: Vec<usize>,
    pub preprocess: Result<Preprocess, String>,
    pub domain: Domain,
    batch: Option<usize>,
    memory: Option<u64>,
}

impl Setup {
    /// Reads and checks everything that was given; `typed` are the options that were.
    /// The model keeps its parameters apart when `parameters` are asked for or a method draws them.
    pub fn new(
        plan: &PlanArgs,
        sweeps: &[Sweep],
        with: &ModelArgs,
        parameters: bool,
        typed: &[String],
    ) -> Result<Self, Fatal> {
        let baseline = plan.baseline.as_deref().map(settings::baseline).transpose()?;
        let array = baseline.as_ref().map(|(array, _)| array);
        let variants = variants(plan, array, sweeps, typed)?;
        settings::all_used(typed, &variants)?;
        if with.batch == Some(0) {
            return Err("batch is 0, but it must be at least 1".into());
        }
        let memory = with.memory.as_deref().map(settings::bytes).transpose()?;
        let labels = Labels::load(with.labels.as_deref(), with.model.is_none())?;
        if let Some(count) = with.threads {
            attriburn::set_threads(count)?;
        }
        if with.no_fusion {
            attriburn::disable_fusion()?;
        }
        let device = attriburn::device(&with.device)?;
        let noise_on_weights = variants.iter().any(|variant| variant.plan.weights.is_some());
        let (model, model_file) = load(with, noise_on_weights || parameters, &device)?;
        labels.check(model.classes())?;
        for variant in &variants {
            attriburn::check_parameters(&model, &variant.plan)?;
        }
        let shape = model.input_shape();
        let pictures = settings::picture_shape(with.picture_shape.as_deref(), shape)?.to_vec();
        settings::paths_fit(&variants, array, shape, &pictures)?;
        let integers = model.summary().inputs[0].is_integer();
        let preprocess = settings::preprocess(with.preprocess.as_deref(), &pictures, integers);
        if let (Err(message), Some(_)) = (&preprocess, &with.preprocess) {
            return Err(message.clone().into());
        }
        let domain = settings::domain(with.domain.as_deref(), preprocess.as_ref(), shape)?;
        let device = match attriburn::describe(&device) {
            name if with.exact && name == "cpu" => format!("{name}, exact"),
            name if with.no_fusion && name != "cpu" => format!("{name}, without fusion"),
            name => name,
        };
        let baseline = baseline.map(|(_, file)| file);
        let batch = with.batch;
        Ok(Self {
            variants,
            baseline,
            labels,
            model,
            model_file,
            device,
            pictures,
            preprocess,
            domain,
            batch,
            memory,
        })
    }

    /// What makes the maps.
    pub fn explainer(&self) -> Explainer<'_> {
        self.explainer_of(&self.model)
    }

    /// What makes the maps of another model.
    pub fn explainer_of<'m>(&self, model: &'m dyn Model) -> Explainer<'m> {
        let explainer = Explainer::new(model).batch(self.batch);
        match self.memory {
            Some(bytes) => explainer.memory(bytes),
            None => explainer,
        }
    }

    /// Reads a source as an input of the model.
    pub fn open(&self, source: &Source) -> Result<Opened, String> {
        let shape = self.model.input_shape();
        let mut opened = source.open(shape, self.preprocess.as_ref(), &self.domain)?;
        if self.pictures != shape {
            let input = opened.input.of_picture(&self.pictures);
            opened.input = input.map_err(|error| error.to_string())?;
        }
        Ok(opened)
    }
}

/// The model, and how the manifest names it.
fn load(
    args: &ModelArgs,
    parameters: bool,
    device: &Device,
) -> Result<(OnnxModel, ModelFile), Fatal> {
    match &args.model {
        None => {
            let model = loader(args, parameters, device)?.load_bytes(assets::MODEL)?;
            let file = File::new(assets::MODEL_NAME.into(), assets::MODEL);
            Ok((model, ModelFile::new(file)))
        }
        Some(path) => load_file(path, args, parameters, device),
    }
}

/// The model in a file, loaded as `args` say, and how the manifest names it.
pub fn load_file(
    path: &Path,
    args: &ModelArgs,
    parameters: bool,
    device: &Device,
) -> Result<(OnnxModel, ModelFile), Fatal> {
    let model = loader(args, parameters, device)?.load(path)?;
    let file = ModelFile::read(path, &model)?;
    Ok((model, file))
}

fn loader(args: &ModelArgs, parameters: bool, device: &Device) -> Result<Loader, String> {
    Ok(Loader::new(device)
        .parameters(parameters)
        .quantization(settings::quantization(&args.quantization)?)
        .exact(args.exact)
        .input_shape(args.input_shape.clone())
        .output(args.output_name.clone()))
}
