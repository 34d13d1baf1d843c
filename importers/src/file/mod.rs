//! Reads model files and external weight files through memory mappings, without a copy.

mod external;
mod map;
mod tensor;

use std::path::Path;

use onnx_ir::{Message, ModelProto};

use crate::error::{ErrorKind, LoadError};

pub use external::Folder;
pub use map::Mapped;
pub use tensor::{Element, Numbers, Stored};

/// A parsed model file.
pub struct File {
    /// The model's protobuf messages. The raw data of tensors are slices of the mapped file.
    pub proto: ModelProto,
    /// The folder of the model's external weights.
    pub folder: Folder,
}

/// Maps and parses the file `path`.
///
/// # Errors
///
/// [`ErrorKind::Io`] when the file cannot be read, [`ErrorKind::Format`] when the file is not an ONNX
/// model.
pub fn open(path: &Path) -> Result<File, LoadError> {
    let bytes = Mapped::open(path).map_err(|error| {
        LoadError::new(ErrorKind::Io, format!("the file cannot be read: {error}"))
    })?;
    parse(&bytes, Folder::of(path, bytes.clone()))
}

/// Parses the model in `bytes`; `folder` holds the external weights.
///
/// # Errors
///
/// [`ErrorKind::Format`] when `bytes` are not an ONNX model.
pub fn parse(bytes: &Mapped, folder: Folder) -> Result<File, LoadError> {
    let format = |message: &str| Err(LoadError::new(ErrorKind::Format, message));
    if bytes.bytes().is_empty() {
        return format("the file is empty; export the model again");
    }
    let Ok(proto) = ModelProto::parse_from_tokio_bytes(bytes.bytes()) else {
        return format(
            "this is not an ONNX model, or the file is truncated; export or copy it again",
        );
    };
    if proto.graph.node.is_empty() && proto.graph.output.is_empty() {
        return format("this is not an ONNX model: it has no graph; export or copy it again");
    }
    Ok(File { proto, folder })
}
