//! The page of attribution maps.

mod colours;
mod controls;
mod data;
mod figure;
mod html;
mod script;

pub use data::{InputMaps, Map, MapsPage, Palette, TargetMaps};
