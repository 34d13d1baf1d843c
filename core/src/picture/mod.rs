//! Pictures and arrays in and out: a file becomes a model's input, a map becomes a picture.
//!
//! ```text
//! file -> Picture -> Preprocess -> Prepared { values, crop } -> (model, attribution) -> map
//! map  -> channel_sum -> map_picture or overlay -> Picture -> PNG bytes
//!                                               several -> grid -> Picture -> PNG bytes
//! ```
//!
//! Everything here agrees with what a model was most likely trained on: Pillow's resampling, bit by bit, and
//! torchvision's rounding of sizes and crops. Raw maps travel in NumPy's file format, see [`crate::npy`].

mod decode;
mod error;
mod grid;
mod jpeg_end;
mod preprocess;
mod raster;
mod render;
mod resample;
mod scale;

pub use error::PictureError;
pub use grid::{Row, grid};
pub use preprocess::{
    Centre, Channels, Mode, Prepared, Preprocess, Preset, Recipe, Resize, Side, recipe_of,
    torchvision, torchvision_weights,
};
pub use raster::Picture;
pub use render::{Style, channel_sum, map_picture, map_picture_at, overlay};
pub use resample::Interpolation;
pub use scale::Scale;
