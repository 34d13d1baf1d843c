//! A source: an image or array that becomes an input of the model.

use std::path::{Path, PathBuf};

use attriburn::{Domain, Input};
use attriburn_picture::{Picture, Preprocess, npy};

use super::arrays;
use super::domain::pixel_range;
use crate::assets;
use crate::output::manifest::FileRecord;

/// The name of standard input on the command line.
pub const STDIN: &str = "-";

/// The first bytes of a `.npy` file.
const NPY_MAGIC: &[u8] = b"\x93NUMPY";

/// The longest side of the image under an overlay, in pixels.
const BACKDROP_SIDE: usize = 896;

/// An image or array that was named on the command line and may not have been read yet.
pub struct Source {
    content: Content,
    /// The output folder of its maps, below the output folder of the run.
    pub stem: String,
}

enum Content {
    BuiltIn,
    File(PathBuf),
    /// The bytes of an image or array from standard input.
    Stdin(Vec<u8>),
    /// A path that matches no input, with the reason.
    Missing {
        name: String,
        reason: String,
    },
    /// A row of an array, in the model's units.
    Row {
        name: String,
        values: Vec<f32>,
    },
}

/// A source that was read and prepared for the model.
pub struct LoadedInput {
    pub file: FileRecord,
    pub input: Input,
    /// The resized and cropped image. `None` for an array.
    pub crop: Option<Picture>,
    /// The same region of the image in its own resolution. `None` for an array, or if it is not needed.
    pub backdrop: Option<Picture>,
    /// The height and width of the image file. `None` for an array.
    pub size: Option<(usize, usize)>,
    /// A description of the preprocessing. `None` for an array.
    pub preprocess: Option<String>,
}

/// Removes a leading batch axis of size 1 from the shape of an array, if the rest is the sample `shape`.
pub fn sample_shape<'a>(array: &'a [usize], shape: &[usize]) -> &'a [usize] {
    match array.split_first() {
        Some((1, rest)) if rest == shape => rest,
        _ => array,
    }
}

impl Source {
    /// The image that is part of the program.
    pub fn built_in() -> Self {
        Self { content: Content::BuiltIn, stem: assets::IMAGE_STEM.into() }
    }

    pub fn file(stem: String, path: PathBuf) -> Self {
        Self { content: Content::File(path), stem }
    }

    pub fn stdin(stem: String, bytes: Vec<u8>) -> Self {
        Self { content: Content::Stdin(bytes), stem }
    }

    /// A source that fails to open with `reason`.
    pub fn missing(stem: String, name: String, reason: String) -> Self {
        Self { content: Content::Missing { name, reason }, stem }
    }

    /// A row of an array, called `name`.
    pub fn row(name: String, values: Vec<f32>) -> Self {
        Self { stem: name.clone(), content: Content::Row { name, values } }
    }

