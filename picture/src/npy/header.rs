//! The header of a `.npy` file.

use std::io::{self, Read};
use std::panic::catch_unwind;
use std::path::Path;

use npyz::{DType, NpyHeader, TypeChar};

use crate::error::{Error, ErrorKind};

/// The maximum length of a header, in bytes; NumPy has the same limit.
const MAX_HEADER: usize = 10_000;
/// The maximum number of brackets in a header; the header of a plain array has four.
const MAX_BRACKETS: usize = 64;

/// An error while an array is read, without the name of the file.
pub(super) enum NpyError {
    /// The file is not a `.npy` file.
    NotNpy,
    /// The header is invalid.
    Header(String),
    /// Reading the file failed.
    Io(io::Error),
    /// The element type is not supported.
    ElementType(String),
    /// A value is beyond the range of float32.
    OutOfRange(f64),
}

impl NpyError {
    pub(super) fn too_large(shape: &[u64]) -> Self {
        Self::Header(format!("the shape {shape:?} is too large for any memory"))
    }

    /// Adds the name of the file.
    pub(super) fn at(self, path: &Path) -> Error {
        let name = path.display();
        match self {
            NpyError::NotNpy => Error::new(
                ErrorKind::Format,
                format!("{name} is not a .npy file; write it with numpy.save"),
            ),
            NpyError::Header(problem) => Error::new(
                ErrorKind::Format,
                format!("{name} has an invalid header: {problem}; write it again with numpy.save"),
            ),
            NpyError::Io(error) => Error::unreadable(path, &error),
            NpyError::ElementType(dtype) => Error::new(
                ErrorKind::Format,
                format!(
                    "{name} has elements of dtype {dtype}, but only integers and floats of at most 64 bits are supported; convert it with .astype(numpy.float32)"
                ),
            ),
            NpyError::OutOfRange(value) => Error::new(
                ErrorKind::Range,
                format!("{name} contains {value:e}, which is too large for float32"),
            ),
        }
    }
}

/// Reads the header. Its length and nesting are checked before npyz parses it.
pub(super) fn read_header(reader: &mut impl Read) -> Result<NpyHeader, NpyError> {
    let mut bytes = vec![0; 8];
    fill(reader, &mut bytes)?.ok_or(NpyError::NotNpy)?;
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(NpyError::NotNpy);
    }
    let truncated = || NpyError::Header("the file ends inside the header".to_owned());
    let mut length = match bytes[6] {
        1 => vec![0; 2],
        2 | 3 => vec![0; 4],
        other => {
            let problem = format!("the format version is {other}, but only 1 to 3 are supported");
            return Err(NpyError::Header(problem));
        }
    };
    fill(reader, &mut length)?.ok_or_else(truncated)?;
    let text_length = length.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte));
    if text_length > MAX_HEADER {
        return Err(NpyError::Header(format!(
            "the header has {text_length} bytes, but the limit is {MAX_HEADER}"
        )));
    }
    let mut text = vec![0; text_length];
    fill(reader, &mut text)?.ok_or_else(truncated)?;
    // npyz parses brackets recursively, so deep nesting would overflow the stack.
    if text.iter().filter(|byte| b"([{".contains(byte)).count() > MAX_BRACKETS {
        return Err(NpyError::Header("it does not describe an array of numbers".to_owned()));
    }
    bytes.extend([length, text].concat());
    // npyz multiplies the sizes, which panics on overflow if overflow checks are enabled.
    match catch_unwind(|| NpyHeader::from_reader(&bytes[..])) {
        Ok(header) => header.map_err(|error| NpyError::Header(error.to_string())),
        Err(_) => Err(NpyError::Header("the shape is too large for any memory".into())),
    }
}

/// Reads exactly `bytes.len()` bytes. Returns `None` if the file ends before.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<Option<()>, NpyError> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(NpyError::Io(error)),
    }
}

/// Returns the element type in NumPy's notation and its size in bytes. Refuses element types that are not
/// supported.
pub(super) fn element_type(header: &NpyHeader) -> Result<(String, usize), NpyError> {
    let dtype = header.dtype();
    let name = dtype.descr().replace('\'', "");
    let DType::Plain(plain) = &dtype else {
        return Err(NpyError::ElementType(dtype.descr()));
    };
    match (plain.type_char(), plain.num_bytes()) {
        (TypeChar::Float, Some(size @ (2 | 4 | 8)))
        | (TypeChar::Int | TypeChar::Uint, Some(size @ (1 | 2 | 4 | 8))) => Ok((name, size)),
        _ => Err(NpyError::ElementType(name)),
    }
}
