//! Figures: pictures with titles, colour bars and notes.

mod canvas;
mod captioned;
mod grid;
mod legend;

pub use captioned::Figure;
pub use grid::{Panel, Row, grid};
pub use legend::Legend;
