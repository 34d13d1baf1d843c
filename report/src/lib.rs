//! Attribution maps and evaluations as HTML pages. A page is one file: it needs no network and no server, and
//! can be read with scripts off. Scripts add thresholds, readouts, enlarged maps and sortable tables.
//!
//! ```text
//! MapsPage ──> tile (maps as PNG) ──> maps/html ───────> page (head, settings, warnings) ──> String
//! EvaluationPage ──> holm, interval, chart ──> evaluation/html ──┘
//! ```
//!
//! Pages are built from plain data, and the same data gives the same bytes.
//!
//! | file | part |
//! |---|---|
//! | `page.rs` | the frame of both pages |
//! | `tile.rs` | the code that stores a map and its standard error in one byte per value |
//! | `maps/` | the page of attribution maps |
//! | `evaluation/` | the page of an evaluation: tables, error bars, curves, galleries |
//! | `assets/` | styles and scripts |
//!
//! ```
//! use attriburn_report::{InputMaps, Map, MapsPage, Palette, TargetMaps};
//!
//! # fn main() -> Result<(), attriburn_report::Error> {
//! let ramp: [[u8; 3]; 255] = std::array::from_fn(|i| [i as u8; 3]);
//! let map = Map {
//!     method: "gradient".into(),
//!     unit: "gradient".into(),
//!     is_signed: true,
//!     height: 1,
//!     width: 2,
//!     values: vec![0.5, -1.0],
//!     standard_error: None,
//!     clip: 1.0,
//!     palette: Palette { signed: ramp, unsigned: ramp },
//!     facts: vec![("time".into(), "0.2 s".into())],
//!     notes: Vec::new(),
//!     files: "out/photo".into(),
//! };
//! let target = TargetMaps { title: "tabby, class 281".into(), maps: vec![map] };
//! let input = InputMaps { name: "photo.jpg".into(), picture: None, targets: vec![target] };
//! let page = MapsPage {
//!     title: "photo.jpg".into(),
//!     command: "attriburn explain photo.jpg".into(),
//!     settings: Vec::new(),
//!     warnings: Vec::new(),
//!     failures: Vec::new(),
//!     inputs: vec![input],
//! };
//! assert!(page.html()?.starts_with("<!DOCTYPE html>"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod evaluation;
mod maps;
mod number;
mod page;
mod picture;
mod tile;

pub use error::Error;
pub use evaluation::{
    Better, Curves, EvaluationPage, Extreme, Line, MetricRow, MetricSection, PairedDifference,
    Rank, Thumbnail,
};
pub use maps::{InputMaps, Map, MapsPage, Palette, TargetMaps};
pub use picture::EncodedPicture;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
