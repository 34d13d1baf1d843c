//! Loading of the model and opening of the device.

use std::path::Path;

use attriburn_onnx::{ErrorKind, Layout, LoadError, Loader, OnnxModel, Region};
use attriburn_picture::{Picture, npy};
use burn::tensor::Device;

use crate::args::{ComputeArgs, ModelArgs, TensorArgs, WithModelArgs};
use crate::assets;
use crate::exit::Fatal;
use crate::output::manifest::{FileRecord, ModelFile};
use crate::setup::arrays;
use crate::setup::preprocess::{self, ModelProperties};

/// Opens the device that the options name, with their number of threads and use of fusion.
pub fn open_device(args: &ComputeArgs) -> Result<Device, Fatal> {
    if let Some(count) = args.threads {
        attriburn::set_threads(count)?;
    }
    if args.no_fusion {
        attriburn::disable_fusion()?;
    }
    Ok(attriburn::device(args.device.as_deref().unwrap_or("auto"))?)
}

/// A loaded model.
pub struct LoadedModel {
    pub model: OnnxModel,
    /// The file's entry in manifests.
    pub file: ModelFile,
    /// The source of the input size, if the file leaves the size free.
    pub size_source: Option<String>,
}

/// Loads the model that the options name, else the built-in model. `parameters` keeps the weights as separate
/// parameters, which noise on them requires.
pub fn load(args: &ModelArgs, parameters: bool, device: &Device) -> Result<LoadedModel, Fatal> {
    match &args.model {
        None => {
            let model = loader(&args.with, None, parameters, device)?.load_bytes(assets::MODEL)?;
            let file = FileRecord::new(assets::MODEL_NAME.into(), assets::MODEL);
            Ok(LoadedModel { model, file: ModelFile::new(file), size_source: None })
        }
        Some(path) => load_file(path, &args.with, parameters, None, device),
    }
}

/// Loads the model in a file. If the file leaves the input size free, the size is that of `sample_shape`.
pub fn load_file(
    path: &Path,
    args: &WithModelArgs,
    parameters: bool,
    sample_shape: Option<&[usize]>,
    device: &Device,
) -> Result<LoadedModel, Fatal> {
    let mut args = args.clone();
    if let (None, Some(&[_, height, width])) = (&args.preprocess.crop, sample_shape) {
        // The crop sets the input size only where the file leaves it free.
        args.preprocess.crop = Some(vec![height, width]);
    }
    let load = |shape| loader(&args, shape, parameters, device).map(|loader| loader.load(path));
    let (model, size_source) = load_with_size(path, &args, load)?;
    let file = ModelFile::read(path, &model, &args)?;
    Ok(LoadedModel { model, file, size_source })
}

/// Loads a model. If its file leaves the input size free, loads it again with the size that the preprocessing
/// determines, and returns the source of this size.
pub fn load_with_size(
    path: &Path,
    args: &WithModelArgs,
    load: impl Fn(Option<Vec<usize>>) -> Result<Result<OnnxModel, LoadError>, String>,
) -> Result<(OnnxModel, Option<String>), Fatal> {
    let error = match load(None)? {
        Ok(model) => return Ok((model, None)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::FreeSize => {}
        ErrorKind::SeveralInputs => return Err(format!("{error} (--fix NAME=FILE.npy)").into()),
        ErrorKind::SeveralOutputs => return Err(format!("{error} (--model-output NAME)").into()),
        _ => return Err(error.into()),
    }
    let summary = attriburn_onnx::summary(path)?;
    let is_fixed = |name: &str| args.tensors.fixed.iter().any(|(other, _)| other == name);
    let input = summary
        .inputs
        .iter()
        .find(|input| !is_fixed(&input.name))
        .ok_or("the model has no input")?;
    let properties = ModelProperties {
        path: Some(path),
        metadata: &summary.metadata,
        ..ModelProperties::default()
    };
    let (shape, source) = preprocess::resolve_free_shape(&args.preprocess, &properties, input)
        .map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok((load(Some(shape))??, Some(source)))
}

/// Returns a loader with the settings of `args`. `shape` is the sample shape where neither `args` nor the
/// file set it.
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
    set_tensors(loader, &args.tensors, shape, layout)
}

/// Adds the settings of the model's inputs and outputs to `loader`.
pub fn set_tensors(
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
            return Err(format!("--fix {name} is given twice; give it once"));
        }
        loader = loader.fixed(name, &array.shape, array.values);
    }
    Ok(loader)
}

/// Returns the output positions to explain, from `--region` or `--mask`.
fn region(args: &WithModelArgs) -> Result<Option<Region>, String> {
    if let Some(path) = &args.mask {
        return read_mask(path)
            .map(Some)
            .map_err(|reason| format!("--mask {}: {reason}", path.display()));
    }
    match args.region.as_deref() {
        None => Ok(None),
        Some(&[x, y, width, height]) => Ok(Some(Region::Rectangle { x, y, width, height })),
        Some(numbers) => Err(format!(
            "--region {numbers:?}: write X,Y,WIDTH,HEIGHT in the input's pixels, such as 32,32,64,64"
        )),
    }
}

/// Reads a weight for each pixel: the values of an array, or the brightness of an image.
fn read_mask(path: &Path) -> Result<Region, String> {
    if arrays::is_array(path) {
        let array = npy::read(path).map_err(|error| error.to_string())?;
        return match array.shape[..] {
            [height, width] | [1, height, width] => {
                Ok(Region::Mask { height, width, weights: array.values })
            }
            _ => Err(format!("the array has the shape {:?}, not [height, width]", array.shape)),
        };
    }
    let picture = Picture::open(path).map_err(|error| error.to_string())?;
    let weights = picture.grey().pixels().map(|[grey, ..]| grey.into()).collect();
    Ok(Region::Mask { height: picture.height(), width: picture.width(), weights })
}
