//! The page of an evaluation.

mod chart;
mod comparison;
mod data;
mod gallery;
mod holm;
mod html;
mod interval;
mod overview;

pub use data::{
    Better, Curves, EvaluationPage, Extreme, Line, MetricRow, MetricSection, PairedDifference,
    Rank, Thumbnail,
};
