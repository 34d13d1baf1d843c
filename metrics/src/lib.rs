//! Metrics of attribution maps from the literature, as functions of maps and models.
//!
//! | metric | what it measures | better | function or type |
//! |---|---|---|---|
//! | Sparseness | concentration of the scores on few pixels | higher | [`gini`] |
//! | Insertion, deletion | area under the probability as pixels are inserted or deleted, in the order of the map's scores | higher, lower | [`insertion`], [`deletion`] |
//! | Consistency, Invariance | rank correlation with the map of another model | lower, higher | [`spearman`] |
//! | SIC, AIC | area under the model's performance over the information shown, in the order of the map's scores | higher | `reveal`, with the feature `information` |
//! | Cascade | rank correlation with the maps of the model as its layers are randomized | lower | [`Cascade`] |
//! | Random Logit | similarity to the map of a random other class | lower | [`random_other_class`], [`ssim`] |
//! | Pointing game | share of the pixels of highest score that lie on the object | higher | [`pointing_game`] |
//! | Box precision | share of the boxes proposed from the map that overlap the object | higher | [`box_precision`] |
//! | Adversarial pixels | number of pixels that must change, in the order of the map's scores, until the class is lost | lower | [`adversarial_pixels`] |
//! | Out-of-domain share and amount | noise that is drawn outside the domain of the input | lower | [`OutOfDomain`] |
//! | Paired t-test | whether two methods differ on the same images | | [`paired_t_test`] |
//! | Distance, cosine, overlap, SSIM | similarity of two maps | | [`unit_distance`], [`cosine`], [`overlap`], [`ssim`] |
//!
//! The score of a pixel is `|sum over channels|` for a map `[channels, height, width]`, and `|value|` for a
//! map of any other shape; see [`pixel_scores`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod adversarial;
mod error;
mod faithfulness;
#[cfg(feature = "information")]
mod information_curve;
#[cfg(feature = "information")]
mod interpolation;
mod localization;
mod out_of_domain;
mod paired;
mod proposals;
mod random_logit;
mod randomization;
mod rank;
mod region;
#[cfg(feature = "information")]
mod reveal;
mod scores;
mod segmentation;
mod similarity;
mod sparseness;

pub use adversarial::{AdversarialPixels, adversarial_pixels};
pub use error::{Error, ErrorKind};
pub use faithfulness::{Curve, deletion, insertion};
#[cfg(feature = "information")]
pub use information_curve::{InformationCurve, MIN_PROBABILITY, NoCurve};
pub use localization::{box_precision, pointing_game};
pub use out_of_domain::OutOfDomain;
pub use paired::{PairedTest, paired_t_test};
pub use proposals::selective_search;
pub use random_logit::random_other_class;
pub use randomization::{Cascade, RandomizedModel, Stage};
pub use rank::{Correlation, ranks, spearman};
pub use region::Region;
#[cfg(feature = "information")]
pub use reveal::{RevealSchedule, RevealedImage, reveal};
pub use scores::{order, pixel_scores};
pub use segmentation::Segmentation;
pub use similarity::{cosine, overlap, ssim, unit_distance};
pub use sparseness::gini;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
