//! What can go wrong between a picture and the model, said so that a person can mend it.

use std::io;
use std::path::PathBuf;

/// Why a picture could not be read, prepared, drawn or encoded.
///
/// `name` is the path as given, or `the data` where the bytes came from memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The first bytes are those of no format that is read here.
    #[error(
        "{name} is not a picture that can be read: {found}; \
         JPEG, PNG, WebP, BMP, GIF and TIFF are read, so convert it to one of these"
    )]
    NotAPicture {
        /// The file or `the data`.
        name: String,
        /// What the content looks like instead.
        found: String,
    },

    /// The format was recognised, but its data is cut short or corrupt.
    #[error("{name} is a damaged {format} file: {problem}; copy, download or export it again")]
    Damaged {
        /// The file or `the data`.
        name: String,
        /// The recognised format.
        format: &'static str,
        /// What is wrong with the data.
        problem: String,
    },

    /// The format was recognised, but the file uses a part of it that is not read.
    #[error(
        "{name} is a {format} file of a kind that is not read: {feature}; save it as an 8-bit RGB PNG"
    )]
    Unsupported {
        /// The file or `the data`.
        name: String,
        /// The recognised format.
        format: &'static str,
        /// The part of the format that is not read.
        feature: String,
    },

    /// A side is too short to be resized.
    #[error(
        "{name} is too small: {width}x{height} pixels (width x height), and each side must have at least {limit}"
    )]
    TooSmall {
        /// The file or `the data`.
        name: String,
        /// Width in pixels, as the header says.
        width: u32,
        /// Height in pixels, as the header says.
        height: u32,
        /// The least a side may have.
        limit: u32,
    },

    /// A side is too long.
    #[error(
        "{name} is too large: {width}x{height} pixels (width x height), \
         and the limit is {limit} a side; scale it down"
    )]
    TooLarge {
        /// The file or `the data`.
        name: String,
        /// Width in pixels, as the header says.
        width: u32,
        /// Height in pixels, as the header says.
        height: u32,
        /// The most a side may have.
        limit: u32,
    },

    /// Reading or decoding would take too much memory.
    #[error(
        "{name} needs more than {limit_mib} MiB of memory to be read; scale it down or save it as an 8-bit RGB PNG"
    )]
    TooHeavy {
        /// The file or `the data`.
        name: String,
        /// The most that may be used, in MiB.
        limit_mib: u64,
    },

    /// A [`Preprocess`](super::Preprocess) that cannot work.
    #[error("the preprocessing cannot be used: {problem}")]
    Preprocess {
        /// What is wrong with it and what would mend it.
        problem: String,
    },

    /// The number of values is not what the height and the width ask for.
    #[error(
        "{what} of height {height} and width {width} needs {expected} values, but {given} were given"
    )]
    Shape {
        /// What was to be made.
        what: &'static str,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// How many values that takes.
        expected: usize,
        /// How many there were.
        given: usize,
    },

    /// A map and the picture it is to be laid over differ in size.
    #[error(
        "a map of height {height} and width {width} cannot be laid over a picture of height {base_height} \
         and width {base_width}; use the crop that the model saw"
    )]
    OverlaySize {
        /// The map's height.
        height: usize,
        /// The map's width.
        width: usize,
        /// The picture's height in pixels.
        base_height: usize,
        /// The picture's width in pixels.
        base_width: usize,
    },

    /// The picture could not be written as PNG.
    #[error("a picture of height {height} and width {width} cannot be written as PNG: {problem}")]
    Encode {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// What the encoder said.
        problem: String,
    },
}
