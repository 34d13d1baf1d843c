//! Why a page cannot be built.

/// The reason why a page cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The number of values of a map differs from its size.
    #[error("the map of {method} has {count} {what}, but its size is {height} x {width}")]
    Length {
        /// The method of the map.
        method: String,
        /// What was counted: values or standard errors.
        what: &'static str,
        /// The number of values.
        count: usize,
        /// The number of rows.
        height: usize,
        /// The number of columns.
        width: usize,
    },
    /// A map cannot be stored as a PNG, such as a map without values.
    #[error("the map of {method}, {height} x {width}, cannot be stored as a PNG: {source}")]
    Png {
        /// The method of the map.
        method: String,
        /// The number of rows.
        height: usize,
        /// The number of columns.
        width: usize,
        /// The encoder's error.
        source: png::EncodingError,
    },
}
