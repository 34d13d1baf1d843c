//! What can go wrong with an array file, said so that a person can mend it.

use std::io;
use std::path::PathBuf;

/// Why an array could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The first bytes are not those of the format.
    #[error("{} is not a .npy file; write it with numpy.save", path.display())]
    NotNpy {
        /// The file as it was named.
        path: PathBuf,
    },

    /// The header cannot be understood.
    #[error("{} has a header that cannot be used: {problem}; write it again with numpy.save", path.display())]
    Header {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with the header.
        problem: String,
    },

    /// The elements are not plain real numbers.
    #[error(
        "{} holds elements of dtype {dtype}, and only integers and floats of at most 64 bits are read; \
         convert it with .astype(numpy.float32)",
        path.display()
    )]
    Dtype {
        /// The file as it was named.
        path: PathBuf,
        /// The type as the header names it.
        dtype: String,
    },

    /// The data is shorter or longer than the header says.
    #[error(
        "{} is damaged: shape {shape:?} of dtype {dtype} takes {expected} bytes, but {found} follow the header; \
         copy or write it again",
        path.display()
    )]
    Length {
        /// The file as it was named.
        path: PathBuf,
        /// The shape in the header.
        shape: Vec<usize>,
        /// The type in the header.
        dtype: String,
        /// How many bytes shape and type ask for.
        expected: u64,
        /// How many there are, or `more`.
        found: String,
    },

    /// A float64 that float32 cannot hold.
    #[error("{} holds {value:e}, which is too large for float32", path.display())]
    OutOfRange {
        /// The file as it was named.
        path: PathBuf,
        /// The value.
        value: f64,
    },

    /// The shape given for writing does not fit the values.
    #[error("an array of shape {shape:?} cannot be written with {values} values")]
    Shape {
        /// The shape that was given.
        shape: Vec<usize>,
        /// How many values were given.
        values: usize,
    },

    /// The array could not be written.
    #[error("cannot write the array: {0}")]
    Unwritable(#[source] io::Error),
}