    /// Returns why the source could not be found, if it is missing.
    pub fn missing_reason(&self) -> Option<String> {
        match &self.content {
            Content::Missing { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    /// Returns the name in messages and manifests.
    pub fn name(&self) -> String {
        match &self.content {
            Content::BuiltIn => assets::IMAGE_NAME.into(),
            Content::File(path) => path.display().to_string(),
            Content::Stdin(_) => "standard input".into(),
            Content::Row { name, .. } | Content::Missing { name, .. } => name.clone(),
        }
    }

    /// Returns the command-line argument for the source. `None` for the built-in image and for rows of an
    /// array.
    pub fn argument(&self) -> Option<String> {
        match &self.content {
            Content::File(path) => Some(path.display().to_string()),
            Content::Stdin(_) => Some(STDIN.to_owned()),
            Content::BuiltIn | Content::Row { .. } | Content::Missing { .. } => None,
        }
    }

    /// Returns the name of the folder that contains the file.
    pub fn folder(&self) -> Option<String> {
        match &self.content {
            Content::File(path) => {
                let absolute = std::path::absolute(path).ok()?;
                Some(absolute.parent()?.file_name()?.to_string_lossy().into_owned())
            }
            _ => None,
        }
    }

    /// Returns a key that is equal for two names of the same file.
    pub fn identity(&self) -> PathBuf {
        match &self.content {
            Content::File(path) => path.canonicalize().unwrap_or_else(|_| path.clone()),
            _ => self.name().into(),
        }
    }

    /// Returns the bytes of the source. `None` if they cannot be read.
    pub fn contents(&self) -> Option<Vec<u8>> {
        match &self.content {
            Content::BuiltIn => Some(assets::IMAGE.to_vec()),
            Content::File(path) => std::fs::read(path).ok(),
            Content::Stdin(bytes) => Some(bytes.clone()),
            Content::Missing { .. } => None,
            Content::Row { values, .. } => {
                Some(values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
        }
    }

    /// Reads the source as an input of `shape` with values in `domain`. Arrays are transposed to NCHW if
    /// `channels_last`. An image has its backdrop if `with_backdrop`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged, or does not fit the model.
    pub fn open(
        &self,
        shape: &[usize],
        channels_last: bool,
        preprocess: Result<&Preprocess, &String>,
        domain: &Domain,
        with_backdrop: bool,
    ) -> Result<LoadedInput, String> {
        let load_image = |picture: &Picture, bytes: &[u8]| {
            let mut loaded = self.load_image(picture, bytes, shape, preprocess, domain)?;
            if let (true, Ok(preprocess)) = (with_backdrop, preprocess) {
                let backdrop = preprocess.backdrop(picture, BACKDROP_SIDE);
                loaded.backdrop = Some(backdrop.map_err(|error| error.to_string())?);
            }
            Ok(loaded)
        };
        match &self.content {
            Content::BuiltIn => {
                let picture = Picture::from_bytes(assets::IMAGE).map_err(|e| e.to_string())?;
                load_image(&picture, assets::IMAGE)
            }
            Content::Row { values, .. } => {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let input = Input::new(values.clone(), shape, domain.clone());
                Ok(LoadedInput {
                    file: FileRecord::new(self.name(), &bytes),
                    input: input.map_err(|error| error.to_string())?,
                    crop: None,
                    backdrop: None,
                    size: None,
                    preprocess: None,
                })
            }
            Content::Missing { reason, .. } => Err(reason.clone()),
            Content::Stdin(bytes) if bytes.starts_with(NPY_MAGIC) => {
                self.load_array(Path::new("standard input"), bytes, shape, channels_last, domain)
            }
            Content::Stdin(bytes) => {
                let picture = Picture::from_bytes(bytes);
                let picture = picture.map_err(|error| format!("standard input: {error}"))?;
                load_image(&picture, bytes)
            }
            Content::File(path) if arrays::is_array(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                self.load_array(path, &bytes, shape, channels_last, domain)
            }
            Content::File(path) => {
                let (picture, bytes) =
                    Picture::open_with_bytes(path).map_err(|error| error.to_string())?;
                load_image(&picture, &bytes)
            }
        }
    }

    /// Preprocesses an image.
    fn load_image(
        &self,
        picture: &Picture,
        bytes: &[u8],
        shape: &[usize],
        preprocess: Result<&Preprocess, &String>,
        domain: &Domain,
    ) -> Result<LoadedInput, String> {
        let preprocess = preprocess.map_err(Clone::clone)?;
        let prepared = preprocess.apply(picture).map_err(|error| error.to_string())?;
        let pixels = pixel_range(preprocess, shape)?;
        let input = Input::new(prepared.values, shape, domain.clone())
            .and_then(|input| input.with_pixel_range(pixels))
            .map_err(|error| error.to_string())?;
        Ok(LoadedInput {
            file: FileRecord::new(self.name(), bytes),
            input,
            crop: Some(prepared.crop),
            backdrop: None,
            size: Some((picture.height(), picture.width())),
            preprocess: Some(preprocess.to_string()),
        })
    }

    /// Reads an array of the input shape, with or without a batch axis of size 1.
    fn load_array(
        &self,
        path: &Path,
        bytes: &[u8],
        shape: &[usize],
        channels_last: bool,
        domain: &Domain,
    ) -> Result<LoadedInput, String> {
        let array = npy::from_bytes(bytes, path).map_err(|error| error.to_string())?;
        let file_shape = array.shape.clone();
        let array = if channels_last { arrays::channels_first(array) } else { array };
        if sample_shape(&array.shape, shape) != shape {
            let mut expected = shape.to_vec();
            expected.rotate_left(usize::from(channels_last));
            return Err(format!(
                "{} holds an array of shape {file_shape:?}, but the model takes samples of shape {expected:?}",
                path.display(),
            ));
        }
        let input = Input::new(array.values, shape, domain.clone());
        Ok(LoadedInput {
            file: FileRecord::new(self.name(), bytes),
            input: input.map_err(|error| format!("{}: {error}", path.display()))?,
            crop: None,
            backdrop: None,
            size: None,
            preprocess: None,
        })
    }
}
