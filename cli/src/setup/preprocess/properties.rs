//! The properties of a model that determine its preprocessing.

use std::path::Path;

use attriburn_onnx::{OnnxModel, Scaling};

/// The properties of the model that the images are prepared for.
#[derive(Clone, Copy, Default)]
pub struct ModelProperties<'a> {
    /// Channels, height and width of an image, or another shape if the samples are not images.
    pub shape: &'a [usize],
    /// Whether the input has an integer type.
    pub integers: bool,
    /// The model's file. `None` for the built-in model.
    pub path: Option<&'a Path>,
    /// The metadata entries in the file.
    pub metadata: &'a [(String, String)],
    /// The scaling of the input by the model's first nodes.
    pub scaling: Option<&'a Scaling>,
    /// The source of the input size, if the file leaves the size free.
    pub size_source: Option<&'a str>,
    /// Whether the file's layout is NHWC.
    pub channels_last: bool,
}

impl<'a> ModelProperties<'a> {
    /// Collects the properties of `model` from the file at `path`, for images of `shape`.
    pub fn new(model: &'a OnnxModel, shape: &'a [usize], path: Option<&'a Path>) -> Self {
        let summary = model.summary();
        let integers = summary.inputs[0].is_integer();
        let (metadata, scaling) = (&summary.metadata[..], model.scaling());
        let channels_last = model.is_transposed();
        Self { shape, integers, path, metadata, scaling, size_source: None, channels_last }
    }
}
