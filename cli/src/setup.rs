//! Plans and a loaded model, checked against each other: what every command starts from.

use std::collections::BTreeMap;
use std::path::Path;

use attriburn::{Domain, Explainer, Model};
use attriburn_onnx::{Loader, OnnxModel};
use burn::tensor::Device;

use crate::args::{LayoutName, ModelArgs, PlanArgs, PreprocessArgs};
use crate::arrays;
use crate::labels::Labels;
use crate::manifest::{File, ModelFile};
use crate::preprocess::{self, Found, Known};
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
    /// How pictures become inputs, where they do.
    pub preprocess: Result<Found, String>,
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
        let (mut array, baseline) = baseline.unzip();
        let mut found = variants(plan, array.as_ref(), sweeps, typed)?;
        settings::all_used(typed, &found)?;
        if with.batch == Some(0) {
            return Err("batch is 0, but it must be at least 1".into());
        }
        let memory = with.memory.as_deref().map(settings::bytes).transpose()?;
        let mut labels = Labels::load(with.labels.as_deref(), with.model.is_none())?;
        if let Some(count) = with.threads {
            attriburn::set_threads(count)?;
        }
        if with.no_fusion {
            attriburn::disable_fusion()?;
        }
        let device = attriburn::device(&with.device)?;
        let noise_on_weights = found.iter().any(|variant| variant.plan.weights.is_some());
        let (model, model_file) = load(with, noise_on_weights || parameters, &device)?;
        if let (None, Some(path)) = (&with.labels, &with.model) {
            labels = Labels::beside(path, &model.summary().metadata, model.classes());
        }
        labels.check(model.classes())?;
        if model.is_transposed() && array.is_some() {
            array = array.map(arrays::channels_first);
            found = variants(plan, array.as_ref(), sweeps, typed)?;
        }
        let variants = found;
        for variant in &variants {
            attriburn::check_parameters(&model, &variant.plan)?;
        }
        let shape = model.input_shape();
        let pictures = settings::picture_shape(with.picture_shape.as_deref(), shape)?.to_vec();
        settings::paths_fit(&variants, array.as_ref(), shape, &pictures)?;
        let known = Known::of(&model, &pictures, with.model.as_deref());
        let preprocess = preprocess::find(&with.preprocess, &known);
        // Arrays need none, but what was asked for must be possible.
        if let (Err(message), true) = (&preprocess, with.preprocess != PreprocessArgs::default()) {
            return Err(message.clone().into());
        }
        let of_pictures = preprocess.as_ref().map(|found| &found.preprocess);
        let domain = settings::domain(with.domain.as_deref(), of_pictures, shape)?;
        let device = match attriburn::describe(&device) {
            name if with.exact && name == "cpu" => format!("{name}, exact"),
            name if with.no_fusion && name != "cpu" => format!("{name}, without fusion"),
            name => name,
        };
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

    /// Where each part of the preprocessing comes from, where pictures become inputs.
    pub fn preprocess_from(&self) -> Option<BTreeMap<&'static str, &str>> {
        let found = self.preprocess.as_ref().ok()?;
        Some(found.sources.iter().map(|(part, source)| (*part, source.as_str())).collect())
    }

    /// Reads a source as an input of the model.
    pub fn open(&self, source: &Source) -> Result<Opened, String> {
        let shape = self.model.input_shape();
        let preprocess = self.preprocess.as_ref().map(|found| &found.preprocess);
        let turned = self.model.is_transposed();
        let mut opened = source.open(shape, turned, preprocess, &self.domain)?;
        if let (Some(_), Ok(found)) = (&opened.preprocess, &self.preprocess) {
            found.warn();
        }
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
        .layout(LayoutName::loaded(args.preprocess.layout))
        .input_shape(args.input_shape.clone())
        .output(args.output_name.clone()))
}
