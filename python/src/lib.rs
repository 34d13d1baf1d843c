//! The Python module `attriburn._native`: models, plans, inputs, maps and metrics.
//!
//! ```text
//! input, plan, target -> model -> map;   metrics of maps;   the command
//! ```
#![forbid(unsafe_code)]

mod array;
mod choice;
mod error;
mod input;
mod map;
mod metrics;
mod model;
mod picture;
mod plan;
mod prediction;
mod process;
mod program;
mod settings;
mod target;

use pyo3::prelude::*;

/// The classes and functions that the package `attriburn` exports.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::error::Error;
    #[pymodule_export]
    use super::input::Input;
    #[pymodule_export]
    use super::map::Map;
    #[pymodule_export]
    use super::metrics::{
        box_precision, cosine, overlap, paired_t_test, pixel_scores, pointing_game,
        rank_correlation, sparseness, ssim, unit_distance,
    };
    #[pymodule_export]
    use super::model::{Model, devices, set_threads};
    #[pymodule_export]
    use super::picture::Preprocess;
    #[pymodule_export]
    use super::plan::{Plan, methods, plan};
    #[pymodule_export]
    use super::prediction::Prediction;
    #[pymodule_export]
    use super::process::after_fork;
    #[pymodule_export]
    use super::program::{example_model, example_picture, imagenet_labels, run_command};
    #[pymodule_export]
    use super::target::Target;
}
