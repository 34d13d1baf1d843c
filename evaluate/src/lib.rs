//! Evaluation of attribution methods: metrics of many attribution maps, paired tests, and the papers' tables.
//!
//! ```text
//! methods, settings, sweeps -> variants ┐
//! sources -> samples, predicted         ├> maps -> metrics -> records -> summaries -> tables and plots
//! models, parameters of metrics         ┘
//! ```
//!
//! | part | where |
//! |---|---|
//! | the registries: methods, settings, metrics, tables of the papers | [`Method`], [`Setting`], [`METRICS`], [`Table`] |
//! | combinations of methods, settings and swept values | [`variants`] |
//! | the measuring loop | [`Evaluation`], [`Source`], [`Context`] |
//! | the file of records, and how an interrupted run resumes | [`Results`] |
//! | summaries over images, and statistical tests | [`cells`], [`differences`], [`metric_correlations`], [`model_similarities`] |
//! | tables and plots | [`tables`], [`plots`] |
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod aggregate;
mod case;
mod context;
mod error;
mod measure;
mod method;
mod metric;
mod papers;
mod plot;
mod record;
mod registry;
mod results;
mod run;
mod sample;
mod settings;
mod sweep;
pub mod tables;
mod value;
mod variant;

pub use aggregate::{
    Cell, Difference, MetricCorrelation, ModelSimilarity, cells, differences, metric_correlations,
    model_similarities,
};
pub use case::Case;
pub use context::Context;
pub use error::{Error, ErrorKind};
pub use method::Method;
pub use metric::{Better, Metric, Requirement, any_is_random, any_requires};
pub use papers::{Data, RequiredFile, Table};
pub use plot::plots;
pub use record::Record;
pub use registry::METRICS;
pub use results::{Group, RESULTS, Results, SETTINGS, check_no_results};
pub use run::{Evaluation, OnMap, repeats, samples_per_chunk};
pub use sample::{Sample, Source, Subject};
pub use settings::{Setting, Settings};
pub use sweep::{Choice, Sweep};
pub use value::{Missing, Points, Summary, Value};
pub use variant::{Level, Variant, variants};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
