//! Pictures and their preprocessing.

use std::path::PathBuf;

use attriburn_picture::{
    Channels, Interpolation, Picture, Preset, Recipe, ResizeMode, ResizeSize, torchvision_recipe,
};
use numpy::{PyArray3, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::choice::choice;
use crate::error;
use crate::input::Input;

/// The preprocessing from a picture to a model's input: resize, crop and normalization.
///
/// ``name`` is one of ``imagenet``, ``inception``, ``clip``, ``unit``, ``signed``, ``raw255``, ``caffe-bgr``, or the name
/// of weights of torchvision such as ``ResNet50_Weights.IMAGENET1K_V2``. ``shape`` is that of the model's input,
/// ``[channels, height, width]``. The other arguments replace parts: ``resize`` the size before the crop (an int for
/// the shorter side, or a pair height, width), ``mode`` one of ``shortest``, ``squash``, ``longest``, ``border``,
/// ``interpolation`` the filter, ``mean`` and ``std`` the normalization after a division by ``divisor``, ``channels`` one
/// of ``rgb``, ``bgr``, ``grey``.
#[pyclass(frozen, module = "attriburn")]
pub struct Preprocess {
    preprocess: attriburn_picture::Preprocess,
}

#[pymethods]
impl Preprocess {
    #[new]
    #[pyo3(signature = (name, shape, *, mode=None, resize=None, interpolation=None, mean=None, std=None, divisor=None, channels=None))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword in Python")]
    fn new(
        name: &str,
        shape: [usize; 3],
        mode: Option<&str>,
        resize: Option<&Bound<'_, PyAny>>,
        interpolation: Option<&str>,
        mean: Option<Vec<f32>>,
        std: Option<Vec<f32>>,
        divisor: Option<f32>,
        channels: Option<&str>,
    ) -> PyResult<Self> {
        let named = Preset::named(name).map(Preset::recipe).or_else(|| torchvision_recipe(name));
        let named = named.ok_or_else(|| {
            let names: Vec<&str> = Preset::ALL.iter().map(|(_, name)| *name).collect();
            PyValueError::new_err(format!(
                "name={name:?}: choose one of {}, or the name of weights of torchvision",
                names.join(", ")
            ))
        })?;
        let resize = match resize {
            None => None,
            Some(size) => Some(match size.extract::<usize>() {
                Ok(side) => ResizeSize::Side(side),
                Err(_) => {
                    let (height, width) = size.extract()?;
                    ResizeSize::HeightWidth(height, width)
                }
            }),
        };
        let recipe = Recipe {
            mode: mode.map(|name| choice("mode", name, &ResizeMode::ALL)).transpose()?,
            resize,
            interpolation: interpolation
                .map(|name| choice("interpolation", name, &Interpolation::ALL))
                .transpose()?,
            channels: channels.map(|name| choice("channels", name, &Channels::ALL)).transpose()?,
            divisor,
            mean,
            std,
            ..Recipe::default()
        };
        let preprocess = recipe.or(named).preprocess(shape).map_err(error::of_argument)?;
        Ok(Self { preprocess })
    }

    /// The input of a picture: a path, the bytes of a file, a Pillow image, or an array ``[height, width, 3]`` of uint8.
    fn input(&self, picture: &Bound<'_, PyAny>) -> PyResult<Input> {
        let picture = self::picture(picture)?;
        let input = self.preprocess.input(&picture).map_err(error::of_argument)?;
        Ok(Input { input })
    }

    /// The shape of inputs, ``[channels, height, width]``.
    #[getter]
    fn shape(&self) -> [usize; 3] {
        self.preprocess.shape()
    }

    /// The values of black and of white in each channel.
    #[getter]
    fn domain(&self) -> (Vec<f32>, Vec<f32>) {
        self.preprocess.domain()
    }

    fn __repr__(&self) -> String {
        format!("Preprocess({})", self.preprocess)
    }
}

/// Returns the picture that an argument stands for.
fn picture(value: &Bound<'_, PyAny>) -> PyResult<Picture> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Picture::from_bytes(bytes.as_bytes()).map_err(error::of_argument);
    }
    if let Ok(path) = value.extract::<PathBuf>() {
        return Picture::open(path).map_err(error::of_argument);
    }
    // Pillow images.
    let value = match value.hasattr("convert")? && value.hasattr("getbands")? {
        true => pillow(value)?,
        false => value.clone(),
    };
    let array = value.cast::<PyArray3<u8>>().map_err(|_| {
        PyTypeError::new_err(
            "a picture is a path, the bytes of a file, a Pillow image, or a NumPy array [height, width, 3] of uint8",
        )
    })?;
    let [height, width, channels] = *array.shape() else {
        return Err(PyTypeError::new_err("a picture has three axes"));
    };
    if channels != 3 {
        return Err(PyTypeError::new_err(format!(
            "a picture has the shape [height, width, 3], not {:?}; convert it to RGB",
            array.shape()
        )));
    }
    Picture::new(height, width, array.to_vec()?).map_err(error::of_argument)
}

/// Returns the array of a Pillow image in RGB, turned as its metadata says, as for a file.
fn pillow<'py>(image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let mode: String = image.getattr("mode")?.extract()?;
    if mode.starts_with('I') || mode == "F" {
        return Err(PyValueError::new_err(format!(
            "the image has more than 8 bits per channel (mode {mode:?}), which Pillow would clip; give the file's path, or convert it to 8 bits"
        )));
    }
    let py = image.py();
    let turned = py.import("PIL.ImageOps")?.call_method1("exif_transpose", (image,))?;
    let rgb = turned.call_method1("convert", ("RGB",))?;
    py.import("numpy")?.call_method1("asarray", (rgb,))
}
