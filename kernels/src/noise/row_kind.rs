//! The kind of the rows of a batch.

use super::Noise;

/// The kind of the rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowKind {
    /// The noise; `None` if the rows are the points without noise.
    pub noise: Option<Noise>,
    /// Whether the rows are on paths.
    pub on_paths: bool,
}
