//! The data of the page of an evaluation.

use crate::picture::EncodedPicture;

/// The page of an evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationPage {
    /// The title.
    pub title: String,
    /// The command line that makes the page again.
    pub command: String,
    /// Names and values of the settings.
    pub settings: Vec<(String, String)>,
    /// Warnings about the whole run.
    pub warnings: Vec<String>,
    /// The metrics.
    pub metrics: Vec<MetricSection>,
    /// The images of the galleries.
    pub thumbnails: Vec<Thumbnail>,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher values.
    Higher,
    /// Lower values.
    Lower,
}

/// The results of one metric.
#[derive(Clone, Debug)]
pub struct MetricSection {
    /// The name.
    pub name: String,
    /// A sentence about the metric.
    pub explanation: String,
    /// Which values are better.
    pub better: Better,
    /// The value of each method.
    pub rows: Vec<MetricRow>,
    /// The paired differences of methods.
    pub differences: Vec<PairedDifference>,
    /// The curve of each method; `None` for a metric without curves.
    pub curves: Option<Curves>,
    /// The images with the best and worst values, in the order of the gallery.
    pub extremes: Vec<Extreme>,
}

/// The value of one method.
#[derive(Clone, Debug)]
pub struct MetricRow {
    /// The method.
    pub method: String,
    /// The mean over the images.
    pub mean: Option<f64>,
    /// The standard error of the mean.
    pub standard_error: Option<f64>,
    /// The number of images with a value.
    pub count: usize,
    /// The number of images without a value.
    pub missing: usize,
    /// Why values are missing.
    pub reasons: Vec<String>,
}

/// The difference of two methods, over the images with a value for both.
#[derive(Clone, Debug)]
pub struct PairedDifference {
    /// The first method.
    pub first: String,
    /// The second method.
    pub second: String,
    /// The mean of the first method minus the second.
    pub mean: f64,
    /// The standard error of the mean.
    pub standard_error: Option<f64>,
    /// The p value of a paired test, not corrected for the number of tests.
    pub p: Option<f64>,
    /// The number of images.
    pub count: usize,
}

/// The curves of a metric.
#[derive(Clone, Debug)]
pub struct Curves {
    /// The title of the horizontal axis.
    pub x_label: String,
    /// The title of the vertical axis.
    pub y_label: String,
    /// The curve of each method.
    pub lines: Vec<Line>,
}

/// The curve of one method.
#[derive(Clone, Debug)]
pub struct Line {
    /// The method.
    pub method: String,
    /// The points `(x, y)`.
    pub points: Vec<(f64, f64)>,
}

/// The end of the order of images to which a value belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The best values.
    Best,
    /// The worst values.
    Worst,
}

/// An image with one of the best or worst values of a method.
#[derive(Clone, Debug)]
pub struct Extreme {
    /// The name of the image.
    pub image: String,
    /// The method.
    pub method: String,
    /// Whether the value is one of the best or of the worst.
    pub rank: Rank,
    /// The value.
    pub value: f64,
    /// The index in [`EvaluationPage::thumbnails`]; `None` if there is no thumbnail.
    pub thumbnail: Option<usize>,
}

/// A small image and its attribution map.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// The image.
    pub picture: EncodedPicture,
    /// The attribution map over the image.
    pub overlay: EncodedPicture,
}
