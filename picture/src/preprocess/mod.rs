//! Preprocessing of pictures to model inputs.
//!
//! ```text
//! config, torchvision, preset -> recipe (each part optional) -> transform (geometry, channels) -> input
//! ```

mod channels;
mod config;
mod description;
mod geometry;
mod preset;
mod recipe;
mod torchvision;
mod transform;

pub use channels::Channels;
pub use config::recipe_from_config;
pub use geometry::{CropRounding, Resize};
pub use preset::Preset;
pub use recipe::{Recipe, ResizeMode, ResizeSize};
pub use torchvision::{torchvision_recipe, torchvision_weights};
pub use transform::{Prepared, Preprocess};
