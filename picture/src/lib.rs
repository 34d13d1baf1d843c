//! Pictures and NumPy arrays as the inputs of a classifier, and attribution maps rendered as pictures.
//!
//! ```text
//! file -> Picture -> Preprocess -> attriburn::Input -> map
//! map  -> Plane -> map_picture, overlay -> Picture -> Figure, grid -> Picture -> PNG bytes
//! ```
//!
//! The preprocessing reproduces the transforms that the model was most likely trained with: Pillow's
//! resampling, bit for bit, and torchvision's rounding of sizes and crops. Arrays are read and written in
//! NumPy's file format; see [`npy`].
//!
//! ```no_run
//! use attriburn_picture::{Picture, Preprocess};
//!
//! # fn main() -> Result<(), attriburn_picture::Error> {
//! let picture = Picture::open("photo.jpg")?;
//! let input = Preprocess::imagenet(224, 224)?.input(&picture)?;
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod decode;
mod error;
mod figure;
mod format;
mod jpeg_end;
pub mod npy;
mod preprocess;
mod raster;
mod render;
mod resample;

pub use error::{Error, ErrorKind};
pub use figure::{Figure, Legend, Panel, Row, grid};
pub use preprocess::{
    Channels, CropRounding, Prepared, Preprocess, Preset, Recipe, Resize, ResizeMode, ResizeSize,
    recipe_from_config, torchvision_recipe, torchvision_weights,
};
pub use raster::Picture;
pub use render::{ColorMap, Overlay, Plane, View, map_picture, overlay};
pub use resample::Interpolation;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
