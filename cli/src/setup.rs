//! Plans and a loaded model, checked against each other: what every command starts from.

use std::collections::BTreeMap;
use std::path::Path;

use attriburn::npy::{self, Array};
use attriburn::picture::Picture;
use attriburn::{Baseline, Domain, Explainer, Model, Plan};
use attriburn_onnx::{ErrorKind, Layout, LoadError, Loader, OnnxModel, Region};
use burn::tensor::Device;

use crate::args::{
    ComputeArgs, Given, ModelArgs, PlanArgs, PlanOption, Sweep, TensorArgs, WithModelArgs,
};
use crate::domain;
use crate::labels::Labels;
use crate::manifest::{File, ModelFile};
use crate::plans::{self, Variant, variants};
use crate::preprocess::{self, Found, Known, Part};
use crate::source::{Opened, Source, sample_shape};
use crate::{Fatal, arrays, assets};

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

/// What a setup is made from.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub plan: &'a PlanArgs,
    pub sweeps: &'a [Sweep],
    pub model: &'a ModelArgs,
    /// Whether the parameters are kept apart even where no method draws them.
    pub parameters: bool,
    /// Whether what is measured takes the seed, whatever the methods.
    pub seeded: bool,
    pub given: &'a Given,
}

impl Setup {
    /// Reads and checks everything that was given.
    ///
    /// # Errors
    ///
    /// When anything of it cannot be used.
    pub fn new(request: &Request) -> Result<Self, Fatal> {
        let Request { plan, sweeps, model: args, given, .. } = *request;
        let with = &args.with;
        let baseline = plan.path.baseline.as_deref().map(plans::baseline).transpose()?;
        let (mut array, baseline) = baseline.unzip();
        let mut found = variants(plan, array.as_ref(), sweeps)?;
        let typed = PlanOption::given(plan)
            .chain(PlanOption::named("standard-error"))
            .filter(|option| given.is_typed(option.name))
            .filter(|option| !(request.seeded && option.name == "seed"));
        plans::all_used(typed, &found)?;
        if with.compute.batch == Some(0) {
            return Err("batch is 0, but it must be at least 1".into());
        }
        let memory = with.compute.memory.as_deref().map(bytes).transpose()?;
        let mut labels = Labels::load(with.labels.as_deref(), args.model.is_none())?;
        let device = open_device(&with.compute)?;
        let noise_on_weights = found.iter().any(|variant| variant.plan.weights.is_some());
        let loaded = load(args, noise_on_weights || request.parameters, &device)?;
        let Loaded { model, file: model_file, size_from } = loaded;
        if let (None, Some(path)) = (&with.labels, &args.model) {
            labels = Labels::beside(path, &model.summary().metadata, model.classes());
        }
        labels.check(model.classes())?;
        if model.is_transposed() && array.is_some() {
            array = array.map(arrays::channels_first);
            found = variants(plan, array.as_ref(), sweeps)?;
        }
        let variants = found;
        for variant in &variants {
            attriburn::check_parameters(&model, &variant.plan)?;
        }
        let shape = model.input_shape();
        let options = &with.preprocess;
        let pictures = domain::picture_shape(options.picture_shape.as_deref(), shape)?.to_vec();
        paths_fit(&variants, array.as_ref(), shape, &pictures)?;
        let known = Known::of(&model, &pictures, args.model.as_deref());
        let known = Known { size: size_from.as_deref(), ..known };
        let preprocess = preprocess::find(options, &known);
        // Arrays need none, but what was asked for must be possible.
        if let (Err(message), true) = (&preprocess, options.asks()) {
            return Err(message.clone().into());
        }
        let of_pictures = preprocess.as_ref().map(|found| &found.preprocess);
        let domain = domain::domain(options.domain.as_deref(), of_pictures, shape)?;
        let device = match attriburn::describe(&device) {
            name if with.compute.exact && name == "cpu" => format!("{name}, exact"),
            name if with.compute.no_fusion && name != "cpu" => format!("{name}, without fusion"),
            name => name,
        };
        log::info!("on {device}, {} classes, inputs of {shape:?}", model.classes());
        for Part { name, value, source } in preprocess.iter().flat_map(|found| &found.parts) {
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
            pictures,
            preprocess,
            domain,
            batch,
            memory,
        })
    }

    /// The gradients of one map by each method; at most, where one may stop before.
    pub fn gradients(&self) -> u64 {
        self.variants.iter().map(|variant| variant.plan.gradients()).sum()
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

    /// The parts of the preprocessing and where each comes from, where pictures become inputs.
    pub fn preprocess_parts(&self) -> Option<BTreeMap<&'static str, &Part>> {
        self.preprocess.as_ref().ok().map(Found::by_name)
    }

    /// The class that the folder of a source is called after.
    ///
    /// # Errors
    ///
    /// When it is none of the model's.
    pub fn expected(&self, source: &Source) -> Result<usize, String> {
        let Some(folder) = source.folder() else {
            return Err("it lies in no folder, so that no class is expected of it".into());
        };
        self.labels.of_folder(&folder, self.model.classes()).ok_or_else(|| {
            format!("its folder {folder:?} is called after no class of the model; give labels with --labels, or the class with --target expected:LABEL")
        })
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

/// Refuses a path that cannot start where a plan says, in samples of `shape` that are `pictures`.
fn paths_fit(
    variants: &[Variant],
    baseline: Option<&Array>,
    shape: &[usize],
    pictures: &[usize],
) -> Result<(), String> {
    if let Some(array) = baseline
        && sample_shape(&array.shape, shape) != shape
    {
        return Err(format!(
            "--baseline holds an array of {:?}, but the model takes samples of {shape:?}",
            array.shape
        ));
    }
    let blurs = |plan: &Plan| matches!(&plan.path, Some(path) if path.baseline == Baseline::Blur);
    match variants.iter().find(|variant| blurs(&variant.plan)) {
        Some(Variant { name, .. }) if pictures.len() != 3 => {
            Err(format!("{name} takes pictures, but the model takes samples of {shape:?}"))
        }
        _ => Ok(()),
    }
}

/// The device that was asked for, set up as asked for.
fn open_device(args: &ComputeArgs) -> Result<Device, Fatal> {
    if let Some(count) = args.threads {
        attriburn::set_threads(count)?;
    }
    if args.no_fusion {
        attriburn::disable_fusion()?;
    }
    Ok(attriburn::device(args.device.as_deref().unwrap_or("auto"))?)
}

/// A model from a file, and how the manifest names it.
pub struct Loaded {
    pub model: OnnxModel,
    pub file: ModelFile,
    /// Where the input's size comes from, where the file leaves it free.
    pub size_from: Option<String>,
}

/// The model that was asked for.
fn load(args: &ModelArgs, parameters: bool, device: &Device) -> Result<Loaded, Fatal> {
    match &args.model {
        None => {
            let model = loader(&args.with, None, parameters, device)?.load_bytes(assets::MODEL)?;
            let file = File::new(assets::MODEL_NAME.into(), assets::MODEL);
            Ok(Loaded { model, file: ModelFile::new(file), size_from: None })
        }
        Some(path) => load_file(path, &args.with, parameters, None, device),
    }
}

/// The model in a file, loaded as `args` say, and where it leaves its size free with the one of samples `like` it.
pub fn load_file(
    path: &Path,
    args: &WithModelArgs,
    parameters: bool,
    like: Option<&[usize]>,
    device: &Device,
) -> Result<Loaded, Fatal> {
    let mut args = args.clone();
    if let (None, Some(&[_, height, width])) = (&args.preprocess.crop, like) {
        // As if it were asked for, which it is where the file leaves it free.
        args.preprocess.crop = Some(vec![height, width]);
    }
    let loaded = |shape| loader(&args, shape, parameters, device).map(|loader| loader.load(path));
    let (model, size_from) = sized(path, &args, loaded)?;
    let file = ModelFile::read(path, &model, &args)?;
    Ok(Loaded { model, file, size_from })
}

/// Loads a model, and where its file leaves the size free again with the one that is found.
pub fn sized(
    path: &Path,
    args: &WithModelArgs,
    load: impl Fn(Option<Vec<usize>>) -> Result<Result<OnnxModel, LoadError>, String>,
) -> Result<(OnnxModel, Option<String>), Fatal> {
    let error = match load(None)? {
        Ok(model) => return Ok((model, None)),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::FreeSize {
        return Err(error.into());
    }
    let summary = attriburn_onnx::summary(path)?;
    let is_fixed = |name: &str| args.tensors.fixed.iter().any(|(own, _)| own == name);
    let input =
        summary.inputs.iter().find(|input| !is_fixed(&input.name)).ok_or("there is no input")?;
    let known = Known { path: Some(path), metadata: &summary.metadata, ..Known::default() };
    let (shape, source) = preprocess::free_shape(&args.preprocess, &known, input)
        .map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok((load(Some(shape))??, Some(source)))
}

/// What loads a model as `args` say; `shape` is that of a sample where neither they nor the file say it.
fn loader(
    args: &WithModelArgs,
    shape: Option<Vec<usize>>,
    parameters: bool,
    device: &Device,
) -> Result<Loader, String> {
    let layout = args.preprocess.layout.unwrap_or(Layout::ChannelsFirst);
    let loader = Loader::new(device)
        .parameters(parameters)
        .quantization(args.quantization.unwrap_or_default())
        .exact(args.compute.exact)
        .region(region(args)?);
    with_tensors(loader, &args.tensors, shape, layout)
}

/// The loader with what is said of the model's inputs and outputs.
pub fn with_tensors(
    loader: Loader,
    args: &TensorArgs,
    shape: Option<Vec<usize>>,
    layout: Layout,
) -> Result<Loader, String> {
    let mut loader = loader
        .layout(layout)
        .input_shape(args.input_shape.clone().or(shape))
        .output(args.model_output.clone());
    for (name, path) in &args.fixed {
        let array = npy::read(path).map_err(|error| format!("--fix {name}: {error}"))?;
        if args.fixed.iter().filter(|(other, _)| other == name).count() > 1 {
            return Err(format!("--fix {name} is given twice"));
        }
        loader = loader.fixed(name, array);
    }
    Ok(loader)
}

/// The part of the outputs with positions that is explained.
fn region(args: &WithModelArgs) -> Result<Option<Region>, String> {
    if let Some(path) = &args.mask {
        return mask(path).map(Some).map_err(|what| format!("--mask {}: {what}", path.display()));
    }
    match args.region.as_deref() {
        None => Ok(None),
        Some(&[x, y, width, height]) => Ok(Some(Region::Rectangle { x, y, width, height })),
        Some(found) => Err(format!(
            "--region {found:?}: write X,Y,WIDTH,HEIGHT in the input's pixels, such as 32,32,64,64"
        )),
    }
}

/// A weight for each pixel: the numbers of an array, or how bright a picture is.
fn mask(path: &Path) -> Result<Region, String> {
    if arrays::is_array(path) {
        let array = npy::read(path).map_err(|error| error.to_string())?;
        return match array.shape[..] {
            [height, width] | [1, height, width] => {
                Ok(Region::Mask { height, width, weights: array.values })
            }
            _ => Err(format!("it holds an array of {:?}, not of rows and columns", array.shape)),
        };
    }
    let picture = Picture::open(path).map_err(|error| error.to_string())?;
    let weights = picture.grey().pixels().map(|[grey, ..]| grey.into()).collect();
    Ok(Region::Mask { height: picture.height(), width: picture.width(), weights })
}

/// Reads a size such as 512M or 2G, in bytes.
fn bytes(text: &str) -> Result<u64, Fatal> {
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
    fn sizes_are_read() {
        for (text, expected) in [("512M", 512 << 20), ("2g", 2 << 30), ("7", 7)] {
            assert_eq!(bytes(text).unwrap(), expected);
        }
        for text in ["", "G", "0", "-1M", "99999999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
